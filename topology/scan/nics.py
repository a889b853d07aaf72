"""Network ports: RDMA devices of ``/sys/class/infiniband`` and plain interfaces of ``/sys/class/net``.

Device numbers have gaps and names say nothing (a BlueField bond stands beside eight NDR ports), so
everything is read from attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from topology.model import Nic
from topology.scan.files import Host, whole
from topology.scan.pci import PciDevice, address_in, numa_node

_INFINIBAND, _NET = "/sys/class/infiniband", "/sys/class/net"
_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*Gb/sec")
_ETHERNET_TYPE = "1"  # ARPHRD_ETHER
_UP_BY_OPERSTATE = {"up": "ACTIVE", "down": "DOWN"}
_MAX_GIDS = 256
_NO_GUID = frozenset({"", "0000:0000:0000:0000"})


def read_nics(host: Host, pci: Mapping[str, PciDevice]) -> tuple[Nic, ...]:
    """Every RDMA port, then every other Ethernet interface with hardware behind it; ordered by place."""
    rdma = [
        _rdma_port(host, device, port, pci)
        for device in host.names(_INFINIBAND)
        for port in _ports(host, device)
    ]
    netdevs = {nic.netdev for nic in rdma} - {""}
    bonded = {port for nic in rdma for port in _members(host, nic.netdev)}
    plain = [
        nic for name in host.names(_NET) if name not in netdevs for nic in _plain(host, name, pci)
    ]
    # The ports of a bond are told with it.
    found = [*rdma, *(nic for nic in plain if nic.netdev not in bonded)]
    return tuple(sorted(found, key=lambda nic: (not nic.device, nic.pci, nic.device, nic.netdev)))


def _ports(host: Host, device: str) -> tuple[str, ...]:
    return host.names(f"{_INFINIBAND}/{device}/ports")


def _rdma_port(host: Host, device: str, port: str, pci: Mapping[str, PciDevice]) -> Nic:
    folder, own = f"{_INFINIBAND}/{device}", f"{_INFINIBAND}/{device}/ports/{port}"
    gid = _gid_index(host, own)
    netdev = _netdev(host, folder, own, gid)
    address = address_in(host.real(f"{folder}/device") or "", pci) or ""
    guid = host.text(f"{folder}/node_guid") or ""
    layer = host.text(f"{own}/link_layer") or ""
    return Nic(
        device=device if len(_ports(host, device)) == 1 else f"{device}:{port}",
        netdev=netdev,
        pci=address,
        numa=numa_node(host, f"{folder}/device"),
        link_layer=layer,
        state=_word(host.text(f"{own}/state")),
        phys_state=_word(host.text(f"{own}/phys_state")),
        rate_gbps=rate(host.text(f"{own}/rate")),
        node_guid="" if guid in _NO_GUID else guid,
        port_guid=_port_guid(host.text(f"{own}/gids/0")) if layer == "InfiniBand" else "",
        lid=host.number(f"{own}/lid") or None,
        gid_index=gid,
        mtu=host.number(f"{_NET}/{netdev}/mtu") if netdev else None,
        virtual=bool(host.names(f"{folder}/device/physfn")),
    )


def hardware(host: Host, nic: Nic, pci: Mapping[str, PciDevice]) -> str:
    """What product the port belongs to, as far as the host tells: NICs of one product are peers."""
    device = pci.get(nic.pci)
    kind = host.text(f"{_INFINIBAND}/{nic.device.partition(':')[0]}/hca_type") or ""
    return f"{kind} {device.vendor}:{device.device}" if device else kind


def rate(text: str | None) -> float | None:
    """``400 Gb/sec (4X NDR)`` -> 400."""
    found = _RATE.match(text or "")
    return float(found.group(1)) if found else None


def _word(text: str | None) -> str:
    """``4: ACTIVE`` -> ``ACTIVE``."""
    return (text or "").rpartition(":")[2].strip()


def _port_guid(gid: str | None) -> str:
    """The port GUID is the lower half of GID 0."""
    parts = (gid or "").split(":")
    half = ":".join(parts[4:])
    return half if len(parts) == 8 and parts[0] == "fe80" and half not in _NO_GUID else ""


def _gid_index(host: Host, port: str) -> int | None:
    """The first RoCE v2 entry with an IPv4 address: the one that NCCL and UCX must be told."""
    indices = [int(name) for name in host.names(f"{port}/gids") if name.isdecimal()]
    for index in sorted(indices)[:_MAX_GIDS]:
        gid = host.text(f"{port}/gids/{index}") or ""
        kind = host.text(f"{port}/gid_attrs/types/{index}") or ""
        if kind == "RoCE v2" and gid.startswith("0000:0000:0000:0000:0000:ffff:"):
            return index
    return None


def _netdev(host: Host, folder: str, port: str, gid: int | None) -> str:
    """The interface of the port: by its GID, which names a bond rather than the bond's members."""
    for index in (gid, 0):
        if index is not None and (name := host.text(f"{port}/gid_attrs/ndevs/{index}")):
            return name
    names = host.names(f"{folder}/device/net")
    return names[0] if len(names) == 1 else ""


def _members(host: Host, bond: str) -> tuple[str, ...]:
    return tuple((host.text(f"{_NET}/{bond}/bonding/slaves") or "").split()) if bond else ()


def _plain(host: Host, name: str, pci: Mapping[str, PciDevice]) -> Iterator[Nic]:
    """An Ethernet interface without RDMA; nothing for one that has no hardware."""
    folder = f"{_NET}/{name}"
    if host.text(f"{folder}/type") != _ETHERNET_TYPE or not host.names(f"{folder}/device"):
        return
    speed = whole(host.text(f"{folder}/speed"))  # Mbit/s; -1 when the driver does not know
    state = host.text(f"{folder}/operstate") or ""
    yield Nic(
        netdev=name,
        pci=address_in(host.real(f"{folder}/device") or "", pci) or "",
        numa=numa_node(host, f"{folder}/device"),
        link_layer="Ethernet",
        state=_UP_BY_OPERSTATE.get(state, ""),
        rate_gbps=speed / 1000 if speed and speed > 0 else None,
        mtu=host.number(f"{folder}/mtu"),
        virtual=bool(host.names(f"{folder}/device/physfn")),
    )
