"""What was measured on a node against what its Node object says of its accelerators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from topology.model import Node, Problem
from topology.vendors import VENDORS

COUNT, PRODUCT, VENDOR = "CountDisagrees", "ProductDisagrees", "VendorDisagrees"
_UNKNOWN = "unknown"

Cards = Sequence[tuple[str, str, int]]
"""(vendor, model, count)."""


def problems(node: Node, cards: Cards) -> Iterator[Problem]:
    """Where the measured ``cards`` and the Node object contradict each other.

    Cards with two chips, each of which is scheduled (Ascend A3, boards that are split), show as one device of
    the bus or as two: twice as many as measured is no contradiction. A Node without capacity says nothing.
    """
    told = node.accelerator
    if not any(node.allocatable) or not cards:
        return
    if told is None:
        shown = ", ".join(f"{count} {model}" for _, model, count in cards)
        message = (
            f"{shown} on the bus, but the Node has no accelerator: is the device plugin running?"
        )
        yield _problem(node, COUNT, message)
        return
    vendors = {vendor for vendor, _, _ in cards} - {_UNKNOWN}
    if vendors and told.vendor not in vendors and told.vendor in {v.name for v in VENDORS}:
        message = f"the Node says {told.vendor}, on the bus is {', '.join(sorted(vendors))}"
        yield _problem(node, VENDOR, message)
        return
    count = sum(count for vendor, _, count in cards if vendor in (told.vendor, _UNKNOWN))
    if count and told.size not in (count, 2 * count):
        message = f"the Node says {told.size} {told.resource}, on the bus are {count}"
        yield _problem(node, COUNT, message)
    for vendor, model, _ in cards:
        found = _class(vendor, model)
        if vendor == told.vendor and found and not _same(found, told.device_class):
            message = f"the Node's labels say {told.device_class}, measured was {model} ({found})"
            yield _problem(node, PRODUCT, message)


def shown(cards: Cards) -> Mapping[str, Any]:
    """What the device plugin would make of the cards: ``{labels, allocatable}`` of a Node, for hosts that are
    known by their report alone. Empty for cards of several kinds and of vendors without a catalogue entry."""
    entry = next((v for v in VENDORS if [v.name] == [vendor for vendor, _, _ in cards]), None)
    if entry is None:
        return {}
    ((_, model, count),) = cards
    named = next((form for form in _forms(model) if _class(entry.name, form)), "")
    labels = {key: named for key in entry.product_labels[:1] if named}
    return {"labels": labels, "allocatable": {entry.resources[0]: str(count)}}


def _problem(node: Node, code: str, message: str) -> Problem:
    return Problem(subject=f"Node {node.name}", field=code, message=message)


def _class(vendor: str, model: str) -> str:
    """The class of a product as its driver names it; empty when the catalogue has no row for it."""
    found = (
        device_class
        for entry in VENDORS
        if entry.name == vendor
        for key in entry.product_labels
        for glob, device_class in entry.products.get(key, {}).items()
        if any(fnmatchcase(form, glob) for form in _forms(model))
    )
    return next(found, "")


def _forms(model: str) -> tuple[str, str]:
    """As NVIDIA and AMD write it in labels."""
    return model.replace(" ", "-"), model.replace(" ", "_")


def _same(one: str, other: str) -> bool:
    """A family agrees with its members, such as ``ascend-910b`` with ``ascend-910b-32gb``."""
    return one.startswith(other) or other.startswith(one)
