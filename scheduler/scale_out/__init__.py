"""How many more nodes of a flavor a waiting gang needs. Pure.

For each flavor of the gang, best first: the fewest new, empty nodes with which the solver places the gang
there, and on no other flavor. A new node is a copy of one that serves the flavor already; where the gang
requires a level, or slices, it stands where fewest are needed. Each advice is for its gang alone: two
gangs that wait for the same node need one each.

The solver is asked again and again, so the fleet is cut down first to the nodes that have room: where a
gang waits, these are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from scheduler.advice import ScaleOut
from scheduler.model import Code, Gang, GangAssignment, Plan, PodSet
from scheduler.policy import Policy
from scheduler.scale_out import words
from scheduler.scale_out.case import Case, case_of
from scheduler.scale_out.places import Stock
from scheduler.scale_out.trial import Trial
from scheduler.snapshot import Snapshot

__all__ = ["Advisor", "beside", "scale_out", "wanted"]

CAPACITY = frozenset(
    {
        Code.NO_NODES, Code.INSUFFICIENT, Code.TOPOLOGY_TOO_SMALL, Code.YIELDED_TO, Code.REFUSED,
        Code.PINNED_TO_RUNNING,
    }
)  # fmt: skip
"""Reasons to wait that more nodes may end."""
_ASKED = CAPACITY | {Code.TIME_LIMIT}  # the solver gets no time here for what takes some
MOST = 50
"""Gangs of one plan that get advice: it takes some hundredths of a second for each."""
_KINDS = 3
"""Kinds of nodes of one flavor that are tried, the most common first."""


def wanted(assignment: GangAssignment) -> bool:
    """Whether the gang waits for something that more nodes may give it."""
    reason = assignment.reason
    return not assignment.placed and reason is not None and reason.code in CAPACITY


def scale_out(
    snapshot: Snapshot, plan: Plan, policy: Policy = Policy(), most: int = MOST
) -> Mapping[str, tuple[ScaleOut, ...]]:
    """The advice for the first ``most`` gangs that wait in ``plan``, by key; what is placed stays there."""
    waiting = [assignment.key for assignment in plan.assignments if wanted(assignment)][:most]
    advisor = Advisor(beside(snapshot, plan), policy)
    gangs = {gang.key: gang for gang in snapshot.gangs}
    return {key: advisor.advise(gangs[key]) for key in waiting}


def beside(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """The snapshot with the places of ``plan`` held: what it leaves for gangs that wait."""
    reserved = {assignment.key for assignment in snapshot.reservations}
    placed = (a for a in plan.assignments if a.placed and a.slots and a.key not in reserved)
    return replace(snapshot, reservations=(*snapshot.reservations, *placed))


class Advisor:
    """Advice on one snapshot for any number of gangs; what they have in common is worked out once."""

    def __init__(self, snapshot: Snapshot, policy: Policy = Policy()) -> None:
        self._snapshot, self._policy = snapshot, policy
        self._stock = Stock(snapshot)
        self._reserved = {assignment.key for assignment in snapshot.reservations}
        self._known: dict[bytes, tuple[ScaleOut, ...]] = {}

    def advise(self, gang: Gang) -> tuple[ScaleOut, ...]:
        """One advice for each flavor that more nodes can help, best flavor first.

        Empty for a gang that cannot be planned, is reserved, or fits as it is.
        """
        if gang.blocked is not None or gang.key in self._reserved:
            return ()
        same = _sameness(gang)
        if same not in self._known:
            self._known[same] = self._advise(gang)
        return self._known[same]

    def _advise(self, gang: Gang) -> tuple[ScaleOut, ...]:
        found: list[ScaleOut] = []
        for flavor in gang.flavors or (None,):
            case = case_of(gang, flavor, self._snapshot.levels)
            advice = self._on(case) if case is not None else None
            if advice is not None and advice.nodes == 0:
                return ()
            if advice is not None:
                found.append(advice)
        return words.with_cheapest(found)

    def _on(self, case: Case) -> ScaleOut | None:
        """The advice on one flavor; None when nodes are not what the gang lacks there."""
        trial = Trial(self._snapshot, self._stock.base(case), case.gang, self._policy)
        now = trial.with_nodes(())
        if now.placed:
            return ScaleOut(flavor=case.name, message="it fits", nodes=0)
        if now.reason is None or now.reason.code not in _ASKED:
            return None
        pinned = now.reason.code is Code.PINNED_TO_RUNNING
        kinds = self._stock.kinds(case)
        for kind in kinds[:_KINDS]:
            places = self._stock.places(case, kind)
            used = trial.fewest(
                [place.node for place in places],
                guess=min((case.guess(place.node, place.room) for place in places), default=0),
                limit=case.pending if places else 0,
            )
            if used:
                return words.known(case, used, proven=trial.proven)
        if pinned or not trial.proven:
            return None
        like = kinds[0].nodes[0] if kinds else self._stock.stranger(case)
        return words.unknown(case) if like is None else words.hopeless(case, like)


def _sameness(gang: Gang) -> bytes:
    """Equal for gangs that differ in names and times only, as replicas of one workload do."""
    stripped = replace(
        gang,
        name="",
        created_seconds=0,
        workload="",
        incarnation="",
        roots=(),
        podsets=tuple(map(_nameless, gang.podsets)),
        variants=tuple(
            replace(variant, podsets=tuple(map(_nameless, variant.podsets)))
            for variant in gang.variants
        ),
    )
    return msgspec.json.encode(stripped)


def _nameless(podset: PodSet) -> PodSet:
    members = tuple(replace(member, pod="", uid="") for member in podset.members)
    return replace(podset, members=members)
