"""The vendor catalogue: which cards a node has, by the labels and resources of each vendor's plugins.

To add a vendor: one file here with a ``Vendor`` value, one line in ``VENDORS``, one folder of nodes in
``tests/fixtures/vendors``; CONTRIBUTING.md shows it on an example. A vendor that is not in the catalogue
still works: ``generic`` counts any extended resource that a node advertises.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from topology.keys import DEVICE_CLASS, DEVICE_MEMORY
from topology.model import Accelerator, Problem
from topology.resources import Resources, parse_quantity
from topology.vendors import (
    amd,
    ascend,
    biren,
    cambricon,
    enflame,
    gaudi,
    generic,
    hygon,
    iluvatar,
    kunlunxin,
    metax,
    mthreads,
    nvidia,
)
from topology.vendors.catalogue import Vendor, like
from topology.vendors.reading import Cards, Seen, reveal

VENDORS: tuple[Vendor, ...] = (
    nvidia.VENDOR,
    amd.VENDOR,
    gaudi.VENDOR,
    ascend.VENDOR,
    iluvatar.VENDOR,
    biren.VENDOR,
    kunlunxin.VENDOR,
    cambricon.VENDOR,
    hygon.VENDOR,
    mthreads.VENDOR,
    metax.VENDOR,
    enflame.VENDOR,
)

_DOMAINS = frozenset(name.partition("/")[0] for vendor in VENDORS for name in vendor.resources)
_VENDOR_OF_CLASS = {name: vendor.name for vendor in VENDORS for name in vendor.classes}
_FIELD = "status.allocatable"


def vendor_of(name: str) -> Vendor | None:
    """The catalogue entry with this name, as in ``Accelerator.vendor``; None for vendors without one."""
    return next((vendor for vendor in VENDORS if vendor.name == name), None)


def class_name(name: str) -> str:
    """A device class as the catalogue spells it, in whatever case a person wrote it."""
    return name.lower() if name.lower() in _VENDOR_OF_CLASS else name


def is_of_cards(resource: str) -> bool:
    """Whether an extended resource counts cards of some vendor, or parts of them."""
    domain, slash, _ = resource.partition("/")
    return bool(slash) and (domain in _DOMAINS or generic.looks_like_cards(resource))


def read_cards(
    labels: Mapping[str, str],
    annotations: Mapping[str, object],
    allocatable: Resources,
    subject: str,
) -> tuple[Cards, tuple[Problem, ...]]:
    """The node's cards, and what is wrong with them.

    ``Cards.doubt`` is set, and there is no accelerator, when the node shows the cards of two vendors (by
    resources, or by the label of a product), two names of one vendor, or two classes: such a node must not
    be used for gangs.
    """
    if DEVICE_CLASS in labels:
        labels = {**labels, DEVICE_CLASS: class_name(labels[DEVICE_CLASS])}
    seen = Seen(labels=labels, annotations=annotations, allocatable=allocatable)
    found = {vendor.name: cards for vendor in VENDORS if (cards := reveal(vendor, seen))}
    found = found or _renamed(seen)
    if not found:
        return _measured(_other(seen), labels, subject)
    shown = [*map(_name, found.values()), *_labelled(labels, found)]
    cards = next(iter(found.values()))
    if len(shown) > 1:
        cards = Cards(doubt=f"cards of two vendors, {' and '.join(shown)}")
    where, doubt = _FIELD, cards.doubt
    if cards.accelerator:
        named = cards.accelerator.device_class
        owner = _VENDOR_OF_CLASS.get(named, cards.accelerator.vendor)
        if owner != cards.accelerator.vendor:
            where, doubt = (
                f"metadata.labels[{DEVICE_CLASS}]",
                (f"{named} is a class of {owner}, but the cards are {cards.accelerator.resource}"),
            )
    if doubt:
        message = f"{doubt}; a node has cards of one class, so it is not used for gangs"
        return Cards(doubt=doubt), (Problem(subject=subject, field=where, message=message),)
    if cards.warning:
        return cards, (Problem(subject=subject, field=_FIELD, message=cards.warning),)
    return _measured(cards, labels, subject)


def _measured(
    cards: Cards, labels: Mapping[str, str], subject: str
) -> tuple[Cards, tuple[Problem, ...]]:
    """The cards with the memory that the operator's label gives them, where there is one."""
    told = labels.get(DEVICE_MEMORY)
    if not told or cards.accelerator is None:
        return cards, ()
    try:
        size = int(parse_quantity(told))
    except ValueError:
        size = 0
    if size < 2**30:
        message = f"{told} is not the memory of one card, such as 64Gi; it is not used"
        where = f"metadata.labels[{DEVICE_MEMORY}]"
        return cards, (Problem(subject=subject, field=where, message=message),)
    return replace(cards, accelerator=replace(cards.accelerator, memory_bytes=size)), ()


def ruled(accelerator: Accelerator, labels: Mapping[str, str], installed: int) -> Accelerator:
    """The cards with their allocation rule. ``installed``: the node's capacity for them.

    Where that is no whole number of groups, a card of the last group is missing: nobody knows which.
    """
    known = accelerator.installed or installed
    whole = replace(accelerator, installed=max(known, accelerator.count))
    vendor = vendor_of(whole.vendor)
    rows = (row for row in (vendor.rules if vendor else ()) if row.fits(whole, labels))
    row = next(rows, None)
    if row is None:
        return whole
    groups = -(-whole.installed // row.rule.group)
    return replace(whole, rule=row.rule, installed=groups * row.rule.group)


def _other(seen: Seen) -> Cards:
    """The cards of a vendor that is not in the catalogue."""
    card = generic.read(seen.allocatable, _DOMAINS)
    if card is not None and DEVICE_CLASS in seen.labels:
        card = replace(card, device_class=seen.labels[DEVICE_CLASS])
    return Cards(accelerator=card)


def _renamed(seen: Seen) -> dict[str, Cards]:
    """The cards of a vendor whose labels are there and whose plugin was told to call them otherwise."""
    card = generic.read(seen.allocatable, _DOMAINS)
    if card is None or not generic.looks_like_cards(card.resource):
        return {}
    named = [v for v in VENDORS if v.renamable and any(_products(v, seen.labels))]
    as_named = (reveal(replace(v, resources=(card.resource,)), seen) for v in named)
    return {v.name: cards for v, cards in zip(named, as_named, strict=True) if cards}


def _name(cards: Cards) -> str:
    return cards.accelerator.resource if cards.accelerator else cards.warning or cards.doubt


def _labelled(labels: Mapping[str, str], found: Collection[str]) -> Iterator[str]:
    """Labels with products of other vendors than those that were found: cards whose plugin is down.

    A label without a domain may be anybody's, and the operator's class overrules them all.
    """
    for vendor in VENDORS if DEVICE_CLASS not in labels else ():
        if vendor.name not in found:
            yield from _products(vendor, labels)


def _products(vendor: Vendor, labels: Mapping[str, str]) -> Iterator[str]:
    """Labels, with a domain, that name a product of the vendor."""
    for key in vendor.product_labels:
        value, globs = labels.get(key, ""), vendor.products.get(key, ())
        if "/" in key and any(like(value, glob) for glob in globs):
            yield f"{key}={value}"
