"""Random small instances, one generator per kind of request, the same for the same seed.

Up to 12 nodes in up to 3 levels, up to 4 gangs, up to 3 flavors; some racks are unknown, some nodes are
busy or cordoned. Every kind has its feature in at least one gang of every instance; the other features
come in at random, so that kinds also meet each other.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from scheduler.model import (
    Code,
    Constraints,
    Gang,
    PodSet,
    PodTerm,
    Reason,
    Requirement,
    SpreadTerm,
    Toleration,
    Variant,
)
from scheduler.policy import MixedPair, Policy
from scheduler.snapshot import Snapshot
from tests.builders import (
    CARDS,
    Fleet,
    fleet,
    gang,
    occupy,
    podset,
    reserved,
    running_pod,
    snapshot,
)
from tests.solve.instances_ratio import homes, paced
from topology import keys

PLAIN = ("several", "roles", "elastic", "slices", "levels")
WRITTEN = ("variants", "pairs")
KINDS = (*PLAIN, "running", *WRITTEN, "ratio")
TYPES = ("h100", "a100", "l4")
POLICY = Policy(
    mixed_pairs=tuple(
        MixedPair(prefill=CARDS[prefill][0], decode=CARDS[decode][0], connector="nixl")
        for prefill, decode in (("h100", "a100"), ("a100", "h100"), ("h100", "l4"))
    )
)
"""Instances are solved with it; gangs of the kind "pairs" can use its rows."""


def instance(kind: str, seed: int) -> Snapshot:
    """The instance number ``seed`` of ``kind``."""
    return thrown(Random(f"{kind}-{seed}"), kind)


def thrown(dice: Random, kind: str) -> Snapshot:
    """An instance of ``kind`` as the dice fall."""
    drawn = _fleet(dice)
    count = dice.randint(2, 4) if kind == "several" else dice.choice((1, 2, 2, 3))
    others = PLAIN + (WRITTEN if kind in WRITTEN else ())
    gangs = [
        # Only the first gang has running members, so that nothing is over-committed.
        request(dice, drawn, f"g-{i}", kind if i == 0 else dice.choice(others))
        for i in range(count)
    ]
    if kind in WRITTEN and dice.random() < 0.3:
        gangs[0] = _half_running(dice, drawn, kind)
    if kind == "ratio" and dice.random() < 0.4:
        gangs[0] = paced(dice, drawn, "g-0", homes(dice, drawn))
    held = []
    runs_on = {member.node for members in gangs[0].podsets for member in members.running}
    open_ = [
        state.node.name
        for state in drawn.states
        if state.free[keys.NVIDIA_GPU] >= 2 and state.node.name not in runs_on
    ]
    if dice.random() < 0.15 and open_:
        other = gang("g-9", members=1, gpus=2, spread=dice.choice((None, *drawn.levels)))
        gangs.append(other)
        held.append(reserved(other, dice.choice(open_)))
    return snapshot(drawn, *gangs, reservations=held)


def _fleet(dice: Random) -> Fleet:
    """One to three blocks of racks of nodes; every rack has one type of cards."""
    cards = dice.choice((4, 8))
    left = dice.choice((4, 6, 8, 10, 12, 12, 12))
    number, blocks = 0, []
    for block in range(dice.randint(1, 3)):
        racks = []
        for rack in range(dice.randint(1, 4)):
            kind, nodes = dice.choice(TYPES[:2] if dice.random() < 0.8 else TYPES), []
            for _ in range(min(dice.randint(1, 5), left)):
                number, left = number + 1, left - 1
                flag = "!cordoned" if dice.random() < 0.05 else ""
                busy = dice.choice((0, 0, 0, 0, 1, 2, cards - 1, cards))
                nodes.append(f"n{number}[{cards}-{busy}]@{kind}{flag}")
            name = "?" if dice.random() < 0.08 else f"r{rack}"
            racks.append(f"{name}({' '.join(nodes)})" if nodes else "")
        blocks.append(f"{'?' if dice.random() < 0.05 else f'b{block}'}({' '.join(racks)})")
    return fleet(" ".join(blocks))


def request(dice: Random, drawn: Fleet, name: str, kind: str) -> Gang:
    """A random gang of ``kind`` for the fleet; its running members, if any, are on free nodes."""
    if kind == "ratio":
        return paced(dice, drawn, name)
    types = list(TYPES)
    dice.shuffle(types)
    running_on = _running(dice, drawn) if kind == "running" else []
    if running_on:
        mine = next(s.node.labels["type"] for s in drawn.states if s.node.name == running_on[0])
        types = [mine, *(one for one in types if one != mine)][: dice.randint(1, 3)]
        dice.shuffle(types)
    sets = _pair(dice, drawn) if kind == "pairs" else _podsets(dice, kind, running_on)
    levels: dict[str, str | None] = {"required": None, "preferred": None}
    if kind == "levels":
        levels = dict(zip(levels, _nested(dice), strict=True))
    elif dice.random() < 0.3:
        levels["preferred"] = dice.choice(("block", "rack", "host"))
    elif dice.random() < 0.3 and not running_on:
        levels["required"] = dice.choice(("block", "rack"))
    total = sum(each.min_count for each in sets)
    size = sum(each.size for each in sets)
    least = dice.randint(max(total, 1), size - 1) if kind == "elastic" else max(total, 1)
    wish = gang(
        name,
        *sets,
        flavors=types[: dice.randint(kind in WRITTEN, 3)] if not running_on else types,
        least=least,
        priority=dice.choice((0, 0, 0, 10)),
        created=dice.randint(0, 3),
        spread=dice.choice((None, None, "block", "rack")),
        excluded=[dice.choice(drawn.states).node.name] if dice.random() < 0.05 else (),
        required=levels["required"],
        preferred=levels["preferred"],
    )
    if kind == "variants":
        return replace(wish, variants=_variants(dice, wish))
    if kind == "pairs":
        flavors = dice.choice((wish.flavors, ()))
        return replace(wish, flavors=flavors, connector=dice.choice((*["nixl"] * 6, "other", None)))
    return wish


def _variants(dice: Random, of: Gang) -> tuple[Variant, ...]:
    """Other pods for some of the flavors: other sizes, requests, levels and minimums."""
    chosen = dice.sample(of.flavors, dice.randint(1, len(of.flavors)))
    return tuple(_variant(dice, of.name, flavor.name) for flavor in chosen)


def _variant(dice: Random, name: str, flavor: str) -> Variant:
    if dice.random() < 0.1:
        return Variant(flavor=flavor, refusal=Reason(code=Code.CANNOT_REWRITE, message="bare pods"))
    size = dice.choice((1, 2, 2, 3, 4))
    sets = [
        podset(
            "main",
            size,
            gpus=dice.choice((1, 2, 4)),
            least=dice.choice((size, size, 1)),
            required=dice.choice((None, None, None, "rack")),
            preferred=dice.choice((None, None, "rack", "host")),
        )
    ]
    sets += _others(dice) if dice.random() < 0.3 else []
    made = gang(name, *sets)
    return Variant(
        flavor=flavor,
        podsets=tuple(
            replace(each, members=tuple(replace(m, uid="") for m in each.members))
            for each in made.podsets
        ),
        min_members=made.min_members,
    )


def _nested(dice: Random) -> tuple[str, str]:
    return dice.choice((("block", "rack"), ("block", "host"), ("rack", "host"), ("block", "block")))


def _running(dice: Random, drawn: Fleet) -> list[str]:
    """Where up to two members run already: near each other, on nodes of one type with free cards."""
    free = [s for s in drawn.states if s.free[keys.NVIDIA_GPU] >= 2]
    if not free:
        return []
    first = dice.choice(free)
    rack = [s for s in free if s.node.path == first.node.path]
    return [first.node.name, *([dice.choice(rack).node.name] if dice.random() < 0.5 else [])]


def _podsets(dice: Random, kind: str, running_on: list[str]) -> list[PodSet]:
    cards = 1 if running_on else dice.choice((1, 2, 2, 3, 4))
    size = dice.choice((1, 2, 2, 3, 4, 5)) + len(running_on) + 3 * (kind == "elastic")
    if kind == "slices":
        return [_sliced(dice)]
    main = podset("main", size, gpus=cards, running=running_on)
    if kind == "elastic":
        main = replace(main, min_count=dice.randint(0, size - 1))
    if kind == "levels" and dice.random() < 0.5:
        required, preferred = _nested(dice)
        main = podset("main", size, gpus=cards, required=required, preferred=preferred)
    if dice.random() < 0.08 and not running_on:
        main = replace(main, labels={"app": "x"}, constraints=_ALONE)
    if kind != "roles" and dice.random() < 0.8:
        return [main]
    return [main, *_others(dice)] if dice.random() < 0.7 else _grouped(dice, main)


def _pair(dice: Random, drawn: Fleet) -> list[PodSet]:
    """Prefill and decode PodSets, perhaps elastic, perhaps with a router or a second decode role.

    Half of them are as large as the free nodes of two classes of a row of the policy.
    """
    cards, sizes = dice.choice((1, 2, 4)), [dice.choice((1, 2, 2, 3)) for _ in range(2)]
    if dice.random() < 0.75:
        room = {CARDS[kind][0]: 0 for kind in TYPES}
        for state in drawn.states:
            if state.usable and state.node.accelerator is not None:
                room[state.node.accelerator.device_class] += state.free[keys.NVIDIA_GPU] // cards
        sizes = max(([room[p.prefill], room[p.decode]] for p in POLICY.mixed_pairs), key=min)
    roles = ["prefill", "decode", *dice.choice(((), (), (), ("decode-long",)))]
    sizes = [max(1, min(size, 4)) for size in (*sizes, 1)]
    sets = [
        podset(
            role,
            size,
            gpus=cards,
            least=dice.choice((size, size, size, size - 1, 0)),
            preferred=dice.choice((None, None, None, "rack")),
        )
        for role, size in zip(roles, sizes, strict=False)
    ]
    if dice.random() < 0.2:
        sets.append(podset("router", 1, gpus=0, cpu=8, follows_flavors=False))
    return sets


def _half_running(dice: Random, drawn: Fleet, kind: str) -> Gang:
    """A gang of a kind of ``WRITTEN`` of which some members run."""
    wish = request(dice, drawn, "g-0", "running")
    if kind == "variants" or not wish.podsets[0].running:
        return replace(wish, variants=_variants(dice, wish) if wish.flavors else ())
    first = wish.podsets[0].running[0].node or ""
    at = {state.node.name: state.node.labels["type"] for state in drawn.states}
    cards = {CARDS[each][0]: each for each in TYPES}
    partners = [cards[p.decode] for p in POLICY.mixed_pairs if cards[p.prefill] == at[first]]
    free = [s.node.name for s in drawn.states if s.free[keys.NVIDIA_GPU] >= 2]
    second = [node for node in free if at[node] in (at[first], *partners)]
    sets = [
        podset(
            role,
            dice.randint(1, 3),
            gpus=1,
            least=dice.choice((0, 1)),
            running=[dice.choice(nodes)],
        )
        for role, nodes in (("prefill", [first]), ("decode", second))
    ]
    if dice.random() < 0.3:
        sets[1] = podset("decode", 2, gpus=1, least=1)
    types = dice.sample(TYPES, len(TYPES)) if dice.random() < 0.5 else ()
    return replace(gang("g-0", *sets, flavors=types), connector="nixl")


def _sliced(dice: Random) -> PodSet:
    inner = dice.choice((1, 2, 2, 3))
    outer = inner * dice.choice((1, 2))
    size = outer * dice.choice((1, 1, 2))
    nested = f"block:{outer},rack:{inner}", f"rack:{outer},host:{inner}"
    text = dice.choice((f"rack:{inner}", f"host:{inner}", *nested))
    least = dice.choice((size, size, inner))
    return podset("main", size, gpus=dice.choice((1, 1, 2, 4)), slices=text, least=least)


def _others(dice: Random) -> list[PodSet]:
    """A leader, perhaps without cards, and perhaps a second role of workers."""
    plain = dice.random() < 0.5
    leader = podset("leader", 1, gpus=0 if plain else dice.choice((1, 4)), cpu=8)
    leader = replace(leader, follows_flavors=not plain)
    if dice.random() < 0.5:
        return [leader]
    return [leader, podset("worker", dice.randint(1, 3), gpus=dice.choice((1, 2, 4)))]


def _grouped(dice: Random, main: PodSet) -> list[PodSet]:
    """Two roles that share a group, and its level."""
    other = podset("decode", dice.randint(1, 3), gpus=dice.choice((1, 2, 4)))
    wish = dice.choice(
        (
            {"required": "rack"},
            {"preferred": "rack"},
            {"preferred": "host"},
            {"required": "block", "preferred": "host"},
        )
    )
    shared = replace(main.group_topology, **wish)
    return [replace(one, group="pd", group_topology=shared) for one in (main, other)]


_ALONE = Constraints(
    anti_affinity=(
        PodTerm(
            topology_key=keys.HOSTNAME,
            selector=(Requirement(key="app", operator="In", values=("x",)),),
            namespaces=("default",),
        ),
    )
)
"""At most one pod with the label ``app=x`` on a node."""


def crowded(seed: int) -> Snapshot:
    """A tiny instance whose pods care about each other: affinity, spread and ports of all kinds."""
    dice = Random(f"crowded-{seed}")
    drawn = _shelves(dice)
    for i in range(dice.choice((0, 0, 1, 2))):
        rules = _rules(dice)
        pod = running_pod(
            f"p{i}",
            labels=_label(dice),
            anti_affinity=rules.anti_affinity,
            host_ports=rules.host_ports,
        )
        drawn = occupy(drawn, dice.choice(drawn.states).node.name, pod)
    gangs = []
    for i in range(dice.choice((1, 2, 2))):
        sizes = ((1,), (2,), (2,), (3,), (1, 1), (2, 1))
        sets = [
            podset(
                role,
                size,
                gpus=dice.choice((0, 1, 2)),
                labels=_label(dice),
                constraints=_rules(dice),
            )
            for role, size in zip(("a", "b"), dice.choice(sizes), strict=False)
        ]
        if dice.random() < 0.3:
            sets[0] = replace(sets[0], min_count=dice.choice((0, 1)))
        gangs.append(gang(f"g{i}", *sets, preferred=dice.choice((None, None, "rack"))))
    return snapshot(drawn, *gangs)


def _shelves(dice: Random) -> Fleet:
    """One to three racks of one or two nodes, some of which have the label ``shelf``."""
    racks, number = [], 0
    for rack in range(dice.choice((1, 2, 2, 3))):
        nodes = []
        for _ in range(dice.choice((1, 1, 2))):
            number += 1
            flag = dice.choice(("", "", "", "", "", "", "!tainted", "!cordoned"))
            shelf = dice.choice(("", "{shelf=a}", "{shelf=b}"))
            nodes.append(f"n{number}[{dice.choice((2, 3, 4))}]{flag}{shelf}")
        name = "?" if dice.random() < 0.1 else f"r{rack}"
        racks.append(f"{name}({' '.join(nodes)})")
    return fleet(" ".join(racks))


def _label(dice: Random) -> dict[str, str]:
    return dice.choice(({"app": "x"}, {"app": "y"}, {}))


def _rules(dice: Random) -> Constraints:
    """At most one kind of rule about other pods, labels ``app=x`` or ``app=y``."""
    selector = (Requirement(key="app", operator="In", values=(dice.choice("xy"),)),)
    key = dice.choice(("rack", "rack", "shelf", keys.HOSTNAME))
    term = PodTerm(topology_key=key, selector=selector, namespaces=("default",))
    skew = SpreadTerm(
        topology_key=key,
        max_skew=dice.choice((1, 1, 2)),
        selector=selector,
        min_domains=dice.choice((1, 1, 2)),
    )
    kinds: tuple[dict[str, Any], ...] = (
        {"affinity": (term,)},
        {"anti_affinity": (term,)},
        {"spread": (skew,)},
        {"host_ports": ("TCP/80",)},
        {"tolerations": (Toleration(operator="Exists"),)},
        {},
    )
    return Constraints(**dice.choices(kinds, (30, 25, 20, 10, 5, 10))[0])
