"""What the network adds to one prompt of a gang that stands where it stands: one number for people. Pure.

Prompt and model are those of reference (``topology.cost``: 8,192 tokens of Llama 405B, for experts DeepSeek
R1), so that places can be compared whatever a gang runs. What is sent follows from ``Parallelism``: a
pipeline passes every boundary between neighbours once; tensor and expert parallelism are as slow as the
worst link between any two. Where prefill and decode are apart, the key-value cache goes from the nearest
prefill member to the decode member that is farthest from any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

from scheduler.model import ALL_TO_ALL, Parallelism, PodSet, Traffic
from scheduler.ranks import Path, Seat, crossings, stem
from scheduler.ratio import DECODE, PREFILL, is_role
from topology.cost import (
    EXPERTS,
    EXPERTS_OF_TOKEN,
    MILLISECOND,
    RATES,
    REFERENCE,
    REFERENCE_TOKENS,
    SWITCH_NS,
    expert_ns,
    pipeline_ns,
    tensor_ns,
    time_ns,
)


def traffic(
    levels: Sequence[str],
    speeds: Sequence[int],
    paths: Mapping[int, Path],
    podsets: Sequence[PodSet],
    rows: Sequence[tuple[Sequence[Seat], Sequence[int]]],
    parallelism: Parallelism = Parallelism.PIPELINE,
) -> Traffic | None:
    """Of the chains of a gang, as seats and their nodes; ``speeds`` are those of ``topology.cost``.

    None where members send each other nothing.
    """
    chains = [
        row
        for seats, row in rows
        if len(row) > 1
        and parallelism is not Parallelism.REPLICAS
        and not _replicas(podsets[seats[0].role])
    ]
    prefill, decode = (
        {
            paths[node]
            for seats, row in rows
            for node in row
            if is_role(podsets[seats[0].role].role, kind)
        }
        for kind in (PREFILL, DECODE)
    )
    apart = bool(prefill and decode)
    if not chains and not apart:
        return None
    steps = [_step(parallelism, speeds, [paths[node] for node in row]) for row in chains]
    cache = REFERENCE_TOKENS * REFERENCE.kv_bytes
    moves = [
        min(sum(_way(cache, speeds, one, other)) for one in prefill) for other in decode if apart
    ]
    ring = parallelism in ALL_TO_ALL
    crossed = [crossings(paths, row, ring=ring) for row in chains]
    return Traffic(
        crossings={level: sum(counts) for level, *counts in zip(levels, *crossed, strict=True)},
        milliseconds=-(-(max(steps, default=0) + max(moves, default=0)) // MILLISECOND),
    )


def _replicas(podset: PodSet) -> bool:
    """Whether the members are whole replicas or helpers, which send nothing to each other."""
    role = podset.role
    sides = is_role(role, PREFILL) or is_role(role, DECODE)
    return not podset.follows_flavors or (sides and stem(role) == role)


def _step(parallelism: Parallelism, speeds: Sequence[int], row: Sequence[Path]) -> int:
    """Nanoseconds that members on ``row`` send during the prompt, by the formulas of ``topology.cost``."""
    tokens, members = REFERENCE_TOKENS, len(row)
    ways = [
        _link(speeds, one, other)
        for one, other in (pairwise(row) if parallelism not in ALL_TO_ALL else combinations(row, 2))
    ]
    rate, latency = min(rate for rate, _ in ways), max(latency for _, latency in ways)
    if parallelism is Parallelism.TENSOR:
        return tensor_ns(REFERENCE, tokens, members, rate, latency)
    if parallelism is Parallelism.EXPERT:
        shape, remote = (
            EXPERTS,
            -(-tokens * (members - 1) // members**2),
        )  # what one rank sends to others
        return shape.layers * expert_ns(remote, EXPERTS_OF_TOKEN, shape.hidden, rate, latency)
    return sum(pipeline_ns(REFERENCE, tokens, 2, *way) for way in ways)


def _way(size: int, speeds: Sequence[int], one: Path, other: Path) -> tuple[int, int]:
    """Nanoseconds of ``size`` bytes between two nodes: on the wire, and in switches."""
    rate, latency = _link(speeds, one, other)
    return time_ns(size, rate), latency


def _link(speeds: Sequence[int], one: Path, other: Path) -> tuple[int, int]:
    """Bytes per second between two nodes, and nanoseconds in switches."""
    apart = next((at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)
    if apart is None:
        return RATES["nvlink"], 0
    return speeds[apart], (len(speeds) - apart) * SWITCH_NS
