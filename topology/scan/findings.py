"""What is wrong on a node, from what was measured alone. Comparison with labels is the service's business."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from topology.model import Nic
from topology.scan.accelerators import Told
from topology.scan.report import Device, Finding

LINK_DOWN = "LinkDown"
SLOW_LINK = "SlowLink"
GID_MISMATCH = "GidMismatch"
ACCELERATOR_MISSING = "AcceleratorMissing"
MIXED_ACCELERATORS = "MixedAccelerators"
SCALE_UP_SPLIT = "ScaleUpSplit"
NO_ADDRESS = "NoAddress"
NO_RAIL = "NoRail"
UNREADABLE = "Unreadable"


def of_nics(nics: Sequence[Nic], accelerators: Sequence[Device]) -> Iterator[Finding]:
    """Compute NICs that are down or slower than their peers, and GID tables that differ.

    Ports that no accelerator talks through may be unused: that they are down is told and no problem.
    """
    compute = [nic for nic in nics if nic.compute]
    best = max((nic.rate_gbps for nic in compute if nic.up and nic.rate_gbps), default=None)
    for nic in compute:
        if not nic.up and accelerators:
            yield Finding(
                code=LINK_DOWN,
                detail=f"{nic.device} is {nic.state or 'unknown'}, {nic.phys_state or 'unknown'}; "
                f"it should be ACTIVE, LinkUp",
            )
        elif nic.up and best and nic.rate_gbps and nic.rate_gbps < best:
            yield Finding(
                code=SLOW_LINK,
                detail=f"{nic.device} runs at {nic.rate_gbps:g} Gb/s, its peers at {best:g} Gb/s",
            )
        if nic.rail is None and any(other.rail is not None for other in compute):
            yield Finding(
                code=NO_RAIL, detail=f"{nic.device} has no accelerator beside it, its peers have"
            )
    indices = Counter(nic.gid_index for nic in compute if nic.up and nic.link_layer == "Ethernet")
    if len(indices) > 1:
        usual = max(indices, key=lambda index: (indices[index], -(index or 0)))
        for nic in compute:
            if nic.up and nic.link_layer == "Ethernet" and nic.gid_index != usual:
                yield Finding(
                    code=GID_MISMATCH,
                    detail=f"{nic.device} has its RoCE v2 address at GID index {nic.gid_index}, "
                    f"its peers at {usual}",
                )


def of_accelerators(accelerators: Sequence[Device], told: Mapping[str, Told]) -> Iterator[Finding]:
    """Cards that the bus shows and the driver does not, or the other way; two models on one node."""
    vendors = {card.vendor for card in accelerators if card.pci in told}
    for card in accelerators:
        if card.vendor in vendors and card.pci not in told:
            yield Finding(
                code=ACCELERATOR_MISSING,
                detail=f"{card.pci} ({card.model}) is on the bus, but the driver does not have it",
            )
    for address in sorted(told.keys() - {card.pci for card in accelerators}):
        yield Finding(
            code=ACCELERATOR_MISSING,
            detail=f"{address} ({told[address].model}) is known to the driver, but not on the bus",
        )
    models = sorted({f"{card.vendor} {card.model}" for card in accelerators})
    if len(models) > 1:
        yield Finding(
            code=MIXED_ACCELERATORS, detail=f"{', '.join(models)}; a node should have one model"
        )
    domains = sorted({card.domain for card in accelerators if card.domain})
    if len(domains) > 1:
        yield Finding(code=SCALE_UP_SPLIT, detail=f"cards in several domains: {', '.join(domains)}")


def of_npus(accelerators: Sequence[Device], addresses: Mapping[int, str]) -> Iterator[Finding]:
    """NPUs whose own NIC has no address, where others have one (``/etc/hccn.conf``)."""
    for card in accelerators:
        if card.vendor == "ascend" and addresses and card.index not in addresses:
            yield Finding(
                code=NO_ADDRESS, detail=f"NPU {card.index} has no address_{card.index} in hccn.conf"
            )
