"""What the fleet is: nodes, their accelerators and where they stand. Frozen values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from topology.allocation import CardRule
from topology.resources import Resources

HOST = "host"
"""The name of the innermost level, which every node has."""
SCALE_UP = "scale-up"
"""The name by which gangs ask for NVLink or super-pod domains (``Node.scale_up``) as a level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with the fleet or with an input object, in words a user can act on."""

    subject: str
    """``Kind namespace/name`` of the object."""
    field: str
    """The field, label or annotation concerned."""
    message: str
    """What was wrong and what would be right."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.field}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A node taint as in ``v1.Taint``."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """The one class of accelerator cards that a node has."""

    device_class: str
    """Canonical class such as ``nvidia-h100-80gb``; the resource name itself for unknown vendors."""
    vendor: str
    resource: str
    """The name under which the node advertises whole cards."""
    count: int
    """Whole cards that are allocatable."""
    memory_bytes: int | None = None
    """Memory of one card; None when the vendor does not publish it."""
    installed: int = 0
    """Cards that are there, the unhealthy ones included; 0: as many as ``count``."""
    rule: CardRule | None = None
    """What the vendor demands of the cards that one pod gets; None: nothing."""

    @property
    def size(self) -> int:
        """Cards that are there."""
        return max(self.count, self.installed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The switch port at the other end of a NIC's cable."""

    id: str
    """The switch: its GUID, or the address of its chassis."""
    name: str = ""
    port: str = ""
    source: str = ""
    """Who said so, e.g. ``lldp``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """One network port of a node, as a scan found it. None: not known."""

    device: str = ""
    """RDMA device such as ``mlx5_0``; empty for a plain Ethernet interface."""
    netdev: str = ""
    pci: str = ""
    numa: int | None = None
    link_layer: str = ""
    """``InfiniBand`` or ``Ethernet``."""
    state: str = ""
    """``ACTIVE``, ``DOWN`` ... as the driver says."""
    phys_state: str = ""
    rate_gbps: float | None = None
    """Of the link as it is now."""
    node_guid: str = ""
    port_guid: str = ""
    lid: int | None = None
    gid_index: int | None = None
    """Entry of the GID table for RoCE v2 over IPv4."""
    mtu: int | None = None
    virtual: bool = False
    compute: bool = False
    """Whether it is one of the NICs that accelerators talk through, by rate and affinity."""
    rail: int | None = None
    """Compute NICs of one number on different nodes stand at the same place beside the accelerators."""
    leaf: Leaf | None = None

    @property
    def up(self) -> bool:
        """Whether traffic can pass; a link of which nothing is known counts as up."""
        return self.state == "ACTIVE" if self.state else self.phys_state in ("LinkUp", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStep:
    """The domain of a node at one level: ``key`` is the node label (or source), ``value`` its value."""

    level: str
    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as the planner sees it.

    ``path`` lists the levels at which the node's domain is *known*, outermost first, without the host
    level. A level that is missing there is unknown and never counts as shared with another node.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    allocatable: Resources = Resources()
    taints: tuple[Taint, ...] = ()
    ready: bool = True
    unschedulable: bool = False
    accelerator: Accelerator | None = None
    scale_up: str | None = None
    """NVLink or super-pod domain, when it is larger than the node."""
    rdma: str | None = None
    """Kind of network of its RDMA resources (``topology.rdma``); None when it has none."""
    path: tuple[PathStep, ...] = ()
    links: tuple[Nic, ...] = ()
    """Its network ports, where a scanner reported them."""
    card_numbers: Mapping[str, int] = field(default_factory=dict)
    """Identifier -> number of a card, where pods name their cards by identifiers (HAMi)."""
    problems: tuple[Problem, ...] = ()
    quarantined: bool = False
    """A node whose accelerators cannot be trusted (mixed cards, two classes); never used for gangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """A class of node hardware that a user can prefer by name (CRD ``Flavor``, or inline ``flavor-spec``).

    A node serves the flavor when its labels match ``node_selector`` and, where given, its accelerator is of
    ``device_class`` with at least ``min_memory_bytes`` per card.
    """

    name: str
    resources: Resources | None = None
    """What one pod requests on this flavor; None leaves the pod's own requests as they are."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    device_class: str | None = None
    min_memory_bytes: int | None = None
    cards: int | None = None
    """Whole cards that one pod gets, of whatever vendor: see ``scheduler.card_kinds``."""
    card: str | None = None
    """The resource by which these cards are requested; never written by a user, but found for each class."""
    members: int | None = None
    """Pods per gang on this flavor; None means any number."""
    overlay: Mapping[str, object] | None = None
    cost_per_hour: str | None = None
    performance: Mapping[str, object] | None = None
