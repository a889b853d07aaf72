"""The request language, ratio: prefill and decode members that grow together.

Every node has one place: members ask for 8 cards of 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from scheduler.model import Code, Constraints, Gang, PodTerm, Requirement
from scheduler.policy import Policy
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.solve.reasons import explain
from tests.builders import answer, fleet, gang, nodes_of, podset, snapshot
from tests.solve.deciding import decide
from topology import keys

NODES = "n1 n2 n3 n4 n5 n6 n7 n8"


def slice_of(
    sizes: Sequence[int], least: Sequence[int] = (1, 1), runs: Sequence[str] = ("", "")
) -> Gang:
    """A gang of so many prefill and decode members, of which some run on the named nodes."""
    sets = (
        podset(role, size, least=low, running=where.split(), replica=1)
        for role, size, low, where in zip(("prefill", "decode"), sizes, least, runs, strict=True)
    )
    return gang("pd", *sets)


def new(room: int, asked: Gang) -> str:
    """``prefill:decode`` of the new members where ``room`` nodes are free beside those in use."""
    used = [member.node for each in asked.podsets for member in each.running]
    names = [name for name in NODES.split() if name not in used][:room]
    names += [f"{name}[8-8]" for name in used]
    plan = decide(fleet(f"r1({' '.join(names)})"), asked)
    return ":".join(str(len(nodes_of(plan, "pd", role).split())) for role in ("prefill", "decode"))


@pytest.mark.parametrize(
    ("room", "placed"),
    [(1, "0:0"), (2, "1:1"), (3, "1:2"), (4, "1:2"), (5, "1:2"), (6, "2:4"), (8, "2:4")],
)
def test_the_ratio_is_kept_as_far_as_there_is_room(room: int, placed: str) -> None:
    """2 prefill and 4 decode with a minimum of one each: 1:1, then 1:2, then 2:4 and nothing between."""
    assert new(room, slice_of((2, 4))) == placed


@pytest.mark.parametrize(("room", "placed"), [(2, "0:0"), (3, "0:0"), (5, "0:0"), (6, "2:4")])
def test_a_minimum_may_leave_no_choice(room: int, placed: str) -> None:
    """Whole where the minimum is all; also with a minimum of the gang that only the last rung reaches."""
    assert new(room, slice_of((2, 4), (2, 4))) == placed
    assert new(room, replace(slice_of((2, 4)), min_members=4)) == placed


@pytest.mark.parametrize(("room", "placed"), [(1, "0:0"), (2, "0:0"), (3, "1:2"), (4, "1:2")])
def test_a_gang_that_runs_grows_in_the_ratio(room: int, placed: str) -> None:
    """1:2 runs of 2:4: one prefill and two decode members come together or wait."""
    assert new(room, slice_of((2, 4), runs=("n1", "n2 n3"))) == placed


def test_what_runs_off_the_ladder_blocks_nothing() -> None:
    """A member that was lost comes back by itself, of either role; so it is below the minimum."""
    assert new(1, slice_of((2, 4), runs=("n1 n2", "n3 n4 n5"))) == "0:1"
    assert new(1, slice_of((2, 4), runs=("n1", "n2 n3 n4 n5"))) == "1:0"
    assert new(1, slice_of((2, 4), runs=("", "n2 n3 n4 n5"))) == "1:0"
    # One of each was lost: 1:3. Another decode member alone would be further off the ratio.
    assert new(1, slice_of((2, 4), runs=("n1", "n2 n3 n4"))) == "0:0"
    assert new(2, slice_of((2, 4), runs=("n1", "n2 n3 n4"))) == "1:1"


def test_decode_scaled_alone_catches_up() -> None:
    """2:4 runs and 2:6 is asked for: all prefill members are there, so decode members come one by one."""
    runs = ("n1 n2", "n3 n4 n5 n6")
    assert new(1, slice_of((2, 6), runs=runs)) == "0:1"
    assert new(2, slice_of((2, 6), runs=runs)) == "0:2"
    assert (
        new(1, slice_of((2, 6), (2, 6), runs)) == "0:0"
    )  # without a minimum together or not at all


def test_members_that_do_not_exist_yet_are_not_placed() -> None:
    """Of 2:4 only one prefill pod exists: 1:2, and the other decode pods wait for the second."""
    asked = slice_of((2, 4))
    prefill, decode = asked.podsets
    known = replace(asked, podsets=(replace(prefill, members=prefill.members[:1]), decode))
    assert new(8, known) == "1:2"


def test_replicas_of_several_pods_are_not_torn() -> None:
    """Each of two decode replicas is a leader and two workers; on five nodes one has room."""
    sets = [
        podset("prefill", 2, least=1, replica=1),
        podset("decode-leader", 2, least=1, replica=1),
        podset("decode-worker", 4, least=2, replica=2),
    ]
    plan = decide(fleet("r1(n1 n2 n3 n4 n5 n6 n7)"), gang("pd", *sets))
    placed = [len(nodes_of(plan, "pd", each.role).split()) for each in sets]
    assert placed == [1, 1, 2]


def test_the_text_says_the_next_step() -> None:
    """A gang that waits says what it starts with, one that runs in part what it grows to."""
    asked = slice_of((2, 4))
    plan = decide(fleet("r1(n1 n2 n3 n4)"), asked)
    text = explain(asked, answer(plan, "pd"))
    assert "3 of 6 members placed (the next step is 2 prefill and 4 decode)" in text
    plan = decide(fleet("r1(n1)"), asked)
    reason = answer(plan, "pd").reason
    assert reason is not None
    assert reason.code is Code.INSUFFICIENT
    assert "6 of 6 members present, starts with 1 prefill and 1 decode; " in reason.message
    assert reason.numbers["membersToStart.decode"] == 1
    # With a minimum of four in all it starts with 2:4, so it is one node short and not none.
    plan = decide(fleet("r1(n1 n2 n3 n4 n5)"), replace(asked, min_members=4))
    reason = answer(plan, "pd").reason
    assert reason is not None
    assert "starts with 2 prefill and 4 decode; 5 of 6 members fit " in reason.message


def test_too_many_combinations_to_count() -> None:
    """90 prefill and 90 decode members have more combinations than are counted. By hand, too, half of 101
    places is found for each."""
    asked = gang(
        "pd", *(podset(role, 90, least=1, replica=1, gpus=1) for role in ("prefill", "decode"))
    )
    for policy in (Policy(), Policy(exact_cells=0)):
        plan = decide(fleet("r1(n1[101])"), asked, policy=policy)
        placed = [len(nodes_of(plan, "pd", each.role).split()) for each in asked.podsets]
        assert placed == [50, 50]


def test_rules_about_other_pods() -> None:
    """Decode members that must be apart from each other: three nodes take three, so 1:2 of 2:4."""
    apart = PodTerm(
        topology_key=keys.HOSTNAME,
        selector=(Requirement(key="app", operator="In", values=("x",)),),
        namespaces=("default",),
    )
    asked = slice_of((2, 4))
    prefill, decode = (replace(each, request=podset(gpus=1).request) for each in asked.podsets)
    decode = replace(decode, labels={"app": "x"}, constraints=Constraints(anti_affinity=(apart,)))
    plan = decide(fleet("r1(n1 n2 n3)"), replace(asked, podsets=(prefill, decode)))
    assert [len(nodes_of(plan, "pd", role).split()) for role in ("prefill", "decode")] == [1, 2]


def test_two_gangs_share_the_room_in_steps() -> None:
    """Two gangs of 2:4: both start before one of them is whole, and then most members have places."""
    first, other = slice_of((2, 4)), replace(slice_of((2, 4)), name="other")
    sets = (
        replace(each, members=tuple(replace(m, uid=f"other-{m.uid}") for m in each.members))
        for each in other.podsets
    )
    other = replace(other, podsets=tuple(sets))
    for nodes, placed in (("", ["1:2", "1:2"]), ("n8", ["1:1", "2:4"])):
        plan = decide(fleet(f"r1(n1 n2 n3 n4 n5 n6 n7 {nodes})"), first, other)
        found = [
            ":".join(str(len(nodes_of(plan, name, role).split())) for role in ("prefill", "decode"))
            for name in ("pd", "other")
        ]
        assert sorted(found) == placed


@pytest.mark.parametrize(
    ("kept", "wrong"),
    [("1:1", False), ("1:2", False), ("2:4", False), ("2:3", True), ("1:4", True)],
)
def test_the_checker_refuses_what_is_off_the_ladder(kept: str, wrong: bool) -> None:
    """The plan has room for all of 2:4; some of its places are taken out."""
    picture = snapshot(fleet(f"r1({NODES})"), slice_of((2, 4)))
    plan = solve(picture)
    (whole,) = plan.assignments
    left = dict(zip(("prefill", "decode"), map(int, kept.split(":")), strict=True))
    slots = tuple(slot for slot in whole.slots if slot.rank < left[slot.role])
    fewer = replace(plan, assignments=(replace(whole, slots=slots),))
    told = any("do not keep the ratio" in text for text in verify(picture, fewer))
    assert told is wrong


def test_improved_part_by_part() -> None:
    """Four gangs on twelve nodes, too many for the exact model: what is made of greedy's answer keeps the
    ratios, too."""
    sizes = ((2, 4), (3, 6), (4, 6), (2, 6))
    gangs = [
        gang(f"g{i}", *(podset(role, size, gpus=4, least=1, replica=1) for role, size in each))
        for i, each in enumerate(zip(("prefill", "decode"), both, strict=True) for both in sizes)
    ]
    drawn = fleet("r1(a1 a2 a3 a4) r2(b1 b2 b3 b4) r3(c1 c2 c3 c4)")
    plan = decide(drawn, *gangs, policy=Policy(exact_cells=1))
    assert all(one.placed for one in plan.assignments)
