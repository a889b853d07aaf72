"""What the gauges show, counted from the state and the ledger when somebody reads the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from extender.metrics import Picture
from scheduler.gang_object import Phase
from scheduler.ledger import Ledger
from scheduler.reservation import HOLDING
from scheduler.state import ClusterState

if TYPE_CHECKING:
    from scheduler.kube.reflector import Counters


def picture(
    state: ClusterState,
    ledger: Ledger,
    watched: Mapping[str, Counters],
    *,
    synced: bool,
    leader: bool,
) -> Picture:
    """``watched`` is ``Watches.counters()``. Phases are those on record: reading them needs no decision."""
    gangs: Counter[tuple[str, str]] = Counter()
    for obj in state.gang_objects.values():
        status = obj.get("status") or {}
        gangs[status.get("phase") or Phase.WAITING.value, status.get("reason") or ""] += 1
    held = [reservation for reservation in ledger if reservation.state in HOLDING]
    return Picture(
        gangs=gangs,
        reserved_gangs=len(held),
        reserved_slots=sum(len(reservation.holds) for reservation in held),
        nodes=len(state.nodes),
        pods=len(state.pods),
        synced=synced,
        leader=leader,
        relists={kind: counters.lists for kind, counters in watched.items()},
        reconnects={kind: counters.reconnects for kind, counters in watched.items()},
    )
