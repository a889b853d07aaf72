"""The numbers of members that keep the ratio of a gang's roles, for the exact model: one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

from scheduler.model import PodSet

Point = tuple[int, ...]


def keeping(podsets: Sequence[PodSet]) -> list[Point]:
    """The members of each PodSet, running and new, that are allowed; of what runs alone nothing is asked.

    Of all points between what must or does run and what is wanted, those that are a goal of the leading
    PodSet, and those on the way from one goal to the next while the leading PodSet stands still.
    """
    parts = [podset.replica or 1 for podset in podsets]
    low = [_up(max(p.min_count, len(p.running)), n) for p, n in zip(podsets, parts, strict=True)]
    top = [_up(p.size, n) for p, n in zip(podsets, parts, strict=True)]
    growing = [t for b, t in zip(low, top, strict=True) if b < t]
    lead = min(growing, default=1)
    goals = [
        [max(b, _near(k * t, lead)) for b, t in zip(low, top, strict=True)] for k in range(lead + 1)
    ]
    points = product(*(range(b, t + 1) for b, t in zip(low, top, strict=True)))
    found = [
        tuple(count * n for count, n in zip(point, parts, strict=True))
        for point in points
        if list(point) in goals or any(_on_the_way(point, *both) for both in pairwise(goals))
    ]
    return [tuple(len(podset.running) for podset in podsets), *found]


def _on_the_way(point: Point, start: Sequence[int], goal: Sequence[int]) -> bool:
    lacks = [g - s for s, g in zip(start, goal, strict=True)]
    least = min((lack for lack in lacks if lack), default=1)
    return any(
        point == tuple(s + _near(i * lack, least) for s, lack in zip(start, lacks, strict=True))
        for i in range(1, least)
    )


def _up(members: int, part: int) -> int:
    return next(n for n in range(members + 1) if n * part >= members)


def _near(amount: int, parts: int) -> int:
    """``amount / parts``, to the nearest integer: of two as near the lower."""
    return min(range(amount + 1), key=lambda n: (abs(n * parts - amount), n))
