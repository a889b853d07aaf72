"""What pictures and trees of the fleet have in common: its domains, what is free, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from scheduler.snapshot import Snapshot
from topology.model import Node


def free_cards(snapshot: Snapshot) -> dict[str, int]:
    """Accelerator cards of each node that neither pods nor reservations use."""
    reserved: Counter[tuple[str, str]] = Counter()
    for reservation in snapshot.reservations:
        for slot in reservation.slots:
            for name in slot.request:
                reserved[slot.node, name] += slot.request[name]
    free = {}
    for state in snapshot.nodes:
        cards = state.node.accelerator
        name = state.node.name
        left = state.free[cards.resource] - reserved[name, cards.resource] if cards else 0
        free[name] = max(left, 0)
    return free


def parts(snapshot: Snapshot, depth: int, lo: int, hi: int) -> Iterator[tuple[int, int, int]]:
    """(level index, lo, hi) of the domains in ``[lo, hi)``; unknown levels are left out."""
    while lo < hi:
        level = depth
        domain = snapshot.tree.domains[level][int(snapshot.tree.domain_of[level, lo])]
        while not domain.known:
            level += 1
            domain = snapshot.tree.domains[level][int(snapshot.tree.domain_of[level, lo])]
        yield level, domain.lo, domain.hi
        lo = domain.hi


def label(snapshot: Snapshot, level: int, node: int) -> str:
    """Level and value of the domain that a node is in; for the host level its name."""
    domain = snapshot.tree.domains[level][int(snapshot.tree.domain_of[level, node])]
    is_host = level == len(snapshot.levels) - 1
    # A value of a label has no slash; the values in front of it are on the lines above.
    return domain.name if is_host else f"{snapshot.levels[level]} {domain.name.rpartition('/')[2]}"


def flags(node: Node) -> list[str]:
    """What is wrong with a node, in a few words."""
    words = [] if node.ready else ["not ready"]
    words += ["cordoned"] if node.unschedulable else []
    words += ["quarantined"] if node.quarantined else []
    words += ["1 problem"] if len(node.problems) == 1 else []
    words += [f"{len(node.problems)} problems"] if len(node.problems) > 1 else []
    return words


def scale_up_domains(snapshot: Snapshot) -> Mapping[str, tuple[str, ...]]:
    """The NVLink domains and super-pods larger than a node -> their nodes, all in order."""
    found: dict[str, list[str]] = {}
    for state in snapshot.nodes:
        if state.node.scale_up is not None:
            found.setdefault(state.node.scale_up, []).append(state.node.name)
    return {name: tuple(found[name]) for name in sorted(found)}
