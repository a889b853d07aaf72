"""Accelerators of every vendor: PCI vendor and class, what the driver's files and tools add.

To add a vendor: one row in ``MAKERS``. Ids and names: the PCI ID database (pciutils/pciids, 2026-08-22). It
has no entry for Biren: processing accelerators of vendors that are not in the table show as ``unknown``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from topology.scan.files import Host, whole
from topology.scan.pci import (
    ACCELERATOR_CLASS,
    DEVICES,
    GRAPHICS_CLASSES,
    PciDevice,
    same_address,
)
from topology.scan.report import Device

UNKNOWN = "unknown"
_MIB = 2**20
_COMPUTE = frozenset({0x0302, 0x0380, ACCELERATOR_CLASS})
_ANY = GRAPHICS_CLASSES | {ACCELERATOR_CLASS}
_NVIDIA_FILES = "/proc/driver/nvidia/gpus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """How the cards of one vendor show on the PCI bus."""

    vendor: str
    """Name in the vendor catalogue."""
    classes: frozenset[int] = _COMPUTE
    """Classes of its accelerators; a VGA controller is one only where the vendor makes cards of that class
    (servers have VGA controllers of Huawei and AMD that are no accelerators)."""
    functions: frozenset[str] = frozenset()
    """Device ids, where the vendor makes other things of these classes; empty for all."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Device id -> product."""


_NVIDIA = {
    "20b0": "A100 SXM4 40GB", "20b1": "A100 PCIe 40GB", "20b2": "A100 SXM4 80GB", "20b5": "A100 PCIe 80GB",
    "20b7": "A30", "2235": "A40", "2236": "A10", "2237": "A10G", "26b5": "L40", "26b9": "L40S", "27b8": "L4",
    "1eb8": "T4", "1db1": "V100 SXM2 16GB", "1db5": "V100 SXM2 32GB", "2324": "H800", "2329": "H20",
    "232c": "H20 HBM3e", "2330": "H100 SXM5 80GB", "2331": "H100 PCIe", "2321": "H100 NVL 94GB",
    "2335": "H200 SXM 141GB", "233b": "H200 NVL", "2342": "GH200 96GB", "2348": "GH200 144GB",
    "2901": "B200", "2941": "GB200", "3182": "B300 SXM6", "31c2": "GB300", "2bb5": "RTX PRO 6000 Blackwell",
}  # fmt: skip
_AMD = {
    "738c": "MI100", "740f": "MI210", "740c": "MI250X", "7408": "MI250X", "74a0": "MI300A", "74a1": "MI300X",
    "74a2": "MI308X", "74a5": "MI325X", "75a0": "MI350X", "75a3": "MI355X",
}  # fmt: skip
_ENFLAME = {"c031": "S30", "c032": "S90", "c035": "S60", "c041": "L300", "c042": "L600"}

MAKERS: Mapping[str, Maker] = {
    "10de": Maker(vendor="nvidia", classes=frozenset({0x0300, 0x0302}), models=_NVIDIA),
    "1002": Maker(vendor="amd", models=_AMD),
    "1da3": Maker(
        vendor="gaudi",
        models={"1000": "Gaudi", "1010": "Gaudi", "1020": "Gaudi2", "1060": "Gaudi3"},
    ),
    "19e5": Maker(vendor="ascend", classes=frozenset({ACCELERATOR_CLASS})),
    "1e3e": Maker(vendor="iluvatar", classes=_ANY),
    "1d22": Maker(
        vendor="kunlunxin",
        classes=_ANY,
        functions=frozenset({"3684", "3685"}),
        models={"3684": "Kunlun"},
    ),
    "cabc": Maker(vendor="cambricon", classes=_ANY, models={"0270": "MLU270", "0370": "MLU370"}),
    "1d94": Maker(vendor="hygon"),
    "1ed5": Maker(vendor="mthreads", classes=_ANY, models={"0222": "S3000", "0323": "S4000"}),
    "9999": Maker(vendor="metax", classes=_ANY, models={"0a01": "C500"}),
    "1e36": Maker(vendor="enflame", classes=_ANY, models=_ENFLAME),
}
"""PCI vendor id -> how its accelerators show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a vendor's tool or library says of one accelerator."""

    pci: str
    index: int | None = None
    uuid: str = ""
    model: str = ""
    memory_bytes: int | None = None
    domain: str = ""
    healthy: bool | None = None


def read_accelerators(
    host: Host, pci: Mapping[str, PciDevice], told: Mapping[str, Told]
) -> tuple[Device, ...]:
    """The accelerators in the order of their index; ``told`` is by PCI address.

    Virtual functions of a card that is there as a whole are its slices and not told again.
    """
    found: list[Device] = []
    counts: dict[str, int] = {}
    names: dict[tuple[str, str], set[str]] = {}
    for address, one in told.items():
        if one.model and address in pci:
            names.setdefault((pci[address].vendor, pci[address].device), set()).add(one.model)
    # A card that the driver lost has the name of its likes, not that of a table: it is no other model.
    named = {like: min(models) for like, models in names.items() if len(models) == 1}
    for address in sorted(pci):
        device = pci[address]
        maker = _maker(device)
        if maker is None or _slice(host, address, pci):
            continue
        index = counts.get(maker.vendor, 0)
        counts[maker.vendor] = index + 1
        known = told.get(address) or Told(
            pci=address, model=named.get((device.vendor, device.device), "")
        )
        found.append(_device(host, device, maker, index, known))
    return tuple(sorted(found, key=lambda one: (one.vendor, one.index, one.pci)))


def _maker(device: PciDevice) -> Maker | None:
    maker = MAKERS.get(device.vendor)
    if maker is None:
        return Maker(vendor=UNKNOWN) if device.kind == ACCELERATOR_CLASS else None
    if device.kind not in maker.classes:
        return None
    return maker if not maker.functions or device.device in maker.functions else None


def _slice(host: Host, address: str, pci: Mapping[str, PciDevice]) -> bool:
    parent = (host.real(f"{DEVICES}/{address}/physfn") or "").rpartition("/")[2]
    return parent != address and parent in pci


def _device(host: Host, device: PciDevice, maker: Maker, index: int, known: Told) -> Device:
    folder = f"{DEVICES}/{device.address}"
    files = _nvidia_files(host, device.address) if maker.vendor == "nvidia" else {}
    serial = host.text(f"{folder}/unique_id") or "" if maker.vendor == "amd" else ""
    model = known.model or files.get("Model", "") or host.text(f"{folder}/product_name")
    return Device(
        vendor=maker.vendor,
        index=index if known.index is None else known.index,
        uuid=known.uuid or _uuid(files.get("GPU UUID", "")) or serial,
        model=model or maker.models.get(device.device) or f"PCI {device.vendor}:{device.device}",
        pci=device.address,
        numa=device.numa,
        memory_bytes=known.memory_bytes or host.number(f"{folder}/mem_info_vram_total"),
        healthy=known.healthy,
        domain=known.domain,
    )


def _nvidia_files(host: Host, address: str) -> dict[str, str]:
    """What the NVIDIA kernel module tells about a card, with or without tools."""
    lines = (host.text(f"{_NVIDIA_FILES}/{address}/information") or "").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _uuid(text: str) -> str:
    return "" if "?" in text else text  # the module hides it from those without the right


def nvidia_query(text: str) -> tuple[Told, ...]:
    """``nvidia-smi --query-gpu=index,uuid,name,pci.bus_id,memory.total --format=csv,noheader,nounits``."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 5 or ":" not in cells[3]:
            continue
        index, uuid, name, bus, memory = cells
        mib = whole(memory)
        found.append(
            Told(
                pci=same_address(bus),
                index=whole(index),
                uuid=uuid,
                model=name,
                memory_bytes=mib * _MIB if mib else None,
            )
        )
    return tuple(found)
