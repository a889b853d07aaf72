"""The form of a catalogue entry and how it is read from a node."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from topology.model import Accelerator, Problem
from topology.resources import Resources, parse_quantity

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One row: nodes whose product label matches ``glob`` have cards of ``device_class``."""

    glob: str
    device_class: str
    memory_bytes: int | None = None
    """Nominal memory of a card; None: the memory label tells."""


def no_problems(labels: Labels, subject: str) -> tuple[Problem, ...]:
    """A vendor without checks of its own."""
    return ()


def whole_cards(labels: Labels) -> bool:
    """A vendor whose resource always counts whole cards."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How one vendor's plugin shows cards on a node. Sources stand in the vendor's file, by row."""

    name: str
    resources: tuple[str, ...]
    """Every name under which whole cards are advertised."""
    shared: tuple[str, ...] = ()
    """Names of sliced or shared cards, which never count as cards."""
    product_labels: tuple[str, ...] = ()
    products: tuple[Product, ...] = ()
    memory_label: str | None = None
    memory_unit: str = ""
    """Unit of the memory label's bare number, e.g. ``Mi``."""
    scale_up: str | None = None
    """Label of the NVLink or super-pod domain."""
    counts_cards: Callable[[Labels], bool] = whole_cards
    """False when sharing inflates the resource on this node."""
    check: Callable[[Labels, str], tuple[Problem, ...]] = no_problems


def reveal(vendor: Vendor, labels: Labels, allocatable: Resources) -> tuple[Accelerator, ...]:
    """The vendor's cards on a node: one entry for each of its resource names that is advertised."""
    names = [name for name in vendor.resources if allocatable[name] > 0]
    if not names or not vendor.counts_cards(labels):
        return ()
    product = next((labels[label] for label in vendor.product_labels if labels.get(label)), "")
    row = next((row for row in vendor.products if fnmatchcase(product, row.glob)), None)
    # The nominal size of a known product: labels give what the driver leaves (81,559 of 81,920 MiB),
    # and a user who asks for 80Gi means the product.
    memory = row.memory_bytes if row and row.memory_bytes else _memory(vendor, labels)
    return tuple(
        Accelerator(
            device_class=row.device_class if row else _class_name(vendor, product, name),
            vendor=vendor.name,
            resource=name,
            count=allocatable[name],
            memory_bytes=memory,
        )
        for name in names
    )


def _memory(vendor: Vendor, labels: Labels) -> int | None:
    text = labels.get(vendor.memory_label or "", "").removesuffix("B")
    if not text:
        return None
    # Vendors write "64G" and mean binary units, as their tools do.
    text = (
        f"{text}i" if text[-1:] in "KMGT" else text + (vendor.memory_unit if text.isdigit() else "")
    )
    try:
        return int(parse_quantity(text))
    except ValueError:
        return None


def _class_name(vendor: Vendor, product: str, resource: str) -> str:
    """A class for a product without a row: its label in small letters, or the resource's name."""
    stem = re.sub(r"[^a-z0-9]+", "-", product.lower()).strip("-")
    if not stem:
        return resource
    return stem if stem.startswith(vendor.name) else f"{vendor.name}-{stem}"
