"""Prefill and decode land where key-value caches travel least, against every placement there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations_with_replacement, product
from random import Random

import pytest

from scheduler.snapshot import Snapshot
from scheduler.solve import solve
from scheduler.solve.check import verify
from tests.builders import fleet, gang, nodes_of, podset, snapshot
from topology.fabric import Fabric, Uplink

LEVELS = ("spine", "leaf", "host")
FABRICS: Mapping[str, tuple[Fabric | None, tuple[int, ...]]] = {
    # 8,192 tokens of 516,096 bytes: 9 ms over NVLink, 85 through one 400G rail; a layer more is 1 at least
    "unknown": (None, (1, 1, 76)),
    # 42 ms through two rails, 170 if a leaf lets only a quarter out
    "narrow leaves": (
        Fabric(source="map", host_gbps=800, uplinks=(Uplink(level="leaf", down=4, up=1),)),
        (1, 128, 33),
    ),
    # 10 ms through eight rails, 31 through a spine that lets a third out
    "narrow spines": (
        Fabric(source="map", host_gbps=3200, uplinks=(Uplink(level="spine", down=3, up=1),)),
        (21, 1, 1),
    ),
}
"""What is known of the network, and what leaving a domain of each level then costs (ms)."""
SEEDS = 12


def thrown(dice: Random, known: Fabric | None) -> Snapshot:
    """Up to eight nodes with room for none to three members of two cards; two or three of each role."""
    spines, left = [], 8
    for spine in range(dice.randint(1, 2)):
        leaves = []
        for leaf in range(dice.randint(1, 3)):
            nodes = [
                f"n{spine}{leaf}{n}[6-{dice.choice((0, 2, 4, 4, 4, 6))}]"
                for n in range(min(dice.randint(1, 3), left))
            ]
            left -= len(nodes)
            leaves += [f"l{leaf}({' '.join(nodes)})"] if nodes else []
        spines += [f"s{spine}({' '.join(leaves)})"] if leaves else []
    sets = [podset(role, dice.randint(2, 3), gpus=2) for role in ("prefill", "decode")]
    drawn = fleet(" ".join(spines), levels="spine leaf")
    picture = snapshot(drawn, gang("pd", *sets))
    return replace(picture, fabrics=(known,) if known is not None else ())


def scored(picture: Snapshot, costs: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Domains used at each level and milliseconds of transfers of every placement with room."""
    room = [state.free["nvidia.com/gpu"] // 2 for state in picture.nodes]
    rows = picture.tree.domain_of.T.tolist()
    nodes = range(len(room))
    ways = (combinations_with_replacement(nodes, each.size) for each in picture.gangs[0].podsets)
    for prefill, decode in product(*ways):
        used = Counter((*prefill, *decode))
        if all(room[node] >= count for node, count in used.items()):
            yield *counted(rows, [*used]), transfers(rows, prefill, decode, costs)


def counted(rows: list[list[int]], nodes: list[int]) -> list[int]:
    """Domains of each level that these nodes are in."""
    return [len({rows[node][depth] for node in nodes}) for depth in range(len(LEVELS))]


def transfers(
    rows: list[list[int]],
    prefill: tuple[int, ...],
    decode: tuple[int, ...],
    costs: tuple[int, ...],
) -> int:
    """Each decode member from its nearest prefill member: the cost of all levels that they do not share."""
    return sum(
        min(
            sum(cost for a, b, cost in zip(rows[one], rows[other], costs, strict=True) if a != b)
            for one in prefill
        )
        for other in decode
    )


@pytest.mark.parametrize("network", FABRICS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_prefill_and_decode_on_random_fabrics(network: str, seed: int) -> None:
    """The fewest domains, and among these the fastest transfers that any placement has."""
    known, costs = FABRICS[network]
    picture = thrown(Random(seed), known)
    plan = solve(picture)
    assert verify(picture, plan) == ()
    best = min(scored(picture, costs), default=None)
    assert plan.assignments[0].placed == (best is not None)
    if best is not None:
        index = picture.tree.nodes.index
        prefill, decode = (
            tuple(map(index, nodes_of(plan, "pd", role).split())) for role in ("prefill", "decode")
        )
        rows = picture.tree.domain_of.T.tolist()
        used = counted(rows, [*prefill, *decode])
        assert (*used, transfers(rows, prefill, decode, costs)) == best
        assert plan.objective == plan.bound


def test_the_random_fabrics_are_of_all_sorts() -> None:
    """In some a cache must leave hosts and leaves, in some none must, and in some is no room; and what
    is known of the network changes what the best placement costs."""
    found: dict[str, list[int | None]] = {}
    for network, (known, costs) in FABRICS.items():
        pictures = [thrown(Random(seed), known) for seed in range(SEEDS)]
        bests = [min(scored(picture, costs), default=None) for picture in pictures]
        found[network] = [None if best is None else best[-1] for best in bests]
    assert {None, 0} < set(found["unknown"])
    assert max(one or 0 for one in found["unknown"]) > 76
    assert found["unknown"] != found["narrow leaves"] != found["narrow spines"]
