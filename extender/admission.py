"""The webhook ``/mutate``: adds the gate and the membership resources to pods that are ours.

Only for API servers that do not serve MutatingAdmissionPolicy v1 (before 1.36); it does exactly what the
shipped policy does. It has no side effects, is idempotent, and leaves every other pod as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from extender.wire import WireError
from scheduler.gang_object import label_value
from scheduler.keys import GANG, GATE, REQUEST_ANNOTATIONS, SYNTHETIC_RESOURCES

Patch = list[dict[str, Any]]

_NO_REVIEW = (
    msgspec.DecodeError,
    RecursionError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
"""What reading JSON that is no review of a pod raises; the webhook never answers 500."""


def review(body: bytes, unmanaged: Callable[[str], bool]) -> dict[str, Any]:
    """Answer an AdmissionReview v1. ``unmanaged`` tells whether a namespace is labelled managed=false.

    Raises ``WireError`` when the body is no AdmissionReview.
    """
    try:
        request = msgspec.json.decode(body)["request"]
        uid, pod = request["uid"], request["object"]
        namespace = request.get("namespace") or ""
        patch = pod_patch(pod) if not unmanaged(namespace) else []
    except _NO_REVIEW as error:
        text = f"mutate: expected an AdmissionReview v1 of a Pod: {error!r}"
        raise WireError(text[:300]) from None
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(patch)).decode()
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def is_ours(pod: Mapping[str, Any]) -> bool:
    """Whether the pod carries a request annotation and is not bound yet."""
    annotations = pod["metadata"].get("annotations") or {}
    return bool(REQUEST_ANNOTATIONS & annotations.keys()) and not pod["spec"].get("nodeName")


def pod_patch(pod: Mapping[str, Any]) -> Patch:
    """JSON patch that makes ``pod`` a gated member; empty when it is not ours or already one."""
    if not is_ours(pod):
        return []
    patch: Patch = []
    gates = pod["spec"].get("schedulingGates") or []
    if all(gate.get("name") != GATE for gate in gates):
        gated = [*gates, {"name": GATE}]
        patch.append({"op": "add", "path": "/spec/schedulingGates", "value": gated})
    containers = pod["spec"]["containers"]
    resources = containers[0].get("resources") or {}
    wanted = {
        kind: {**(resources.get(kind) or {}), **dict.fromkeys(sorted(SYNTHETIC_RESOURCES), "1")}
        for kind in ("requests", "limits")
    }
    if any((resources.get(kind) or {}) != wanted[kind] for kind in wanted):
        value = {**resources, **wanted}
        patch.append({"op": "add", "path": "/spec/containers/0/resources", "value": value})
    return patch + _label_patch(pod)


def _label_patch(pod: Mapping[str, Any]) -> Patch:
    gang = (pod["metadata"].get("annotations") or {}).get(GANG)
    labels = pod["metadata"].get("labels") or {}
    if not gang or GANG in labels:
        return []
    value = {**labels, GANG: label_value(gang)}
    return [{"op": "add", "path": "/metadata/labels", "value": value}]
