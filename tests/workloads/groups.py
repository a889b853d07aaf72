"""LeaderWorkerSets and their pods for tests: short calls, real shapes.

``lws("train", size=4)`` is what a user writes; ``pods_of(lws, 0)`` are the pods of its first group as a
cluster holds them, with uids and owners; ``test_conformance`` shows that the real manager makes the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from scheduler.foreign import kind_of
from scheduler.gangs import lws_pods
from scheduler.model import Gang
from scheduler.state import ClusterState
from topology import keys

Object = dict[str, Any]


def template(gpus: int | str = 8, resource: str = keys.NVIDIA_GPU, **more: Any) -> Object:
    """A pod template with one container; ``metadata`` apart, ``more`` goes into its spec."""
    metadata = more.pop("metadata", {})
    resources = {"limits": {resource: gpus}} if gpus else {}
    container = {"name": "model-runner", "image": "engine", "resources": resources}
    return {"metadata": metadata, "spec": {"containers": [container], **more}}


def lws(
    name: str = "train",
    *,
    size: Any = 4,
    replicas: Any = 1,
    worker: Object | None = None,
    leader: Object | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: Object | None = None,
    startup: str = "LeaderCreated",
    **group: Any,
) -> Object:
    """A LeaderWorkerSet; ``group`` holds more fields of ``leaderWorkerTemplate``."""
    metadata: Object = {"name": name, "namespace": "default", "uid": f"uid-lws-{name}"}
    metadata["annotations"] = dict(annotations or {})
    if owner is not None:
        metadata["ownerReferences"] = [reference(owner)]
    made = {"size": size, "workerTemplate": worker or template(), **group}
    if leader is not None:
        made["leaderTemplate"] = leader
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": metadata,
        "spec": {"replicas": replicas, "startupPolicy": startup, "leaderWorkerTemplate": made},
    }


def reference(owner: Object) -> Object:
    """The controlling reference to an object."""
    about = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": about["name"],
        "uid": about.get("uid", ""),
        "controller": True,
    }


def pods_of(
    of: Object,
    index: int = 0,
    *,
    life: str = "a",
    node: str | None = None,
    revision: str = "r1",
    **spec: Any,
) -> list[Object]:
    """The pods of one group as they are in a cluster, the leader first.

    ``life`` tells the uids of a recreated group from those before; ``node`` is where all of them run.
    """
    found = []
    for made in lws_pods.group(of, index):
        pod = copy.deepcopy(dict(made))
        metadata = pod["metadata"]
        metadata["uid"] = f"uid-{metadata['name']}-{life}"
        metadata["labels"][keys.LWS_REVISION] = revision
        metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
        [owner] = metadata["ownerReferences"]
        own_set = of["metadata"]["name"] == owner["name"]
        owner["uid"] = f"uid-sts-{owner['name']}" + ("" if own_set else f"-{life}")
        pod["spec"] |= {"priority": 0, **spec}
        if node is not None:
            pod["spec"]["nodeName"] = node
        found.append(pod)
    return found


def stateful_sets(of: Object, index: int = 0, *, life: str = "a", **spec: Any) -> list[Object]:
    """The StatefulSet of the leaders, and that of one group's workers, whose owner is the leader pod."""
    name = of["metadata"]["name"]
    leader = f"{name}-{index}"
    about = {"name": leader, "uid": f"uid-{leader}-{life}"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": about}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {
                "name": owned,
                "namespace": "default",
                "uid": uid,
                "labels": {keys.LWS_NAME: name},
                "ownerReferences": [reference(owner)],
            },
            "spec": more,
        }
        for owned, uid, owner, more in (
            (name, f"uid-sts-{name}", of, {}),
            (leader, f"uid-sts-{leader}-{life}", pod, spec),
        )
    ]


def revision(of: Object, name: str = "r1") -> Object:
    """The ControllerRevision in which LeaderWorkerSet keeps a template."""
    group = {"$patch": "replace", **of["spec"]["leaderWorkerTemplate"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{of['metadata']['name']}-{name}",
            "namespace": "default",
            "labels": {keys.LWS_NAME: of["metadata"]["name"], keys.LWS_REVISION: name},
            "ownerReferences": [reference(of)],
        },
        "data": {"spec": {"leaderWorkerTemplate": group}},
        "revision": 1,
    }


def model(name: str = "llama", *flavors: Object, **spec: Any) -> Object:
    """An OpenModel with flavors as they are in its list."""
    return {
        "apiVersion": "llmaz.io/v1alpha1",
        "kind": "OpenModel",
        "metadata": {"name": name},
        "spec": {"familyName": "llama3", "inferenceConfig": {"flavors": list(flavors)}, **spec},
    }


def playground(name: str = "chat", replicas: Any = 1, **spec: Any) -> Object:
    """A Playground that claims the model ``llama``."""
    claim = {} if "modelClaims" in spec else {"modelClaim": {"modelName": "llama"}}
    return {
        "apiVersion": "inference.llmaz.io/v1alpha1",
        "kind": "Playground",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-playground-{name}"},
        "spec": {"replicas": replicas, **claim, **spec},
    }


def service(name: str = "chat", owner: Object | None = None, **spec: Any) -> Object:
    """A Service of llmaz that claims the model ``llama``, maybe made by a Playground."""
    metadata: Object = {"name": name, "namespace": "default", "uid": f"uid-service-{name}"}
    if owner is not None:
        metadata["ownerReferences"] = [reference(owner)]
    claims = {"models": [{"name": "llama", "role": "main"}]}
    return {
        "apiVersion": "inference.llmaz.io/v1alpha1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"modelClaims": claims, "replicas": 1, **spec},
    }


def cluster(*objects: Object | Iterable[Object]) -> ClusterState:
    """A state that saw these objects, lists of them flattened, in this order."""
    state = ClusterState()
    for item in objects:
        for obj in [item] if isinstance(item, dict) else item:
            apply(state, obj)
    return state


def apply(state: ClusterState, obj: Object, verb: str = "MODIFIED") -> None:
    """Report one object as the watch of its kind does."""
    plain = obj["kind"] in ("Pod", "Node", "Namespace", "PriorityClass", "Flavor", "Topology")
    state.apply(obj["kind"] if plain else kind_of(obj), verb, obj)


def gang_of(state: ClusterState, name: str = "train-0") -> Gang:
    """The gang ``default/NAME``, which must exist."""
    gang = state.gang(f"default/{name}")
    assert gang is not None, [one.key for one in state.gangs()]
    return gang
