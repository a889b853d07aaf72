"""Short Kubernetes objects for tests that read: plain JSON, as a file or the API server gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scheduler import foreign
from scheduler.keys import API_VERSION, GROUP
from scheduler.state import ClusterState
from topology import keys

Object = dict[str, Any]

TYPES = {
    # the `type` of a node: product label, cards, resource
    "h100": ({keys.NVIDIA_PRODUCT: "NVIDIA-H100-80GB-HBM3"}, 8, keys.NVIDIA_GPU),
    "a100": ({keys.NVIDIA_PRODUCT: "NVIDIA-A100-SXM4-80GB"}, 8, keys.NVIDIA_GPU),
    "ascend": ({keys.ASCEND_CHIP: "910B3"}, 8, keys.ASCEND_910),
    "cpu": ({}, 0, keys.NVIDIA_GPU),
}


def node(
    name: str, kind: str = "h100", labels: Mapping[str, str] | None = None, **status: Any
) -> Object:
    """A ready node; ``status`` replaces allocatable amounts: ``node("n1", cpu="4")``."""
    own, cards, resource = TYPES[kind]
    allocatable = {"cpu": "64", "memory": "512Gi", "pods": "110", resource: str(cards), **status}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {keys.HOSTNAME: name, **own, **(labels or {})}},
        "spec": {},
        "status": {
            "allocatable": allocatable,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(
    name: str,
    gang: str | None = None,
    *,
    node: str | None = None,
    namespace: str = "default",
    gpus: int | str = 8,
    labels: Mapping[str, str] | None = None,
    priority: int | None = 0,
    uid: str | None = None,
    created: str | None = None,
    deleted: bool = False,
    gates: Iterable[str] = (),
    phase: str | None = None,
    spec: Mapping[str, Any] | None = None,
    **ours: Any,
) -> Object:
    """A pod with request annotations: ``pod("a-0", "a", gang_size="2", topology_required="rack")``."""
    annotations = {f"{GROUP}/{key.replace('_', '-')}": value for key, value in ours.items()}
    if gang is not None:
        annotations[f"{GROUP}/gang"] = gang
    metadata: Object = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-{namespace}-{name}",
    }
    metadata["annotations"] = annotations
    metadata["labels"] = dict(labels or {})
    metadata["creationTimestamp"] = created or "2026-01-01T00:00:00Z"
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    body: Object = {
        "containers": [{"name": "c", "resources": {"requests": {keys.NVIDIA_GPU: str(gpus)}}}],
        "schedulingGates": [{"name": gate} for gate in gates],
        **(spec or {}),
    }
    if priority is not None:
        body["priority"] = priority
    if node is not None:
        body["nodeName"] = node
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": body,
        "status": {"phase": phase or ("Running" if node else "Pending")},
    }


def flavor(name: str, **spec: Any) -> Object:
    """A ``Flavor`` object."""
    return {"apiVersion": API_VERSION, "kind": "Flavor", "metadata": {"name": name}, "spec": spec}


def topology(name: str, *labels: str) -> Object:
    """A Kueue ``Topology`` object over these node labels, outermost first."""
    return {
        "apiVersion": f"{keys.KUEUE_GROUP}/v1beta1",
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"levels": [{"nodeLabel": label} for label in labels]},
    }


def namespace(name: str, **labels: str) -> Object:
    """A ``Namespace`` with labels; ``_`` stands for a dash."""
    shown = {key.replace("_", "-"): value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": shown}}


def priority_class(name: str, value: int, *, default: bool = False) -> Object:
    """A ``PriorityClass``."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "globalDefault": default,
    }


def state_of(objects: Iterable[Object]) -> ClusterState:
    """A ``ClusterState`` that saw ``objects`` in this order."""
    state = ClusterState()
    for obj in objects:
        kind = foreign.kind_of(obj)
        state.apply(kind if kind in foreign.KINDS else obj["kind"], "ADDED", obj)
    return state
