"""Everything Muster writes: each function is one API call, idempotent or with a precondition.

Pods are always addressed with their uid, so that a pod that was deleted and created again under the
same name is never touched by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scheduler.keys import GATE, TOUCHED
from scheduler.kube.client import MERGE, STRATEGIC, UNREACHABLE, ApiError, KubeClient, Object
from scheduler.kube.resources import FOREIGN, GANGS, NODE_TOPOLOGIES, PODS
from scheduler.model import Resize


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRef:
    """One pod, not its successor of the same name."""

    namespace: str
    name: str
    uid: str


class Outcome(StrEnum):
    """What came of a write."""

    DONE = "done"
    """The object is as asked; also when it already was."""
    GONE = "gone"
    """The object does not exist, or another one has its name."""
    CONFLICT = "conflict"
    """It changed since it was read (resourceVersion), exists already, or a disruption budget says not now."""
    REFUSED = "refused"
    """Validation, admission or authorisation said no: repeating it does not help."""
    RETRYABLE = "retryable"
    """No clear answer: it may or may not have happened; repeat it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Outcome of one write, the server's words when it was not done, the object when it was."""

    outcome: Outcome
    message: str = ""
    obj: Object | None = None

    @property
    def done(self) -> bool:
        """Whether the object is as asked."""
        return self.outcome is Outcome.DONE


class BindOutcome(StrEnum):
    """What came of a Binding."""

    BOUND = "bound"
    ALREADY_BOUND_HERE = "already bound here"
    ALREADY_BOUND_ELSEWHERE = "already bound elsewhere"
    GONE = "gone"
    """The pod is deleted, being deleted, or another one has its name."""
    CONFLICT = "conflict"
    """Refused for the state the pod is in, or by admission; repeating it does not help by itself."""
    RETRYABLE = "retryable"
    """No clear answer: the Binding may exist; repeat it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindResult:
    """Outcome of a Binding. ``node``: where the pod is known to be bound."""

    outcome: BindOutcome
    message: str = ""
    node: str | None = None

    @property
    def bound(self) -> bool:
        """Whether the pod is bound to the node that was asked for."""
        return self.outcome in (BindOutcome.BOUND, BindOutcome.ALREADY_BOUND_HERE)


async def nominate(client: KubeClient, pod: PodRef, node: str) -> Result:
    """Set ``status.nominatedNodeName``: kube-scheduler holds the place and asks for this node first."""
    return await _patch_pod(client, pod, {"status": {"nominatedNodeName": node}}, "status")


async def clear_nomination(client: KubeClient, pod: PodRef) -> Result:
    """Give the nominated place back."""
    return await _patch_pod(client, pod, {"status": {"nominatedNodeName": None}}, "status")


async def remove_gate(
    client: KubeClient, pod: PodRef, annotations: Mapping[str, str | None] | None = None
) -> Result:
    """Remove our scheduling gate, and nobody else's; ``annotations`` go in the same write."""
    body: Object = {"spec": {"schedulingGates": [{"$patch": "delete", "name": GATE}]}}
    if annotations:
        body["metadata"] = {"annotations": dict(annotations)}
    return await _patch_pod(client, pod, body)


async def annotate(
    client: KubeClient, pod: PodRef, annotations: Mapping[str, str | None]
) -> Result:
    """Set annotations; None removes one."""
    return await _patch_pod(client, pod, {"metadata": {"annotations": dict(annotations)}})


async def label(client: KubeClient, pod: PodRef, labels: Mapping[str, str | None]) -> Result:
    """Set labels; None removes one."""
    return await _patch_pod(client, pod, {"metadata": {"labels": dict(labels)}})


async def touch(client: KubeClient, pod: PodRef, text: str) -> Result:
    """Change an annotation without meaning so that kube-scheduler looks at the pod again; ``text`` must
    differ from the last one."""
    return await annotate(client, pod, {TOUCHED: text})


async def bind(
    client: KubeClient,
    pod: PodRef,
    node: str,
    annotations: Mapping[str, str] | None = None,
) -> BindResult:
    """Create the Binding; the annotations are merged into the pod by the same write."""
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {
            "namespace": pod.namespace,
            "name": pod.name,
            "uid": pod.uid,
            "annotations": dict(annotations or {}),
        },
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    try:
        await client.create(
            PODS, body, namespace=pod.namespace, name=pod.name, subresource="binding"
        )
    except ApiError as error:
        if error.status == 404:
            return BindResult(outcome=BindOutcome.GONE, message=error.message)
        if error.status == 409:
            return await _why_not_bound(client, pod, node, error)
        final = 400 <= error.status < 500 and error.status not in (401, 408, 429)
        outcome = BindOutcome.CONFLICT if final else BindOutcome.RETRYABLE
        return BindResult(outcome=outcome, message=error.message)
    return BindResult(outcome=BindOutcome.BOUND, node=node)


async def _why_not_bound(
    client: KubeClient, pod: PodRef, node: str, refused: ApiError
) -> BindResult:
    """409 has many reasons, told apart only by their texts: look at the pod instead."""
    try:
        found = await client.find(PODS, pod.namespace, pod.name)
    except ApiError as error:
        return BindResult(outcome=BindOutcome.RETRYABLE, message=error.message)
    if found is None or found["metadata"].get("uid") != pod.uid:
        return BindResult(outcome=BindOutcome.GONE, message=refused.message)
    there = found["spec"].get("nodeName")
    if there == node:
        outcome = BindOutcome.ALREADY_BOUND_HERE
    elif there:
        outcome = BindOutcome.ALREADY_BOUND_ELSEWHERE
    elif "deletionTimestamp" in found["metadata"]:
        outcome = BindOutcome.GONE
    else:
        outcome = BindOutcome.CONFLICT
    return BindResult(outcome=outcome, message=refused.message, node=there)


async def evict(client: KubeClient, pod: PodRef) -> Result:
    """Evict through the Eviction API; ``CONFLICT`` when a PodDisruptionBudget does not allow it now.

    Looks at the pod first: an eviction with another pod's uid keeps the API server busy for 10 s.
    """
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"namespace": pod.namespace, "name": pod.name},
        "deleteOptions": {"preconditions": {"uid": pod.uid}},
    }
    try:
        found = await client.get(PODS, pod.namespace, pod.name)
        if found["metadata"].get("uid") != pod.uid:
            return Result(outcome=Outcome.GONE, message="another pod has its name")
        await client.create(
            PODS,
            body,
            namespace=pod.namespace,
            name=pod.name,
            subresource="eviction",
            retry=False,
        )
    except ApiError as error:
        outcome = Outcome.CONFLICT if error.status == 429 else _pod_outcome(error)
        return Result(outcome=outcome, message=error.message)
    return Result(outcome=Outcome.DONE)


async def create_pod(client: KubeClient, manifest: Mapping[str, Any]) -> Result:
    """Create a pod; one of that name that exists already is given back as it is."""
    namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    try:
        obj = await client.create(PODS, manifest, namespace=namespace)
    except ApiError as error:
        if error.status != 409:
            return Result(outcome=_outcome(error), message=error.message)
        found = await client.find(PODS, namespace, name)
        if found is None:
            return Result(outcome=Outcome.RETRYABLE, message=error.message)
        obj = found
    return Result(outcome=Outcome.DONE, obj=obj)


async def delete_pod(client: KubeClient, pod: PodRef) -> Result:
    """Delete a pod at once; ``GONE`` when it, or the one with this uid, does not exist."""
    try:
        await client.delete(PODS, pod.namespace, pod.name, uid=pod.uid)
    except ApiError as error:
        return Result(outcome=_pod_outcome(error), message=error.message)
    return Result(outcome=Outcome.DONE)


async def resize(client: KubeClient, namespace: str, change: Resize) -> Result:
    """Set the number of members of each group on the object that makes them."""
    resource = next(r for r in FOREIGN if r.name == change.kind)
    body: Any = change.size
    for step in reversed(change.path):
        body = {step: body}
    try:
        obj = await client.patch(
            resource, body, namespace=namespace, name=change.name, content_type=MERGE
        )
    except ApiError as error:
        return Result(outcome=_outcome(error), message=error.message)
    return Result(outcome=Outcome.DONE, obj=obj)


async def create_gang(client: KubeClient, manifest: Mapping[str, Any]) -> Result:
    """Create a Gang object without its status; ``CONFLICT`` when it exists."""
    try:
        obj = await client.create(GANGS, manifest, namespace=manifest["metadata"]["namespace"])
    except ApiError as error:
        return Result(outcome=_outcome(error), message=error.message)
    return Result(outcome=Outcome.DONE, obj=obj)


async def replace_gang(
    client: KubeClient, manifest: Mapping[str, Any], resource_version: str
) -> Result:
    """Replace all but the status of a Gang object if it still has that ``resourceVersion``."""
    return await _replace_gang(client, manifest, {}, resource_version, None)


async def replace_gang_status(
    client: KubeClient,
    manifest: Mapping[str, Any],
    status: Mapping[str, Any],
    resource_version: str,
) -> Result:
    """Replace the whole status of a Gang object if it still has that ``resourceVersion``.

    This is the commit of a plan. ``manifest`` gives identity; its spec is not written.
    """
    return await _replace_gang(client, manifest, {"status": status}, resource_version, "status")


async def _replace_gang(
    client: KubeClient,
    manifest: Mapping[str, Any],
    more: Mapping[str, Any],
    resource_version: str,
    subresource: str | None,
) -> Result:
    metadata = {**manifest["metadata"], "resourceVersion": resource_version}
    try:
        obj = await client.replace(
            GANGS,
            {**manifest, **more, "metadata": metadata},
            namespace=metadata["namespace"],
            name=metadata["name"],
            subresource=subresource,
        )
    except ApiError as error:
        return Result(outcome=_outcome(error), message=error.message)
    return Result(outcome=Outcome.DONE, obj=obj)


async def delete_gang(client: KubeClient, namespace: str, name: str, uid: str) -> Result:
    """Delete a Gang object; ``GONE`` when it, or the one with this uid, does not exist."""
    try:
        await client.delete(GANGS, namespace, name, uid=uid)
    except ApiError as error:
        return Result(outcome=_pod_outcome(error), message=error.message)
    return Result(outcome=Outcome.DONE)


async def apply_node_topology(client: KubeClient, manifest: Mapping[str, Any]) -> Object:
    """Create or replace what a node reports about itself. Raises ``ApiError``."""
    path = NODE_TOPOLOGIES.path(name=manifest["metadata"]["name"])
    return await client.apply(path, manifest, "muster")


async def _patch_pod(
    client: KubeClient, pod: PodRef, body: Object, subresource: str | None = None
) -> Result:
    """Strategic merge patch; the uid in its metadata is a precondition: it is an immutable field."""
    metadata = {**body.get("metadata", {}), "uid": pod.uid}
    try:
        obj = await client.patch(
            PODS,
            {**body, "metadata": metadata},
            namespace=pod.namespace,
            name=pod.name,
            subresource=subresource,
            content_type=STRATEGIC,
        )
    except ApiError as error:
        return Result(outcome=_pod_outcome(error), message=error.message)
    return Result(outcome=Outcome.DONE, obj=obj)


def _pod_outcome(error: ApiError) -> Outcome:
    """With the uid as the only precondition a conflict means that the object is another one."""
    outcome = _outcome(error)
    another = outcome is Outcome.CONFLICT or "metadata.uid" in error.fields
    return Outcome.GONE if another else outcome


def _outcome(error: ApiError) -> Outcome:
    if error.status == 404:
        return Outcome.GONE
    if error.status == 409:
        return Outcome.CONFLICT
    if error.status in (UNREACHABLE, 401, 408, 429) or error.status >= 500:
        return Outcome.RETRYABLE
    return Outcome.REFUSED
