"""Which NICs belong to which accelerators: link kinds, compute NICs, rails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from topology.model import Nic
from topology.scan.outputs import Matrix
from topology.scan.pci import NEARNESS, SWITCH_KINDS, PciDevice, kind_between
from topology.scan.report import Device, Link

_RANK = {kind: rank for rank, kind in enumerate(NEARNESS)}
_FAR = len(NEARNESS)

Kinds = Mapping[tuple[str, str], str]
"""(address of an accelerator, device of a NIC) -> link kind."""


def pci_links(
    accelerators: Sequence[Device],
    nics: Sequence[Nic],
    pci: Mapping[str, PciDevice],
    supplied: Mapping[str, PciDevice],
) -> tuple[Link, ...]:
    """Links between accelerators and RDMA devices by their place on the bus, the farthest (SYS) included.

    ``supplied`` is NCCL's topology file, which counts where the machine hides its bus.
    """
    found = []
    for card in accelerators:
        for nic in nics:
            for source, devices in (("nccl-xml", supplied), ("pci", pci)):
                a, b = devices.get(card.pci), devices.get(nic.pci)
                kind = kind_between(a, b) if nic.device and a and b else None
                if kind is not None:
                    found.append(Link(a=card.pci, b=nic.device, kind=kind, source=source))
                    break
    return tuple(found)


def matrix_links(matrix: Matrix, accelerators: Sequence[Device], source: str) -> tuple[Link, ...]:
    """Links as a tool prints them; numbers of accelerators become their addresses."""
    address = {card.index: card.pci or str(card.index) for card in accelerators}

    def end(name: str) -> str:
        number = int(name[3:])
        if name.startswith("NIC"):
            return matrix.nics.get(name, name)
        return address.get(number, str(number))

    return tuple(
        Link(a=end(a), b=end(b), kind=kind, source=source)
        for (a, b), kind in matrix.links.items()
        if not a.startswith("NIC")
    )


def with_groups(accelerators: Sequence[Device], matrix: Matrix) -> tuple[Device, ...]:
    """The accelerators with the group that direct links make of them."""
    groups = {int(name[3:]): group for name, group in matrix.groups().items()}
    return tuple(replace(card, group=groups.get(card.index)) for card in accelerators)


def with_rails(
    nics: Sequence[Nic],
    accelerators: Sequence[Device],
    links: Sequence[Link],
    product: Callable[[Nic], str],
) -> tuple[Nic, ...]:
    """The NICs with ``compute`` and ``rail`` set.

    Compute NICs are the physical RDMA ports that share a PCIe switch with an accelerator, all physical RDMA
    ports where none does; of these the ``product`` with the fastest link. A port of that product that is
    down or slow is one of them all the same. A rail is the place of a NIC among them in the order of the
    accelerators beside it: it does not move when another NIC is missing. Without accelerators, and where
    nothing says which are near, there are no rails.
    """
    kinds = {(link.a, link.b): link.kind for link in links}
    compute = _compute(nics, accelerators, kinds, product)
    rails = _rails(compute, accelerators, kinds)
    return tuple(
        replace(nic, compute=nic.device in rails, rail=rails.get(nic.device)) if nic.device else nic
        for nic in nics
    )


def _nearest(nic: Nic, accelerators: Sequence[Device], kinds: Kinds) -> tuple[int, tuple[int, ...]]:
    """The least distance to an accelerator, and the positions of those at that distance."""
    ranks = [_RANK.get(kinds.get((card.pci, nic.device), ""), _FAR) for card in accelerators]
    best = min(ranks, default=_FAR)
    return best, tuple(i for i, rank in enumerate(ranks) if rank == best and best < _FAR)


def _compute(
    nics: Sequence[Nic],
    accelerators: Sequence[Device],
    kinds: Kinds,
    product: Callable[[Nic], str],
) -> list[Nic]:
    ports = [nic for nic in nics if nic.device and not nic.virtual]
    ports = ports or [nic for nic in nics if nic.device]  # a machine that was given functions only
    switched = [nic for nic in ports if _nearest(nic, accelerators, kinds)[0] < len(SWITCH_KINDS)]
    ports = switched or ports
    rates: dict[str, float] = defaultdict(float)
    for nic in ports:
        rates[product(nic)] = max(rates[product(nic)], (nic.rate_gbps or 0) if nic.up else 0)
    fastest = max(rates.values(), default=0)
    return [nic for nic in ports if rates[product(nic)] == fastest]


def _rails(
    compute: Sequence[Nic], accelerators: Sequence[Device], kinds: Kinds
) -> dict[str, int | None]:
    """RDMA device -> rail. NICs that are equally near to the same accelerators share these in order."""
    nearest = {nic.device: _nearest(nic, accelerators, kinds) for nic in compute}
    best = min((rank for rank, _ in nearest.values()), default=_FAR)
    beside: dict[tuple[int, ...], list[Nic]] = defaultdict(list)
    rails: dict[str, int | None] = {}
    for nic in compute:
        rank, cards = nearest[nic.device]
        if rank == best < _FAR:
            beside[cards].append(nic)
        else:
            rails[nic.device] = None  # its accelerator is missing, or nothing is known
    if best == _FAR:
        return rails
    # Accelerators whose NIC is missing keep its place.
    size = max(len(cards) for cards in beside)
    left = sorted(set(range(len(accelerators))) - {card for cards in beside for card in cards})
    for first in range(0, len(left), size):
        beside[tuple(left[first : first + size])] = []
    width = max(len(here) for here in beside.values())
    for number, cards in enumerate(sorted(beside)):
        here = sorted(beside[cards], key=lambda nic: (nic.pci, nic.device))
        rails |= {nic.device: number * width + place for place, nic in enumerate(here)}
    return rails
