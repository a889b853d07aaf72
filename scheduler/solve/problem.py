"""A decision in integers: what ``build`` makes of a snapshot, and all that the solvers know.

Nodes are indices in tree order, levels are depths (0 = outermost, last = host), gangs to plan and their
PodSets ("roles") are indices in the order of namespace and name. Everything is plain data that pickles.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.match import BoolArray, CauseArray, IntArray
from scheduler.model import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """All running and new members of ``roles`` share one domain of the level ``depth``."""

    depth: int
    roles: tuple[int, ...]
    known: bool
    """Whether the domain must be known (required levels) or may be implied (preferred ones)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A ``TopologyRequest`` in depths, for the roles that it is about."""

    roles: tuple[int, ...]
    required: int | None = None
    preferred: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A PodSet of a gang that is to be planned."""

    gang: int
    name: str
    pending: int
    least: int
    """Fewest members, running ones included, with which the gang starts."""
    request: IntArray
    """Shape (resources,), in the units of ``topology.resources``."""
    running: Mapping[int, int]
    """Node -> members of it that run there."""
    running_total: int
    """Also counts members on nodes that the snapshot does not have."""
    follows: bool
    causes: CauseArray
    """Shape (nodes,): ``match.Cause`` by which the pod's own rules exclude each node, 0 for none."""
    cards: IntArray
    """Shape (nodes,): accelerator cards of that node which one member takes."""
    illegal: tuple[str, ...] = ()
    """Why nodes of some classes may not give a member its number of cards, with the legal numbers."""
    slices: tuple[tuple[int, int], ...] = ()
    """(depth, size), outermost first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The numbers of new members of roles that keep their ratio (``scheduler.ratio``)."""

    roles: tuple[int, ...]
    rungs: tuple[tuple[int, ...], ...]
    """Ascending; the first adds nobody. Shape (rungs, roles)."""

    def holds(self, new: Mapping[int, int]) -> bool:
        """Whether new members, by role, are on a rung."""
        return tuple(new[role] for role in self.roles) in self.rungs


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The PodSets of a gang: those that it has, or those of one of its variants (``model.Variant``)."""

    roles: tuple[int, ...]
    least: int
    """Members, running ones included, with which the gang starts in this form."""
    whole: Wish
    groups: tuple[Wish, ...] = ()
    each: tuple[Wish, ...] = ()
    """The wishes of single roles."""
    running_total: int = 0
    company: bool = False
    """Whether several members take cards that a vendor's rule is about (``cards.Kinds``)."""
    prefill: tuple[int, ...] = ()
    decode: tuple[int, ...] = ()
    """The roles between which key-value caches travel; both empty unless the form has both."""
    loads: tuple[int, ...] = ()
    """The roles whose members load the model: those that follow flavors, or all if none does."""
    ladder: Ladder | None = None
    """None where no roles grow together."""

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """All topology requests of the form."""
        return (self.whole, *self.groups, *self.each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to place a gang: a form, a flavor and, where cards are asked for, one device class.

    Or a mixed pair of classes: decode members on the one, all others on the other.
    """

    flavor: int | None
    """Index into the gang's flavors; None for the implied flavor. Of a mixed pair that of the prefill
    members."""
    rank: int
    """Of a mixed pair the worse of its two flavors'."""
    masks: tuple[BoolArray, ...]
    """For each role of the form, the nodes that it may use; shape (nodes,)."""
    form: int = 0
    """Index into the gang's forms."""
    mixed: tuple[tuple[int, ...], ...] = ()
    """Of a mixed pair the roles with cards on either class. Each has a member: else it is no mixture."""
    home: str = ""
    """What the vendor demands that the members with cards share (``cards.Homes``); empty: nothing."""
    around: tuple[BoolArray, ...] = ()
    """Of an option with a home, the nodes that its roles might use if there were no such demand."""

    @property
    def cost(self) -> tuple[int, int]:
        """What the objective says about the option alone: its rank, then whether it mixes classes."""
        return self.rank, int(bool(self.mixed))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlavorRow:
    """What a flavor (or the implied one, ``name`` None) means for one gang."""

    name: str | None
    serves: BoolArray
    """Shape (nodes,): the nodes that serve the flavor."""
    refusal: Reason | None = None
    """Why the gang can never use it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRow:
    """How long members load their model, in seconds; see ``scheduler.loading``."""

    own: IntArray
    """Shape (nodes,): what each node takes by itself."""
    reads: BoolArray
    """Shape (nodes,): whether it shares a source with others, since it has no copy."""
    readers: tuple[int, ...]
    """What every reader takes, by the number of readers; never less for more of them."""
    known: bool
    """Whether the size of the model is known; without it all times are 0."""

    def cost(self, nodes: Collection[int]) -> tuple[int, int]:
        """When the slowest member on ``nodes`` is ready, and how many of the nodes are readers."""
        count = sum(bool(self.reads[node]) for node in nodes)
        slowest = max((int(self.own[node]) for node in nodes), default=0)
        return max(slowest, self.readers[count]), count


@dataclass(frozen=True, slots=True, kw_only=True)
class GangRow:
    """A gang that is to be planned."""

    key: str
    priority: int
    age: int
    """0 for the oldest of its priority class, 1 for the next."""
    forms: tuple[Form, ...]
    """First the one that the gang has; it is the only one when members run or the gang ``runs``."""
    flavors: tuple[FlavorRow, ...]
    options: tuple[Option, ...]
    """In the order of ``Option.cost``."""
    runs: bool
    """Whether its running members already are a whole gang: then it is placed in any case."""
    spread: int | None = None
    workload: int = 0
    """Gangs with ``spread`` and equal numbers keep apart from each other."""
    rivals: Mapping[int, int] | None = None
    """Domain of the spread level -> fixed gangs of the workload that use it."""
    load: LoadRow | None = None
    """None when it names no model."""

    @property
    def roles(self) -> tuple[int, ...]:
        """The roles of all forms; only those of the chosen one get members."""
        return tuple(role for form in self.forms for role in form.roles)

    def form_of(self, option: int | None) -> Form:
        """The form that an option takes; without one the gang stays as it is."""
        return self.forms[0 if option is None else self.options[option].form]


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """New members of the two roles never share a zone; the same role twice: at most one per zone."""

    left: int
    right: int
    zones: IntArray
    """Zone of each node, -1 where the rule does not apply."""

    @property
    def single(self) -> bool:
        """Whether every zone is one node (host names, ports) and every node has one."""
        return len(np.unique(self.zones)) == len(self.zones) and bool((self.zones >= 0).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Every new member of ``role`` stands in a zone that is ``ok`` or holds a new member of ``helpers``.

    ``alone``: nobody it wants to be near runs yet and it wants to be near its own kind, so all its new
    members (and those of ``helpers``) share one zone, whichever it is.
    """

    role: int
    zones: IntArray
    ok: BoolArray
    """Shape (zones,)."""
    helpers: tuple[int, ...]
    alone: bool

    @property
    def settled(self) -> bool:
        """Whether running pods alone decide which nodes are allowed."""
        return not self.alone and not self.helpers

    @property
    def allowed(self) -> BoolArray:
        """Shape (nodes,): the nodes in zones that are ``ok``."""
        return np.append(self.ok, False)[self.zones]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """In each zone that a new member of ``role`` enters, matching pods exceed the emptiest zone by at most
    ``limit``."""

    role: int
    zones: IntArray
    base: IntArray
    """Shape (zones,): matching pods that run there."""
    domains: tuple[int, ...]
    """Zones that count for the minimum; empty when the minimum is zero (too few domains)."""
    counted: tuple[int, ...]
    """Roles whose new members match."""
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Nodes whose cards come in groups (rings, modules) of ``size`` cards."""

    nodes: BoolArray
    """Shape (nodes,)."""
    size: int
    units: tuple[tuple[int, int], ...]
    """(index of a resource, cards of one unit of it): single cards, and sets of cards in one group."""

    def whole(self, free: Mapping[int, IntArray]) -> IntArray:
        """How many groups are wholly free, or can be, with so much free of each resource (by index)."""
        found: IntArray = np.minimum.reduce(
            [free[index] * cards // self.size for index, cards in self.units]
        )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """All gangs to plan over all nodes."""

    levels: tuple[str, ...]
    resources: tuple[str, ...]
    """Names of resources, and after them those of ``cards.Column``."""
    gangs: tuple[GangRow, ...]
    roles: tuple[Role, ...]
    free: IntArray
    """Shape (nodes, resources): never negative, reservations subtracted."""
    domain_of: IntArray
    """Shape (levels, nodes)."""
    known: tuple[BoolArray, ...]
    """For each level, shape (domains,): whether the domain is known."""
    idle: tuple[BoolArray, ...]
    """For each level, shape (domains,): has accelerator cards, and none of them is in use."""
    spare: IntArray
    """Shape (nodes,): accelerator cards that are free."""
    leaving: tuple[int, ...]
    """For each level, how much longer (in ms) a key-value cache takes that must leave its domain
    (``topology.cost.leaving``); empty when nobody decodes."""
    groups: tuple[Groups, ...] = ()
    apart: tuple[Apart, ...] = ()
    near: tuple[Near, ...] = ()
    skew: tuple[Skew, ...] = ()

    @property
    def coupled(self) -> frozenset[int]:
        """Roles that a rule about other pods (affinity, ports, spread) is about."""
        found = {role for rule in self.apart for role in (rule.left, rule.right)}
        found |= {role for rule in self.near for role in (rule.role, *rule.helpers)}
        found |= {role for rule in self.skew for role in (rule.role, *rule.counted)}
        return frozenset(found)

    def whole(self, rows: IntArray, nodes: Sequence[int]) -> IntArray:
        """Groups of cards that can be wholly free on each of ``nodes``, shape (nodes,), with ``rows`` free
        there, shape (nodes, resources)."""
        found = np.zeros(len(rows), dtype=np.int64)
        for group in self.groups:
            at = group.nodes[list(nodes)]
            found[at] += group.whole({index: rows[at, index] for index, _ in group.units})
        return found

    def broken(self, free: IntArray, taken: Mapping[int, IntArray]) -> int:
        """Groups of cards that are no longer wholly free once so much is taken on nodes."""
        if not taken or not self.groups:
            return 0
        nodes = sorted(taken)
        before, after = free[nodes], free[nodes] - np.array([taken[node] for node in nodes])
        return int((self.whole(before, nodes) - self.whole(after, nodes)).sum())

    def capacity(self, role: Role, free: IntArray, mask: BoolArray) -> IntArray:
        """How many new members of ``role`` alone fit on each node of ``mask``; shape (nodes,)."""
        room = np.where(mask, role.pending, 0).astype(np.int64)
        for resource in np.flatnonzero(role.request > 0):
            np.minimum(room, free[:, resource] // role.request[resource], out=room)
        return room


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An answer: which option each gang takes and how many new members stand where."""

    options: tuple[int | None, ...]
    """For each gang the index of its option; None when it waits. A gang that ``runs`` and has no option
    stays as it is: None, and still placed."""
    counts: tuple[Mapping[int, int], ...]
    """For each role: node -> new members (positive)."""

    def placed(self, problem: Problem, gang: int) -> bool:
        """Whether the gang is placed."""
        return self.options[gang] is not None or problem.gangs[gang].runs
