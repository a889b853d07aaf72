"""Drawn fleets and short gangs: the drawing in a test *is* its input.

A fleet is drawn in one of two forms, which mean the same::

    fleet('''
    zone a
      rack r1: n1[8] n2[8-3]
      rack r2: n3[8]@a100
    ''')
    fleet("a(r1(n1 n2[8-3]) r2(n3@a100))", levels="zone rack")

A node is its name, then any of these, without blanks:

    ``[8]``  cards; ``[8-3]`` of 8 cards 3 are busy with a plain pod (default: ``[gpus]``, all free)
    ``@a100``  the type of its cards, see ``CARDS`` (default ``h100``); it is the label ``type`` as well
    ``!cordoned`` ``!notready`` ``!quarantined`` ``!tainted``  why it cannot be used
    ``{disk=ssd}``  labels; ``superpod`` is the scale-up domain

A domain that is called ``?`` is unknown: its nodes have no value at that level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scheduler.model import (
    Gang,
    GangAssignment,
    Member,
    Plan,
    PodSet,
    Slice,
    Slot,
    TopologyRequest,
)
from scheduler.snapshot import NodeState, RunningPod, Snapshot
from topology import keys
from topology.model import HOST, Accelerator, Flavor, Node, PathStep, Taint
from topology.resources import CPU, PODS, Resources
from topology.tree import TopologyTree
from topology.vendors import ruled

GIB = 2**30
CARDS = {
    # type: (device class, resource, memory in GiB)
    "h100": ("nvidia-h100-80gb", keys.NVIDIA_GPU, 80),
    "a100": ("nvidia-a100-80gb", keys.NVIDIA_GPU, 80),
    "l4": ("nvidia-l4-24gb", keys.NVIDIA_GPU, 24),
    "ascend": ("huawei-ascend-910b-64gb", keys.ASCEND_910, 64),
    "910a": ("ascend-910a", keys.ASCEND_910, 32),
    "a3": ("ascend-910c", keys.ASCEND_910, 64),
    "310p": ("ascend-310p", keys.ASCEND_310P, 24),
}
_NODE = re.compile(
    r"(?P<name>[\w.-]+)(?:\[(?P<cards>\d+)(?:-(?P<busy>\d+))?\])?"
    r"(?:@(?P<type>\w+))?(?:!(?P<flag>\w+))?(?:\{(?P<labels>[^}]*)\})?"
)
_TOKEN = re.compile(r"[^\s(){}]+(?:\{[^}]*\})?\(?|\)")
_BY_DEPTH = ((), ("rack",), ("block", "rack"), ("zone", "block", "rack"))

Path = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Levels (outermost first, without host) and nodes with what is free on them."""

    levels: tuple[str, ...]
    states: tuple[NodeState, ...]


def fleet(drawing: str, *, gpus: int = 8, cpu: int = 64, levels: str = "") -> Fleet:
    """Read a drawing (see the module's text). ``gpus``: cards and ``cpu``: cores of a node."""
    if "(" in drawing:
        names, placed = _compact(drawing, tuple(levels.split()))
    else:
        names, placed = _indented(drawing)
    return Fleet(levels=names, states=tuple(_state(text, path, gpus, cpu) for text, path in placed))


def _compact(
    drawing: str, levels: tuple[str, ...]
) -> tuple[tuple[str, ...], list[tuple[str, Path]]]:
    depth = deepest = 0
    for mark in re.sub(r"\{[^}]*\}", "", drawing):
        depth += (mark == "(") - (mark == ")")
        deepest = max(deepest, depth)
    levels = levels or _BY_DEPTH[deepest]
    assert depth == 0 and len(levels) == deepest, f"brackets do not fit levels {levels}"
    open_: list[str] = []
    found: list[tuple[str, Path]] = []
    for token in _TOKEN.findall(drawing):
        if token == ")":
            open_.pop()
        elif token.endswith("("):
            open_.append(token[:-1])
        else:
            found.append((token, tuple(zip(levels, open_, strict=False))))
    return levels, found


def _indented(drawing: str) -> tuple[tuple[str, ...], list[tuple[str, Path]]]:
    levels: list[str] = []
    open_: list[tuple[int, tuple[str, str]]] = []
    found: list[tuple[str, Path]] = []
    for line in drawing.splitlines():
        head, colon, nodes = line.partition(":")
        words = head.split()
        if not colon and len(words) != 2:  # a line of nodes without a domain of their own
            head, nodes, words = "", line, []
        indent = len(head) - len(head.lstrip())
        if words:
            while open_ and open_[-1][0] >= indent:
                open_.pop()
            open_.append((indent, (words[0], words[1])))
            if words[0] not in levels:
                levels.insert(len(open_) - 1, words[0])
        elif nodes.strip():
            open_ = []
        found += [(token, tuple(step for _, step in open_)) for token in nodes.split()]
    return tuple(levels), found


def _state(text: str, path: Path, gpus: int, cpu: int) -> NodeState:
    drawn = _NODE.fullmatch(text)
    assert drawn, f"{text!r} is not a node such as n1[8-3]@h100!cordoned{{disk=ssd}}"
    kind, flag, name = drawn["type"] or "h100", drawn["flag"], drawn["name"]
    device_class, resource, memory = CARDS[kind]
    cards, busy = int(drawn["cards"] or gpus), int(drawn["busy"] or 0)
    labels = dict(pair.split("=") for pair in (drawn["labels"] or "").split(",") if pair)
    known = tuple(step for step in path if step[1] != "?")
    allocatable = Resources({resource: cards, CPU: cpu * 1000, PODS: 110})
    node = Node(
        name=name,
        labels={"type": kind, **dict(known), **labels, keys.HOSTNAME: name},
        allocatable=allocatable,
        taints=(Taint(key="dedicated", value="other"),) if flag == "tainted" else (),
        ready=flag != "notready",
        unschedulable=flag == "cordoned",
        quarantined=flag == "quarantined",
        accelerator=ruled(Accelerator(
            device_class=device_class, vendor=device_class.split("-")[0], resource=resource,
            count=cards, memory_bytes=memory * GIB,
        ), labels, cards) if cards else None,
        scale_up=labels.get("superpod"),
        path=tuple(PathStep(level=level, key=level, value=value) for level, value in known),
    )  # fmt: skip
    state = NodeState(node=node, free=allocatable)
    return _occupied(state, running_pod(f"busy-{name}", {resource: busy})) if busy else state


def running_pod(name: str, amounts: Mapping[str, int] | None = None, **fields: Any) -> RunningPod:
    """A plain pod that runs; ``fields`` as of ``RunningPod``."""
    request = Resources({PODS: 1, **(amounts or {})})
    return RunningPod(
        **{"namespace": "default", "name": name, "uid": f"uid-{name}", "request": request, **fields}
    )


def _occupied(state: NodeState, pod: RunningPod) -> NodeState:
    pods = sorted((*state.pods, pod), key=lambda one: (one.namespace, one.name))
    return replace(state, free=state.free - pod.request, pods=tuple(pods))


def occupy(drawn: Fleet, node: str, pod: RunningPod) -> Fleet:
    """The fleet with one more running pod on ``node``."""
    states = (_occupied(s, pod) if s.node.name == node else s for s in drawn.states)
    return replace(drawn, states=tuple(states))


def flavor(name: str, **fields: Any) -> Flavor:
    """The flavor of nodes drawn with ``@name``; ``fields`` as of ``Flavor``."""
    return Flavor(**{"name": name, "node_selector": {"type": name}, **fields})


def podset(
    role: str = "main",
    size: int = 1,
    *,
    gpus: int = 8,
    cpu: int = 0,
    resource: str = keys.NVIDIA_GPU,
    least: int | None = None,
    running: Sequence[str] = (),
    required: str | None = None,
    preferred: str | None = None,
    slices: str = "",
    **fields: Any,
) -> PodSet:
    """A PodSet of ``size`` pods, the first of which run on the nodes in ``running``.

    ``gpus`` cards and ``cpu`` cores for each; ``slices`` as in the annotation: ``block:4,rack:2``.
    """
    amounts = {resource: gpus, CPU: cpu * 1000, PODS: 1}
    group = fields.pop("group_required", None), fields.pop("group_preferred", None)
    places: list[str | None] = [*running, *[None] * (size - len(running))]
    return PodSet(
        **{
            "role": role,
            "size": size,
            "min_count": size if least is None else least,
            "request": Resources({name: amount for name, amount in amounts.items() if amount}),
            "members": tuple(
                Member(pod=f"{role}-{i}", uid=f"uid-{role}-{i}", node=node)
                for i, node in enumerate(places)
            ),
            "topology": TopologyRequest(required=required, preferred=preferred),
            "slices": tuple(_slice(text) for text in slices.split(",") if text),
            "group_topology": TopologyRequest(required=group[0], preferred=group[1]),
            **fields,
        }
    )


def _slice(text: str) -> Slice:
    level, size = text.split(":")
    return Slice(level=level, size=int(size))


def gang(
    name: str,
    *podsets: PodSet,
    members: int = 1,
    flavors: Iterable[str | Flavor] = (),
    required: str | None = None,
    preferred: str | None = None,
    least: int | None = None,
    namespace: str = "default",
    priority: int = 0,
    created: int = 0,
    spread: str | None = None,
    excluded: Sequence[str] = (),
    **one: Any,
) -> Gang:
    """A gang of the given PodSets, or of one PodSet of ``members`` pods with the fields ``one``.

    ``least``: gang-min, else the sum of the role minimums. ``required``, ``preferred``: of the gang.
    """
    if least is not None and not podsets:
        one = {"least": 0, **one}  # with one role, gang-min is its minimum too
        one["least"] = max(one["least"], least)
    sets = tuple(
        replace(
            each,
            members=tuple(
                replace(member, pod=f"{name}-{member.pod}", uid=f"uid-{name}-{member.pod}")
                for member in each.members
            ),
        )
        for each in podsets or (podset("main", members, **one),)
    )
    return Gang(
        namespace=namespace,
        name=name,
        podsets=sets,
        min_members=sum(each.min_count for each in sets) if least is None else least,
        flavors=tuple(flavor(each) if isinstance(each, str) else each for each in flavors),
        topology=TopologyRequest(required=required, preferred=preferred),
        priority=priority,
        created_seconds=created,
        spread=spread,
        workload=re.sub(r"-\d+$", "", name),
        excluded_nodes=tuple(excluded),
    )


def snapshot(drawn: Fleet, *gangs: Gang, reservations: Sequence[GangAssignment] = ()) -> Snapshot:
    """The fleet with the gangs; their running members use the capacity of their nodes."""
    states = {state.node.name: state for state in drawn.states}
    for each in gangs:
        for members in each.podsets:
            for member in members.running:
                pod = RunningPod(
                    namespace=each.namespace, name=member.pod, uid=member.uid, request=members.request,
                    priority=each.priority, labels=members.labels,
                    anti_affinity=members.constraints.anti_affinity,
                    host_ports=members.constraints.host_ports,
                )  # fmt: skip
                assert member.node in states, f"{member.pod} runs on unknown node {member.node}"
                states[member.node] = _occupied(states[member.node], pod)
    tree = TopologyTree.build((state.node for state in drawn.states), drawn.levels)
    return Snapshot(
        levels=(*drawn.levels, HOST),
        nodes=tuple(states[name] for name in tree.nodes),
        tree=tree,
        gangs=tuple(sorted(gangs, key=lambda each: (each.namespace, each.name))),
        reservations=tuple(reservations),
    )


def reserved(of: Gang, nodes: str) -> GangAssignment:
    """A committed decision about ``of``: its pending members, role by role, on ``nodes`` (by blanks)."""
    pending = [(each, member) for each in of.podsets for member in each.pending]
    names = nodes.split()
    slots = tuple(
        Slot(
            pod=m.pod, uid=m.uid, role=s.role, rank=s.members.index(m), node=node, request=s.request
        )
        for (s, m), node in zip(pending, names, strict=True)
    )
    chosen = of.flavors[0].name if of.flavors else None
    return GangAssignment(
        namespace=of.namespace, gang=of.name, slots=slots, placed=True, flavor=chosen
    )


def answer(plan: Plan, name: str) -> GangAssignment:
    """What the plan says about the gang called ``name``."""
    return next(one for one in plan.assignments if one.gang == name)


def nodes_of(plan: Plan, name: str, role: str | None = None) -> str:
    """The nodes of the gang's new members (of one role), by rank: ``"n1 n1 n2"``; empty when it waits."""
    slots = [slot for slot in answer(plan, name).slots if role in (None, slot.role)]
    return " ".join(slot.node for slot in sorted(slots, key=lambda slot: (slot.role, slot.rank)))
