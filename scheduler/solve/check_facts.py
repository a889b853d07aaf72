"""What a snapshot and a plan say, laid out for the checker. Shares nothing with the solver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import ceil

from scheduler.model import Gang, GangAssignment, Plan, PodSet, TopologyRequest, Variant
from scheduler.policy import Policy
from scheduler.snapshot import NodeState, Snapshot
from topology.cost import transfer_costs
from topology.model import Accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """The members of one PodSet that stand somewhere, as node indices (one entry per member)."""

    podset: PodSet
    running: tuple[int, ...]
    """Members that run on a node of the snapshot."""
    new: tuple[int, ...]
    """Members that the plan places, by rank."""

    @property
    def all(self) -> tuple[int, ...]:
        """Running and new members together, which levels and slices are judged on."""
        return self.running + self.new


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One gang and where its members stand with the plan."""

    gang: Gang
    """With the PodSets and the minimum that it has on the flavor of the answer."""
    answer: GangAssignment
    crowds: tuple[Crowd, ...]

    @property
    def new(self) -> tuple[int, ...]:
        """Node of every new member."""
        return tuple(node for crowd in self.crowds for node in crowd.new)

    @property
    def all(self) -> tuple[int, ...]:
        """Node of every running or new member."""
        return tuple(node for crowd in self.crowds for node in crowd.all)

    @property
    def decode(self) -> tuple[Crowd, ...]:
        """The PodSets that decode, if the gang has others that prefill."""
        return _of_kind("decode", self.crowds) if _of_kind("prefill", self.crowds) else ()

    @property
    def prefill(self) -> tuple[Crowd, ...]:
        """The PodSets that prefill."""
        return _of_kind("prefill", self.crowds)

    @property
    def groups(self) -> Iterator[tuple[str, TopologyRequest, tuple[Crowd, ...]]]:
        """Groups of PodSets by name, with what they ask for."""
        for name in sorted({crowd.podset.group for crowd in self.crowds if crowd.podset.group}):
            crowds = tuple(crowd for crowd in self.crowds if crowd.podset.group == name)
            yield name, crowds[0].podset.group_topology, crowds

    @property
    def wishes(self) -> Iterator[tuple[str, TopologyRequest, tuple[Crowd, ...]]]:
        """Everything that asks for a level: scope in words, the levels, the PodSets concerned."""
        yield "gang", self.gang.topology, self.crowds
        for name, request, crowds in self.groups:
            yield f"group {name}", request, crowds
        for crowd in self.crowds:
            yield f"role {crowd.podset.role}", crowd.podset.topology, (crowd,)


def _of_kind(kind: str, crowds: tuple[Crowd, ...]) -> tuple[Crowd, ...]:
    return tuple(c for c in crowds if c.podset.role.partition("-")[0] == kind)


def variant_for(gang: Gang, answer: GangAssignment) -> Variant | None:
    """The variant that the answer is about; None where the gang keeps its pods."""
    found = [one for one in gang.variants if one.flavor == answer.flavor and one.podsets]
    return found[0] if found else None


def decided_form(gang: Gang, answer: GangAssignment) -> Gang:
    """The gang as the answer decides about it: itself, or its variant for the flavor."""
    variant = variant_for(gang, answer)
    if variant is None:
        return gang
    return replace(gang, podsets=variant.podsets, min_members=variant.min_members)


def meets_minimum(gang: Gang, new: Mapping[str, int]) -> bool:
    """Whether running members and ``new`` ones (by role) reach the minimum of the gang and of each role."""
    total = 0
    for podset in gang.podsets:
        count = len(podset.running) + new.get(podset.role, 0)
        if count < podset.min_count:
            return False
        total += count
    return total >= gang.min_members


def keeps_ratio(gang: Gang, new: Mapping[str, int]) -> bool:
    """Whether ``new`` members (by role) leave the PodSets that grow together at their ratio.

    The rule is told in ``scheduler.ratio``; here one asks, from the numbers that there are, how far the
    PodSet with the fewest wanted replicas is, and what the others have at that point.
    """
    sets = [podset for podset in gang.podsets if podset.replica]
    if all(p.min_count >= p.size for p in sets) or not any(new.get(p.role) for p in sets):
        return True
    parts = [(p, p.replica or 1, len(p.running) + new.get(p.role, 0)) for p in sets]
    if any(total % size for _, size, total in parts):
        return False
    have = [total // size for _, size, total in parts]
    base = [ceil(Fraction(max(p.min_count, len(p.running)), size)) for p, size, _ in parts]
    want = [ceil(Fraction(max(p.size, len(p.members)), size)) for p, size, _ in parts]
    return have == base or _climbs(have, base, want)


def _climbs(have: Sequence[int], base: Sequence[int], want: Sequence[int]) -> bool:
    """Whether replicas above the least keep the ratio."""
    fewest = min((w for b, w in zip(base, want, strict=True) if b < w), default=0)
    below = base
    for count in range(1, fewest + 1):
        share = Fraction(count, fewest)
        above = [max(b, _rounded(share * w)) for b, w in zip(base, want, strict=True)]
        if all(one <= top for one, top in zip(have, above, strict=True)):
            between = (
                [b + _rounded(part * (a - b)) for b, a in zip(below, above, strict=True)]
                for part in _parts(below, above)
            )
            return any(list(have) == point for point in between)
        below = above
    return False


def _parts(below: Sequence[int], above: Sequence[int]) -> Iterator[Fraction]:
    """How far one may be between two points: the PodSet that lacks least comes replica by replica."""
    lacks = [a - b for b, a in zip(below, above, strict=True) if a > b]
    return (Fraction(part, min(lacks)) for part in range(1, min(lacks) + 1)) if lacks else iter(())


def _rounded(value: Fraction) -> int:
    """The nearest integer; of two that are as near, the lower."""
    return ceil(value - Fraction(1, 2))


@dataclass(frozen=True)
class Facts:
    """The snapshot with indices, and every gang that is reserved, running or planned."""

    snapshot: Snapshot
    plan: Plan
    policy: Policy = Policy()

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Node name -> index in the tree."""
        return {name: i for i, name in enumerate(self.snapshot.tree.nodes)}

    @cached_property
    def leaving(self) -> tuple[int, ...]:
        """Milliseconds that a key-value cache takes longer for leaving a domain of each level."""
        nodes = (state.node for state in self.snapshot.nodes)
        return transfer_costs(self.snapshot.levels, nodes, self.snapshot.fabrics)

    @cached_property
    def reserved(self) -> Mapping[str, GangAssignment]:
        """Committed decisions by gang key."""
        return {reservation.key: reservation for reservation in self.snapshot.reservations}

    @cached_property
    def reserved_on(self) -> Mapping[int, Mapping[str, int]]:
        """Amounts that reservations hold, by node index and resource."""
        held: dict[int, dict[str, int]] = {}
        for reservation in self.snapshot.reservations:
            for slot in reservation.slots:
                if slot.node in self.index:
                    on_node = held.setdefault(self.index[slot.node], {})
                    for name, amount in slot.request.amounts.items():
                        on_node[name] = on_node.get(name, 0) + amount
        return held

    @cached_property
    def planned(self) -> tuple[Standing, ...]:
        """The gangs that this plan decides about."""
        decided = {gang.key for gang in self.snapshot.gangs if self.decides(gang)}
        return tuple(s for s in self.standings if s.gang.key in decided)

    @cached_property
    def placed(self) -> tuple[Standing, ...]:
        """Those of them that are placed."""
        return tuple(standing for standing in self.planned if standing.answer.placed)

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """Every gang that is not blocked."""
        answers = {answer.key: answer for answer in self.plan.assignments}
        return tuple(
            self._standing(decided_form(gang, answers[gang.key]), answers[gang.key])
            for gang in self.snapshot.gangs
            if gang.blocked is None or gang.key in self.reserved
        )

    def decides(self, gang: Gang) -> bool:
        """Whether the gang is to be planned: not reserved, not blocked, with a pending member."""
        if gang.key in self.reserved or gang.blocked is not None:
            return False
        return any(podset.pending for podset in gang.podsets)

    def state(self, node: int) -> NodeState:
        """The node with this tree index."""
        return self.snapshot.nodes[node]

    def accelerator(self, node: int) -> Accelerator | None:
        """The cards of a node."""
        return self.snapshot.nodes[node].node.accelerator

    def domains(self, depth: int, nodes: tuple[int, ...]) -> set[int]:
        """The domains of one level that ``nodes`` stand in, as indices."""
        row = self.snapshot.tree.domain_of[depth]
        return {int(row[node]) for node in nodes}

    def classes(self, crowds: Iterable[Crowd]) -> set[str]:
        """The device classes of which members that follow flavors take cards."""
        return {
            accelerator.device_class
            for crowd in crowds
            if crowd.podset.follows_flavors
            for node in crowd.all
            if (accelerator := self.accelerator(node)) is not None
            and self.requests_cards(crowd.podset, node)
        }

    def requests_cards(self, podset: PodSet, node: int) -> bool:
        """Whether a member uses accelerator cards when it stands on this node."""
        accelerator = self.accelerator(node)
        return accelerator is not None and podset.request[accelerator.resource] > 0

    def _standing(self, gang: Gang, answer: GangAssignment) -> Standing:
        crowds = []
        for podset in gang.podsets:
            slots = sorted((s for s in answer.slots if s.role == podset.role), key=lambda s: s.rank)
            running = (member.node or "" for member in podset.running)
            crowds.append(
                Crowd(
                    podset=podset,
                    running=tuple(self.index[node] for node in running if node in self.index),
                    new=tuple(self.index[slot.node] for slot in slots if slot.node in self.index),
                )
            )
        return Standing(gang=gang, answer=answer, crowds=tuple(crowds))
