"""The webhook ``/mutate``: JSON in, JSON out. What is decided about flavors comes from ``admission_choice``.

It gates pods that are ours exactly as the shipped policy does (and alone does it on API servers that do not
serve MutatingAdmissionPolicy v1), and writes the flavor that was chosen for their gang into them. It has no
side effects, is idempotent, and leaves every other pod as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from extender.wire import WireError
from scheduler.gang_object import label_value
from scheduler.keys import GANG, GATE, SYNTHETIC_RESOURCES

Object = Mapping[str, Any]
Patch = list[dict[str, Any]]

NO_REVIEW = (
    msgspec.DecodeError,
    RecursionError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
"""What reading JSON that is no review of a pod raises; the webhook never answers 500."""

_PARTS = (
    ("metadata", "labels"), ("metadata", "annotations"), ("spec", "schedulingGates"),
    ("spec", "nodeSelector"), ("spec", "tolerations"), ("spec", "runtimeClassName"),
)  # fmt: skip
_CONTAINER_PARTS = ("image", "command", "args", "env", "resources")
"""All that is ever changed of a pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The request of an AdmissionReview v1."""

    uid: str
    namespace: str
    pod: Object
    dry_run: bool


def read_review(body: bytes) -> Review:
    """Raises ``WireError`` when the body is no AdmissionReview of a pod."""
    try:
        request = msgspec.json.decode(body)["request"]
        pod = request["object"]
        patch_of(pod, gated(pod))  # raises what is caught here when it is no pod
        return Review(
            uid=request["uid"],
            namespace=request.get("namespace") or "",
            pod=pod,
            dry_run=request.get("dryRun") is True,
        )
    except NO_REVIEW as error:
        text = f"mutate: expected an AdmissionReview v1 of a Pod: {error!r}"
        raise WireError(text[:300]) from None


def write_review(review: Review, after: Object) -> dict[str, Any]:
    """The answer by which the pod becomes ``after``; always allowed."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": True}
    patch = patch_of(review.pod, after)
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(patch)).decode()
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def gated(pod: Object) -> Object:
    """``pod`` as a gated member with the membership resources; itself when it is one already.

    Raises one of ``NO_REVIEW`` when it is no pod.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    gates = spec.get("schedulingGates") or []
    if all(gate.get("name") != GATE for gate in gates):
        spec = {**spec, "schedulingGates": [*gates, {"name": GATE}]}
    first, *others = spec["containers"]
    resources = first.get("resources") or {}
    wanted = {
        kind: {**(resources.get(kind) or {}), **dict.fromkeys(sorted(SYNTHETIC_RESOURCES), "1")}
        for kind in ("requests", "limits")
    }
    if any((resources.get(kind) or {}) != wanted[kind] for kind in wanted):
        spec = {**spec, "containers": [{**first, "resources": {**resources, **wanted}}, *others]}
    gang = (metadata.get("annotations") or {}).get(GANG)
    labels = metadata.get("labels") or {}
    if gang and GANG not in labels:
        metadata = {**metadata, "labels": {**labels, GANG: label_value(gang)}}
    return {**pod, "metadata": metadata, "spec": spec}


def patch_of(before: Object, after: Object) -> Patch:
    """The JSON patch that makes ``before`` into ``after``: whole parts, all of them or none."""
    found: Patch = []
    for parent, key in _PARTS:
        found += _step(f"/{parent}/{key}", before[parent].get(key), after[parent].get(key))
    containers = zip(before["spec"]["containers"], after["spec"]["containers"], strict=True)
    for index, (old, new) in enumerate(containers):
        for key in _CONTAINER_PARTS:
            found += _step(f"/spec/containers/{index}/{key}", old.get(key), new.get(key))
    return found


def _step(path: str, old: Any, new: Any) -> Patch:
    if old == new or (not old and not new):
        return []
    if new is None:
        return [{"op": "remove", "path": path}]
    return [{"op": "add", "path": path, "value": new}]
