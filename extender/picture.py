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
from topology.model import SCALE_UP

if TYPE_CHECKING:
    from scheduler.kube.reflector import Counters


DISAGREE, OTHER = "SourcesDisagree", "Other"
"""Codes of a node's problems that have none of their own: sources of topology that contradict each other."""


def _codes(state: ClusterState) -> Counter[str]:
    """Problems of nodes by code: a scanner's word such as LinkDown, else one of the two above."""
    levels = {*state.levels, SCALE_UP}
    found: Counter[str] = Counter()
    for problem in state.problems():
        if problem.subject.startswith("Node "):
            word = problem.field.isalpha() and problem.field[:1].isupper()
            other = DISAGREE if problem.field in levels else OTHER
            found[problem.field if word else other] += 1
    return found


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
        nodes_reported=state.reported,
        node_problems=_codes(state),
        synced=synced,
        leader=leader,
        relists={kind: counters.lists for kind, counters in watched.items()},
        reconnects={kind: counters.reconnects for kind, counters in watched.items()},
    )
