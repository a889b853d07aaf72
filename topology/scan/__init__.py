"""The node scanner's reading: a tree of files in, one ``Report`` out. Pure; a recorded tree replays.

``muster agent`` gives it the real root. Nothing here runs a program: texts of tools are files under
``outputs.TOLD``. Any content of any file gives a report; what could not be read is one of its problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from topology.model import Leaf, Nic
from topology.scan import findings, outputs
from topology.scan.accelerators import Told, nvidia_query, read_accelerators
from topology.scan.affinity import matrix_links, pci_links, with_groups, with_rails
from topology.scan.files import Files, Host
from topology.scan.models import read_models
from topology.scan.nics import hardware, read_nics
from topology.scan.outputs import Matrix
from topology.scan.pci import FARTHEST, read_devices
from topology.scan.report import Collector, Device, Finding, Link, Place, Report, summary
from topology.scan.storage import read_disks, read_memory, tier_of

MODEL_DIRS = ("/mnt/models", "/workspace/models")
"""Where KServe and Manta, and llmaz, keep models on a node."""

_BOOT = "/proc/sys/kernel/random/boot_id"
_NOTHING = Finding(
    code=findings.UNREADABLE,
    detail="/sys: no PCI device and no network port is there; is the root that of a host?",
)
_MATRICES = ((outputs.NVIDIA_MATRIX, "nvidia-smi"), (outputs.NPU_MATRIX, "npu-smi"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What does not come from the files."""

    collected_at: str = ""
    """RFC 3339."""
    version: str = ""
    root: str = "/"
    model_dirs: tuple[str, ...] = MODEL_DIRS


def scan(files: Files, settings: Settings) -> Report:
    """Read a host."""
    host = Host(files)
    pci = read_devices(host)
    told = _told(host)
    matrix, sources, unread = _matrix(host)
    supplied = outputs.read_nccl(host.raw(outputs.NCCL) or "")
    accelerators = with_groups(read_accelerators(host, pci, told), matrix)
    nics = read_nics(host, pci)
    links = _joined(
        pci_links(accelerators, nics, pci, supplied), matrix_links(matrix, accelerators, sources)
    )
    products = {nic.device: hardware(host, nic, pci) for nic in nics}
    nics = with_rails(nics, accelerators, links, lambda nic: products[nic.device])
    nics = (*_with_leaves(host, nics), *_npu_nics(host, accelerators))
    disks = read_disks(host)
    caches = tuple(
        replace(cache, tier=tier_of(cache.path, disks), checked_at=settings.collected_at)
        for cache in read_models(host, settings.model_dirs)
    )
    domains = {card.domain for card in accelerators}
    problems = (
        *findings.of_accelerators(accelerators, told),
        *findings.of_npus(accelerators, outputs.read_hccn(host.text(outputs.HCCN) or "")),
        *findings.of_nics(nics, accelerators),
        *unread,
        *_unread(host, told),
        *(() if pci or nics or accelerators else [_NOTHING]),
    )
    return Report(
        collected_at=settings.collected_at,
        boot_id=host.text(_BOOT) or "",
        collector=Collector(version=settings.version, root=settings.root),
        accelerators=accelerators,
        nics=nics,
        links=tuple(link for link in links if link.kind != FARTHEST),
        domains=_places(nics),
        scale_up=domains.pop() if len(domains) == 1 else "",
        disks=disks,
        memory=read_memory(host),
        caches=caches,
        problems=problems,
        summary=summary(accelerators, nics, problems),
    )


def _told(host: Host) -> dict[str, Told]:
    """What the driver says of each accelerator; the library says more than the tool."""
    listed = (
        *nvidia_query(host.text(outputs.NVIDIA_QUERY) or ""),
        *outputs.read_nvml(host.text(outputs.NVML) or ""),
    )
    return {one.pci: one for one in listed}


def _matrix(host: Host) -> tuple[Matrix, str, tuple[Finding, ...]]:
    """The first table of links that there is, who printed it, and a finding for one that is none."""
    for path, source in _MATRICES:
        content = host.raw(path)
        if content is not None:
            matrix = outputs.read_matrix(content)
            if matrix.devices:
                return matrix, source, ()
            detail = f"{path}: no table of links was found in it"
            return matrix, source, (Finding(code=findings.UNREADABLE, detail=detail),)
    return Matrix(), "", ()


def _unread(host: Host, told: Mapping[str, Told]) -> Iterator[Finding]:
    """A probe that returned nothing is an error, not an empty list."""
    for path in (outputs.NVML, outputs.NVIDIA_QUERY):
        if host.text(path) is not None and not told:
            yield Finding(code=findings.UNREADABLE, detail=f"{path}: it lists no accelerator")
    for path in (outputs.LLDP, outputs.NCCL):
        content = host.raw(path)
        read = outputs.read_lldp if path == outputs.LLDP else outputs.read_nccl
        if content is not None and not read(content):
            yield Finding(code=findings.UNREADABLE, detail=f"{path}: nothing usable is in it")
    for path in host.refused():
        yield Finding(code=findings.UNREADABLE, detail=f"{path}: permission denied")


def _joined(by_bus: Sequence[Link], printed: Sequence[Link]) -> tuple[Link, ...]:
    """All links; of a pair that both tell of, the bus, since tools say SYS wherever a path leaves it."""
    pairs = {frozenset((link.a, link.b)) for link in by_bus}
    return (*by_bus, *(link for link in printed if frozenset((link.a, link.b)) not in pairs))


def _with_leaves(host: Host, nics: Sequence[Nic]) -> Iterator[Nic]:
    leaves: Mapping[str, Leaf] = outputs.read_lldp(host.raw(outputs.LLDP) or "")
    for nic in nics:
        yield replace(nic, leaf=leaves.get(nic.netdev)) if nic.netdev else nic


def _npu_nics(host: Host, accelerators: Sequence[Device]) -> Iterator[Nic]:
    """The NICs inside Ascend NPUs, which are no devices of the host; each is the rail of its NPU."""
    addresses = outputs.read_hccn(host.text(outputs.HCCN) or "")
    for card in accelerators:
        if card.vendor == "ascend" and card.index in addresses:
            yield Nic(
                device=f"npu{card.index}",
                pci=card.pci,
                numa=card.numa,
                link_layer="Ethernet",
                compute=True,
                rail=card.index,
            )


def _places(nics: Sequence[Nic]) -> tuple[Place, ...]:
    """The leaf switches of the compute NICs: several on a rail-optimised fabric."""
    found = {
        Place(level="leaf", id=nic.leaf.name or nic.leaf.id, source=nic.leaf.source)
        for nic in nics
        if nic.compute and nic.leaf is not None
    }
    return tuple(sorted(found, key=lambda place: place.id))
