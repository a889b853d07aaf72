"""A ``v1.Node`` as the planner sees it. Total: any JSON object gives a ``Node``, errors are Problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topology.hami import card_numbers, read_register
from topology.keys import HAMI_ASCEND, HOSTNAME, TAINT_UNSCHEDULABLE
from topology.model import Node, Problem, Taint
from topology.rdma import rdma
from topology.resources import Resources, amount
from topology.sources import Hierarchies
from topology.sources.survey import known
from topology.untyped import mapping, sequence, strings, text
from topology.vendors import read_cards, ruled


def read_node(obj: Mapping[str, Any], hierarchies: Hierarchies) -> Node:
    """Read a node.

    Its ``Ready`` condition must be True; a hand-written manifest without any condition counts as ready.
    An allocatable amount that cannot be read counts as 0, and so do units that are slices or shares of cards
    under the name of cards.
    """
    metadata, spec, status = (mapping(obj.get(key)) for key in ("metadata", "spec", "status"))
    name = text(metadata.get("name"))
    subject = f"Node {name}"
    labels = {HOSTNAME: name, **strings(metadata.get("labels"))}
    allocatable, problems = _allocatable(status, subject)
    annotations = mapping(metadata.get("annotations"))
    cards, more = read_cards(labels, annotations, allocatable, subject)
    card = cards.accelerator
    if card is not None:
        slots = card.count < allocatable[card.resource]  # HAMi's: only some are worth a card
        card = ruled(card, labels, 0 if slots else _capacity(status, card.resource))
        if slots:
            allocatable = Resources({**allocatable.amounts, card.resource: card.count})
    elif cards.withheld:
        allocatable = Resources({**allocatable.amounts, cards.withheld: 0})
    taints = tuple(_taint(mapping(item)) for item in sequence(spec.get("taints")))
    cordoned = spec.get("unschedulable") is True
    return Node(
        name=name,
        labels=labels,
        allocatable=allocatable,
        taints=tuple(taint for taint in taints if taint.key != TAINT_UNSCHEDULABLE),
        ready=_ready(status),
        unschedulable=cordoned or any(taint.key == TAINT_UNSCHEDULABLE for taint in taints),
        accelerator=card,
        card_numbers=_card_numbers(annotations) if card is not None and card.rule else {},
        scale_up=known(cards.scale_up or "") or None,
        rdma=rdma(allocatable),
        path=hierarchies.path(labels),
        problems=(*problems, *more),
        quarantined=bool(cards.doubt),
    )


def _card_numbers(annotations: Mapping[str, object]) -> Mapping[str, int]:
    """What HAMi's register says of the numbers of cards; only rules ask for it."""
    documents = (text(annotations.get(key)) for key in HAMI_ASCEND if key in annotations)
    return card_numbers(next((found for d in documents if (found := read_register(d))), ()))


def _allocatable(status: Mapping[str, Any], subject: str) -> tuple[Resources, tuple[Problem, ...]]:
    field = "allocatable" if "allocatable" in status else "capacity"
    amounts, problems = {}, []
    for name, quantity in mapping(status.get(field)).items():
        try:
            amounts[str(name)] = amount(str(name), quantity)
        except ValueError as error:
            where = f"status.{field}.{name}"
            problems.append(Problem(subject=subject, field=where, message=f"{error}; counted as 0"))
    return Resources(amounts), tuple(problems)


def _capacity(status: Mapping[str, Any], name: str) -> int:
    """What the node has of ``name``, unhealthy cards included; 0 when it does not say."""
    try:
        return amount(name, mapping(status.get("capacity")).get(name, 0))
    except ValueError:
        return 0


def _ready(status: Mapping[str, Any]) -> bool:
    conditions = sequence(status.get("conditions"))
    return not conditions or any(
        mapping(c).get("type") == "Ready" and mapping(c).get("status") == "True" for c in conditions
    )


def _taint(item: Mapping[str, Any]) -> Taint:
    return Taint(
        key=text(item.get("key")),
        value=text(item.get("value")),
        effect=text(item.get("effect")) or "NoSchedule",
    )
