"""Where two sources disagree about a node. Nothing is averaged: the better one counts, a Problem names both.

Sources may call the same switch by different names, so names alone prove nothing. Two sources that share
names at a level are compared by them. Of two that share none, one may use other names for the same domains:
they agree about a node if its two domains are each other's best match, and some domain has two nodes to
show that. What one domain of a source is, is told by its whole path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scheduler.fork import Forkable
from topology.model import SCALE_UP, Problem
from topology.sources.survey import Position

_Domain = tuple[str, ...]
"""Values from the outermost known level."""
_Pair = tuple[str, str, str]
"""Level, source that is used, other source."""
_Cell = tuple[_Domain, _Domain]


class Agreement(Forkable):
    """What pairs of sources say, level by level, as counts of nodes in pairs of domains."""

    def __init__(self) -> None:
        self._of_node: dict[str, tuple[tuple[_Pair, _Cell], ...]] = {}
        self._cells: dict[_Pair, dict[_Cell, set[str]]] = {}
        self._found: dict[_Pair, tuple[Problem, ...]] = {}
        self._stale: set[_Pair] = set()

    def take(self, node: str, positions: Sequence[Position] = ()) -> None:
        """What is said of the node now, the source that is used first."""
        compared = tuple(_compared(positions)) if len(positions) > 1 else ()
        before = self._of_node.get(node, ())
        if compared == before:
            return
        for pair, cell in before:
            there = self._cells[pair][cell]
            there.discard(node)
            if not there:
                del self._cells[pair][cell]
            self._stale.add(pair)
        for pair, cell in compared:
            self._cells.setdefault(pair, {}).setdefault(cell, set()).add(node)
            self._stale.add(pair)
        self._of_node.pop(node, None)
        if compared:
            self._of_node[node] = compared

    def problems(self) -> Iterator[Problem]:
        """One Problem for each node and level about which two sources disagree."""
        for pair in self._stale:
            self._found[pair] = tuple(_disagreements(pair, self._cells[pair]))
        self._stale = set()
        for found in self._found.values():
            yield from found


def _compared(positions: Sequence[Position]) -> Iterator[tuple[_Pair, _Cell]]:
    best: dict[str, tuple[str, _Domain]] = {}
    for position in positions:
        values: list[str] = []
        for step in position.path:
            values.append(step.value)
            yield from _against(best, step.level, position.source, tuple(values))
        if position.scale_up is not None:
            yield from _against(best, SCALE_UP, position.source, (position.scale_up,))


def _against(
    best: dict[str, tuple[str, _Domain]], level: str, source: str, domain: _Domain
) -> Iterator[tuple[_Pair, _Cell]]:
    used, other = best.setdefault(level, (source, domain))
    if used != source:
        yield (level, used, source), (other, domain)
    elif other != domain:  # two documents of one source
        yield (level, used, f"{source} (another document)"), (other, domain)


def _disagreements(pair: _Pair, cells: dict[_Cell, set[str]]) -> Iterator[Problem]:
    level, used, other = pair
    agreed = _agreed(cells)
    for (mine, theirs), nodes in cells.items():
        if (mine, theirs) not in agreed:
            for node in nodes:
                message = f"{used} says {mine[-1]}, {other} says {theirs[-1]}; {used} counts"
                yield Problem(subject=f"Node {node}", field=level, message=message)


def _agreed(cells: dict[_Cell, set[str]]) -> set[_Cell]:
    """The pairs of domains that are the same one."""
    equal = {cell for cell in cells if cell[0][-1] == cell[1][-1]}
    names = {mine[-1] for mine, _ in cells} & {theirs[-1] for _, theirs in cells}
    if names or max(map(len, cells.values()), default=0) < 2:
        return equal
    mains: tuple[dict[_Domain, _Cell], dict[_Domain, _Cell]] = ({}, {})
    for cell in sorted(cells, key=lambda each: (-len(cells[each]), each)):
        for side in (0, 1):
            mains[side].setdefault(cell[side], cell)
    return {cell for cell in cells if mains[0][cell[0]] == cell == mains[1][cell[1]]}
