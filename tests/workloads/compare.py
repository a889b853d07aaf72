"""Compare pods as Muster expects them from an owner with the pods that the real managers made.

Compared is all that decides about groups and places: names, labels, annotations, owners, requests, node
selectors, affinity and tolerations. Left out is what nobody can know before:
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scheduler.gangs.owners import identity
from scheduler.pod_requests import read_request
from topology import keys

Object = Mapping[str, Any]

UNKNOWN_LABELS = frozenset(
    {
        "controller-revision-hash",  # hashes of objects as Go writes them, with all defaults
        keys.LWS_REVISION,
        keys.ZONE,  # copied from the node when the pod is bound
        keys.REGION,
    }
)
OWN_ANNOTATIONS = "muster.dev/"
"""What Muster itself writes on pods."""
ADMISSION_TOLERATIONS = frozenset({keys.TAINT_NOT_READY, keys.TAINT_UNREACHABLE})
"""Added to every pod by the admission plugin DefaultTolerationSeconds."""


def differences(expected: Iterable[Object], real: Iterable[Object]) -> list[str]:
    """What is different about each real pod: ``pod: field: expected ..., real ...``."""
    by_name = {identity(pod): pod for pod in expected}
    found = []
    for pod in real:
        name = "/".join(identity(pod))
        made = by_name.get(identity(pod))
        if made is None:
            found.append(f"{name}: is not expected")
            continue
        mine, theirs = essence(made), essence(pod)
        found += [
            f"{name}: {field}: expected {mine[field]}, real {theirs[field]}"
            for field in theirs
            if mine[field] != theirs[field]
        ]
    return found


def essence(pod: Object) -> dict[str, Any]:
    """The part of a pod that is compared."""
    metadata, spec = pod["metadata"], pod["spec"]
    annotations = metadata.get("annotations") or {}
    return {
        "labels": {
            key: value
            for key, value in (metadata.get("labels") or {}).items()
            if key not in UNKNOWN_LABELS
        },
        "annotations": {
            key: value for key, value in annotations.items() if not key.startswith(OWN_ANNOTATIONS)
        },
        "owners": [
            (owner["apiVersion"], owner["kind"], owner["name"], owner.get("controller", False))
            for owner in metadata.get("ownerReferences", ())
        ],
        "request": read_request(spec, {})[0],
        "nodeSelector": spec.get("nodeSelector") or {},
        "affinity": spec.get("affinity") or {},
        "tolerations": [
            one
            for one in spec.get("tolerations", ())
            if one.get("key") not in ADMISSION_TOLERATIONS
        ],
    }
