"""Members that came back alone although their owner restarts all that belongs together. Pure.

LeaderWorkerSet builds a group anew when it sees a pod of it being deleted. One that ends at once may be back
before it looks (kubernetes-sigs/lws#998): then only that pod is new, and nobody but us will notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from scheduler.model import Code, Gang, Member, Minimum, Reason
from scheduler.progress import Limits, whole
from scheduler.reservation import Reservation, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Fewer members run below a root than once did, although the root is the same and runs on."""

    root: Member
    back: str
    """The member that has come back alone; empty while none has."""


def started(gang: Gang, known: Minimum | None) -> Minimum | None:
    """The gang's minimum when it last was whole, and what ran below its roots; ``known`` is on record."""
    if not whole(gang):
        return known
    before = known.below if known is not None else {}
    ran = {root: max(count, before.get(root, 0)) for root, count in _below(gang).items()}
    return replace(gang.minimum, below=ran)


def losses(gang: Gang, known: Minimum | None) -> tuple[Loss, ...]:
    """The roots, in the order of members, that must start anew since a member below them was lost.

    What was never bound is not lost: nothing is asked for a group that has not run whole, nor for one to
    which members are added. A root that is being deleted is no member any more: its owner is at it.
    """
    pending = [member for podset in gang.podsets for member in podset.pending]
    if known is None or not known.below or not pending:
        return ()
    below, roots = _below(gang), set(gang.restarts_with.values())
    found = []
    for podset in gang.podsets:
        for root in podset.running:
            if root.uid in roots and below[root.uid] < known.below.get(root.uid, 0):
                own = (m.pod for m in pending if gang.restarts_with.get(m.uid) == root.uid)
                found.append(Loss(root=root, back=next(own, "")))
    return tuple(found)


def reason(gang: Gang, loss: Loss, limits: Limits) -> Reason:
    """Why the gang's pending members are not placed."""
    back = f"pod {loss.back} came back alone" if loss.back else "a member has ended"
    running = sum(len(podset.running) for podset in gang.podsets)
    return Reason(
        code=Code.OWNER_RESTARTS,
        message=(
            f"{back}, and {gang.workload} restarts all pods of {loss.root.pod} together when one of them "
            f"ends. If it does not within {limits.restart_seconds:g} s, Muster evicts {loss.root.pod}, so "
            "that all of them are made anew"
        ),
        numbers={"membersRunning": running},
    )


def ending(
    reservations: Iterable[Reservation], now_seconds: float, limits: Limits
) -> dict[str, Reason]:
    """Why the next life of a restarting gang is not planned yet, by key: pods of the last one still stand on
    its places, which would have to be looked for elsewhere. Not longer than ``reserve_seconds``."""
    found = {}
    for reservation in reservations:
        left = len(reservation.bound) if reservation.state is State.RESTARTING else 0
        if left and now_seconds - reservation.since_seconds <= limits.reserve_seconds:
            message = "1 pod of its last life has not ended"
            if left > 1:
                message = f"{left} pods of its last life have not ended"
            found[reservation.key] = Reason(
                code=Code.OWNER_RESTARTS,
                message=message,
                numbers={"membersEnding": left},
            )
    return found


def _below(gang: Gang) -> Mapping[str, int]:
    running = (member.uid for podset in gang.podsets for member in podset.running)
    above = ((uid, gang.restarts_with.get(uid)) for uid in running)
    return Counter(root for uid, root in above if root is not None and root != uid)
