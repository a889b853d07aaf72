"""Rank order: neighbours in rank cross domains the fewest times, which brute force confirms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import PodSet
from scheduler.ranks import Path, Seat, chains_of, crossings, seated
from tests.builders import podset

# Nodes by number: zone / rack / host; 0-3 stand in zone 0, 4-7 in zone 1, two in each rack.
PATHS: dict[int, Path] = {node: (node // 4, node // 2, node) for node in range(8)}


def filled(chain: Sequence[Seat], order: Sequence[int]) -> list[int]:
    """The node of every seat if the free ones get nodes in this order."""
    left = iter(order)
    return [seat.node if seat.node is not None else next(left) for seat in chain]


def least(chain: Sequence[Seat], places: Sequence[int], *, ring: bool) -> tuple[int, ...]:
    """The fewest crossings of one chain whose free seats are of one pool, by trying every order."""
    return min(
        crossings(PATHS, filled(chain, order), ring=ring) for order in set(permutations(places))
    )


def chain_of(text: str) -> list[Seat]:
    """Seats of pool 0, ``.`` for a free one: ``"3 . ."``."""
    return [Seat(0, None if word == "." else int(word)) for word in text.split()]


@pytest.mark.parametrize(
    ("chain", "places", "ring", "order"),
    [
        (". . . .", [5, 0, 4, 1], False, [0, 1, 4, 5]),
        # The one that runs in zone 1 has its neighbours there.
        ("4 . . .", [0, 1, 5], False, [5, 0, 1]),
        (". . . 0", [5, 1, 4], False, [4, 5, 1]),
        # Between two that run: from the rack of the one to the rack of the other.
        ("0 . . . 4", [5, 1, 2], False, [1, 2, 5]),
        # Both stand in zone 0, and zone 1 is visited once, between their racks.
        ("0 . . . . 2", [5, 1, 3, 4], False, [1, 4, 5, 3]),
        # In a ring what is behind the last is beside the first.
        (". 4 .", [0, 5], True, [0, 5]),
        # A member that comes back stands where there is room; so do two apart from each other.
        ("0 . 1 2 . 3", [1, 2], False, [1, 2]),
        ("4 . 5 0 . 1", [1, 4], False, [4, 1]),
    ],
)
def test_who_stands_where(chain: str, places: list[int], ring: bool, order: list[int]) -> None:
    """Free seats in the order of ranks, and the nodes that they get."""
    [found] = seated(PATHS, [chain_of(chain)], {0: places}, ring=ring)
    assert found == filled(chain_of(chain), order)


def test_workers_begin_where_their_leader_stands() -> None:
    """The leader is rank 0 of the chain: workers follow in its rack, then in its zone, then elsewhere."""
    chain = [Seat(0), *[Seat(1)] * 5]
    assert seated(PATHS, [chain], {0: [6], 1: [0, 1, 4, 6, 7]}) == [[6, 6, 7, 4, 0, 1]]


def test_each_replica_is_a_chain() -> None:
    """Two leaders with two workers each: every replica stays in a rack, and nobody else's edges count."""
    chains = [[Seat(0), Seat(1), Seat(1)]] * 2
    assert seated(PATHS, chains, {0: [0, 5], 1: [4, 4, 1, 1]}) == [[0, 1, 1], [5, 4, 4]]


def test_crossings_are_counted_level_by_level() -> None:
    """From 0 to 1 a host, to 2 a rack, to 4 a zone; round to 0 once more. Two members are one edge."""
    assert crossings(PATHS, [0, 1, 2, 4]) == (1, 2, 3)
    assert crossings(PATHS, [0, 1, 2, 4], ring=True) == (2, 3, 4)
    assert crossings(PATHS, [0, 4], ring=True) == (1, 1, 1)
    assert crossings(PATHS, [3]) == ()


@pytest.mark.parametrize(
    ("sets", "chains"),
    [
        ([podset("main", 3)], [3]),
        ([podset("leader", 1), podset("worker", 3)], [4]),
        # subgroups of a LeaderWorkerSet
        ([podset("leader", 1), podset("worker-0", 1), podset("worker-1", 2)], [4]),
        ([podset("worker-0", 2), podset("worker-1", 2)], [4]),
        # replicas of a DisaggregatedSet, and roles of one pod each
        (
            [podset("prefill-leader", 2), podset("prefill-worker", 6), podset("decode", 2)],
            [4, 4, 2],
        ),
        ([podset("prefill-leader", 2), podset("prefill-worker", 5)], [7]),
        ([podset("prefill-leader", 2), podset("prefill-worker", 6, slices="rack:3")], [8]),
        # of two workers only one has a place, and one runs where nobody knows
        ([podset("leader", 1, running=["lost"]), podset("worker", 2)], [1]),
    ],
)
def test_chains_of_a_gang(sets: list[PodSet], chains: list[int]) -> None:
    """Who is in a chain follows from the roles: leaders with their workers."""
    short = any(one.running for one in sets)
    new = [len(one.pending) - short * (len(one.pending) > 1) for one in sets]
    found = chains_of(sets, range(len(sets)), new, {})
    assert [len(chain) for chain in found] == chains
    assert all(seat.node is None for chain in found for seat in chain)


@given(
    places=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    before=st.none() | st.integers(0, 7),
    after=st.none() | st.integers(0, 7),
    ring=st.booleans(),
)
def test_one_free_stretch_is_exact(
    places: list[int], before: int | None, after: int | None, *, ring: bool
) -> None:
    """Whatever runs before and behind it: no order of the new members crosses less, at any level."""
    chain = [Seat(0, before)] * (before is not None) + [Seat(0)] * len(places)
    chain += [Seat(0, after)] * (after is not None)
    [found] = seated(PATHS, [chain], {0: places}, ring=ring)
    assert sorted(found) == sorted([*places, *[n for n in (before, after) if n is not None]])
    assert crossings(PATHS, found, ring=ring) == least(chain, places, ring=ring)


@given(
    chain=st.lists(st.none() | st.integers(0, 7), min_size=1, max_size=8),
    nodes=st.data(),
    ring=st.booleans(),
)
def test_members_among_running_ones_are_exact(
    chain: list[int | None], nodes: st.DataObject, *, ring: bool
) -> None:
    """Any members are lost and placed anew, on up to six nodes: the fewest crossings that can be."""
    free = chain.count(None)
    places = nodes.draw(st.lists(st.integers(0, 7), min_size=free, max_size=free))
    if free > 6:  # 720 orders are enough
        return
    seats = [Seat(0, node) for node in chain]
    [found] = seated(PATHS, [seats], {0: places}, ring=ring)
    assert crossings(PATHS, found, ring=ring) == least(seats, places, ring=ring)


@given(places=st.lists(st.integers(0, 7), min_size=12, max_size=40))
def test_large_gangs_lose_no_place(places: list[int]) -> None:
    """With many stretches the places are dealt nearest first: each is given once, in any case."""
    chain = [Seat(0, i % 8) if i % 3 == 0 else Seat(0) for i in range(len(places))]
    chosen = places[: sum(seat.node is None for seat in chain)]
    [found] = seated(PATHS, [chain], {0: chosen})
    runs = [seat.node for seat in chain if seat.node is not None]
    assert sorted(found) == sorted([*chosen, *runs])
