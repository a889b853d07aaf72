"""Memory and disks: ``/proc/meminfo``, mounts, and the kind of device behind each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from topology.scan.files import Host
from topology.scan.report import Disk, Memory

_MOUNTS = ("/proc/1/mounts", "/proc/mounts")
"""The first is the host's also inside a container; ``/proc/mounts`` would be the container's own."""
_NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "ceph",
        "lustre",
        "cifs",
        "smb3",
        "gpfs",
        "beegfs",
        "glusterfs",
        "9p",
        "virtiofs",
    }
)
_OCTAL = re.compile(r"\\([0-7]{3})")
_SKIPPED = ("/proc", "/sys", "/dev", "/run", "/boot", "/snap", "/var/lib/kubelet/pods", "/var/lib/docker",
            "/var/lib/containerd", "/run/containerd")  # fmt: skip
_KIB = 1024
_MAX_MOUNTS = 64
_VIRTUAL = ("vd", "xvd")
_COPY_TIERS = {"tmpfs": "memory", "unknown": ""}


def read_memory(host: Host) -> Memory | None:
    """Main memory; None when the host does not say."""
    values = {}
    for line in (host.text("/proc/meminfo") or "").splitlines():
        name, _, amount = line.partition(":")
        number = amount.split()[:1]
        if number and number[0].isdecimal():
            values[name] = int(number[0]) * _KIB
    total = values.get("MemTotal")
    return Memory(total_bytes=total, available_bytes=values.get("MemAvailable")) if total else None


def read_disks(host: Host) -> tuple[Disk, ...]:
    """Mounted file systems that may hold models, each device once, by mount point."""
    found: dict[str, Disk] = {}
    seen = set()
    for device, mount, kind in _mounts(host):
        tier = _tier(host, device, kind)
        store = mount if tier == "tmpfs" else device
        if tier and store not in seen:
            seen.add(store)
            # A file server that is gone would hold up whoever asks for the space on it.
            size, free = (None if tier == "network" else host.space(mount)) or (None, None)
            found[mount] = Disk(mount=mount, tier=tier, size_bytes=size, free_bytes=free)
    return tuple(found[mount] for mount in sorted(found)[:_MAX_MOUNTS])


def tier_of(path: str, disks: tuple[Disk, ...]) -> str:
    """The tier of a copy at ``path``, ``memory`` on a RAM disk; empty when unknown."""
    inside = [d for d in disks if path == d.mount or path.startswith(f"{d.mount.rstrip('/')}/")]
    tier = max(inside, key=lambda disk: len(disk.mount)).tier if inside else ""
    return _COPY_TIERS.get(tier, tier)


def _mounts(host: Host) -> Iterator[tuple[str, str, str]]:
    """(device, mount point, type) of every mount that is of interest."""
    lines = next((t for path in _MOUNTS if (t := host.text(path))), "").splitlines()
    for line in lines:
        cells = [_OCTAL.sub(lambda code: chr(int(code.group(1), 8)), c) for c in line.split()[:3]]
        if len(cells) == 3 and not any(
            cells[1] == p or cells[1].startswith(f"{p}/") for p in _SKIPPED
        ):
            yield cells[0], cells[1], cells[2]


def _tier(host: Host, device: str, kind: str) -> str:
    """Empty for file systems that hold nothing of their own."""
    if kind == "tmpfs":
        return "tmpfs"
    if kind in _NETWORK or kind.startswith("fuse."):
        return "network"
    if not device.startswith("/dev/"):
        return ""
    real = host.real(device) or device
    return _block_tier(host, real.rpartition("/")[2], depth=4)


def _block_tier(host: Host, name: str, depth: int) -> str:
    folder = f"/sys/class/block/{name}"
    real = host.real(folder) or ""
    below = host.names(f"{folder}/slaves")
    if below and depth:  # device mapper, software RAID: as slow as its slowest part
        order = ("hdd", "unknown", "ssd", "nvme")
        return min((_block_tier(host, part, depth - 1) for part in below), key=order.index)
    if name.startswith("nvme"):
        return "nvme"
    whole_disk = real.rpartition("/")[0]  # a partition's folder stands inside its disk's
    spins = host.text(f"{folder}/queue/rotational") or host.text(f"{whole_disk}/queue/rotational")
    if spins == "1" and name.startswith(_VIRTUAL):
        return "unknown"  # a virtual disk says that it spins unless somebody told it better
    return {"0": "ssd", "1": "hdd"}.get(spins or "", "unknown")
