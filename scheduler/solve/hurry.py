"""Of the places that are equally good so far, those where the slowest member loads its model first.

A maximum is no sum, so a table cannot count it. But what loads within T also does within more; and which
nodes may be used within T, and by how many readers, is known. So the least T is searched for among the times
that there are, with one table for each that is tried, which then has the fewest readers that there can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scheduler.match import BoolArray
from scheduler.solve.ground import Ground, price
from scheduler.solve.problem import Form, GangRow, LoadRow, Problem
from scheduler.solve.terms import before_load

Places = tuple[Mapping[int, int], ...]
"""For each role of a form, node -> new members."""


def faster(
    problem: Problem,
    gang: GangRow,
    form: Form,
    ground: Ground,
    places: Places,
    masks: Sequence[BoolArray],
    stand: Callable[[Sequence[BoolArray]], Places | None],
) -> Places | None:
    """Places that load faster than ``places``, as fast as can be, with the entries before that as they are.

    ``stand`` gives the best places under other masks: by those entries, then by readers. None when there are
    none that are faster.
    """
    load = gang.load
    if load is None or not load.known:
        return None
    ahead = before_load(problem)
    cost = price(problem, gang, form, ground, places)
    allowed = np.logical_or.reduce(
        [mask for role, mask in zip(form.roles, masks, strict=True) if role in form.loads]
    )
    times = _times(load, allowed, cost[ahead], cost[ahead + 1])
    best: Places | None = None
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        limit = times[middle]
        open_ = load.own <= limit
        if load.readers[1] > limit:
            open_ = open_ & ~load.reads
        found = stand(
            [
                mask & open_ if role in form.loads else mask
                for role, mask in zip(form.roles, masks, strict=True)
            ]
        )
        reached = price(problem, gang, form, ground, found) if found is not None else ()
        if found is None or reached[:ahead] > cost[:ahead] or reached[ahead] > limit:
            low = middle + 1
        else:
            high, best = middle, found
    return best


def _times(load: LoadRow, allowed: BoolArray, seconds: int, readers: int) -> list[int]:
    """The times below ``seconds`` that are possible with at least so many ``readers``, ascending."""
    own = np.unique(load.own[allowed]).tolist()
    bound = max(load.readers[readers], own[0] if own else 0)
    return sorted({time for time in (*own, *load.readers) if bound <= time < seconds})
