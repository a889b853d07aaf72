"""Which options of a gang are worth a search: of hundreds of homes (``Option.home``) that differ little, few.

An option whose places must cost more than the best that was found is not searched.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.match import BoolArray, IntArray
from scheduler.solve.ground import Ground
from scheduler.solve.problem import Form, GangRow, Problem, Role


def promising(
    problem: Problem, gang: GangRow, ground: Ground, options: Sequence[int] | None
) -> list[tuple[tuple[int, int], tuple[int, ...], int]]:
    """Options as (what it costs, what its places cost at least, number), in the order to try them.

    ``options``: those that are asked for, by number; None: all.
    """
    found: list[tuple[tuple[int, int], tuple[int, ...], int]] = []
    for number in range(len(gang.options)) if options is None else options:
        option = gang.options[number]
        floor: tuple[int, ...] = ()
        if option.home and not gang.runs:
            floor = _floor(problem, gang.form_of(number), ground, option.masks)
        found.append((option.cost, floor, number))
    return sorted(found)


def _floor(
    problem: Problem, form: Form, ground: Ground, masks: Sequence[BoolArray]
) -> tuple[int, ...]:
    """What places cost at least, entry by entry as in ``ground.price``, if all pending members with cards
    have one.

    For a gang of which somebody takes cards on the nodes of ``masks``.
    """
    takers = [
        (role, carded)
        for index, mask in zip(form.roles, masks, strict=True)
        if (carded := mask & ((role := problem.roles[index]).cards > 0)).any()
    ]
    if not takers:
        return ()
    nodes = np.flatnonzero(np.logical_or.reduce([carded for _, carded in takers]))
    each = [problem.capacity(role, ground.free, carded)[nodes] for role, carded in takers]
    room, members = np.sum(each, axis=0), sum(role.pending for role, _ in takers)
    used, opened = [], []
    for depth, flags in enumerate(ground.idle):
        domains, at = np.unique(problem.domain_of[depth][nodes], return_inverse=True)
        rooms = np.bincount(at, weights=room, minlength=len(domains)).astype(np.int64)
        used.append(_fewest(rooms, members))
        idle = flags[domains]
        opened.append(_fewest(rooms[idle], members - int(rooms[~idle].sum())))
    # Of shared domains, transfers and loads nothing is known: nought.
    return (0, *used, 0, 0, 0, *opened, *_least(problem, takers, ground, nodes[room > 0], members))


def _fewest(rooms: IntArray, members: int) -> int:
    """The fewest domains with such rooms that hold so many members; all of them if they do not."""
    if members <= 0:
        return 0
    held = np.cumsum(np.sort(rooms)[::-1])
    return min(int(np.searchsorted(held, members)) + 1, len(rooms))


def _least(
    problem: Problem,
    takers: Sequence[tuple[Role, BoolArray]],
    ground: Ground,
    nodes: IntArray,
    members: int,
) -> tuple[int, int]:
    """Groups broken and cards left at least; sharp where every member takes all cards of its node."""
    if all((role.cards[nodes] == ground.left[nodes])[mask[nodes]].all() for role, mask in takers):
        lost = problem.whole(ground.free[nodes], nodes.tolist())
        return int(np.sort(lost)[:members].sum()), 0
    return 0, -members * max((int(role.cards[mask].max()) for role, mask in takers), default=0)
