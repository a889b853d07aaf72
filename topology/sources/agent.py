"""The scanner's own report, a ``NodeTopology``: measured on the node, so the best source there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from topology.model import Leaf, Nic, Problem
from topology.sources.node_labels import usual_order
from topology.sources.survey import Position, Rank, known, path_of
from topology.untyped import mapping, sequence, text

NAME = "agent"
_LEAF = "leaf"
_UNNAMED = "Problem"
_ABSURD = 1e6  # Gbit/s


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the planner uses of a report."""

    position: Position
    nics: tuple[Nic, ...] = ()
    cards: tuple[tuple[str, str, int], ...] = ()
    """(vendor, model, count) of the accelerators."""

    @property
    def guids(self) -> frozenset[str]:
        """Node GUIDs of its adapters in the form of fabric maps, 16 digits."""
        found = (nic.node_guid.replace(":", "").lower() for nic in self.nics)
        return frozenset(guid for guid in found if guid)


def read(obj: Mapping[str, Any]) -> Scan:
    """A report. Total: a field that cannot be read is one that is not known."""
    name = text(mapping(obj.get("metadata")).get("name"))
    status = mapping(obj.get("status"))
    places = [
        (text(place.get("level")), known(text(place.get("id"))))
        for place in map(mapping, sequence(status.get("domains")))
    ]
    steps = {level: value for level, value in places if level not in ("", _LEAF)}
    counts = Counter(
        (text(card.get("vendor")), text(card.get("model")))
        for card in map(mapping, sequence(status.get("accelerators")))
    )
    return Scan(
        position=Position(
            source=NAME,
            rank=Rank.SCAN,
            path=path_of(NAME, sorted(steps.items(), key=lambda step: usual_order(step[0]))),
            leaves=frozenset(value for level, value in places if level == _LEAF and value),
            scale_up=known(text(status.get("scaleUp"))) or None,
            problems=tuple(_problems(name, status)),
        ),
        nics=tuple(_nic(mapping(nic)) for nic in sequence(status.get("nics"))),
        cards=tuple((*card, count) for card, count in sorted(counts.items())),
    )


def _problems(name: str, status: Mapping[str, Any]) -> Iterator[Problem]:
    for problem in map(mapping, sequence(status.get("problems"))):
        code = text(problem.get("code"))
        yield Problem(
            subject=f"Node {name}",
            # The code is a label of a metric: one word, whoever wrote it.
            field=code if code.isalpha() and len(code) <= 40 else _UNNAMED,
            message=text(problem.get("detail")),
        )


def _nic(nic: Mapping[str, Any]) -> Nic:
    leaf = mapping(nic.get("leaf"))
    return Nic(
        device=text(nic.get("device")),
        netdev=text(nic.get("netdev")),
        pci=text(nic.get("pci")),
        numa=_whole(nic.get("numa")),
        link_layer=text(nic.get("linkLayer")),
        state=text(nic.get("state")),
        phys_state=text(nic.get("physState")),
        rate_gbps=_rate(nic.get("rateGbps")),
        node_guid=text(nic.get("nodeGuid")),
        port_guid=text(nic.get("portGuid")),
        lid=_whole(nic.get("lid")),
        gid_index=_whole(nic.get("gidIndex")),
        mtu=_whole(nic.get("mtu")),
        virtual=nic.get("virtual") is True,
        compute=nic.get("compute") is True,
        rail=_whole(nic.get("rail")),
        leaf=_leaf(leaf) if leaf else None,
    )


def _leaf(leaf: Mapping[str, Any]) -> Leaf:
    return Leaf(
        id=text(leaf.get("id")),
        name=text(leaf.get("name")),
        port=text(leaf.get("port")),
        source=text(leaf.get("source")),
    )


def _rate(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 < value < _ABSURD else None


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None
