"""Texts that tools print, where somebody ran them: matrices of links, NCCL topology, LLDP, NVML, hccn.conf.

The agent puts what it ran under ``TOLD``; a helper with more rights than the agent may put the same texts
there on the host. So a recorded tree holds them as files, too. Total: any text gives values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from topology.model import Leaf
from topology.scan.accelerators import Told
from topology.scan.files import whole
from topology.scan.pci import PciDevice, same_address
from topology.untyped import mapping, sequence, text

TOLD = "/run/muster"
"""Folder of the texts."""
NVIDIA_MATRIX = f"{TOLD}/nvidia-smi-topo-m.txt"
NVIDIA_QUERY = f"{TOLD}/nvidia-smi-query.csv"
NPU_MATRIX = f"{TOLD}/npu-smi-topo.txt"
NVML = f"{TOLD}/nvml.json"
LLDP = f"{TOLD}/lldpcli-json0.json"
NCCL = f"{TOLD}/nccl-topo.xml"
HCCN = "/etc/hccn.conf"
"""Of the Ascend driver, on the host itself."""

_CELL = re.compile(r"(?:GPU|NPU|NIC)[0-9]+")
_LINK = re.compile(r"NV[0-9]+|[A-Z][A-Z_]+")
_LEGEND = re.compile(r"\s*(NIC[0-9]+):\s*(\S+)")
_NUMBERED = re.compile(r"\s*(address|netdetect)_([0-9]+)\s*=\s*(\S+)")
_DIRECT = re.compile(r"NV[0-9]+|HCCS|HCCS_SW|SIO")
_NO_UUID = "00000000-0000-0000-0000-000000000000"
_FABRIC_COMPLETED = 3  # NVML: GpuFabricState_t


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A table of links as ``nvidia-smi topo -m`` and ``npu-smi info -t topo`` print it."""

    devices: tuple[str, ...] = ()
    """Its columns; none when the text is no such table."""
    links: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(row, column) such as ("GPU0", "NIC3") -> kind; each pair once, itself left out."""
    nics: Mapping[str, str] = field(default_factory=dict)
    """NIC3 -> name of its RDMA device."""

    def groups(self) -> dict[str, int]:
        """Accelerators that direct links join -> number of their group, by the first of each."""
        names = sorted(
            {n for pair in self.links for n in pair if not n.startswith("NIC")}, key=_order
        )
        joined = {pair for pair, kind in self.links.items() if _DIRECT.fullmatch(kind)}
        group: dict[str, int] = {}
        for name in names:
            near = [group[o] for o in names if o in group and {(o, name), (name, o)} & joined]
            group[name] = min(near, default=len(set(group.values())))
        return group if joined else {}


def _order(name: str) -> tuple[str, int]:
    return name[:3], int(name[3:])


def read_matrix(content: str) -> Matrix:
    """The table and its legend; a row that is cut short gives the cells it has."""
    columns: list[str] = []
    links: dict[tuple[str, str], str] = {}
    nics: dict[str, str] = {}
    for line in content.splitlines():
        cells = line.split()
        legend = _LEGEND.fullmatch(line)
        if legend:
            nics[legend.group(1)] = legend.group(2)
        elif cells and _CELL.fullmatch(cells[0]):
            if len(cells) > 1 and all(map(_CELL.fullmatch, cells[:2])) and not columns:
                columns = [cell for cell in cells if _CELL.fullmatch(cell)]
            elif columns:
                for column, kind in zip(columns, cells[1:], strict=False):
                    new = (column, cells[0]) not in links
                    if column != cells[0] and new and _LINK.fullmatch(kind):
                        links[cells[0], column] = kind
            else:
                columns = [cells[0]]  # a host with one accelerator and no NIC
    return Matrix(devices=tuple(columns), links=links, nics=nics)


def read_nvml(content: str) -> tuple[Told, ...]:
    """What the agent wrote down of NVML: one object per GPU, named as its functions name things."""
    try:
        listed = sequence(json.loads(content))
    except (ValueError, RecursionError):
        return ()
    found = []
    for item in map(mapping, listed):
        bus = text(item.get("busId"))
        if bus:
            memory, index = item.get("memory"), item.get("index")
            found.append(
                Told(
                    pci=same_address(bus),
                    index=index if type(index) is int else None,
                    uuid=text(item.get("uuid")),
                    model=text(item.get("name")),
                    memory_bytes=memory if type(memory) is int and memory > 0 else None,
                    domain=_clique(mapping(item.get("fabric"))),
                )
            )
    return tuple(found)


def _clique(fabric: Mapping[str, Any]) -> str:
    """``ClusterUUID.CliqueId``, as the device plugin labels nodes; empty outside multi-node NVLink."""
    uuid, clique = text(fabric.get("clusterUuid")), fabric.get("cliqueId")
    known = fabric.get("state") == _FABRIC_COMPLETED and uuid not in ("", _NO_UUID)
    return f"{uuid}.{clique}" if known and type(clique) is int else ""


def read_lldp(content: str) -> dict[str, Leaf]:
    """``lldpcli show neighbors -f json0``: interface -> the switch port at its other end.

    A neighbour is a switch when it can bridge or route, or does not say what it can, and does not name its
    port by MAC address, which is what lldpd does on hosts. Of several at an interface the first counts.
    """
    try:
        document = mapping(json.loads(content))
    except (ValueError, RecursionError):
        return {}
    found: dict[str, Leaf] = {}
    for entry in sequence(document.get("lldp")):
        for interface in map(mapping, sequence(mapping(entry).get("interface"))):
            name = text(interface.get("name"))
            leaf = _neighbour(interface)
            if name and leaf is not None:
                found.setdefault(name, leaf)
    return found


def _neighbour(interface: Mapping[str, Any]) -> Leaf | None:
    chassis = _first(interface.get("chassis"))
    port = _first(interface.get("port"))
    told = [mapping(item) for item in sequence(chassis.get("capability"))]
    enabled = {text(item.get("type")) for item in told if item.get("enabled") is True}
    if (told and not enabled & {"Bridge", "Router"}) or _first(port.get("id")).get("type") == "mac":
        return None
    name, ident = _value(chassis.get("name")), _value(chassis.get("id"))
    if not (name or ident):
        return None
    return Leaf(
        id=ident or name,
        name=name,
        port=_value(port.get("id")) or _value(port.get("descr")),
        source="lldp",
    )


def _first(value: Any) -> Mapping[str, Any]:
    return next((mapping(item) for item in sequence(value)), {})


def _value(value: Any) -> str:
    return text(_first(value).get("value"))


def read_nccl(content: str) -> dict[str, PciDevice]:
    """A topology file of NCCL, as clouds supply it for machines that hide the bus: devices by address.

    Its tree of ``pci`` elements stands for the chain of bridges, ``cpu`` for the NUMA node.
    """
    if "<!" in content:  # no entity is ever expanded
        return {}
    try:
        system = ElementTree.fromstring(content)  # noqa: S314 - a document without declarations
    except ElementTree.ParseError:
        return {}
    found: dict[str, PciDevice] = {}
    for index, cpu in enumerate(system.iter("cpu")):
        numa = whole(cpu.get("numaid"))
        for device in _below(
            cpu, (f"cpu{index}",), numa if numa is not None and numa >= 0 else None
        ):
            found[device.address] = device
    return found


def _below(
    element: ElementTree.Element, chain: tuple[str, ...], numa: int | None
) -> Iterator[PciDevice]:
    for child in element.findall("pci"):
        address = same_address(child.get("busid") or "")
        code = whole(child.get("class")) or 0
        yield PciDevice(
            address=address,
            vendor=(child.get("vendor") or "").removeprefix("0x"),
            device=(child.get("device") or "").removeprefix("0x"),
            kind=code >> 8,
            numa=numa,
            chain=chain,
        )
        yield from _below(child, (*chain, address), numa)


def read_hccn(content: str) -> dict[int, str]:
    """``/etc/hccn.conf``: number of an NPU -> the address of the NIC inside it."""
    found = {}
    for line in content.splitlines():
        entry = _NUMBERED.fullmatch(line.rstrip())
        if entry and entry.group(1) == "address":
            found[int(entry.group(2)[:6])] = entry.group(3)
    return found
