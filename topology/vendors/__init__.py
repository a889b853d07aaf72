"""The vendor catalogue: which cards a node has, by the labels and resources of each vendor's plugin.

To add a vendor: one file here with a ``Vendor`` value, one line in ``VENDORS``, one folder of fixtures in
``tests/fixtures/vendors``. A vendor that is not in the catalogue still works: ``generic`` counts any
extended resource that a node advertises.
"""

from __future__ import annotations

from collections.abc import Mapping

from topology.model import Accelerator, Problem
from topology.resources import Resources
from topology.vendors import ascend, nvidia
from topology.vendors.catalogue import Vendor, reveal

VENDORS: tuple[Vendor, ...] = (nvidia.VENDOR, ascend.VENDOR)


def read_accelerator(
    labels: Mapping[str, str], allocatable: Resources, subject: str
) -> tuple[Accelerator | None, str | None, tuple[Problem, ...]]:
    """The node's cards, its scale-up domain, and what is wrong.

    A node with cards of two vendors, or under two names of one vendor, is ambiguous: it gets a Problem
    and no accelerator; the caller quarantines it.
    """
    found = [
        (vendor, found) for vendor in VENDORS if (found := reveal(vendor, labels, allocatable))
    ]
    if not found:
        return _generic(allocatable), None, ()
    cards = [(vendor, accelerator) for vendor, list_ in found for accelerator in list_]
    if len(cards) > 1:
        names = " and ".join(accelerator.resource for _, accelerator in cards)
        problem = Problem(
            subject=subject,
            field="status.allocatable",
            message=f"cards under {names}; a node has one kind of card, so it is not used for gangs",
        )
        return None, None, (problem,)
    vendor, accelerator = cards[0]
    return accelerator, labels.get(vendor.scale_up or ""), vendor.check(labels, subject)


def _generic(allocatable: Resources) -> Accelerator | None:
    """Any other vendor: the extended resource with the most units, by name when equal."""
    # A known vendor's slices and shares are no cards either.
    known = {name.partition("/")[0] for vendor in VENDORS for name in vendor.resources}
    extended = [
        name
        for name in allocatable
        if "/" in name
        and not name.startswith(("kubernetes.io/", "hugepages-", "attachable-"))
        and name.partition("/")[0] not in known
        and not _is_network(name)
        and allocatable[name] > 0
    ]
    if not extended:
        return None
    resource = min(extended, key=lambda name: (-allocatable[name], name))
    return Accelerator(
        device_class=resource,
        vendor=resource.partition("/")[0],
        resource=resource,
        count=allocatable[resource],
    )


def _is_network(resource: str) -> bool:
    """RDMA devices and virtual functions are no accelerator cards."""
    words = resource.lower().replace("/", "-").replace("_", "-").replace(".", "-").split("-")
    return bool({"rdma", "sriov", "hca", "nic", "vf", "kvm", "tun", "vhost"} & set(words))
