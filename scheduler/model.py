"""Gangs and decisions about them. Frozen values; the words are those of design section 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from topology.model import Flavor
from topology.resources import Resources


class Parallelism(StrEnum):
    """What the members of a chain (``scheduler.ranks``) send each other."""

    PIPELINE = "pipeline"
    """Stages one after the other: each sends to the next. What is assumed of gangs that do not say."""
    TENSOR = "tensor"
    """All-reduces of everybody with everybody, in rings: tensor parallelism over several nodes."""
    EXPERT = "expert"
    """Everybody to everybody: wide expert parallelism."""
    REPLICAS = "replicas"
    """Nothing."""


ALL_TO_ALL = (Parallelism.TENSOR, Parallelism.EXPERT)
"""These want NVLink or super-pod domains, where the fleet has any."""


class Code(StrEnum):
    """Why a gang waits, or why one of its flavors was passed over. A closed set: it labels metrics."""

    INVALID_REQUEST = "InvalidRequest"
    MEMBERS_MISSING = "MembersMissing"
    NO_NODES = "NoNodes"
    """No node passes selectors, affinity, taints and the flavor: waiting for capacity is not enough."""
    INSUFFICIENT = "Insufficient"
    """Suitable nodes exist; their free capacity does not."""
    TOPOLOGY_TOO_SMALL = "TopologyTooSmall"
    """Capacity exists, but in no domain that a required level or slice allows."""
    RESOURCES_DIFFER = "ResourcesDiffer"
    """The flavor's resources are not those that the pods request."""
    MEMBERS_DIFFER = "MembersDiffer"
    """The flavor is for another number of members than the gang has."""
    YIELDED_TO = "YieldedTo"
    """It would fit alone; another gang took the capacity (named in the message)."""
    TIME_LIMIT = "TimeLimit"
    """The solver's budget ended before an answer; the next cycle tries again."""
    REFUSED = "Refused"
    """kube-scheduler's own filters refused the nodes that fitted."""
    PINNED_TO_RUNNING = "PinnedToRunning"
    """Running members pin the gang to another flavor or domain."""
    CANNOT_REWRITE = "CannotRewrite"
    """The flavor needs other pods, and nobody would make them (bare pods), or others would restart."""
    OWNER_RESTARTS = "OwnerRestarts"
    """A member was lost, and its owner restarts all that belongs together, so it is not replaced alone."""
    LEADER_NEVER_READY = "LeaderNeverReady"
    """Its other members are created only when the leader is ready, and it was not within the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something is not as asked: code for machines, one sentence for people, numbers for both."""

    code: Code
    message: str
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One ``matchExpressions`` / ``matchFields`` item: In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTerm:
    """One ``nodeSelectorTerm``: all requirements hold; an empty term matches no node."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """As ``v1.Toleration``; an empty key with Exists tolerates everything, an empty effect every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTerm:
    """One *required* pod (anti-)affinity term. ``selector`` None matches no pod, empty matches all."""

    topology_key: str
    selector: tuple[Requirement, ...] | None
    namespaces: tuple[str, ...]
    """Namespaces it looks into, resolved; ``("*",)`` means all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadTerm:
    """One ``topologySpreadConstraint`` with ``whenUnsatisfiable: DoNotSchedule``."""

    topology_key: str
    max_skew: int
    selector: tuple[Requirement, ...] | None
    min_domains: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a pod's spec demands of its node, as kube-scheduler's in-tree filters mean it."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    node_affinity: tuple[NodeTerm, ...] | None = None
    """Alternatives (OR); None when the pod has no required node affinity."""
    tolerations: tuple[Toleration, ...] = ()
    affinity: tuple[PodTerm, ...] = ()
    anti_affinity: tuple[PodTerm, ...] = ()
    spread: tuple[SpreadTerm, ...] = ()
    host_ports: tuple[str, ...] = ()
    """``protocol/port`` with the host IP in front when it is not the wildcard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyRequest:
    """Levels (names or node label keys) that the members must, or would rather, share."""

    required: str | None = None
    preferred: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Every ``size`` members of the PodSet (by rank) stay in one domain of ``level``."""

    level: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One pod of a gang. ``node`` is set once it is bound (``spec.nodeName``)."""

    pod: str
    """Its name; empty while a pod that does not exist yet has none that can be known."""
    uid: str = ""
    """Empty while the pod does not exist yet: its place is planned and held all the same."""
    node: str | None = None
    late: bool = False
    """Whether its controller creates it only after the other members are bound (or ready)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSet:
    """Identical members of a gang."""

    role: str
    size: int
    """Members it is to have in the end."""
    min_count: int
    """Fewest members that must run for the gang to start; running members count."""
    request: Resources
    """What one member requests, without the synthetic membership resources, with ``pods: 1``."""
    members: tuple[Member, ...] = ()
    """The pods that exist, in rank order; those with a node are running."""
    follows_flavors: bool = True
    """Whether the gang's flavors restrict the nodes of this PodSet (false for helpers without cards)."""
    labels: Mapping[str, str] = field(default_factory=dict)
    constraints: Constraints = Constraints()
    topology: TopologyRequest = TopologyRequest()
    slices: tuple[Slice, ...] = ()
    """Outermost first; each size divides the one before it."""
    group: str | None = None
    """PodSets with the same group share ``group_topology``."""
    group_topology: TopologyRequest = TopologyRequest()
    replica: int | None = None
    """Members that one replica has of it. All PodSets of a gang that say so grow in the ratio of their sizes
    (``scheduler.ratio``); None: it grows by itself."""

    @property
    def running(self) -> tuple[Member, ...]:
        """Members that already have a node."""
        return tuple(member for member in self.members if member.node is not None)

    @property
    def pending(self) -> tuple[Member, ...]:
        """Members that still need a node, in rank order."""
        return tuple(member for member in self.members if member.node is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """A change of the one object that a user owns, after which its gang has another number of members."""

    kind: str
    """As in ``scheduler.foreign``."""
    name: str
    path: tuple[str, ...]
    """Where the number stands in the object."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The gang as it would be on one of its flavors for which the pods must be written anew.

    Such a flavor has other resources than the pods request now, or another number of members. While
    ``refusal`` is None the gang may be placed so; its present pods are then recreated by their owner.
    """

    flavor: str
    podsets: tuple[PodSet, ...] = ()
    """As ``Gang.podsets``; the members do not exist yet (``uid`` is empty)."""
    min_members: int = 1
    refusal: Reason | None = None
    """Why the pods cannot be written anew for this flavor."""
    resize: Resize | None = None
    """What makes the owner build the gang with that number of members; None when the number is the same and
    deleting the present pods is enough."""

    @property
    def size(self) -> int:
        """Members the gang has on this flavor."""
        return sum(podset.size for podset in self.podsets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """The fewest members with which a gang runs whole."""

    members: int
    """Of all roles together."""
    roles: Mapping[str, int]
    """Of each role."""
    below: Mapping[str, int] = field(default_factory=dict)
    """Of each root of ``Gang.restarts_with``, by uid: how many other members ran that restart with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """The all-or-nothing unit, normalised from any source."""

    namespace: str
    name: str
    podsets: tuple[PodSet, ...]
    min_members: int
    """Members that must run together for the gang to start; running members count."""
    source: str = "annotations"
    priority: int = 0
    created_seconds: int = 0
    """Creation of its oldest member, seconds since the epoch; orders gangs of one priority."""
    flavors: tuple[Flavor, ...] = ()
    """Best first, resolved. Empty: one implied flavor, the pods' own requests and selectors."""
    topology: TopologyRequest = TopologyRequest()
    spread: str | None = None
    workload: str = ""
    """What gangs are counted together for ``spread``: owner or name without the trailing index."""
    model: str | None = None
    model_bytes: int | None = None
    blocked: Reason | None = None
    """Set when it cannot be planned at all: InvalidRequest or MembersMissing."""
    excluded_nodes: tuple[str, ...] = ()
    """Nodes that kube-scheduler's in-tree filters refused for this gang lately."""
    variants: tuple[Variant, ...] = ()
    """For the flavors that need other pods; on all other flavors ``podsets`` are as they are."""
    written: str | None = None
    """The flavor that admission has written into the pods; None when they are as their owner made them."""
    incarnation: str = ""
    """Uid of the pod that stands for this life of the gang (the leader), where the source has one: a gang
    that was recreated under the same name has another."""
    roots: tuple[str, ...] = ()
    """Uids of the pods whose deletion makes the owner build the whole gang anew; empty where every
    member is recreated by itself."""
    restarts_with: Mapping[str, str] = field(default_factory=dict)
    """Uid of a member -> uid of the root with which its owner demands that it starts anew when it ends, and
    all others of that root, too. Members that are made anew one by one are absent."""
    notes: tuple[str, ...] = ()
    """What its user should know although nothing is wrong, one sentence each."""
    gated_together: bool = False
    """Whether kube-scheduler tries no member while any of them is gated: pods of a PodGroup of Kubernetes
    itself."""
    parallelism: Parallelism = Parallelism.PIPELINE
    connector: str | None = None
    """How key-value caches go from prefill to decode members, for ``Policy.mixed_pairs``."""

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def size(self) -> int:
        """Members it is to have in the end."""
        return sum(podset.size for podset in self.podsets)

    @property
    def minimum(self) -> Minimum:
        """What is needed now for it to run whole."""
        roles = {podset.role: podset.min_count for podset in self.podsets}
        return Minimum(members=self.min_members, roles=roles)

    def variant(self, flavor: str | None) -> Variant | None:
        """How the gang is on ``flavor``, if its present pods are not fit for it."""
        return next((variant for variant in self.variants if variant.flavor == flavor), None)


def awaited(gang: Gang) -> bool:
    """Whether all that the gang still lacks are members that its controller creates only later."""
    pending = [member for podset in gang.podsets for member in podset.pending]
    return bool(pending) and all(member.late and not member.uid for member in pending)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One member's place in a decision; see ``Member`` for ``pod``, ``uid`` and ``late``."""

    pod: str
    uid: str
    role: str
    rank: int
    """The member's rank within its role; adjacent ranks stand near each other."""
    node: str
    request: Resources
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A better flavor that was not taken, and why."""

    flavor: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the members of a gang send each other where they stand; see ``scheduler.traffic``."""

    crossings: Mapping[str, int]
    """Level -> how often neighbours in rank stand in different domains of it, hosts included."""
    milliseconds: int
    """What the network adds to the prompt of reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GangAssignment:
    """The decision about one gang: places for its pending members, or the reason why it waits."""

    namespace: str
    gang: str
    slots: tuple[Slot, ...] = ()
    placed: bool = False
    """Whether the gang runs at its minimum or above with these slots filled."""
    flavor: str | None = None
    flavor_rank: int = 0
    passed_over: tuple[PassedOver, ...] = ()
    domains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Level -> names of the domains that its running and new members use, host level left out."""
    load_seconds: int | None = None
    """Until the slowest new member has loaded its model; None when nobody knows."""
    traffic: Traffic | None = None
    """None when its members send each other nothing, or it is not placed by this plan."""
    load_elsewhere: str = ""
    """What that would be in the next best place: ``212 s in rack r2, which has no copy``; empty when there is
    none, or copies make no difference."""
    reason: Reason | None = None

    @property
    def key(self) -> str:
        """``namespace/name`` of the gang."""
        return f"{self.namespace}/{self.gang}"


class SolverStatus(StrEnum):
    """How good the plan is known to be."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    GREEDY = "greedy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decision about every gang of one snapshot."""

    assignments: tuple[GangAssignment, ...]
    """One for each gang of the snapshot, in the order of namespace and name."""
    status: SolverStatus = SolverStatus.GREEDY
    objective: tuple[int, ...] = ()
    """The lexicographic vector, most important first; every entry is minimised (see ``solve.terms``)."""
    bound: tuple[int, ...] = ()
    """A proven lower bound of each entry, given that the entries before it have their value."""
