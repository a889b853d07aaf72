"""Fluid: labels of the nodes on which a dataset's cache workers run, and what the workers hold together.

A worker label proves a worker, not bytes: nobody says which part of the dataset is on which node. So it is a
source near the node (facts topology-cache 5.4 rule 2), never a copy; the mount label (``f-``) proves nothing.
Names: ``pvc://namespace:dataset``, the volume claim that Fluid makes for the dataset,
``fluid://namespace/dataset``, and the dataset's only mount point. Source: fluid-cloudnative/fluid
pkg/common/label.go, api/v1alpha1/dataset_types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from topology.caches.claims import MEMORY, NVME, Claims, Copy, Entry, size
from topology.caches.identity import read_name
from topology.keys import FLUID_GROUP, FLUID_WORKER, FLUID_WORKER_SIZE
from topology.model import Problem
from topology.untyped import mapping, sequence, text

NAME = "fluid"
DATASET = f"Dataset.{FLUID_GROUP}"
KINDS = ("Node", DATASET)

_BOUND = "Bound"


def read(kind: str, obj: Mapping[str, Any]) -> Claims:
    """The claims of a node's labels, or of a dataset."""
    metadata = mapping(obj.get("metadata"))
    name = text(metadata.get("name"))
    if kind == "Node":
        return _labels(name, mapping(metadata.get("labels")))
    return _dataset(text(metadata.get("namespace")) or "default", name, metadata, obj)


def _labels(node: str, labels: Mapping[str, Any]) -> Claims:
    """``s-<namespace>-<dataset>`` (or ``s-<uid>`` of one with a long name): the rest is the key as it is."""
    keys = sorted(key for key in map(str, labels) if key.startswith(FLUID_WORKER))
    workers = [
        key.removeprefix(FLUID_WORKER)
        for key in keys
        if not key.startswith(FLUID_WORKER_SIZE) and labels.get(key) == "true"
    ]
    sizes = [
        key.removeprefix(FLUID_WORKER_SIZE) for key in keys if key.startswith(FLUID_WORKER_SIZE)
    ]
    return Claims(
        copies=tuple(
            Copy(node=node, model=f"{NAME}:{rest}", tier=_tier(rest, sizes), worker=True)
            for rest in workers
        )
    )


def _tier(dataset: str, sizes: list[str]) -> str:
    """``s-h-<runtime>-<m|d|t>-<dataset>``: memory, when the worker has no disk."""
    kinds = {
        rest.removesuffix(f"-{dataset}").rpartition("-")[2]
        for rest in sizes
        if rest.endswith(dataset)
    }
    return MEMORY if "m" in kinds and "d" not in kinds else NVME


def _dataset(
    namespace: str, name: str, metadata: Mapping[str, Any], obj: Mapping[str, Any]
) -> Claims:
    spec, status = mapping(obj.get("spec")), mapping(obj.get("status"))
    states = mapping(status.get("cacheStates"))
    names = [f"pvc://{namespace}:{name}", f"{NAME}://{namespace}/{name}"]
    mounts = sequence(spec.get("mounts"))
    if len(mounts) == 1:
        found = read_name(text(mapping(mounts[0]).get("mountPoint")), namespace)
        names += [found[0]] if found else []
    permille: int | None = 0
    problems: tuple[Problem, ...] = ()
    shown = states.get("cachedPercentage")
    if text(status.get("phase")) == _BOUND and shown is not None:
        permille = _permille(shown)
        if permille is None:
            message = (
                f"{str(shown)[:60]!r} is no percentage such as 25.0%; counts as nothing cached"
            )
            where = f"Dataset {namespace}/{name}", "status.cacheStates.cachedPercentage"
            problems = (Problem(subject=where[0], field=where[1], message=message),)
    keys = [f"{namespace}-{name}", text(metadata.get("uid"))]  # a long name gives way to the uid
    return Claims(
        entries=tuple(
            Entry(
                model=f"{NAME}:{key}",
                names=tuple(names),
                bytes=size(status.get("ufsTotal")),
                namespace=namespace,
                permille=permille or 0,
            )
            for key in keys
            if key
        ),
        problems=problems,
    )


def _permille(value: object) -> int | None:
    """``25.0%`` in thousandths, rounded down; None when it is no percentage."""
    shown = value.strip().removesuffix("%") if isinstance(value, str) else ""
    try:
        found = Decimal(shown) * 10
    except InvalidOperation:
        return None
    return int(found) if found.is_finite() and 0 <= found <= 1000 else None
