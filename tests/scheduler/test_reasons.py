"""Why a gang waits, or sits where it sits: in numbers, bounded, and the same while nothing changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.model import Code, Gang, GangAssignment, Reason
from scheduler.solve import solve
from scheduler.solve.reasons import TEXT_LIMIT, explain
from tests.builders import Fleet, answer, flavor, fleet, gang, podset, snapshot


def decided(drawn: Fleet, *gangs: Gang) -> dict[str, tuple[GangAssignment, str]]:
    """Gang -> its assignment and the text about it."""
    picture = snapshot(drawn, *gangs)
    plan = solve(picture)
    return {g.name: (answer(plan, g.name), explain(g, answer(plan, g.name))) for g in picture.gangs}


def waiting(drawn: Fleet, *gangs: Gang) -> Reason:
    """The reason of the last gang, which waits."""
    assignment, _ = decided(drawn, *gangs)[gangs[-1].name]
    assert not assignment.placed
    assert assignment.reason is not None
    return assignment.reason


def test_a_gang_that_lacks_one_place_says_so() -> None:
    """Seven of eight members fit: how many, what each needs, what is missing, what would help."""
    drawn = fleet("a(n1 n2 n3 n4) b(n5 n6 n7 n8[8-1])")
    reason = waiting(drawn, gang("g", members=8))
    assert reason.code is Code.INSUFFICIENT
    assert reason.message == (
        "8 of 8 members present; 7 of 8 members fit (each needs 8 nvidia.com/gpu); the "
        "closest node lacks 1 nvidia.com/gpu for one more; 8 of 8 nodes match; "
        "1 more node with 8 nvidia.com/gpu free would do"
    )
    assert reason.numbers == {
        "membersPresent": 8,
        "flavorsTried": 0,
        "membersNeeded": 8,
        "membersFit": 7,
        "nodesMatching": 8,
        "nodesTotal": 8,
        "missing": 1,
    }


def test_every_node_is_counted_under_one_cause() -> None:
    """The nodes that match and those that are excluded, by cause, add up to all nodes."""
    drawn = fleet("n1 n2!tainted n3!cordoned n4!notready n5@a100 n6[2] n7!quarantined")
    reason = waiting(drawn, gang("g", members=2, flavors=("h100",)))
    assert reason.numbers["nodesTotal"] == 7
    causes = {name: n for name, n in reason.numbers.items() if name.startswith("excluded")}
    assert causes == {
        "excludedByFlavor": 1,
        "excludedByTaint": 1,
        "excludedCordoned": 1,
        "excludedNotReady": 1,
        "excludedUntrusted": 1,
        "excludedTooSmall": 1,
    }
    assert reason.numbers["nodesMatching"] == 7 - sum(causes.values())
    assert "1 by taint dedicated=other:NoSchedule" in reason.message


def test_waiting_for_capacity_is_told_from_waiting_in_vain() -> None:
    """NoNodes: even empty nodes would not do; Insufficient: they are only busy."""
    drawn = fleet("r(n1 n2[8-8])")
    assert waiting(drawn, gang("g", members=2)).code is Code.INSUFFICIENT
    assert waiting(drawn, gang("g", members=1, gpus=16)).code is Code.NO_NODES
    assert waiting(drawn, gang("g", members=1, flavors=("a100",))).code is Code.NO_NODES


def test_capacity_in_the_wrong_places() -> None:
    """Enough room, but in no single rack: the best rack and what it holds."""
    drawn = fleet("b(r1(n1 n2 n3) r2(n4 n5))")
    reason = waiting(drawn, gang("g", members=4, required="rack"))
    assert reason.code is Code.TOPOLOGY_TOO_SMALL
    assert "the best rack b/r1 holds 3 of 4" in reason.message
    assert reason.numbers["bestDomainHolds"] == 3


def test_slices_that_do_not_come_out() -> None:
    """Three and one places are four, but only one whole pair."""
    drawn = fleet("r1(n1 n2 n3) r2(n4)")
    reason = waiting(drawn, gang("g", members=4, slices="rack:2"))
    assert reason.code is Code.TOPOLOGY_TOO_SMALL
    assert "only 2 of 4 in whole groups of 2 per rack" in reason.message


def test_a_better_flavor_that_was_passed_over() -> None:
    """The chosen flavor, which choice it was, and why the better one was not taken."""
    drawn = fleet("r1(n1[8-8] n2[8-8]) r2(n3@a100 n4@a100)")
    assignment, text = decided(drawn, gang("g", members=2, flavors=("h100", "a100")))["g"]
    assert (assignment.flavor, assignment.flavor_rank) == ("a100", 1)
    assert [one.flavor for one in assignment.passed_over] == ["h100"]
    assert text.startswith(
        "2 of 2 members placed, on a100 (choice 2 of 2), on 2 nodes, in rack r2; "
        "h100 passed over: 0 of 2 members fit (each needs 8 nvidia.com/gpu)"
    )


def test_who_took_the_room() -> None:
    """A gang that would fit alone names the gang that stands where it could."""
    drawn = fleet("r(n1 n2 n3)")
    older, younger = gang("older", members=2, created=1), gang("younger", members=2, created=2)
    reason = waiting(drawn, older, younger)
    assert reason.code is Code.YIELDED_TO
    assert "it would fit alone; default/older took the room" in reason.message
    two = fleet("r(n1 n2 n3@a100 n4@a100)")
    older = replace(older, flavors=(flavor("h100"),))
    answers = decided(two, older, replace(younger, flavors=(flavor("h100"), flavor("a100"))))
    passed = answers["younger"][0].passed_over
    assert [(one.flavor, one.reason.code) for one in passed] == [("h100", Code.YIELDED_TO)]


@pytest.mark.parametrize(
    ("wanted", "code", "words"),
    [
        ({"resources": {"nvidia.com/gpu": 4}}, Code.RESOURCES_DIFFER, "request 4 nvidia.com/gpu, role"),
        ({"members": 3}, Code.MEMBERS_DIFFER, "for 3 members, the gang has 2"),
    ],
)  # fmt: skip
def test_a_flavor_that_is_made_for_others(
    wanted: dict[str, object], code: Code, words: str
) -> None:
    """A flavor whose resources or members differ from the gang's is passed over with both numbers."""
    if "resources" in wanted:
        made_for = podset(gpus=4).request
        fields = {"resources": replace(made_for, amounts={"nvidia.com/gpu": 4})}
    else:
        fields = wanted  # type: ignore[assignment]
    drawn = fleet("r(n1 n2)")
    reason = waiting(drawn, gang("g", members=2, flavors=(flavor("h100", **fields),)))
    assert reason.code is code
    assert words in reason.message


def test_running_members_pin_the_flavor() -> None:
    """A lost member cannot move to another flavor than that of the running ones."""
    drawn = fleet("r(n1 n2@a100)")
    one = gang("g", podset(size=2, running=("n1",), gpus=8), flavors=("a100",))
    assert waiting(drawn, one).code is Code.PINNED_TO_RUNNING


def test_running_members_pin_a_required_domain() -> None:
    """A lost member must come back to the rack of the others; room elsewhere does not help."""
    drawn = fleet("b(r1(n1 n2[8-8]) r2(n3))")
    reason = waiting(drawn, gang("g", podset(size=2, running=("n1",)), required="rack"))
    assert reason.code is Code.PINNED_TO_RUNNING
    assert "its running members pin it to rack b/r1, which holds 0 of 1 more" in reason.message


def test_nodes_that_kube_scheduler_refused() -> None:
    """Where only refused nodes are left, that is the reason, not a lack of capacity."""
    reason = waiting(fleet("r(n1 n2)"), gang("g", members=2, excluded=("n2",)))
    assert reason.code is Code.REFUSED
    assert "1 refused by kube-scheduler lately" in reason.message


def test_other_resources_than_cards() -> None:
    """What is missing is named even when it is not the cards."""
    drawn = fleet("r(n1 n2)", cpu=16)
    reason = waiting(drawn, gang("g", members=3, gpus=2, cpu=16))
    assert "each needs 16 cpu and 2 nvidia.com/gpu" in reason.message
    assert "lacks 16 cpu for one more" in reason.message


def test_texts_are_bounded_and_stable() -> None:
    """However many flavors and gangs there are, the text ends; and it depends on the snapshot alone."""
    names = [f"flavor-with-a-long-name-{i:03}" for i in range(40)]
    flavors = tuple(flavor(name, node_selector={"no": name}) for name in names)
    drawn = fleet("r(n1 n2)")
    many = [gang(f"g{i:02}", members=1, created=i) for i in range(12)]
    last = replace(gang("last", members=2, created=99), flavors=flavors)
    first, second = decided(drawn, *many, last), decided(drawn, *many, last)
    assert first == second
    assert all(len(text) <= TEXT_LIMIT for _, text in first.values())
    assert "and 32 more" in first["last"][1]


def test_a_gang_that_already_runs() -> None:
    """A gang without pending members is placed, with the flavor of the nodes it runs on."""
    drawn = fleet("r(n1@a100 n2@a100)")
    whole = gang("g", podset(size=2, running=("n1", "n2")), flavors=("h100", "a100"))
    assignment, text = decided(drawn, whole)["g"]
    assert (assignment.placed, assignment.flavor, assignment.slots) == (True, "a100", ())
    assert text.startswith("placed: 2 of 2 members run, on a100 (choice 2 of 2)")


def test_a_blocked_gang_shows_its_own_reason() -> None:
    """What the readers found wrong is the text, word for word."""
    problem = Reason(code=Code.INVALID_REQUEST, message="Pod default/p: gang-size: 0 is not a size")
    assignment, text = decided(fleet("r(n1)"), replace(gang("g"), blocked=problem))["g"]
    assert assignment.reason == problem
    assert text == f"waits: {problem.message}"
