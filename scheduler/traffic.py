"""What the network adds to one prompt of a gang that stands where it stands: one number for people. Pure.

Prompt and model are those of reference (``topology.cost``: 8,192 tokens, Llama 405B), so that places can be
compared whatever a gang runs. Every boundary between neighbours of a chain is passed once, as in a pipeline
(tensor parallelism across nodes sends some 250 times as much); where prefill and decode are apart, the
key-value cache goes from the nearest prefill member to the decode member that is farthest from any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from scheduler.model import PodSet, Traffic
from scheduler.ranks import Path, Seat, crossings, stem
from scheduler.ratio import DECODE, PREFILL, is_role
from topology.cost import (
    MILLISECOND,
    RATES,
    REFERENCE,
    REFERENCE_TOKENS,
    SWITCH_NS,
    time_ns,
)


def traffic(
    levels: Sequence[str],
    speeds: Sequence[int],
    paths: Mapping[int, Path],
    podsets: Sequence[PodSet],
    rows: Sequence[tuple[Sequence[Seat], Sequence[int]]],
) -> Traffic | None:
    """Of the chains of a gang, as seats and their nodes; ``speeds`` are those of ``topology.cost``.

    None where members send each other nothing.
    """
    chains = [row for seats, row in rows if len(row) > 1 and not _replicas(podsets[seats[0].role])]
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
    boundary = REFERENCE_TOKENS * REFERENCE.boundary_bytes
    steps = [
        sum(_time(boundary, speeds, paths[one], paths[other]) for one, other in pairwise(row))
        for row in chains
    ]
    cache = REFERENCE_TOKENS * REFERENCE.kv_bytes
    moves = [min(_time(cache, speeds, one, other) for one in prefill) for other in decode if apart]
    crossed = [crossings(paths, row) for row in chains]
    return Traffic(
        crossings={level: sum(counts) for level, *counts in zip(levels, *crossed, strict=True)},
        milliseconds=-(-(max(steps, default=0) + max(moves, default=0)) // MILLISECOND),
    )


def _replicas(podset: PodSet) -> bool:
    """Whether the members are whole replicas or helpers, which send nothing to each other."""
    role = podset.role
    sides = is_role(role, PREFILL) or is_role(role, DECODE)
    return not podset.follows_flavors or (sides and stem(role) == role)


def _time(size: int, speeds: Sequence[int], one: Path, other: Path) -> int:
    """Nanoseconds of ``size`` bytes between two nodes."""
    apart = next((at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)
    if apart is None:
        return time_ns(size, RATES["nvlink"])
    return time_ns(size, speeds[apart]) + (len(speeds) - apart) * SWITCH_NS
