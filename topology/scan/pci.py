"""PCI devices and how near two of them are, from ``/sys/bus/pci/devices``.

The entries are links; the path that they resolve to is the chain of bridges above the device, so two
devices are as near as their chains are equal. Link kinds are those of ``nvidia-smi topo -m``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from topology.scan.files import Host, whole

DEVICES = "/sys/bus/pci/devices"

SWITCH_KINDS = frozenset({"PIX", "PXB"})
"""Kinds of a path that does not leave the PCIe switches below one root port."""
NEARNESS = ("PIX", "PXB", "PHB", "NODE", "SYS")
"""Link kinds, nearest first."""
FARTHEST = "SYS"
"""Across NUMA nodes; such pairs are not reported."""

_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")
_ROOT = re.compile(r"pci[0-9a-f]{4,}:[0-9a-f]{2}")
_ETHERNET, _INFINIBAND = 0x0200, 0x0207
NETWORK_CLASSES = frozenset({_ETHERNET, _INFINIBAND})
GRAPHICS_CLASSES = frozenset({0x0300, 0x0302, 0x0380})
ACCELERATOR_CLASS = 0x1200


@dataclass(frozen=True, slots=True, kw_only=True)
class PciDevice:
    """One PCI function."""

    address: str
    """``domain:bus:device.function`` as in sysfs."""
    vendor: str
    """Four hexadecimal digits, e.g. ``10de``."""
    device: str
    kind: int
    """Class and subclass, e.g. 0x0302."""
    numa: int | None = None
    """None when the host does not say (-1)."""
    chain: tuple[str, ...] = ()
    """What is above it, the host bridge first; empty when unknown."""


def read_devices(host: Host) -> dict[str, PciDevice]:
    """Network controllers and everything that may be an accelerator, by address."""
    found = {}
    for address in host.names(DEVICES):
        code = host.number(f"{DEVICES}/{address}/class")
        kind = (code or 0) >> 8
        wanted = kind in NETWORK_CLASSES | GRAPHICS_CLASSES or kind == ACCELERATOR_CLASS
        if wanted and _ADDRESS.fullmatch(address):
            found[address] = _read(host, address, kind)
    return found


def _read(host: Host, address: str, kind: int) -> PciDevice:
    folder = f"{DEVICES}/{address}"
    return PciDevice(
        address=address,
        vendor=_id(host.text(f"{folder}/vendor")),
        device=_id(host.text(f"{folder}/device")),
        kind=kind,
        numa=numa_node(host, folder),
        chain=_chain(host.real(folder) or ""),
    )


def numa_node(host: Host, folder: str) -> int | None:
    """NUMA node of the device in ``folder``; None when the host does not say."""
    numa = host.number(f"{folder}/numa_node")
    return numa if numa is not None and numa >= 0 else None


def _id(text: str | None) -> str:
    number = whole(text)
    return "" if number is None else f"{number:04x}"


def _chain(real: str) -> tuple[str, ...]:
    parts = real.split("/")
    roots = [index for index, part in enumerate(parts) if _ROOT.fullmatch(part)]
    return tuple(parts[roots[0] : -1]) if roots else ()


def address_in(path: str, known: Collection[str] = ()) -> str | None:
    """The innermost PCI address in a resolved sysfs path."""
    found = [part for part in path.split("/") if _ADDRESS.fullmatch(part)]
    inside = [part for part in found if part in known] or found
    return inside[-1] if inside else None


def same_address(text: str) -> str:
    """An address as sysfs writes it: tools pad the domain to eight digits or use capitals."""
    found = _ADDRESS.fullmatch(text.strip().lower())
    if found is None:
        return text.strip().lower()
    domain, bus, device, function = found.groups()
    return f"{int(domain, 16):04x}:{bus}:{device}.{function}"


def kind_between(a: PciDevice, b: PciDevice) -> str | None:
    """How a transfer between two devices travels; None when nothing is known about it.

    Source: the legend of ``nvidia-smi topo -m``. A switch shows as an upstream port and one downstream port
    per device, so devices below one switch part at their downstream ports.
    """
    common = 0
    for one, other in zip(a.chain, b.chain, strict=False):
        if one != other:
            break
        common += 1
    if common > 1:
        bridges = max(len(a.chain), len(b.chain)) - common
        return "PIX" if bridges <= 1 else "PXB"
    if common == 1:
        return "PHB"
    if a.numa is None or b.numa is None:
        return None
    return "NODE" if a.numa == b.numa else "SYS"
