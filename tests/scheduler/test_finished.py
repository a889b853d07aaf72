"""Members that finish: one that has succeeded is done, one that has failed is missing."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from scheduler.model import Gang
from scheduler.progress import whole
from scheduler.state import ClusterState
from tests.objects import Object, node, pod, state_of


def member(index: int, phase: str = "Running", **fields: Any) -> Object:
    """Member ``index`` of a Job-like gang of three; it runs, or has finished, on a node of its own."""
    options = {"gang_size": "3", "plan": "p1", "node": f"n{index}", "phase": phase, **fields}
    return pod(f"g-{index}", "g", **{k: v for k, v in options.items() if v is not None})


def gang_of(state: ClusterState) -> Gang:
    """The gang as it is now."""
    gang = state.gang("default/g")
    assert gang is not None
    return gang


def taken(*events: Object) -> ClusterState:
    """A fleet of four nodes that has seen these pods."""
    return state_of([*(node(f"n{i}") for i in range(4)), *events])


@pytest.mark.parametrize(
    ("phase", "is_whole"), [("Running", True), ("Succeeded", True), ("Failed", False)]
)
def test_how_a_member_ended_decides(phase: str, is_whole: bool) -> None:
    """A gang that loses a member to success goes on as it was; one that loses it to failure is broken."""
    state = taken(member(0), member(1), member(2))
    state.apply("Pod", "MODIFIED", member(2, phase))
    assert whole(gang_of(state)) is is_whole
    assert gang_of(state).size == 3
    assert (gang_of(state).blocked is None) is is_whole


def test_the_members_may_finish_one_by_one() -> None:
    """Down to the last one the gang is whole; then it is no gang any more."""
    state = taken(member(0), member(1), member(2))
    for index in (2, 0):
        state.apply("Pod", "MODIFIED", member(index, "Succeeded"))
        assert whole(gang_of(state))
    state.apply("Pod", "MODIFIED", member(1, "Succeeded"))
    assert state.gang("default/g") is None


def test_a_restart_sees_the_same() -> None:
    """In whatever order the pods are listed, those that have finished among them."""
    pods = [member(0), member(1, "Succeeded"), member(2, "Succeeded")]
    gangs = {gang_of(taken(*order)).min_members for order in itertools.permutations(pods)}
    assert gangs == {1}


def test_a_finished_pod_that_is_removed_is_missed_again() -> None:
    """What counts is that the pod exists and says so: nothing is remembered beside the cluster."""
    state = taken(member(0), member(1), member(2, "Succeeded"))
    assert whole(gang_of(state))
    state.apply("Pod", "DELETED", {"metadata": {"name": "g-2", "uid": "uid-default-g-2"}})
    assert not whole(gang_of(state))


def test_a_failed_member_that_was_made_anew_needs_a_place() -> None:
    """The Job's new pod is a member to place; neither the failed one nor a place for it counts."""
    state = taken(member(0), member(1), member(2, "Failed"))
    state.apply("Pod", "ADDED", member(3, "Pending", node=None, plan=None))
    gang = gang_of(state)
    assert [m.pod for m in gang.podsets[0].pending] == ["g-3"]
    assert not whole(gang) and gang.min_members == 3 and gang.blocked is None


def test_a_member_that_was_replaced_after_success_does_not_count() -> None:
    """A Job with more completions than parallelism goes on with new pods: three of them are the gang."""
    state = taken(member(0, "Succeeded"), member(1), member(2), member(3))
    assert gang_of(state).min_members == 3
    state.apply("Pod", "MODIFIED", member(3, "Failed"))
    assert gang_of(state).min_members == 2, "now one place is free for what was done"


def test_an_earlier_gang_of_the_same_name_is_another_one() -> None:
    """Its finished pods were placed by another plan, so its successor misses the members it does not have."""
    before = [member(i, "Succeeded", uid=f"old-{i}", plan="p0") for i in (1, 2)]
    state = taken(*before, pod("g-9", "g", gang_size="3", node="n3", plan="p1"))
    assert gang_of(state).min_members == 3


def test_pods_of_one_owner_belong_together() -> None:
    """A member that was placed by a later plan, as a replacement is, counts for the same Job."""
    owner = [{"kind": "Job", "name": "j", "uid": "job", "controller": True}]
    pods = [member(0, "Succeeded"), member(1), member(2, plan="p2")]
    for one in pods:
        one["metadata"]["ownerReferences"] = owner
    del pods[0]["metadata"]["annotations"]["muster.dev/plan"]
    assert gang_of(taken(*pods)).min_members == 2


def test_minimums_of_roles() -> None:
    """The minimum of the role that the member had is lower; a role that is done entirely needs nobody."""
    roles: dict[str, Any] = {"gang_size": None, "roles": "lead=1,work=2"}
    lead = member(0, "Succeeded", role="lead", **roles)
    work = [member(i, role="work", **roles) for i in (1, 2)]
    gang = gang_of(taken(lead, *work))
    assert [(p.role, p.min_count) for p in gang.podsets] == [("lead", 0), ("work", 2)]
    assert whole(gang) and gang.blocked is None


def test_plain_pods_are_not_kept() -> None:
    """Finished pods of nobody's gang leave no trace."""
    state = taken()
    before = state.generation
    state.apply("Pod", "ADDED", pod("done", None, node="n0", phase="Succeeded"))
    assert state.generation == before and state.pods == {}
