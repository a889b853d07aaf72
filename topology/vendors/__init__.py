"""The vendor catalogue: which cards a node has, by the labels and resources of each vendor's plugins.

To add a vendor: one file here with a ``Vendor`` value (copy ``ascend.py``), one line in ``VENDORS``, one
folder of nodes in ``tests/fixtures/vendors``. A vendor that is not in the catalogue still works:
``generic`` counts any extended resource that a node advertises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from topology.model import Accelerator, Problem
from topology.resources import Resources
from topology.vendors import ascend, generic, nvidia
from topology.vendors.catalogue import Cards, Vendor, reveal

VENDORS: tuple[Vendor, ...] = (nvidia.VENDOR, ascend.VENDOR)

_DOMAINS = frozenset(name.partition("/")[0] for vendor in VENDORS for name in vendor.resources)
_FIELD = "status.allocatable"


def read_cards(
    labels: Mapping[str, str], allocatable: Resources, subject: str
) -> tuple[Cards, tuple[Problem, ...]]:
    """The node's cards, and what is wrong with them.

    ``Cards.doubt`` is set, and there is no accelerator, when the node shows the cards of two vendors, two
    names of one vendor, or two classes: such a node must not be used for gangs.
    """
    found = [cards for vendor in VENDORS if (cards := reveal(vendor, labels, allocatable))]
    if not found:
        return Cards(accelerator=generic.read(allocatable, _DOMAINS)), ()
    cards = found[0] if len(found) == 1 else Cards(doubt=f"cards of two vendors, {_names(found)}")
    if cards.doubt:
        message = f"{cards.doubt}; a node has cards of one class, so it is not used for gangs"
        return cards, (Problem(subject=subject, field=_FIELD, message=message),)
    if cards.warning:
        return cards, (Problem(subject=subject, field=_FIELD, message=cards.warning),)
    return cards, ()


def ruled(accelerator: Accelerator, labels: Mapping[str, str], installed: int) -> Accelerator:
    """The cards with their allocation rule. ``installed``: the node's capacity for them."""
    whole = replace(accelerator, installed=max(installed, accelerator.count))
    rows = (row for vendor in VENDORS if vendor.name == whole.vendor for row in vendor.rules)
    rule = next((row.rule for row in rows if row.fits(whole, labels)), None)
    return replace(whole, rule=rule)


def _names(found: list[Cards]) -> str:
    return " and ".join(
        cards.accelerator.resource if cards.accelerator else cards.warning or cards.doubt
        for cards in found
    )
