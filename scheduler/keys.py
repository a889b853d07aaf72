"""Every name of our own: API group, annotations, label, gate, resources, reasons of events."""

from __future__ import annotations

GROUP = "muster.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# Request annotations (design section 3). ``GANG`` is also the label that mirrors the annotation.
GANG = f"{GROUP}/gang"
GANG_SIZE = f"{GROUP}/gang-size"
GANG_MIN = f"{GROUP}/gang-min"
ROLE = f"{GROUP}/role"
ROLE_MIN = f"{GROUP}/role-min"
ROLES = f"{GROUP}/roles"
FLAVORS = f"{GROUP}/flavors"
FLAVOR_SPEC = f"{GROUP}/flavor-spec"
GANG_TOPOLOGY_REQUIRED = f"{GROUP}/gang-topology-required"
GANG_TOPOLOGY_PREFERRED = f"{GROUP}/gang-topology-preferred"
TOPOLOGY_GROUP = f"{GROUP}/topology-group"
GROUP_TOPOLOGY_REQUIRED = f"{GROUP}/group-topology-required"
GROUP_TOPOLOGY_PREFERRED = f"{GROUP}/group-topology-preferred"
TOPOLOGY_REQUIRED = f"{GROUP}/topology-required"
TOPOLOGY_PREFERRED = f"{GROUP}/topology-preferred"
TOPOLOGY_SLICES = f"{GROUP}/topology-slices"
SPREAD = f"{GROUP}/spread"
MODEL = f"{GROUP}/model"
MODEL_BYTES = f"{GROUP}/model-bytes"
CONNECTOR = f"{GROUP}/kv-connector"
"""How key-value caches go from prefill to decode members; see ``Policy.mixed_pairs``."""
PARALLELISM = f"{GROUP}/parallelism"
"""What the members send each other: ``model.Parallelism``. No request by itself."""
ROLLBACK = f"{GROUP}/rollback"
"""``delete``: a bare pod may be evicted when its gang cannot be completed."""

REQUEST_ANNOTATIONS = frozenset(
    {
        GANG, GANG_SIZE, GANG_MIN, ROLE, ROLE_MIN, ROLES, FLAVORS, FLAVOR_SPEC,
        GANG_TOPOLOGY_REQUIRED, GANG_TOPOLOGY_PREFERRED, TOPOLOGY_GROUP, GROUP_TOPOLOGY_REQUIRED,
        GROUP_TOPOLOGY_PREFERRED, TOPOLOGY_REQUIRED, TOPOLOGY_PREFERRED, TOPOLOGY_SLICES, SPREAD,
        MODEL, MODEL_BYTES, CONNECTOR,
    }
)  # fmt: skip
"""A pod that carries one of these is ours (design section 8, step 0)."""

# Written by us.
RANK = f"{GROUP}/rank"
NODE = f"{GROUP}/node"
FLAVOR = f"{GROUP}/flavor"
PLAN = f"{GROUP}/plan"
WRITTEN = f"{GROUP}/written"
"""The flavor that admission wrote into the pod; absent on pods that are as their owner made them."""
ORIGINAL = f"{GROUP}/original"
"""What admission replaced when it wrote the flavor: see ``scheduler.rewrite``."""

TOUCHED = f"{GROUP}/touched"
"""Changed to make kube-scheduler look at a pod again, which restores its lost nominations."""

LEADER = f"{GROUP}/leader"
"""Label of the replica that leads; the Service sends kube-scheduler only there."""

NAMESPACE = "muster-system"
"""Where Muster is installed unless said otherwise."""
TOPOLOGY_SOURCE = f"{GROUP}/topology-source"
"""Label of a ConfigMap in Muster's namespace whose data are documents about the network."""

MANAGED = f"{GROUP}/managed"
"""Namespace label; ``false`` means that none of its pods is ours."""

GATE = f"{GROUP}/gang"
RESOURCE_MEMBER = f"{GROUP}/member"
RESOURCE_BIND = f"{GROUP}/bind"
SYNTHETIC_RESOURCES = frozenset({RESOURCE_MEMBER, RESOURCE_BIND})
"""Membership resources: no node advertises them and they use no capacity."""

PLACE = f"{GROUP}/place"
"""Label and scheduling gate of a pod that holds the place of a member that does not exist yet."""
PLACE_OF = f"{GROUP}/place-of"
"""``namespace/name`` of the gang whose place it is."""

CLAIMS_ONLY = f"{GROUP}/claims-only"
"""Label that nodes have in our picture alone: their devices can be claimed, and not asked for by name."""

LEASE = "muster-planner"
WEBHOOK = "muster-flavors"
"""Name of the webhook's configuration; the API server calls webhooks in the order of names."""
