"""The Kubernetes resources that Muster reads and writes: group, versions, plural."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from scheduler import device_claims, foreign
from scheduler.fleet import OF_THE_NETWORK
from scheduler.keys import GROUP, VERSION
from topology import caches
from topology.caches import fluid, kserve, manta, ome
from topology.keys import (
    KAI_TOPOLOGY_GROUP,
    KUEUE_GROUP,
    RESOURCE_GROUP,
    VOLCANO_TOPOLOGY_GROUP,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One REST resource. ``versions``: the newest we read first; an optional resource is watched in
    the first version that is served."""

    kind: str
    plural: str
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    namespaced: bool = True

    def path(
        self,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        version: str | None = None,
    ) -> str:
        """The API path; without ``namespace`` that of all namespaces, without ``name`` the collection."""
        chosen = version or self.versions[0]
        parts = ["apis", self.group, chosen] if self.group else ["api", chosen]
        if namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part is not None]
        return "/" + "/".join(parts)

    @property
    def name(self) -> str:
        """The name under which ``ClusterState`` knows the kind."""
        full = f"{self.kind}.{self.group}"
        kinds = (foreign.KINDS, caches.KINDS, OF_THE_NETWORK, device_claims.KINDS)
        return full if any(full in known for known in kinds) else self.kind

    @property
    def api_version(self) -> str:
        """``apiVersion`` of its objects in the first version."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]


PODS = Resource(kind="Pod", plural="pods")
NODES = Resource(kind="Node", plural="nodes", namespaced=False)
NAMESPACES = Resource(kind="Namespace", plural="namespaces", namespaced=False)
CONFIG_MAPS = Resource(kind="ConfigMap", plural="configmaps")
SECRETS = Resource(kind="Secret", plural="secrets")
LEASES = Resource(kind="Lease", plural="leases", group="coordination.k8s.io")
EVENTS = Resource(kind="Event", plural="events", group="events.k8s.io")
FLAVORS = Resource(
    kind="Flavor", plural="flavors", group=GROUP, versions=(VERSION,), namespaced=False
)
GANGS = Resource(kind="Gang", plural="gangs", group=GROUP, versions=(VERSION,))
TOPOLOGIES = Resource(
    kind="Topology",
    plural="topologies",
    group=KUEUE_GROUP,
    versions=("v1beta2", "v1beta1", "v1alpha1"),
    namespaced=False,
)
KAI_TOPOLOGIES = Resource(
    kind="Topology",
    plural="topologies",
    group=KAI_TOPOLOGY_GROUP,
    versions=("v1alpha1",),
    namespaced=False,
)
HYPER_NODES = Resource(
    kind="HyperNode",
    plural="hypernodes",
    group=VOLCANO_TOPOLOGY_GROUP,
    versions=("v1alpha1",),
    namespaced=False,
)

_FOREIGN = (
    (foreign.LEADER_WORKER_SET, "leaderworkersets", ("v1",)),
    (foreign.STATEFUL_SET, "statefulsets", ("v1",)),
    (foreign.CONTROLLER_REVISION, "controllerrevisions", ("v1",)),
    (foreign.DISAGGREGATED_SET, "disaggregatedsets", ("v1", "v1alpha1")),
    (foreign.OPEN_MODEL, "openmodels", ("v1alpha1",)),
    (foreign.PLAYGROUND, "playgrounds", ("v1alpha1",)),
    (foreign.LLMAZ_SERVICE, "services", ("v1alpha1",)),
    (foreign.POD_GROUP, "podgroups", ("v1beta1", "v1alpha2", "v1alpha1")),
    (foreign.POD_GROUP_PLUGINS, "podgroups", ("v1alpha1",)),
    (foreign.POD_GROUP_VOLCANO, "podgroups", ("v1beta1",)),
    (foreign.POD_GROUP_KAI, "podgroups", ("v2alpha2",)),
)

FOREIGN = tuple(
    Resource(
        kind=name.partition(".")[0],
        group=name.partition(".")[2],
        plural=plural,
        versions=versions,
        namespaced=name not in foreign.CLUSTER_SCOPED,
    )
    for name, plural, versions in _FOREIGN
)
"""What gang sources look up, each only where the cluster serves it."""

NODE_TOPOLOGIES = Resource(
    kind="NodeTopology", plural="nodetopologies", group=GROUP, versions=(VERSION,), namespaced=False
)

_CACHES = (
    (kserve.NODE, "localmodelnodes", ("v1alpha1",), False),
    (kserve.CACHE, "localmodelcaches", ("v1alpha1",), False),
    (kserve.NAMESPACE_CACHE, "localmodelnamespacecaches", ("v1alpha1",), True),
    (ome.CLUSTER_MODEL, "clusterbasemodels", ("v1beta1",), False),
    (ome.MODEL, "basemodels", ("v1beta1",), True),
    (fluid.DATASET, "datasets", ("v1alpha1",), True),
    (manta.NODE, "nodetrackers", ("v1alpha1",), False),
    (manta.TORRENT, "torrents", ("v1alpha1",), False),
)

CACHES = tuple(
    Resource(
        kind=name.partition(".")[0],
        group=name.partition(".")[2],
        plural=plural,
        versions=versions,
        namespaced=namespaced,
    )
    for name, plural, versions, namespaced in _CACHES
)
"""What sources of caches read, each only where the cluster serves it."""

DEVICES = tuple(
    Resource(kind=kind, plural=f"{kind.lower()}{ending}", group=RESOURCE_GROUP, namespaced=named)
    for kind, ending, named in (
        ("ResourceSlice", "s", False),
        ("DeviceClass", "es", False),
        ("ResourceClaimTemplate", "s", True),
    )
)
"""Dynamic resource allocation, v1 (Kubernetes 1.34 and newer), only where the cluster serves it."""

SYSTEM_NAMESPACE = "kube-system"
SCHEDULER_LEASE = "kube-scheduler"
