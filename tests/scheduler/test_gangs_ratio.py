"""Who says that prefill and decode grow in their ratio: sources of gangs, and members that are gone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from scheduler.model import Gang
from scheduler.ratio import rungs
from scheduler.scale_out.case import case_of
from scheduler.scale_out.words import unknown
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.variants import offered
from tests.objects import Object, node, pod, state_of
from tests.workloads.disaggregated import PREFILL, Made, blocked, role, roles, whole_set
from topology import keys

MINIMUMS: list[dict[str, Any]] = [
    {"metadata": {"annotations": {"muster.dev/role-min": "1"}}},
    {"annotations": {"muster.dev/role-min": "1"}},
]
ONE = MINIMUMS[0]
EXCLUSIVE = {"muster.dev/role-min": "1", keys.LWS_EXCLUSIVE: keys.RACK}


def ladder(gang: Gang) -> str:
    """The rungs, each as the members of the roles in order."""
    return " ".join(":".join(map(str, rung)) for rung in rungs(gang.podsets))


# -- DisaggregatedSet --------------------------------------------------------------------------------


@pytest.mark.parametrize("given", MINIMUMS)
def test_a_role_is_elastic_above_its_minimum(given: dict[str, Any]) -> None:
    """On the role's metadata or its pod template; the other role stays whole."""
    gang = Made(whole_set(PREFILL, role("decode", 4, **given))).gang()
    assert roles(gang) == {"decode": (4, 1, 4), "prefill": (2, 2, 2)}
    assert (gang.min_members, gang.notes) == (3, ())
    assert ladder(gang) == "1:2 2:2 3:2 4:2"  # decode:prefill


def test_both_roles_are_elastic() -> None:
    """4 decode and 2 prefill replicas with a minimum of one each grow in that ratio."""
    gang = Made(whole_set(role("prefill", 2, **ONE), role("decode", 4, **ONE))).gang()
    assert ladder(gang) == "1:1 2:1 4:2"


@pytest.mark.parametrize("given", MINIMUMS)
def test_a_minimum_counts_replicas(given: dict[str, Any]) -> None:
    """Two decode replicas of a leader and two workers: one starts whole, the other comes whole."""
    gang = Made(whole_set(PREFILL, role("decode", 2, size=3, **given))).gang()
    assert roles(gang) == {
        "decode-leader": (2, 1, 2),
        "decode-worker": (4, 2, 4),
        "prefill": (2, 2, 2),
    }
    assert (gang.blocked, gang.notes) == (None, ())
    assert ladder(gang) == "1:2:2 2:4:2"


def test_late_workers_come_with_their_replica() -> None:
    """LeaderReady: workers that do not exist yet are counted all the same."""
    made = Made(
        whole_set(PREFILL, role("decode", 2, size=3, startupPolicy="LeaderReady", **ONE)),
    )
    made.drop("decode-0-", "decode-1-")
    gang = made.gang()
    assert (gang.blocked, roles(gang)["decode-worker"]) == (None, (4, 2, 0))
    assert ladder(gang) == "1:2:2 2:4:2"


WHOLE = {
    "exclusive topology": (role("decode", 2, metadata={"annotations": EXCLUSIVE}), 2),
    "exclusive topology, several pods": (
        role("decode", 2, size=2, metadata={"annotations": EXCLUSIVE}),
        4,
    ),
    "several pods, neither prefill nor decode": (role("router", 2, size=2, **ONE), 4),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_role_that_cannot_be_elastic_stays_whole(case: str) -> None:
    """Its replicas are PodSets of their own, or nothing would keep a replica together: the notes say so."""
    other, members = WHOLE[case]
    gang = Made(whole_set(PREFILL, other)).gang()
    assert (gang.blocked, gang.min_members, ladder(gang)) == (None, 2 + members, "")
    (note,) = gang.notes
    assert note.startswith(f"role {other['name']} starts whole: muster.dev/role-min holds for ")


def test_a_role_of_single_pods_grows_by_itself_where_it_is_no_part_of_the_ratio() -> None:
    """A router with a minimum."""
    router = role("router", 3, gpus=0, **ONE)
    gang = Made(whole_set(role("prefill", 2, **ONE), role("decode", 4, **ONE), router)).gang()
    assert {each.role: each.replica for each in gang.podsets} == {
        "prefill": 1,
        "decode": 1,
        "router": None,
    }


WRONG = {
    "3": "muster.dev/role-min: 3 is more than the 2 members of role decode-leader",
    "x": "muster.dev/role-min: 'x' is not a whole number from 0 to 100000",
}


@pytest.mark.parametrize("value", WRONG)
def test_a_wrong_minimum_of_replicas(value: str) -> None:
    """More than there are, and no number at all."""
    given: dict[str, Any] = {"metadata": {"annotations": {"muster.dev/role-min": value}}}
    gang = Made(whole_set(PREFILL, role("decode", 2, size=3, **given))).gang()
    assert blocked(gang).endswith(WRONG[value])


def with_cards(name: str, count: int) -> Object:
    """A node."""
    status: dict[str, Any] = {keys.NVIDIA_GPU: str(count)}
    return node(name, **status)


def planned(made: Made, cards: int) -> dict[str, int]:
    """Role -> new members, with so many free cards beside the node of the six that run."""
    fleet = [with_cards("n1111", 6), with_cards("free", cards)]
    sets = [made.of, *made.sets.values()]
    snapshot = state_of([*fleet, *sets, *made.pods.values()]).snapshot()
    plan = solve(snapshot)
    assert verify(snapshot, plan) == ()
    (answer,) = plan.assignments
    return dict(Counter(slot.role for slot in answer.slots if slot.node == "free"))


def test_scaled_together_the_ratio_is_kept() -> None:
    """2:4 runs and 4:8 is asked for: with room for five more one prefill and two decode pods start, and while
    the prefill pods do not exist yet, no decode pod."""
    made = Made(whole_set(role("prefill", 2, **ONE), role("decode", 4, **ONE)))
    made.run()
    made.of = whole_set(role("prefill", 4, **ONE), role("decode", 8, **ONE))
    for name, replicas in (("decode", 8), ("prefill", 4)):
        made.scale(made.lws(name), replicas)
        made.grow(made.lws(name), replicas)
        expected = {} if name == "decode" else {"prefill": 1, "decode": 2}
        assert planned(made, 5) == expected
    assert planned(made, 6) == {"prefill": 2, "decode": 4}


def test_decode_scaled_alone() -> None:
    """2:4 runs and 2:8 is asked for: those that run stay, and decode catches up as there is room."""
    made = Made(whole_set(role("prefill", 2, **ONE), role("decode", 4, **ONE)))
    made.run()
    made.scale(made.lws("decode"), 8)
    made.grow(made.lws("decode"), 8)
    assert planned(made, 1) == {"decode": 1}
    assert planned(made, 9) == {"decode": 4}


def test_the_first_slice_takes_a_step_that_fits() -> None:
    """2:4 with a minimum of one each on five cards: 1:2, though 1:4 or 2:3 would use more of them."""
    made = Made(whole_set(role("prefill", 2, **ONE), role("decode", 4, **ONE)))
    made.run("nobody")
    state = [with_cards("free", 5), made.of, *made.sets.values()]
    snapshot = state_of([*state, *made.pods.values()]).snapshot()
    (answer,) = solve(snapshot).assignments
    assert Counter(slot.role for slot in answer.slots) == {"prefill": 1, "decode": 2}


# -- annotations, and members that are gone ----------------------------------------------------------


def pods(*, of: str = "decode", **more: Any) -> list[Any]:
    """Two prefill pods and four of another role, with a minimum of one each."""
    asked = {"role_min": "1", **more}
    made = [pod(f"p-{i}", "pd", role="prefill", **asked) for i in range(2)]
    return [*made, *(pod(f"d-{i}", "pd", role=of, **asked) for i in range(4))]


@pytest.mark.parametrize(("of", "rungs_"), [("decode", "1:1 2:1 4:2"), ("worker", "")])
def test_annotated_pods_keep_the_ratio(of: str, rungs_: str) -> None:
    """Roles called prefill and decode; others grow by themselves."""
    (gang,) = state_of([node("n1"), *pods(of=of)]).gangs()
    assert (gang.blocked, gang.min_members) == (None, 2)
    assert ladder(gang) == rungs_


def test_a_gang_that_winds_down_keeps_no_ratio() -> None:
    """A decode pod has succeeded: the ratio of six is out of reach, and no pod is held back for it."""
    made = pods(roles="prefill=2,decode=4", plan="p1")
    for one in made:
        one["spec"]["nodeName"] = "n1"
    made[-1]["status"] = {"phase": "Succeeded"}
    (gang,) = state_of([node("n1"), *made]).gangs()
    assert (gang.size, ladder(gang)) == (6, "")


def test_what_a_gang_is_offered_keeps_the_ratio() -> None:
    """Admission chooses when the first pods are created: a role that nobody has yet is like the others, and
    a router that has none is not paced."""
    asked: dict[str, Any] = {"role_min": "1", "roles": "prefill=2,decode=4,router=1"}
    (gang,) = state_of([node("n1"), pod("p-0", "pd", role="prefill", **asked)]).gangs()
    found = offered(gang)
    assert {each.role: each.replica for each in found.podsets} == {
        "prefill": 1,
        "decode": 1,
        "router": None,
    }


def test_advice_counts_the_step_that_the_gang_waits_for() -> None:
    """1:1 is the minimum of the roles, but of four in all only 2:4 is enough: six nodes, not four."""
    advice = [
        unknown(case)
        for gang in state_of([node("n1"), *pods(gang_min="4")]).gangs()
        if (case := case_of(gang, None, ())) is not None
    ]
    assert [one.nodes for one in advice] == [6]
