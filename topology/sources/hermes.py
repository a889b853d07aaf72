"""Reports of Hermes v0.3: ``scan`` and ``select-nodes`` as JSON or YAML (facts on topology, section 1).

Only levels that Hermes took over from labels are believed. Its own "block" is not: a strategy for the
whole cluster overrides GKE's blocks, parts of IP addresses count as blocks, and leaf groups are not
qualified by their fabric. Any field may be absent; Hermes itself leaves some out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from topology.keys import NVIDIA_GPU, NVIDIA_PRODUCT
from topology.model import Problem
from topology.rdma import kind_of
from topology.sources.node_labels import preset_path, usual_order
from topology.sources.survey import (
    Document,
    Guids,
    Position,
    Rank,
    Source,
    Survey,
    known,
    path_of,
)
from topology.untyped import mapping, sequence, strings, text

NAME = "hermes"
_GUESSES = frozenset({"IpRange", "Subnet", "Hardware", "Unknown"})
"""Kinds of its block that are derived from addresses."""


def recognises(value: Any) -> bool:
    """A report has nodes and says which platform it saw; Kubernetes objects have a kind."""
    top = mapping(value)
    if "kind" in top or not isinstance(top.get("nodes"), list):
        return False
    return "rdma_nodes" in top or "topology_blocks" in top or {"summary", "platform"} <= top.keys()


def read(document: Document, guids: Guids) -> Survey:
    """What the report says of each of its nodes."""
    positions: dict[str, Position] = {}
    nodes: dict[str, Mapping[str, Any]] = {}
    blocks: dict[str, set[str]] = {}
    guessed = 0
    subject = f"{NAME} {document.name}"
    problems: list[Problem] = []
    listed: dict[str, Mapping[str, Any]] = {}
    items = map(mapping, sequence(mapping(document.value).get("nodes")))
    for item in sorted(items, key=lambda each: json.dumps(each, sort_keys=True, default=str)):
        if not (name := text(item.get("name"))):
            continue
        if (before := listed.setdefault(name, item)) is not item:
            if before != item:
                message = (
                    f"{name} is listed twice and not alike; the first in the order of texts counts"
                )
                problems.append(_problem(subject, "nodes", message))
            continue
        levels = _levels(item)
        positions[name] = Position(
            source=NAME,
            rank=Rank.REPORT,
            path=path_of(NAME, sorted(levels.items(), key=lambda step: usual_order(step[0]))),
            problems=tuple(_problems(name, item)),
        )
        nodes[name] = {"labels": _described(item), "allocatable": _allocatable(item)}
        if "block" in levels:
            blocks.setdefault(text(item.get("topology_block")), set()).add(levels["block"])
        guessed += _kind(item) in _GUESSES and levels.keys() <= {"region", "zone"}
    problems += [
        _problem(
            subject,
            "topology_block",
            f"{block} has nodes of {len(found)} blocks: {', '.join(sorted(found))}; these are used",
        )
        for block, found in sorted(blocks.items())
        if block and len(found) > 1
    ]
    if guessed:
        message = f"the block of {guessed} nodes is derived from addresses; it is not used"
        problems.append(_problem(subject, "topology_block", message))
    return Survey(source=NAME, positions=positions, problems=tuple(problems), nodes=nodes)


def _levels(item: Mapping[str, Any]) -> dict[str, str]:
    """Level -> value: labels first, then what Hermes has in fields of their own."""
    levels = {step.level: step.value for step in preset_path(_labels(item))}
    gke = mapping(mapping(item.get("platform_data")).get("Gke"))
    said = {
        "zone": _stated(item, "Zone") or text(gke.get("zone")),
        "rack": _stated(item, "Rack"),
        "leaf": _stated(item, "LeafGroup"),
        "block": _stated(item, "Custom") or _stated(item, "GkeBlock"),
    }
    own = {
        "core": text(item.get("ib_fabric")),
        "spine": text(item.get("superpod")),
        "leaf": text(item.get("leafgroup")),
        "block": text(gke.get("topology_block")),
        "rack": text(gke.get("topology_subblock")),
    }
    for level, value in (*own.items(), *said.items()):
        if known(value):
            levels.setdefault(level, value)
    return levels


def _kind(item: Mapping[str, Any]) -> str:
    return text(mapping(item.get("topology_detection")).get("topology_type"))


def _stated(item: Mapping[str, Any], kind: str) -> str:
    """Its block when it is of this kind, without the word that Hermes puts in front of zones and racks.

    A zone with a node pool, ``zone-nodepool``, is no zone: only the prefixed form and labels are.
    """
    if _kind(item) != kind:
        return ""
    block, prefix = text(item.get("topology_block")), f"{kind.lower()}-"
    if kind in {"Zone", "Rack"}:
        return block.removeprefix(prefix) if block.startswith(prefix) else ""
    return block


def _labels(item: Mapping[str, Any]) -> dict[str, str]:
    return strings(item.get("node_labels")) or strings(item.get("labels"))


def _described(item: Mapping[str, Any]) -> dict[str, str]:
    """The labels, with the product of the cards: Hermes filters labels."""
    product = text(item.get("gpu_type"))
    return {**({NVIDIA_PRODUCT: product} if product.startswith("NVIDIA-") else {}), **_labels(item)}


def _resources(item: Mapping[str, Any]) -> dict[str, str]:
    """RDMA resources with their amounts, from either shape of ``rdma_resource``.

    ``rdma/ib: Quantity("1k")`` and ``rdma/hca_shared_devices_a: 63``; "8 RDMA interfaces" names none.
    """
    found = {name: value for name, value in strings(item.get("sriov_resources")).items() if value}
    name, colon, amount = text(item.get("rdma_resource")).partition(": ")
    if colon:
        found.setdefault(name, re.sub(r'^Quantity\("(.*)"\)$', r"\1", amount))
    return found


def _allocatable(item: Mapping[str, Any]) -> dict[str, str]:
    """What of the node's allocatable amounts is in the report."""
    amounts = {
        "cpu": text(item.get("cpu_allocatable")),
        "memory": text(item.get("memory_allocatable")),
        **{name: value for name, value in _resources(item).items() if kind_of(name)},
    }
    cards = item.get("gpu_allocatable", item.get("gpus"))
    if isinstance(cards, int) and not isinstance(cards, bool) and cards > 0:
        amounts[NVIDIA_GPU] = str(cards)
    return {name: amount for name, amount in amounts.items() if amount}


def _problems(name: str, item: Mapping[str, Any]) -> Iterator[Problem]:
    subject = f"Node {name}"
    resource = text(item.get("rdma_resource")).partition(": ")
    # Hermes finds "ib" in "library".
    if resource[1] and "/" in resource[0] and kind_of(resource[0]) is None:
        said = text(item.get("rdma_type")) or "RDMA"
        message = f"{NAME} takes {resource[0]} for {said}; it is no RDMA resource"
        yield _problem(subject, "rdma_resource", message)
    if text(item.get("ib_speed")) == "0G":
        yield _problem(subject, "ib_speed", f"{NAME} reports a speed of 0G: its links are down")


def _problem(subject: str, field: str, message: str) -> Problem:
    return Problem(subject=subject, field=field, message=message)


SOURCE = Source(name=NAME, recognises=recognises, read=read)
