"""Several sources about one node: which of their levels become its path.

The best source counts level by level. A level of another is added only where its place among the better ones
follows from what that source says itself: ``core > spine > leaf`` adds core and spine to a known leaf. Region
and zone are outside everything. Else nothing says whether a rack is inside a leaf, and a wrong guess would
cut the domains of the better source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from topology.model import PathStep
from topology.sources.node_labels import PLACES
from topology.sources.survey import Position

Related = tuple[Position, tuple[PathStep, ...]]


def related(positions: Iterable[Position]) -> list[Related]:
    """The positions, best first, each with those of its steps whose order among the others is known."""
    found: list[Related] = []
    order: list[str] = []
    for position in sorted(positions, key=lambda each: (each.rank, each.source)):
        own = chain(position.path)
        kept = tuple(
            step for index, step in enumerate(position.path) if _put(step.level, index, own, order)
        )
        if kept:
            found.append((position, kept))
    return found


def _put(level: str, index: int, own: Sequence[str], order: list[str]) -> bool:
    """Give ``level``, at ``index`` of a source's own levels, its place in ``order`` if there is just one."""
    if level in order:
        return True
    if level in PLACES:
        order.insert(sum(other in order for other in PLACES[: PLACES.index(level)]), level)
        return True
    outside = [order.index(other) + 1 for other in own[:index] if other in order]
    inside = [order.index(other) for other in own[index + 1 :] if other in order]
    places = sum(other in order for other in PLACES)
    first, last = max(outside, default=places), min(inside, default=len(order))
    if first != last:
        return False
    order.insert(first, level)
    return True


def chain(steps: Iterable[PathStep]) -> tuple[str, ...]:
    """The levels of a path, outermost first."""
    return tuple(step.level for step in steps)
