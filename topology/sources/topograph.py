"""Topograph's models of a network (NVIDIA/topograph, ``models/*.yaml``): a tree of switches, blocks of nodes.

Nodes are written as ranges, ``node[1101-1118]``. A block's annotation ``.../domain`` is its NVLink domain;
labels of switches (region, zone) hold for everything below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from topology.keys import REGION, ZONE
from topology.model import Problem
from topology.sources.survey import Document, Guids, Position, Rank, Source, Survey, known, path_of
from topology.untyped import mapping, sequence, strings, text

NAME = "topograph"
_TIERS = ("leaf", "spine", "core")
_RANGE = re.compile(r"\[([0-9]{1,9})-([0-9]{1,9})\]", re.ASCII)
_MOST = 10_000
"""Nodes of one entry; more is a slip of the pen."""
Object = Mapping[str, Any]


def recognises(value: Any) -> bool:
    """A map of switches, and blocks of nodes that name one of them."""
    top = mapping(value)
    return "kind" not in top and isinstance(top.get("switches"), Mapping) and "blocks" in top


def read(document: Document, guids: Guids) -> Survey:
    """The path of every node in a block."""
    top = mapping(document.value)
    switches = {str(name): mapping(each) for name, each in mapping(top.get("switches")).items()}
    subject = f"{NAME} {document.name}"
    problems: list[Problem] = []
    parents: dict[str, str] = {}
    for name in sorted(switches):
        for child in map(text, sequence(switches[name].get("switches"))):
            if child and parents.setdefault(child, name) != name:
                message = f"{child} is below {parents[child]} and {name}; {parents[child]} counts"
                problems.append(Problem(subject=subject, field="switches", message=message))
    problems += _circles(parents, subject)
    positions: dict[str, Position] = {}
    home: dict[str, str] = {}
    blocks = list(enumerate(map(mapping, sequence(top.get("blocks")))))
    for index, block in sorted(blocks, key=lambda each: text(each[1].get("switch"))):
        leaf, at = text(block.get("switch")), f"blocks[{index}]"
        if leaf and leaf not in switches and leaf not in parents:
            message = f"{leaf!r} is none of the switches: what is around its nodes is unknown"
            problems.append(Problem(subject=subject, field=f"{at}.switch", message=message))
        path = path_of(NAME, _steps(leaf, parents, switches))
        for node in _nodes(block, at, subject, problems):
            position = Position(
                source=NAME, rank=Rank.OBJECT, path=path, scale_up=_domain(block) or None
            )
            if positions.setdefault(node, position) != position:
                message = f"{node} is below {home[node]} and {leaf}; {home[node]} counts"
                problems.append(Problem(subject=subject, field="blocks", message=message))
            home.setdefault(node, leaf)
    return Survey(source=NAME, positions=positions, problems=tuple(problems))


def _circles(parents: Mapping[str, str], subject: str) -> Iterator[Problem]:
    """Switches that stand below themselves."""
    for name in sorted(parents):
        seen, at = {name}, parents.get(name)
        while at and at not in seen:
            seen.add(at)
            at = parents.get(at)
        if at == name:
            message = f"{name} is below itself; its levels end there"
            yield Problem(subject=subject, field="switches", message=message)


def _steps(
    leaf: str, parents: Mapping[str, str], switches: Mapping[str, Object]
) -> list[tuple[str, str]]:
    """(level, value), outermost first."""
    chain: list[str] = []
    place: dict[str, str] = {}
    at: str | None = leaf
    while at and at not in chain:  # a cycle ends where it began
        chain.append(at)
        labels = strings(mapping(switches.get(at)).get("labels"))
        for level, key in (("region", REGION), ("zone", ZONE)):
            if known(labels.get(key, "")):
                place.setdefault(level, labels[key])
        at = parents.get(at)
    tiers = [
        (_TIERS[tier] if tier < len(_TIERS) else f"tier-{tier}", name)
        for tier, name in enumerate(chain)
    ]
    outer = [(level, place[level]) for level in ("region", "zone") if level in place]
    return [*outer, *reversed(tiers)]


def _domain(block: Object) -> str:
    """The value of the annotation that ends in ``/domain``; the prefix is configurable."""
    annotations = strings(block.get("annotations"))
    return next(
        (known(annotations[key]) for key in sorted(annotations) if key.endswith("/domain")), ""
    )


def _nodes(block: Object, at: str, subject: str, problems: list[Problem]) -> Iterator[str]:
    for entry in sequence(block.get("nodes")):
        found = list(_expanded(text(entry)))
        if not found:
            message = f"expected names such as node[01-18], not {entry!r}; it is not used"
            problems.append(Problem(subject=subject, field=f"{at}.nodes", message=message))
        yield from found


def _expanded(entry: str) -> Iterator[str]:
    """``srv[08-10]`` is srv08, srv09, srv10; a name without a range is itself."""
    span = _RANGE.search(entry)
    if span is None:
        if entry and "[" not in entry:
            yield entry
        return
    first, last, width = int(span[1]), int(span[2]), len(span[1])
    tail = entry[span.end() :]
    rests = list(_expanded(tail)) if tail else [""]
    if first <= last and (last - first + 1) * len(rests) <= _MOST:
        for number in range(first, last + 1):
            yield from (f"{entry[: span.start()]}{number:0{width}}{rest}" for rest in rests)


SOURCE = Source(name=NAME, recognises=recognises, read=read)
