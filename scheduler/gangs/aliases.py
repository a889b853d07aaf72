"""Topology annotations of Kueue and of Ascend's scheduler, read as ours wherever a pod lacks our own.

What they mean: ``apis/kueue/v1beta2/topology_types.go`` and ``pkg/controller/jobframework/tas.go`` of
kubernetes-sigs/kueue. A PodSet of Kueue is a role of ours, its PodSet group a topology group: the level
that its members name is then asked of the whole group. *Unconstrained* asks for nothing.
``sp-block: 32`` (Ascend/mind-cluster docs/en/scheduling, 03_ascend_ai_processor_based_affinity.md): every 32
chips of the job, by rank, stand in one super-pod; with 16 chips in each pod it is the slice ``scale-up:2``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.gangs.request import whole
from scheduler.pods import Pod
from topology import keys as foreign
from topology.model import SCALE_UP
from topology.untyped import mapping, sequence

TOPOLOGY = frozenset(
    {
        foreign.KUEUE_REQUIRED, foreign.KUEUE_PREFERRED, foreign.KUEUE_UNCONSTRAINED,
        foreign.KUEUE_SLICE_LEVEL, foreign.KUEUE_SLICES,
    }
)  # fmt: skip
"""Kueue's annotations that ask for topology-aware placement."""
ALIASES = TOPOLOGY | {foreign.ASCEND_SP_BLOCK}
"""All that are read as ours."""


def understood(pods: Sequence[Pod]) -> tuple[list[Pod], dict[str, str]]:
    """``pods`` with the aliases as annotations of ours, and the origins (see ``Context``) of these."""
    origins: dict[str, str] = {}
    read = []
    for pod in pods:
        ours = {} if ALIASES.isdisjoint(pod.annotations) else dict(_ours(pod))
        new = {key: said for key, said in ours.items() if key not in pod.annotations}
        for key, (alias, _) in new.items():
            origins.setdefault(key, f"Pod {pod.namespace}/{pod.name}: {alias}")
        values = {key: value for key, (_, value) in new.items()}
        read.append(replace(pod, annotations={**values, **pod.annotations}) if values else pod)
    return read, origins


def _ours(pod: Pod) -> Iterator[tuple[str, tuple[str, str]]]:
    """(our key, (the alias, our value)). What cannot be read is handed on, to be refused there."""
    annotations = pod.annotations
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
    elif foreign.ASCEND_SP_BLOCK in annotations:
        chips = sum(pod.request[name] for name in foreign.ASCEND_CARDS)
        if chips:
            alias = foreign.ASCEND_SP_BLOCK
            yield keys.TOPOLOGY_SLICES, (alias, _block(annotations[alias], chips))


def _block(text: str, chips: int) -> str:
    """``sp-block`` as slices of pods that have so many chips each."""
    block = whole(text.strip())
    if block is None or block % chips:
        return f"{text} is not a multiple of the {chips} chips of a pod"
    return f"{SCALE_UP}:{block // chips}"


def _layers(document: str) -> str:
    """``[{"topology": "block", "size": 16}, ...]`` as ``block:16,...``; anything else as it is."""
    try:
        layers = [mapping(item) for item in sequence(json.loads(document))]
    except (ValueError, RecursionError):
        return document
    shown = [f"{layer.get('topology', '')}:{layer.get('size', '')}" for layer in layers]
    return ",".join(shown) or document
