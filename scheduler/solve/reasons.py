"""Why a gang waits or sits where it sits, in numbers. The wording depends on the snapshot alone, so it
does not change from cycle to cycle while nothing changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from scheduler.model import Code, Gang, GangAssignment, PassedOver, PodSet, Reason
from scheduler.ratio import DECODE, following, is_role, paced, start
from scheduler.snapshot import Snapshot
from scheduler.solve.decide import Decision
from scheduler.solve.ground import Ground
from scheduler.solve.lack import Lack
from scheduler.solve.one import Settled, settle
from scheduler.solve.problem import Problem
from scheduler.solve.variants import as_on, variant
from topology.model import HOST, Flavor, Node

TEXT_LIMIT = 1000
"""Characters of an event's message that Kubernetes keeps are 1,024; a Gang status shows the same text."""
_NAMES = 3
"""Names that are listed before "and N more"."""
_WEIGHT = (
    Code.YIELDED_TO, Code.TIME_LIMIT, Code.REFUSED, Code.INSUFFICIENT, Code.TOPOLOGY_TOO_SMALL,
    Code.NO_NODES, Code.PINNED_TO_RUNNING, Code.CANNOT_REWRITE, Code.RESOURCES_DIFFER,
    Code.MEMBERS_DIFFER,
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
                message="running members stand on two classes of accelerators, or in two scale-up domains",
            )
        gang = as_on(gang, flavor.name)
        known = sum(len(podset.members) for podset in gang.podsets)
        if len(gang.podsets) and known < gang.min_members:
            return Reason(
                code=Code.MEMBERS_MISSING,
                message=f"{known} of {gang.min_members} members exist",
                numbers={"membersPresent": known, "membersNeeded": gang.min_members},
            )
        found, proven = None, True
        if number not in self._decision.hopeless:
            found, proven = settle(self._problem, number, Ground.of(self._problem), options)
        if found is None:
            if not proven and self._decision.status != "optimal":
                return Reason(
                    code=Code.TIME_LIMIT, message="no place was found in the time allowed"
                )
            # A mixed pair is spoken of only where running members leave nothing else.
            pure = [o for o in options if not row.options[o].mixed] or options
            return self._lack.reason(gang, number, [row.options[o] for o in pure], flavor.serves)
        return self._fewer(number, found) or self._yielded(number, options)

    def _fewer(self, number: int, found: Settled) -> Reason | None:
        """An elastic gang takes the flavor on which more of its members get a place."""
        row, choice = self._problem.gangs[number], self._decision.choice
        roles = self._problem.roles
        option = choice.options[number]
        wanted = sum(roles[role].pending for role in row.form_of(option).roles)
        taken = sum(sum(choice.counts[role].values()) for role in row.roles)
        if not choice.placed(self._problem, number) or wanted - taken >= found.missing:
            return None
        pending = sum(roles[role].pending for role in row.form_of(found.option).roles)
        fit = pending - found.missing
        return Reason(
            code=Code.INSUFFICIENT,
            message=f"{fit} of {pending} members would fit, {taken} do on the chosen flavor",
            numbers={"membersNeeded": pending - wanted + taken, "membersFit": fit},
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
        present = _present(gang)
        head = f"{present} of {gang.size} members present"
        if present < sum(len(podset.members) for podset in gang.podsets):
            head += " (the others are created later)"
        first = _starts(gang)
        if first:
            head += f", starts with {_counted(first)}"
        if passed:
            head += f", flavors tried: {listed([item.flavor for item in passed], 8)}"
            parts = [f"{item.flavor}: {item.reason.message}" for item in passed]
        else:
            parts = [best.message]
        numbers = {"membersPresent": present, "flavorsTried": len(passed), **best.numbers}
        numbers |= {f"membersToStart.{role}": count for role, count in first.items()}
        return Reason(
            code=best.code, message=clipped("; ".join((head, *parts)), 900), numbers=numbers
        )

    def flavor_of_running(self, gang: Gang) -> tuple[str | None, int]:
        """The first flavor that the nodes of all running members serve, with its rank; of a mixed pair the
        flavor of the prefill members with the worse rank of both."""
        followers = [podset for podset in gang.podsets if podset.follows_flavors]
        rank = self._served(gang, followers)
        if rank is not None:
            return gang.flavors[rank].name, rank
        decode = [podset for podset in followers if is_role(podset.role, DECODE)]
        first = self._served(gang, [podset for podset in followers if podset not in decode])
        second = self._served(gang, decode)
        if first is None or second is None:
            return None, 0
        return gang.flavors[first].name, max(first, second)

    def _served(self, gang: Gang, podsets: Sequence[PodSet]) -> int | None:
        """Rank of the first flavor that the nodes of all running members of ``podsets`` serve."""
        places = {member.node for podset in podsets for member in podset.running}
        nodes = [state.node for state in self._snapshot.nodes if state.node.name in places]
        ranks = (rank for rank, one in enumerate(gang.flavors) if all(_is(n, one) for n in nodes))
        return next(ranks, None) if nodes else None


def _is(node: Node, flavor: Flavor) -> bool:
    cards = node.accelerator
    return all(node.labels.get(k) == v for k, v in flavor.node_selector.items()) and (
        flavor.device_class is None
        or (cards is not None and cards.device_class == flavor.device_class)
    )


def _closeness(reason: Reason) -> int:
    return _WEIGHT.index(reason.code) if reason.code in _WEIGHT else len(_WEIGHT)


def _present(gang: Gang) -> int:
    """Members whose pods exist."""
    return sum(bool(member.uid) for podset in gang.podsets for member in podset.members)


def _starts(gang: Gang) -> dict[str, int]:
    """The members of each role that keeps a ratio, on the rung that the gang waits for."""
    own = [podset.role for podset in paced(gang.podsets)]
    counts = zip(gang.podsets, start(gang.podsets, gang.min_members), strict=True)
    return {podset.role: count for podset, count in counts if podset.role in own}


def _counted(roles: Mapping[str, int]) -> str:
    """``4 decode and 2 prefill``."""
    return listed([f"{count} {role}" for role, count in roles.items()], 8)


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
        text = f"waits: {reason.message if reason else 'not decided yet'}"
        return clipped("; ".join((text, *gang.notes)))
    running = sum(len(podset.running) for podset in gang.podsets)
    parts = [_placed(gang, assignment, running)]
    parts += [
        f"{item.flavor} passed over: {item.reason.message}" for item in assignment.passed_over
    ]
    return clipped("; ".join((*parts, *gang.notes)))


def _placed(gang: Gang, assignment: GangAssignment, running: int) -> str:
    slots, size = assignment.slots, as_on(gang, assignment.flavor).size
    text = f"{len(slots)} of {size} members placed" if slots else "placed"
    if running:
        text += f", {running} run" if slots else f": {running} of {size} members run"
    text += _next(as_on(gang, assignment.flavor), assignment)
    if assignment.flavor is not None:
        choice = f"choice {assignment.flavor_rank + 1} of {len(gang.flavors)}"
        text += f", on {assignment.flavor}{_decoding(gang, assignment)} ({choice})"
        text += " with pods made anew" if variant(gang, assignment.flavor) else ""
    nodes = len({slot.node for slot in slots})
    if nodes:
        text += f", on {nodes} {'node' if nodes == 1 else 'nodes'}"
    levels = [item for item in assignment.domains.items() if len(item[1]) <= _NAMES]
    for level, names in levels[-1:] or list(assignment.domains.items())[:1]:
        text += f", in {level} {listed(names)}"
    text += _sent(assignment)
    if assignment.load_seconds is not None:
        text += f"; loads its model in {assignment.load_seconds} s"
        text += f" ({assignment.load_elsewhere})" if assignment.load_elsewhere else ""
    return text


def _sent(assignment: GangAssignment) -> str:
    """What goes over the network, where neighbours in rank stand in different domains."""
    traffic = assignment.traffic
    crossed = [
        f"{count} {level} {'boundary' if count == 1 else 'boundaries'}"
        for level, count in (traffic.crossings.items() if traffic else ())
        if count and level != HOST
    ]
    if traffic is None or not crossed:
        return ""
    where = " and ".join(crossed)
    return f", ranks cross {where} ({traffic.milliseconds} ms of network for a long prompt)"


def _next(gang: Gang, assignment: GangAssignment) -> str:
    """What the gang grows to next, where its roles keep a ratio."""
    have = Counter(slot.role for slot in assignment.slots)
    have.update({podset.role: len(podset.running) for podset in gang.podsets})
    more = following(gang.podsets, have)
    return f" (the next step is {_counted(more)})" if more else ""


def _decoding(gang: Gang, assignment: GangAssignment) -> str:
    """The flavor of the decode members, where it is known to be another one."""
    worse = gang.flavors[assignment.flavor_rank : assignment.flavor_rank + 1]
    decodes = any(is_role(slot.role, DECODE) for slot in assignment.slots)
    if gang.connector is None or not decodes or not worse or worse[0].name == assignment.flavor:
        return ""
    return f", {DECODE} on {worse[0].name}"
