"""Vendors without a catalogue entry: any extended resource that may be an accelerator, with its count."""

from __future__ import annotations

import re
from collections.abc import Collection

from topology.model import Accelerator
from topology.resources import Resources

NAME = "generic"

_NO_CARDS = frozenset(
    {
        # network devices and helpers of virtual machines
        "rdma", "roce", "sriov", "hca", "nic", "eni", "vf", "ib", "efa", "ip", "ipv4", "kvm", "tun", "vhost",
        "fuse", "netdevice", "macvtap", "bridge",
        # parts of a card
        "mem", "memory", "vmemory", "vmem", "gpumem", "core", "cores", "vcore", "gpucores", "percentage",
        "shared", "share", "slice", "batch", "millicores", "tiles", "monitoring", "neuroncore",
        "vgpu", "mgpu", "sgpu", "vcuda", "vnpu", "vxpu",
    }
)  # fmt: skip
_CARDS = re.compile(r"[abd-z]pu|accelerator|gaudi|neuron|mlu|[dhg]cu")


def looks_like_cards(resource: str) -> bool:
    """Whether the name says that it counts cards."""
    name = resource.lower()
    return bool(_CARDS.search(name)) and not _NO_CARDS & set(re.split(r"[^a-z0-9]+", name))


def read(allocatable: Resources, known: Collection[str]) -> Accelerator | None:
    """The extended resource that looks most like cards; None when there is none.

    ``known`` are the domains of catalogue vendors: what they advertise besides whole cards are shares.
    """
    names = [
        name
        for name in allocatable
        if allocatable[name] > 0
        and "/" in name
        and name.partition("/")[0] not in known
        and "kubernetes.io" not in name.partition("/")[0]
        and not _NO_CARDS & set(re.split(r"[^a-z0-9]+", name.lower()))
    ]
    resource = min(names, key=lambda name: (not _CARDS.search(name.lower()), name), default=None)
    if resource is None:
        return None
    return Accelerator(
        device_class=resource, vendor=NAME, resource=resource, count=allocatable[resource]
    )
