"""The form of a catalogue entry and how it is read from a node."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from topology.allocation import CardRule
from topology.model import Accelerator
from topology.resources import Resources, parse_quantity

Labels = Mapping[str, str]

GIB = 2**30

RESOURCE = "resource"
"""As ``Product.by``: the glob is for the resource name instead of a label's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One row: a node whose label ``by`` has a value like ``glob`` has cards of ``device_class``.

    A class name ends with the memory where a product was sold with more than one size.
    """

    by: str
    glob: str
    device_class: str
    memory_bytes: int | None = None
    """What the product is sold with. Labels tell what the driver leaves of it, which differs a little
    from host to host; flavors ask for the nominal size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """Nodes of a class like ``classes``, with such labels and so many cards, follow ``rule``."""

    classes: str
    rule: CardRule
    cards: int = 0
    """Cards installed; 0: any number."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Label -> glob for its value."""

    def fits(self, accelerator: Accelerator, labels: Labels) -> bool:
        """Whether the row is about a node with these cards and labels."""
        return (
            fnmatchcase(accelerator.device_class, self.classes)
            and self.cards in (0, accelerator.size)
            and all(fnmatchcase(labels.get(key, ""), glob) for key, glob in self.labels.items())
        )


def whole_cards(labels: Labels, count: int) -> str:
    """A vendor whose resource always counts whole cards."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How one vendor's plugins show cards on a node."""

    name: str
    resources: tuple[str, ...]
    """Every name under which whole cards are advertised; all others of these domains are shares."""
    products: tuple[Product, ...] = ()
    """For each label the first row that matches counts; rows of different labels must agree."""
    product_label: str = ""
    """Names the product where no row does."""
    memory_label: str = ""
    memory_unit: str = ""
    """Unit of the memory label's bare number, e.g. ``Mi``."""
    scale_up: str = ""
    """Label of the NVLink or super-pod domain."""
    rules: tuple[RuleRow, ...] = ()
    """Allocation rules inside a node; the first row that fits counts, without one any cards go together."""
    inflated: Callable[[Labels, int], str] = whole_cards
    """Why the units on this node are no whole cards; empty when they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """What one vendor's labels and resources say about a node."""

    accelerator: Accelerator | None = None
    scale_up: str | None = None
    warning: str = ""
    """Why its units are not counted as cards."""
    doubt: str = ""
    """What contradicts itself, so that the node cannot be trusted."""


def reveal(vendor: Vendor, labels: Labels, allocatable: Resources) -> Cards | None:
    """The vendor's cards on a node; None when it advertises none."""
    names = [name for name in vendor.resources if allocatable[name] > 0]
    if not names:
        return None
    if len(names) > 1:
        return Cards(doubt=f"cards under two names, {names[0]} and {names[1]}")
    resource, count = names[0], allocatable[names[0]]
    if why := vendor.inflated(labels, count):
        return Cards(warning=f"{count} {resource} are not counted as cards: {why}")
    rows = _evidence(vendor, labels, resource)
    # A row for a family ("ascend-910b") agrees with one for a member of it ("ascend-910b-32gb").
    row = max(rows, key=lambda one: len(one.device_class), default=None)
    other = next((o for o in rows if row and not row.device_class.startswith(o.device_class)), None)
    if row and other:
        return Cards(
            doubt=f"{row.by} says {row.device_class}, but {other.by} says {other.device_class}"
        )
    return Cards(
        accelerator=Accelerator(
            device_class=row.device_class if row else _class_name(vendor, labels, resource),
            vendor=vendor.name,
            resource=resource,
            count=count,
            memory_bytes=(row and row.memory_bytes) or _memory(vendor, labels),
        ),
        scale_up=labels.get(vendor.scale_up) or None,
    )


def _evidence(vendor: Vendor, labels: Labels, resource: str) -> list[Product]:
    """The first matching row of each label, and of the resource name."""
    found: dict[str, Product] = {}
    for row in vendor.products:
        value = resource if row.by == RESOURCE else labels.get(row.by, "")
        if value and row.by not in found and fnmatchcase(value, row.glob):
            found[row.by] = row
    return list(found.values())


def _memory(vendor: Vendor, labels: Labels) -> int | None:
    text = labels.get(vendor.memory_label, "").removesuffix("B")
    if text.isdigit():
        text += vendor.memory_unit
    elif text[-1:] in tuple("KMGT"):
        text += "i"  # vendors write "64G" and mean binary units, as their tools do
    try:
        return int(parse_quantity(text)) or None
    except ValueError:
        return None


def _class_name(vendor: Vendor, labels: Labels, resource: str) -> str:
    """A class for a product without a row, made of its label, or of the resource's name."""
    named = labels.get(vendor.product_label, "") or resource.rpartition("/")[2]
    stem = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")
    return stem if stem.startswith(f"{vendor.name}-") else f"{vendor.name}-{stem}"
