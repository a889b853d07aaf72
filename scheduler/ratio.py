"""The ratio of prefill to decode members while a gang grows. Pure.

A gang whose roles have minimums runs with some of its members. The numbers that it may have form a *ladder*:
each *rung* says how many members of each paced PodSet (``PodSet.replica``) there are, running and new ones
together, counted in whole replicas.

- The lowest rung is the *base*: of each PodSet its minimum, or what runs where that is more. The highest
  is all that is wanted.
- Of the PodSets that still can grow, the one of which fewest replicas are wanted leads. Where it has k of its
  n, every other PodSet has k/n of its own, to the nearest replica and halves down; never less than the base.
- Where members that are there already put some PodSets ahead, those that are behind catch up: replica by
  replica, in proportion if they are several.

So 2 prefill and 4 decode members with a minimum of one each go 1:1, 1:2, 2:4; 1 and 8 go 1:1, 1:2, ... 1:8.
Prefill and decode are treated alike. Where nobody is ahead, every PodSet is within half a replica of its
share. No rung has less of anything than the one below, so nobody that is placed has to go for the sake of
the ratio; and what runs off the ladder (a member was lost, or another ratio is asked for since) blocks
nothing: the ladder starts from it. That no member is added is always allowed.

The rule is our own: DisaggregatedSet has no field for a ratio, it is that of the replicas of its roles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scheduler.model import PodSet

PREFILL, DECODE = "prefill", "decode"


def is_role(role: str, kind: str) -> bool:
    """Whether a PodSet's role is ``prefill`` or ``decode`` (or ``prefill-leader`` and the like)."""
    return role == kind or role.startswith(f"{kind}-")


def paced(podsets: Sequence[PodSet]) -> tuple[PodSet, ...]:
    """The PodSets that keep their ratio; none where all of them start whole."""
    found = tuple(podset for podset in podsets if podset.replica is not None)
    return found if any(podset.min_count < podset.size for podset in found) else ()


def rungs(podsets: Sequence[PodSet]) -> tuple[tuple[int, ...], ...]:
    """The numbers of members, running and new, that ``paced(podsets)`` may have; ascending.

    Shape (rungs, PodSets); empty without such PodSets.
    """
    found = paced(podsets)
    base = tuple(_replicas(p, max(p.min_count, len(p.running))) for p in found)
    most = tuple(_replicas(p, max(p.size, len(p.members))) for p in found)
    return tuple(
        tuple(count * (p.replica or 1) for count, p in zip(rung, found, strict=True))
        for rung in _ladder(base, most)
    )


def start(podsets: Sequence[PodSet], least: int) -> tuple[int, ...]:
    """The members of each PodSet with which a gang of the minimum ``least`` starts: its minimum, or the first
    rung on which the gang can reach ``least``."""
    own = paced(podsets)
    others = sum(podset.size for podset in podsets if podset not in own)
    ladder = rungs(podsets)
    enough = [rung for rung in ladder if sum(rung) + others >= least] or ladder[-1:]
    first = dict(zip((p.role for p in own), enough[0], strict=True)) if enough else {}
    return tuple(first.get(podset.role, podset.min_count) for podset in podsets)


def following(podsets: Sequence[PodSet], have: Mapping[str, int]) -> dict[str, int]:
    """The members of each role on the first rung that has more than ``have``; empty on the last."""
    roles = [podset.role for podset in paced(podsets)]
    for rung in rungs(podsets):
        more = [count - have.get(role, 0) for role, count in zip(roles, rung, strict=True)]
        if min(more) >= 0 and any(more):
            return dict(zip(roles, rung, strict=True))
    return {}


def _replicas(podset: PodSet, members: int) -> int:
    """Replicas of which at least one of ``members`` is a part."""
    return -(-members // (podset.replica or 1))


def _ladder(base: tuple[int, ...], most: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The rungs in replicas."""
    if not base:
        return
    rung = base
    yield rung
    leader = min((m for b, m in zip(base, most, strict=True) if b < m), default=0)
    for lead in range(1, leader + 1):
        goal = (max(b, _share(lead, leader, m)) for b, m in zip(base, most, strict=True))
        gaps = [count - before for count, before in zip(goal, rung, strict=True)]
        pieces = min((gap for gap in gaps if gap), default=0)
        before = rung
        for piece in range(1, pieces + 1):
            rung = tuple(b + _share(piece, pieces, g) for b, g in zip(before, gaps, strict=True))
            yield rung


def _share(part: int, parts: int, whole: int) -> int:
    """``part / parts`` of ``whole``, to the nearest integer and halves down."""
    return -((parts - 2 * part * whole) // (2 * parts))
