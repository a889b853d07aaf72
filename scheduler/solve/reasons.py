"""Why a gang waits or sits where it sits, in numbers. The wording depends on the snapshot alone, so it
does not change from cycle to cycle while nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from scheduler.model import Code, Gang, GangAssignment, PassedOver, Reason
from scheduler.snapshot import Snapshot
from scheduler.solve.decide import Decision
from scheduler.solve.ground import Ground
from scheduler.solve.lack import Lack
from scheduler.solve.one import settle
from scheduler.solve.problem import Problem

TEXT_LIMIT = 1000
"""Characters of an event's message that Kubernetes keeps are 1,024; a Gang status shows the same text."""
_NAMES = 3
"""Names that are listed before "and N more"."""
_WEIGHT = (
    Code.YIELDED_TO, Code.TIME_LIMIT, Code.REFUSED, Code.INSUFFICIENT, Code.TOPOLOGY_TOO_SMALL,
    Code.NO_NODES, Code.PINNED_TO_RUNNING, Code.RESOURCES_DIFFER, Code.MEMBERS_DIFFER,
)  # fmt: skip
"""A waiting gang's code is that of the flavor on which it comes closest to a place."""


class Why:
    """The reasons of one decision."""

    def __init__(self, snapshot: Snapshot, problem: Problem, decision: Decision) -> None:
        self._snapshot, self._problem, self._decision = snapshot, problem, decision

    @cached_property
    def _lack(self) -> Lack:
        return Lack(self._problem, self._snapshot)

    def incomplete(self, gang: Gang) -> Reason | None:
        """Why a gang without pending members does not run whole; None when it does."""
        running = [len(podset.running) for podset in gang.podsets]
        enough = all(n >= podset.min_count for n, podset in zip(running, gang.podsets, strict=True))
        if enough and sum(running) >= gang.min_members:
            return None
        return Reason(
            code=Code.MEMBERS_MISSING,
            message=f"{sum(running)} of {gang.min_members} members run and no other exists",
            numbers={"membersPresent": sum(running), "membersNeeded": gang.min_members},
        )

    def passed_over(self, gang: Gang, number: int) -> tuple[PassedOver, ...]:
        """Every flavor better than the chosen one, or every flavor of a gang that waits, and why."""
        row = self._problem.gangs[number]
        option = self._decision.choice.options[number]
        rank = row.options[option].rank if option is not None else len(row.flavors)
        if option is None and self._decision.choice.placed(self._problem, number):
            rank = 0  # stays as it is: no flavor was chosen
        return tuple(
            PassedOver(flavor=flavor.name, reason=self._flavor(gang, number, index))
            for index, flavor in enumerate(row.flavors[:rank])
            if flavor.name is not None
        )

    def _flavor(self, gang: Gang, number: int, rank: int) -> Reason:
        row = self._problem.gangs[number]
        flavor = row.flavors[rank]
        if flavor.refusal is not None:
            return flavor.refusal
        options = [index for index, option in enumerate(row.options) if option.rank == rank]
        if not options:
            return Reason(
                code=Code.PINNED_TO_RUNNING,
                message="running members stand on two classes of accelerators",
            )
        if len(gang.podsets) and _present(gang) < gang.min_members:
            return Reason(
                code=Code.MEMBERS_MISSING,
                message=f"{_present(gang)} of {gang.min_members} members exist",
                numbers={"membersPresent": _present(gang), "membersNeeded": gang.min_members},
            )
        found, proven = None, True
        if number not in self._decision.hopeless:
            found, proven = settle(self._problem, number, Ground.of(self._problem), options)
        if found is None:
            if not proven and self._decision.status != "optimal":
                return Reason(
                    code=Code.TIME_LIMIT, message="no place was found in the time allowed"
                )
            return self._lack.reason(gang, number, [row.options[o] for o in options], flavor.serves)
        return self._fewer(number, found.missing) or self._yielded(number, options)

    def _fewer(self, number: int, missing: int) -> Reason | None:
        """An elastic gang takes the flavor on which more of its members get a place."""
        row, choice = self._problem.gangs[number], self._decision.choice
        pending = sum(self._problem.roles[role].pending for role in row.roles)
        taken = sum(sum(choice.counts[role].values()) for role in row.roles)
        if not choice.placed(self._problem, number) or pending - taken >= missing:
            return None
        return Reason(
            code=Code.INSUFFICIENT,
            message=f"{pending - missing} of {pending} members would fit, {taken} do on the chosen flavor",
            numbers={"membersNeeded": taken, "membersFit": pending - missing},
        )

    def _yielded(self, number: int, options: Sequence[int]) -> Reason:
        """It would fit if it were alone: name those that stand where it could."""
        row, choice = self._problem.gangs[number], self._decision.choice
        open_ = {
            node
            for option in options
            for mask in row.options[option].masks
            for node in mask.nonzero()[0].tolist()
        }
        others = [
            other.key
            for index, other in enumerate(self._problem.gangs)
            if index != number
            and any(not open_.isdisjoint(choice.counts[role]) for role in other.roles)
        ]
        if not others:
            return Reason(
                code=Code.YIELDED_TO,
                message="it would fit alone, but all gangs together do better this way",
                numbers={"gangs": 0},
            )
        return Reason(
            code=Code.YIELDED_TO,
            message=f"it would fit alone; {listed(others)} took the room",
            numbers={"gangs": len(others)},
        )

    def waiting(self, gang: Gang, number: int, passed: Sequence[PassedOver]) -> Reason:
        """Why the gang waits: members present, flavors tried, what is missing where."""
        reasons = [item.reason for item in passed] or [self._flavor(gang, number, 0)]
        best = min(reasons, key=_closeness)
        head = f"{_present(gang)} of {gang.size} members present"
        if passed:
            head += f", flavors tried: {listed([item.flavor for item in passed], 8)}"
            parts = [f"{item.flavor}: {item.reason.message}" for item in passed]
        else:
            parts = [best.message]
        numbers = {"membersPresent": _present(gang), "flavorsTried": len(passed), **best.numbers}
        return Reason(
            code=best.code, message=clipped("; ".join((head, *parts)), 900), numbers=numbers
        )

    def flavor_of_running(self, gang: Gang) -> tuple[str | None, int]:
        """The first flavor that the nodes of all running members serve, with its rank."""
        places = {
            member.node
            for podset in gang.podsets
            if podset.follows_flavors
            for member in podset.running
        }
        states = [state.node for state in self._snapshot.nodes if state.node.name in places]
        for rank, flavor in enumerate(gang.flavors if states else ()):
            wanted = flavor.node_selector.items()
            if all(
                all(node.labels.get(key) == value for key, value in wanted)
                and (
                    flavor.device_class is None
                    or (
                        node.accelerator is not None
                        and node.accelerator.device_class == flavor.device_class
                    )
                )
                for node in states
            ):
                return flavor.name, rank
        return None, 0


def _closeness(reason: Reason) -> int:
    return _WEIGHT.index(reason.code) if reason.code in _WEIGHT else len(_WEIGHT)


def _present(gang: Gang) -> int:
    return sum(len(podset.members) for podset in gang.podsets)


def listed(names: Sequence[str], most: int = _NAMES) -> str:
    """``a, b and 5 more``: a list of bounded length."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def clipped(text: str, limit: int = TEXT_LIMIT) -> str:
    """``text`` in at most ``limit`` characters."""
    return text if len(text) <= limit else f"{text[: limit - 3].rstrip()}..."


def explain(gang: Gang, assignment: GangAssignment) -> str:
    """The text about one gang for people: ``muster explain``, its event and its status all show it.

    At most 1,000 characters; the same for equal arguments.
    """
    if not assignment.placed:
        reason = assignment.reason
        return clipped(f"waits: {reason.message if reason else 'not decided yet'}")
    running = sum(len(podset.running) for podset in gang.podsets)
    parts = [_placed(gang, assignment, running)]
    parts += [
        f"{item.flavor} passed over: {item.reason.message}" for item in assignment.passed_over
    ]
    return clipped("; ".join(parts))


def _placed(gang: Gang, assignment: GangAssignment, running: int) -> str:
    slots = assignment.slots
    text = f"{len(slots)} of {gang.size} members placed" if slots else "placed"
    if running:
        text += f", {running} run" if slots else f": {running} of {gang.size} members run"
    if assignment.flavor is not None:
        text += (
            f", on {assignment.flavor} (choice {assignment.flavor_rank + 1} of {len(gang.flavors)})"
        )
    nodes = len({slot.node for slot in slots})
    if nodes:
        text += f", on {nodes} {'node' if nodes == 1 else 'nodes'}"
    levels = [item for item in assignment.domains.items() if len(item[1]) <= _NAMES]
    for level, names in levels[-1:] or list(assignment.domains.items())[:1]:
        text += f", in {level} {listed(names)}"
    return text
