"""The Kubernetes resources that Muster reads and writes: group, versions, plural."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from scheduler.keys import GROUP, VERSION
from topology.keys import KUEUE_GROUP


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
    def api_version(self) -> str:
        """``apiVersion`` of its objects in the first version."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]


PODS = Resource(kind="Pod", plural="pods")
NODES = Resource(kind="Node", plural="nodes", namespaced=False)
NAMESPACES = Resource(kind="Namespace", plural="namespaces", namespaced=False)
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

SYSTEM_NAMESPACE = "kube-system"
SCHEDULER_LEASE = "kube-scheduler"
