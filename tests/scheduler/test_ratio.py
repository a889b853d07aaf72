"""The ladder: which numbers of prefill and decode members an elastic gang may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import PodSet
from scheduler.ratio import following, paced, rungs, start
from scheduler.solve.check_facts import keeps_ratio
from tests.builders import gang, podset
from tests.solve.reference_ratio import keeping


def pair(
    sizes: Sequence[int], least: Sequence[int], runs: Sequence[int] = (0, 0), replica: int = 1
) -> list[PodSet]:
    """Prefill and decode PodSets of so many members, of which some run."""
    return [
        podset(role, size, least=low, running=["n1"] * here, replica=replica)
        for role, size, low, here in zip(("prefill", "decode"), sizes, least, runs, strict=True)
    ]


LADDERS = {
    "the minimum, then the ratio": ((2, 4), (1, 1), (0, 0), "1:1 1:2 2:4"),
    "prefill and decode are treated alike": ((4, 2), (1, 1), (0, 0), "1:1 2:1 4:2"),
    "from nothing": ((2, 4), (0, 0), (0, 0), "0:0 1:2 2:4"),
    "one prefill member alone has all decode members": ((1, 4), (1, 1), (0, 0), "1:1 1:2 1:3 1:4"),
    "decode catches up, then both": ((2, 8), (1, 1), (0, 0), "1:1 1:2 1:3 1:4 2:8"),
    "the nearest whole number": ((4, 7), (1, 1), (0, 0), "1:1 1:2 2:3 3:5 4:7"),
    "halves go down": ((2, 3), (0, 0), (0, 0), "0:0 1:1 2:3"),
    "a role that starts whole": ((2, 4), (2, 1), (0, 0), "2:1 2:2 2:3 2:4"),
    "a minimum beyond its share": ((2, 4), (1, 4), (0, 0), "1:4 2:4"),
    "all of it": ((2, 4), (2, 4), (0, 0), ""),
    "on the ladder already": ((2, 4), (1, 1), (1, 2), "1:2 2:4"),
    "one of both was lost": ((2, 4), (1, 1), (1, 3), "1:3 2:4"),
    "a decode member was lost": ((2, 4), (1, 1), (2, 3), "2:3 2:4"),
    "a prefill member was lost": ((2, 4), (1, 1), (1, 4), "1:4 2:4"),
    "below the minimum": ((2, 4), (1, 1), (0, 3), "1:3 2:4"),
    "decode was scaled alone": ((2, 8), (1, 1), (2, 4), "2:4 2:5 2:6 2:7 2:8"),
    "both were scaled": ((4, 8), (1, 1), (2, 4), "2:4 3:6 4:8"),
    "prefill was scaled down": ((1, 4), (1, 1), (2, 4), "2:4"),
}


@pytest.mark.parametrize("case", LADDERS)
def test_the_ladder(case: str) -> None:
    """Minimum or running members first, all that are wanted last, the ratio between."""
    sizes, least, runs, expected = LADDERS[case]
    found = rungs(pair(sizes, least, runs))
    assert " ".join(f"{prefill}:{decode}" for prefill, decode in found) == expected


def test_replicas_of_several_pods_come_whole() -> None:
    """3 replicas of a leader with two workers beside 3 decode members; one worker of the first was lost."""
    sets = [
        podset("prefill-leader", 3, least=1, replica=1, running=["n1"]),
        podset("prefill-worker", 6, least=2, replica=2, running=["n1"]),
        podset("decode", 3, least=1, replica=1),
    ]
    assert rungs(sets) == ((1, 2, 1), (2, 4, 2), (3, 6, 3))


def test_what_starts_and_what_comes_next() -> None:
    """The gang's own minimum may ask for a higher rung; a router takes no part."""
    sets = [*pair((2, 4), (1, 1)), podset("router", 1, least=0)]
    assert start(sets, 0) == (1, 1, 0)
    assert start(sets, 3) == (1, 1, 0)  # the router may be the third
    assert start(sets, 5) == (2, 4, 0)
    assert start(sets, 9) == (2, 4, 0)
    assert following(sets, {"prefill": 1, "decode": 1}) == {"prefill": 1, "decode": 2}
    assert following(sets, {"prefill": 1, "decode": 2, "router": 1}) == {"prefill": 2, "decode": 4}
    assert following(sets, {"prefill": 2, "decode": 4}) == {}


def test_without_a_ratio_there_is_no_ladder() -> None:
    """PodSets that grow by themselves, and gangs that start whole."""
    free = [replace(each, replica=None) for each in pair((2, 4), (1, 1))]
    for sets in (free, pair((2, 4), (2, 4))):
        assert (paced(sets), rungs(sets)) == ((), ())
        assert start(sets, 0) == tuple(each.min_count for each in sets)
        assert following(sets, {}) == {}


@st.composite
def podsets(draw: st.DrawFn) -> list[PodSet]:
    """Two or three PodSets of up to 9 replicas of up to 3 members; up to 9 members run."""
    found = []
    for role in ("prefill", "decode", "decode-long")[: draw(st.integers(2, 3))]:
        size, part = draw(st.integers(1, 9)), draw(st.sampled_from((1, 1, 1, 2, 3)))
        runs = ["n1"] * draw(st.integers(0, size * part) | st.just(0))
        least = draw(st.integers(0, size)) * part
        found.append(podset(role, size * part, least=least, running=runs, replica=part))
    return found


@given(podsets())
def test_a_ladder_ascends_from_the_base_to_all(sets: list[PodSet]) -> None:
    """Every rung has at least as much of each and more in all; where nobody is ahead, each PodSet is within
    half a replica of the share that the leading one has."""
    ladder = rungs(sets)
    if not paced(sets):
        assert ladder == ()
        return
    base = [max(each.min_count, len(each.running)) for each in sets]
    for least, count, each in zip(base, ladder[0], sets, strict=True):
        assert least <= count < least + (each.replica or 1)
    assert ladder[-1] == tuple(each.size for each in sets)
    for low, high in pairwise(ladder):
        assert all(one <= other for one, other in zip(low, high, strict=True))
        assert sum(low) < sum(high)
    if not any(base):
        lead = min(range(len(sets)), key=lambda i: sets[i].size // (sets[i].replica or 1))
        for rung in ladder:
            share = rung[lead] / sets[lead].size
            for count, each in zip(rung, sets, strict=True):
                assert abs(count - share * each.size) <= (each.replica or 1) / 2


@given(podsets(), st.data())
def test_three_ways_to_say_it_agree(sets: list[PodSet], data: st.DataObject) -> None:
    """The solver's ladder, the checker's rule and the exact model's list of points are the same numbers."""
    ladder = rungs(sets)
    runs = tuple(len(each.running) for each in sets)
    if ladder:
        assert {*ladder, runs} == set(keeping(sets))
    point = tuple(
        data.draw(st.integers(len(each.running), each.size), label=each.role) for each in sets
    )
    new = {each.role: n - len(each.running) for each, n in zip(sets, point, strict=True)}
    assert keeps_ratio(gang("g", *sets), new) is (not ladder or point in {*ladder, runs})
    for rung in ladder:
        new = {each.role: n - len(each.running) for each, n in zip(sets, rung, strict=True)}
        assert keeps_ratio(gang("g", *sets), new)
