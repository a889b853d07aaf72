"""What a node shows of the cards of one vendor, by the vendor's catalogue entry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from topology.hami import Device, read_register
from topology.keys import DEVICE_CLASS
from topology.model import Accelerator
from topology.resources import Resources, parse_quantity
from topology.untyped import text
from topology.vendors.catalogue import BESIDE, REGISTERED, RESOURCE, Vendor, like

_GIB = 2**30
_PART = 3 / 4
"""Labels tell what the driver leaves of a card's memory, never less than 7/8 of it (310P); a label below this
share of the product's memory tells the size of a slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a node shows."""

    labels: Mapping[str, str]
    annotations: Mapping[str, object]
    """As the node has them: whatever JSON."""
    allocatable: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """What one vendor's labels and resources say about a node."""

    accelerator: Accelerator | None = None
    scale_up: str | None = None
    warning: str = ""
    """Why its units are not counted as cards."""
    withheld: str = ""
    """With a warning: the resource that counts these units. A gang gets none of them."""
    doubt: str = ""
    """What contradicts itself, so that the node cannot be trusted."""


class _SharedError(Exception):
    """The node's units are not whole cards; the text says why."""


class _DoubtError(Exception):
    """The node contradicts itself; the text says how."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """A node that advertises one resource of a vendor."""

    vendor: Vendor
    seen: Seen
    resource: str
    devices: tuple[Device, ...]
    """Those in HAMi's registers; none where HAMi is not at work."""

    def values(self, by: str) -> tuple[str, ...]:
        """The texts under a label, ``RESOURCE``, ``BESIDE`` or ``REGISTERED``."""
        if by == RESOURCE:
            return (self.resource,)
        if by == BESIDE:
            units = self.seen.allocatable
            return tuple(name for name in sorted(units) if name != self.resource and units[name])
        if by == REGISTERED:
            return tuple(device.product for device in self.devices[:1])
        return (self.seen.labels.get(by, ""),)


def reveal(vendor: Vendor, seen: Seen) -> Cards | None:
    """The vendor's cards on a node; None when it advertises none."""
    names = [name for name in vendor.resources if seen.allocatable[name] > 0]
    if not names:
        return None
    if len(names) > 1:
        return Cards(doubt=f"cards under two names, {names[0]} and {names[1]}")
    resource = names[0]
    try:
        sight = _Sight(vendor, seen, resource, _registered(vendor, seen))
        device_class, count = _class(sight), _count(sight)
        slots = count if resource in vendor.slots else 0
        return Cards(
            accelerator=Accelerator(
                device_class=device_class,
                vendor=vendor.name,
                resource=resource,
                count=count,
                installed=len(sight.devices) or slots,  # else what the node's capacity says
                memory_bytes=_memory(vendor, seen.labels, device_class) or _parts(vendor, seen),
            ),
            scale_up=seen.labels.get(vendor.scale_up) or None,
        )
    except _DoubtError as error:
        return Cards(doubt=str(error))
    except _SharedError as error:
        units = f"{seen.allocatable[resource]} {resource}"
        return Cards(warning=f"{units} are not counted as cards: {error}", withheld=resource)


def _registered(vendor: Vendor, seen: Seen) -> tuple[Device, ...]:
    found: dict[str, Device] = {}
    for key in vendor.registers:
        document = text(seen.annotations.get(key))
        devices = read_register(document) if document else ()
        if devices is None:
            raise _SharedError(f"the annotation {key}, HAMi's register of devices, cannot be read")
        found |= {device.id: device for device in devices}
    products = sorted({device.product for device in found.values()})
    if len(products) > 1:
        raise _DoubtError(f"{products[0]} and {products[1]} in HAMi's register of devices")
    return tuple(found.values())


def _count(sight: _Sight) -> int:
    """The whole cards among the units of the resource. Raises ``_SharedError`` when they may be none.

    HAMi gives the slots of one container on different cards, so slots are worth as many cards as there are;
    a slot that is in use is on one card, so with each there is at most one less that is untouched.
    """
    vendor, units = sight.vendor, sight.seen.allocatable[sight.resource]
    for sign in vendor.sharing:
        for value in () if sight.devices and sign.by == BESIDE else sight.values(sign.by):
            if any(like(value, glob) for glob in sign.globs):
                shown = value if sign.by == BESIDE else f"{sign.by}={value}"
                raise _SharedError(f"{shown}: {sign.means}")
    if sight.devices:
        whole = sum(device.healthy and device.whole for device in sight.devices)
        if not whole:
            raise _SharedError("none of the devices in HAMi's register is healthy and whole")
        return min(units, whole)
    cards, key = min(_told(vendor, sight.seen), default=(0, ""))
    if sight.resource in vendor.slots:
        if not cards:
            where = " nor ".join((*vendor.registers, *vendor.counts))
            raise _SharedError(f"they are HAMi's slots, and neither {where} tells how many cards")
        return min(units, cards)
    if cards and units > cards:
        raise _SharedError(f"the node has {cards} cards ({key})")
    return units


def _told(vendor: Vendor, seen: Seen) -> Iterator[tuple[int, str]]:
    """How many cards the node says it has, and where it says so."""
    for key, each in vendor.counts.items():
        label = seen.labels.get(key, "")
        number = int(label[:9]) if re.fullmatch("[0-9]+", label) else seen.allocatable[key]
        if number >= each:
            yield number // each, key


def _class(sight: _Sight) -> str:
    """The device class; the operator's label wins over everything that plugins say."""
    vendor, labels = sight.vendor, sight.seen.labels
    if labels.get(DEVICE_CLASS):
        return labels[DEVICE_CLASS]
    several = sorted(
        key for key in labels if vendor.per_product and key.startswith(vendor.per_product)
    )
    if len(several) > 1:
        raise _DoubtError(f"two products, {several[0]} and {several[1]}")
    found: dict[str, str] = {}
    for by, classes in vendor.products.items():
        value = next(iter(sight.values(by)), "")
        name = next((name for glob, name in classes.items() if like(value, glob)), "")
        if value and name:
            found[by] = name
    best = max(found, key=lambda by: len(found[by]), default="")
    for by, name in found.items():
        if not _agree(vendor, name, found[best]):
            raise _DoubtError(f"{best} says {found[best]}, but {by} says {name}")
    named = [key for key in vendor.product_labels if labels.get(key)]
    if found and (not named or any(key in found for key in named)):
        return found[best]
    # A product without a row: a class of its own, which says more than the name of the resource.
    return _class_name(vendor, labels.get(named[0], "") if named else sight.resource)


def _agree(vendor: Vendor, family: str, member: str) -> bool:
    """Whether two classes are the same, or one is of the other's family."""
    return member == family or fnmatchcase(member, vendor.families.get(family, f"{family}-*"))


def _memory(vendor: Vendor, labels: Mapping[str, str], device_class: str) -> int | None:
    """Bytes of one card: the product's, or those of the label if it tells more (RTX 4090 of 48 GB)."""
    nominal = vendor.classes.get(device_class)
    told = next(
        filter(None, (_bytes(vendor, labels.get(key, "")) for key in vendor.memory_labels)), None
    )
    if nominal and told and told < nominal * _GIB * _PART:
        share = f"{round(told / _GIB, 1):g} of {nominal} GiB"
        raise _SharedError(f"labels tell of {share} that a {device_class} has: they are slices")
    return max((nominal or 0) * _GIB, told or 0) or None


def _parts(vendor: Vendor, seen: Seen) -> int | None:
    """Bytes of one card as the parts of all cards tell them."""
    cards, _ = min(_told(vendor, seen), default=(0, ""))
    total = sum(seen.allocatable[name] * mib for name, mib in vendor.memory_parts.items()) << 20
    return total // cards or None if cards else None


def _bytes(vendor: Vendor, label: str) -> int | None:
    number = label.removesuffix("B")
    if number.isdigit():
        number += vendor.memory_unit
    elif number[-1:] in tuple("KMGT"):
        number += "i"  # vendors write "64G" and mean binary units, as their tools do
    try:
        return int(parse_quantity(number)) or None
    except ValueError:
        return None


def _class_name(vendor: Vendor, named: str) -> str:
    """A class for a product without a row, made of its label, or of the resource's name."""
    stem = re.sub(r"[^a-z0-9]+", "-", named.rpartition("/")[2].lower()).strip("-")
    product = stem.removeprefix(vendor.name).strip("-")
    return f"{vendor.name}-{product}" if product else vendor.name
