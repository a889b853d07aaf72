"""What a scan found: the values, and the JSON that a ``NodeTopology`` carries in its ``status``.

Every value was measured or read on the node; what is not known is left out, never guessed. Field names are
those of the JSON in camel case (facts: node report schema); sizes are bytes, rates Gbit/s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from topology.model import Nic

SCHEMA = 1
"""Version of the JSON."""
_LIMIT = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One accelerator of the node."""

    vendor: str
    """Name in the vendor catalogue; ``unknown`` for a processing accelerator of no vendor there."""
    index: int
    """The driver's number, else the place in the order of PCI addresses."""
    uuid: str = ""
    model: str = ""
    """Product as the driver names it, else ``PCI vendor:device``."""
    pci: str = ""
    numa: int | None = None
    memory_bytes: int | None = None
    healthy: bool | None = None
    domain: str = ""
    """NVLink or super-pod domain that is larger than the node."""
    group: int | None = None
    """Devices of one number are linked to each other directly (NVLink, HCCS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How two devices of the node are connected; pairs across NUMA nodes (SYS) are left out."""

    a: str
    """PCI address of an accelerator, else its index."""
    b: str
    """PCI address or index of an accelerator, or name of a NIC's device."""
    kind: str
    """NV18, HCCS, PIX, PXB, PHB, NODE ..."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The domain of the node at one level."""

    level: str
    id: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One mounted file system that may hold models."""

    mount: str
    tier: str
    """tmpfs, nvme, ssd, hdd, network or unknown."""
    size_bytes: int | None = None
    free_bytes: int | None = None
    read_bps: int | None = None
    """Measured bytes per second; nothing measures it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Main memory."""

    total_bytes: int
    available_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """One model in one directory of the node."""

    model: str
    """``hf://org/name``, ``ms://org/name``, ``host:///path``, or ``sha256://16 digits`` of KServe's cache."""
    revision: str = ""
    """Commit, or the revision that the directory is named after."""
    refs: tuple[str, ...] = ()
    """Names (branches, tags) that stand for this revision."""
    path: str
    bytes_expected: int | None = None
    bytes_present: int = 0
    state: str
    """``Complete`` or ``Partial``."""
    tier: str = ""
    """memory, nvme, ssd, hdd or network."""
    source: str
    """The layout: huggingface, modelscope, kserve or plain."""
    checked_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong on the node."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Who scanned."""

    name: str = "muster"
    version: str = ""
    root: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The report in a line, for ``kubectl get nodetopologies``."""

    accelerators: str = ""
    nics: str = ""
    problems: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything about one node at one moment."""

    schema: int = SCHEMA
    collected_at: str = ""
    """RFC 3339."""
    boot_id: str = ""
    collector: Collector
    accelerators: tuple[Device, ...] = ()
    nics: tuple[Nic, ...] = ()
    links: tuple[Link, ...] = ()
    domains: tuple[Place, ...] = ()
    """Closest level first; a rail-optimised node has one per leaf switch."""
    scale_up: str = ""
    disks: tuple[Disk, ...] = ()
    memory: Memory | None = None
    caches: tuple[Cache, ...] = ()
    problems: tuple[Finding, ...] = ()
    summary: Summary = Summary()


def summary(
    accelerators: Sequence[Device], nics: Sequence[Nic], problems: Sequence[Finding]
) -> Summary:
    """Such as ``8 NVIDIA H100 80GB HBM3``, ``7 of 8 up, 400 Gb/s`` (of compute NICs), ``1: LinkDown``."""
    models = Counter(card.model for card in accelerators)
    ports = [nic for nic in nics if nic.compute]
    up = sum(nic.up for nic in ports)
    rates = {nic.rate_gbps for nic in ports if nic.up and nic.rate_gbps}
    told = f"{up} of {len(ports)} up" if up < len(ports) else str(up)
    return Summary(
        accelerators=", ".join(f"{count} {model}" for model, count in sorted(models.items())),
        nics=(told + (f", {max(rates):g} Gb/s" if rates else "")) if ports else "",
        problems=f"{len(problems)}: {problems[0].code}" if problems else "",
    )


def essence(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """A report's JSON without what changes all the time: times, free memory and free space.

    Two reports of one essence say the same about the node.
    """
    disks = [_less(disk, "freeBytes") for disk in status.get("disks", ())]
    caches = [_less(cache, "checkedAt") for cache in status.get("caches", ())]
    memory = _less(status.get("memory", {}), "availableBytes")
    return {**_less(status, "collectedAt"), "disks": disks, "caches": caches, "memory": memory}


def _less(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def document(value: Any) -> Any:
    """A value of this module as JSON: camel case, without what is unknown, empty, or false by default.

    What JSON, protobuf or Kubernetes could not carry goes: numbers beyond 64 bits, halves of characters.
    """
    if isinstance(value, tuple):
        return [document(item) for item in value]
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int) and not -_LIMIT <= value < _LIMIT:
        return None
    if isinstance(value, Mapping) or not hasattr(value, "__dataclass_fields__"):
        return value
    found = ((item, document(getattr(value, item.name))) for item in fields(value))
    return {
        camel(item.name): held
        for item, held in found
        if held not in (None, "", [], {}) and not (held is False and item.default is False)
    }


def camel(name: str) -> str:
    """``memory_bytes`` -> ``memoryBytes``."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
