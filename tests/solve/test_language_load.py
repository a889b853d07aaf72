"""Where models are: of places that are equally good so far, the one where the slowest member loads first.

Every member asks for a whole node of 8 cards and loads 30 GB unless its test says otherwise: 24 s over the
10 Gbit/s that all readers share, 5 s from NVMe, 2 s from memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.model import Gang, Plan
from scheduler.policy import Policy
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.solve.reasons import explain
from tests.builders import Fleet, answer, fleet, gang, nodes_of, podset, snapshot
from tests.solve.reference import optimum
from tests.solve.reference_load import residency
from topology.caches.claims import Residency

MODEL = "hf://org/llama"
NOW = 1_000_000
TWO_RACKS = fleet("b1(r1(n1 n2) r2(n3 n4))")


def loads(name: str = "g", members: int = 2, *, model: str = MODEL, **fields: Any) -> Gang:
    """A gang that loads 30 GB."""
    return replace(gang(name, members=members, **fields), model=model, model_bytes=30 * 10**9)


def has(nodes: str, **fields: Any) -> list[Residency]:
    """Copies on nodes, by blanks; ``fields`` as of ``Residency``."""
    return [residency(MODEL, node, **fields) for node in nodes.split()]


def decide(drawn: Fleet, *gangs: Gang, known: list[Residency], policy: Policy = Policy()) -> Plan:
    """The plan with what is known of copies; it is as good as the exact model's, and verifies."""
    picture = replace(snapshot(drawn, *gangs), residency=tuple(known), taken_seconds=NOW)
    plan = solve(picture, policy)
    assert verify(picture, plan, policy) == ()
    assert plan.objective == plan.bound == optimum(picture, policy)
    return plan


def placed(plan: Plan, name: str = "g") -> tuple[str, int | None]:
    """The nodes of the gang and how long it loads."""
    return nodes_of(plan, name), answer(plan, name).load_seconds


def test_the_gang_goes_where_its_model_is() -> None:
    """Two racks alike: the first without copies, the second once it has them. Two readers take 48 s."""
    assert placed(decide(TWO_RACKS, loads(), known=[])) == ("n1 n2", 48)
    assert placed(decide(TWO_RACKS, loads(), known=has("n3 n4"))) == ("n3 n4", 5)


@pytest.mark.parametrize(
    "known",
    [
        has("n3 n4", complete=False, bytes=29 * 10**9),
        has("n3 n4", observed_seconds=NOW - 901),
        has("n3 n4", namespace="team"),
        has("n3 n4", worker=True, complete=False, permille=0),
    ],
    ids=["partial", "stale", "not ours", "nothing cached yet"],
)
def test_what_is_no_copy_changes_nothing(known: list[Residency]) -> None:
    """A partial, stale or foreign copy: places, seconds and objective are those without it."""
    assert decide(TWO_RACKS, loads(), known=known) == decide(TWO_RACKS, loads(), known=[])


def test_the_slowest_member_counts() -> None:
    """A copy in memory on one node of two helps the other only as one reader less; disks on both win."""
    half = has("n1", tier="memory")
    assert placed(decide(TWO_RACKS, loads(), known=half)) == ("n1 n2", 24)
    assert placed(decide(TWO_RACKS, loads(), known=half + has("n3 n4"))) == ("n3 n4", 5)


def test_fewer_readers_share_the_source() -> None:
    """One of three nodes with a copy, or two: two readers take 48 s, one takes 24 s."""
    drawn = fleet("b1(r1(n1 n2 n3) r2(n4 n5 n6))")
    plan = decide(drawn, loads(members=3), known=has("n1 n4 n5"))
    assert placed(plan) == ("n4 n5 n6", 24)


def test_a_copy_never_tears_a_gang_apart() -> None:
    """Fewest domains first: one rack without copies, not two racks with one each."""
    drawn = fleet("b1(r1(n1 n2) r2(n3 n4) r3(n5 n6))")
    assert placed(decide(drawn, loads(), known=has("n3 n5"))) == ("n3 n4", 24)
    assert placed(decide(drawn, loads(required="rack"), known=has("n2 n3 n5 n6"))) == ("n5 n6", 5)


def test_a_flavor_is_more_than_a_copy() -> None:
    """The copy is on the second flavor's nodes."""
    drawn = fleet("r1(n1@h100 n2@h100) r2(n3@a100 n4@a100)")
    plan = decide(drawn, loads(flavors=("h100", "a100")), known=has("n3 n4"))
    assert placed(plan) == ("n1 n2", 48)


def test_a_copy_is_more_than_an_idle_rack() -> None:
    """Best fit would keep rack r2 whole; 5 s instead of 24 s open it."""
    drawn = fleet("r1(n1[8-4] n2) r2(n3 n4)")
    one = loads(members=1, gpus=4)
    assert placed(decide(drawn, one, known=[])) == ("n1", 24)
    assert placed(decide(drawn, one, known=has("n3"))) == ("n3", 5)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (has("n1") + has("n2", tier="memory"), ("n2", 2)),
        (has("n1", rate=30 * 10**9) + has("n2", tier="memory"), ("n1", 1)),
        (has("n1", tier="hdd") + has("n2"), ("n2", 5)),
        (has("n1", tier="hdd"), ("n2", 24)),  # 150 s from the disk
        (has("n2", worker=True, complete=False, permille=1000), ("n2", 5)),
        (has("n2", worker=True, complete=False, permille=500), ("n1", 12)),  # half from the origin
    ],
)
def test_tiers(known: list[Residency], expected: tuple[str, int]) -> None:
    """The faster disk, by the table or as measured; a slow disk is worse than fetching alone."""
    assert placed(decide(fleet("r1(n1 n2)"), loads(members=1), known=known)) == expected


def test_who_loads() -> None:
    """A router without cards does not, so it leaves the node with the copy to whom it helps."""
    router = replace(podset("router", 1, gpus=0, cpu=64, follows_flavors=False))
    drawn = fleet("r1(n1[0] n2)")
    both = replace(gang("g", podset("main", 1), router), model=MODEL, model_bytes=30 * 10**9)
    assert answer(decide(drawn, both, known=has("n2")), "g").load_seconds == 5
    assert answer(decide(drawn, both, known=has("n1")), "g").load_seconds == 24


def test_an_unknown_size() -> None:
    """Nobody can say how long it takes; the fewest nodes without a copy are the best guess."""
    unsized = replace(loads(), model_bytes=None)
    drawn = fleet("b1(r1(n1 n2) r2(n3 n4))")
    assert placed(decide(drawn, unsized, known=has("n2 n3 n4"))) == ("n3 n4", None)
    assert placed(decide(drawn, unsized, known=has("n3 n4", bytes=12 * 10**9))) == ("n3 n4", 2)


def test_a_gang_without_a_model() -> None:
    """What is known of models does not concern it."""
    plain = gang("g", members=2)
    assert placed(decide(TWO_RACKS, plain, known=has("n3 n4"))) == ("n1 n2", None)


def test_gangs_share_copies_out() -> None:
    """The older would load from memory on n2 in 2 s, the younger then in 24 s; so both take 5 s."""
    known = [
        residency(MODEL, "n1"),
        residency(MODEL, "n2", tier="memory"),
        residency("hf://org/qwen", "n2"),
    ]
    older = loads("a", 1, created=1)
    younger = loads("b", 1, created=2, model="hf://org/qwen")
    plan = decide(fleet("r1(n1 n2)"), older, younger, known=known)
    assert (placed(plan, "a"), placed(plan, "b")) == (("n1", 5), ("n2", 5))


def test_growing_gangs_load_on_new_nodes_only() -> None:
    """The member that runs has its model; the new one goes to the copy in its rack."""
    drawn = fleet("r1(n1 n2 n3)")
    grows = replace(
        gang("g", podset("main", 2, running=["n1"])), model=MODEL, model_bytes=30 * 10**9
    )
    assert placed(decide(drawn, grows, known=has("n3"))) == ("n3", 5)


def told(drawn: Fleet, wish: Gang, known: list[Residency]) -> str:
    """What ``muster explain`` says about loading."""
    text = explain(wish, answer(decide(drawn, wish, known=known), wish.name))
    return text.partition("; ")[2]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (has("n3 n4"), "loads its model in 5 s (48 s in rack b1/r1, which has no copy)"),
        (
            has("n1 n2 n3"),
            "loads its model in 5 s (24 s in rack b1/r2, with a copy on 1 of 2 nodes)",
        ),
        ([], "loads its model in 48 s"),
        (has("n1", complete=False, bytes=1), "loads its model in 48 s"),
    ],
)
def test_explain_compares_with_the_next_best_place(known: list[Residency], expected: str) -> None:
    """Seconds here, and outside of the innermost domain that the gang is in; nothing where all are alike."""
    assert told(TWO_RACKS, loads(), known) == expected


def test_explain_compares_nodes_and_keeps_to_what_is_possible() -> None:
    """One member: another node, of its rack or not. A rack that is too small is no alternative."""
    one = loads(members=1)
    assert (
        told(TWO_RACKS, one, has("n2")) == "loads its model in 5 s (24 s on n1, which has no copy)"
    )
    small = fleet("b1(r1(n1 n2) r2(n3)) b2(r3(n4) r4(n5))")
    expected = "loads its model in 5 s (48 s in block b2, which has no copy)"
    assert told(small, loads(required="block"), has("n1 n2")) == expected
    assert told(fleet("r1(n1 n2)"), loads(), has("n1 n2")) == "loads its model in 5 s"


def test_explain_without_a_domain_to_leave() -> None:
    """Nodes that no level holds together: the other nodes, as long as they are enough."""
    flat = fleet("n1 n2 n3 n4")
    expected = "loads its model in 5 s (48 s on 2 other nodes, which have no copy)"
    assert told(flat, loads(), has("n3 n4")) == expected
    assert told(flat, loads(members=3), has("n2 n3 n4")) == "loads its model in 5 s"
    torn = fleet("b1(r1(n1) r2(n2) r3(n3) r4(n4))")
    assert told(torn, loads(), has("n3 n4")) == expected


def test_explain_of_an_unknown_size() -> None:
    """No seconds, no comparison."""
    assert told(TWO_RACKS, replace(loads(), model_bytes=None), has("n3 n4")) == ""
