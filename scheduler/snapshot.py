"""The immutable picture that a decision is made on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.model import Gang, GangAssignment, PodTerm
from topology.caches.claims import Residency
from topology.fabric import Fabric
from topology.model import Node, Problem
from topology.occupancy import CardList
from topology.resources import Resources
from topology.tree import TopologyTree


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPod:
    """A pod that holds capacity of a node (bound and not finished; also while it terminates)."""

    namespace: str
    name: str
    uid: str
    request: Resources
    priority: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    anti_affinity: tuple[PodTerm, ...] = ()
    host_ports: tuple[str, ...] = ()
    cards: tuple[int, ...] = ()
    """Numbers of the accelerator cards that it holds on its node; empty where nobody says which."""
    card_ids: tuple[str, ...] = ()
    """Their identifiers, where these are known instead (``Node.card_numbers``, ``CardList.ids``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node with the pods on it. ``free`` is what running pods leave of allocatable, reservations apart."""

    node: Node
    free: Resources
    pods: tuple[RunningPod, ...] = ()
    """In the order of namespace and name."""
    listed: CardList | None = None
    """What a plugin says of its cards; believed where it agrees with the pods."""

    @property
    def usable(self) -> bool:
        """Whether new pods may come here at all (taints apart)."""
        return self.node.ready and not self.node.unschedulable and not self.node.quarantined


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Nodes, what runs on them, what is reserved, and the gangs to decide about.

    Two snapshots of the same cluster are equal whatever the order in which its objects were seen.
    """

    levels: tuple[str, ...]
    """Levels of the tree, outermost first, ending with ``host``."""
    nodes: tuple[NodeState, ...]
    """In the order of ``tree.nodes``."""
    tree: TopologyTree
    gangs: tuple[Gang, ...] = ()
    """In the order of namespace and name; also those that run whole or are reserved."""
    reservations: tuple[GangAssignment, ...] = ()
    """Committed decisions whose slots are not all bound; their gangs are not planned again."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of the namespaces that are known; for namespace selectors of pod affinity."""
    residency: tuple[Residency, ...] = ()
    """Where the models are that gangs with pending members load, as far as anybody says; by model, node and
    source."""
    taken_seconds: int = field(default=0, compare=False)
    """When it was taken, seconds since the epoch; what was seen too long before is not known any more.
    0: nothing is old."""
    problems: tuple[Problem, ...] = ()
    fabrics: tuple[Fabric, ...] = ()
    """The networks that fabric maps show: switches, adapters, links."""
    generation: int = field(default=0, compare=False)
    """Counts changes of the ClusterState it was taken from; not part of the JSON form."""
