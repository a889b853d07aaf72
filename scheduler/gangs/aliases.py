"""Kueue's topology annotations, read as ours wherever a pod lacks our own.

What they mean: ``apis/kueue/v1beta2/topology_types.go`` and ``pkg/controller/jobframework/tas.go`` of
kubernetes-sigs/kueue. A PodSet of Kueue is a role of ours, its PodSet group a topology group: the level
that its members name is then asked of the whole group. *Unconstrained* asks for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.pods import Pod
from topology import keys as foreign
from topology.untyped import mapping, sequence

TOPOLOGY = frozenset(
    {
        foreign.KUEUE_REQUIRED, foreign.KUEUE_PREFERRED, foreign.KUEUE_UNCONSTRAINED,
        foreign.KUEUE_SLICE_LEVEL, foreign.KUEUE_SLICES,
    }
)  # fmt: skip
"""The annotations that ask for topology-aware placement."""


def understood(pods: Sequence[Pod]) -> tuple[list[Pod], dict[str, str]]:
    """``pods`` with the aliases as annotations of ours, and the origins (see ``Context``) of these."""
    origins: dict[str, str] = {}
    read = []
    for pod in pods:
        ours = {} if TOPOLOGY.isdisjoint(pod.annotations) else dict(_ours(pod.annotations))
        new = {key: said for key, said in ours.items() if key not in pod.annotations}
        for key, (alias, _) in new.items():
            origins.setdefault(key, f"Pod {pod.namespace}/{pod.name}: {alias}")
        values = {key: value for key, (_, value) in new.items()}
        read.append(replace(pod, annotations={**values, **pod.annotations}) if values else pod)
    return read, origins


def _ours(annotations: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """(our key, (Kueue's key, our value)). What cannot be read is handed on, to be refused there."""
    required = foreign.KUEUE_REQUIRED in annotations
    level = foreign.KUEUE_REQUIRED if required else foreign.KUEUE_PREFERRED
    group = foreign.KUEUE_PODSET_GROUP in annotations
    if level in annotations:
        if group:
            alias = foreign.KUEUE_PODSET_GROUP
            yield keys.TOPOLOGY_GROUP, (alias, annotations[alias])
        ours = (
            (keys.GROUP_TOPOLOGY_REQUIRED if required else keys.GROUP_TOPOLOGY_PREFERRED)
            if group
            else (keys.TOPOLOGY_REQUIRED if required else keys.TOPOLOGY_PREFERRED)
        )
        yield ours, (level, annotations[level])
    if foreign.KUEUE_SLICES in annotations:
        alias = foreign.KUEUE_SLICES
        yield keys.TOPOLOGY_SLICES, (alias, _layers(annotations[alias]))
    elif foreign.KUEUE_SLICE_LEVEL in annotations:
        alias, size = foreign.KUEUE_SLICE_LEVEL, annotations.get(foreign.KUEUE_SLICE_SIZE, "")
        yield keys.TOPOLOGY_SLICES, (alias, f"{annotations[alias]}:{size}")


def _layers(document: str) -> str:
    """``[{"topology": "block", "size": 16}, ...]`` as ``block:16,...``; anything else as it is."""
    try:
        layers = [mapping(item) for item in sequence(json.loads(document))]
    except (ValueError, RecursionError):
        return document
    shown = [f"{layer.get('topology', '')}:{layer.get('size', '')}" for layer in layers]
    return ",".join(shown) or document
