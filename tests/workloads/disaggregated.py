"""DisaggregatedSets of prefill and decode, and what the controllers make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.gangs.lws_pods import group
from scheduler.gangs.unfold import unfold
from scheduler.model import Gang
from scheduler.state import ClusterState
from tests.objects import Object, node, state_of
from topology import keys

FLEET = [
    node(f"n{z}{b}{r}{h}", "h100", {keys.ZONE: z, keys.BLOCK: f"{z}{b}", keys.RACK: f"{z}{b}{r}"})
    for z in "12"
    for b in "12"
    for r in "12"
    for h in "12"
]
"""Two zones of two blocks of two racks of two nodes with 8 cards."""


def role(name: str, replicas: int, size: int = 1, gpus: int = 1, **given: Any) -> Object:
    """One role; ``given`` are fields of the role (``metadata``) and of its LeaderWorkerSet."""
    template = {
        "spec": {"containers": [{"name": "c", "resources": {"requests": {keys.NVIDIA_GPU: gpus}}}]}
    }
    made: Object = {"name": name, "metadata": given.pop("metadata", {})}
    if "scaling" in given:
        made["scaling"] = given.pop("scaling")
    annotations = given.pop("annotations", {})
    policy = given.pop("restartPolicy", "RecreateGroupOnPodRestart")
    made["spec"] = {
        "replicas": replicas,
        "leaderWorkerTemplate": {
            "size": size,
            "workerTemplate": {**template, "metadata": {"annotations": annotations}},
            "restartPolicy": policy,
        },
        **given,
    }
    return made


def whole_set(*roles: Object, metadata: Object | None = None, **spec: Any) -> Object:
    """The DisaggregatedSet ``default/pd``."""
    return {
        "apiVersion": f"{keys.DISAGGREGATED_GROUP}/v1",
        "kind": "DisaggregatedSet",
        "metadata": {"name": "pd", "namespace": "default", "uid": "uid-pd", **(metadata or {})},
        "spec": {"roles": list(roles), **spec},
    }


PREFILL, DECODE = role("prefill", 2, gpus=4), role("decode", 4, gpus=1)


class Made:
    """What the controllers make of a DisaggregatedSet; a test changes it as a cluster does."""

    def __init__(self, of: Object) -> None:
        self.of = of
        self.sets: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        for lws in unfold(of):
            name = lws["metadata"]["name"]
            metadata = {**lws["metadata"], "uid": f"uid-{name}"}
            self.sets[name] = {**lws, "metadata": metadata}
            self.grow(name, lws["spec"]["replicas"])

    def grow(self, name: str, replicas: int) -> None:
        """The pods that a LeaderWorkerSet of so many replicas lacks."""
        lws = self.sets[name]
        for index in range(replicas):
            for pod in group(lws, index):
                self.pods.setdefault(pod["metadata"]["name"], _alive(pod))

    def scale(self, name: str, replicas: int) -> None:
        """As the controller does; pods come or go by ``grow`` and ``drop``."""
        self.sets[name] = {
            **self.sets[name],
            "spec": {**self.sets[name]["spec"], "replicas": replicas},
        }

    def drop(self, *parts: str) -> None:
        """Without the pods that have one of these in their names."""
        for name in [name for name in self.pods if any(part in name for part in parts)]:
            del self.pods[name]

    def run(self, *parts: str, on: str = "n1111") -> None:
        """Put the pods that have one of these in their names (or all) on a node."""
        for name, pod in self.pods.items():
            if not parts or any(part in name for part in parts):
                self.pods[name] = {**pod, "spec": {**pod["spec"], "nodeName": on}}

    def state(self, *more: Object) -> ClusterState:
        """Fleet, owners and pods."""
        return state_of([*FLEET, *more, self.of, *self.sets.values(), *self.pods.values()])

    def gang(self, part: int = 0, *more: Object) -> Gang:
        """The gang of one slice."""
        prefix = f"default/pd-{part}-"
        (gang,) = [g for g in self.state(*more).gangs() if g.key.startswith(prefix)]
        return gang

    def lws(self, name: str, part: int = 0) -> str:
        """The name of a role's LeaderWorkerSet."""
        return next(n for n in self.sets if n.startswith(f"pd-{part}-") and n.endswith(name))


def _alive(pod: Object | Mapping[str, Any]) -> Object:
    metadata = {**pod["metadata"], "uid": f"uid-{pod['metadata']['name']}"}
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return {**pod, "metadata": metadata, "spec": {**pod["spec"], "priority": 0}}


def roles(gang: Gang) -> dict[str, tuple[int, int, int]]:
    """Role -> size, minimum, members that exist."""
    return {p.role: (p.size, p.min_count, sum(1 for m in p.members if m.uid)) for p in gang.podsets}


def blocked(gang: Gang) -> str:
    """Code and sentence of a gang that cannot be planned."""
    assert gang.blocked is not None
    return f"{gang.blocked.code}: {gang.blocked.message}"
