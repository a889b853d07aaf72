"""Several sources about one node: which of their levels become its path.

The best source counts level by level. Levels of another are added only when something says how they relate:
both know a level in common (its own order then says what is outside and what inside), or they are region
and zone, which are outside everything. Else nothing says whether a rack is inside a leaf, and a wrong guess
would cut the domains of the better source.
"""

from __future__ import annotations

from collections.abc import Iterable

from topology.model import PathStep
from topology.sources.node_labels import PLACES
from topology.sources.survey import Position

_PLACES = frozenset(PLACES)
Related = tuple[Position, tuple[PathStep, ...]]


def related(positions: Iterable[Position]) -> list[Related]:
    """The positions, best first, each with those of its steps that relate to the better ones."""
    found: list[Related] = []
    known: set[str] = set()
    for position in sorted(positions, key=lambda each: (each.rank, each.source)):
        steps = position.path
        own = {step.level for step in steps}
        if known - _PLACES and not own & known - _PLACES:
            steps = tuple(step for step in steps if step.level in _PLACES)
        if steps:
            known.update(step.level for step in steps)
            found.append((position, steps))
    return found


def chain(steps: Iterable[PathStep]) -> tuple[str, ...]:
    """The levels of a path, outermost first."""
    return tuple(step.level for step in steps)
