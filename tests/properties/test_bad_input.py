"""Bad objects in a cluster: the plan is still made, verifies, and places who can be placed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.model import Code
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.state import ClusterState
from tests.objects import Object, node, pod, state_of
from tests.properties.test_parsers import REAL, damaged
from topology import keys

GOOD = [node("good", "h100", {keys.RACK: "r9"}), pod("good-0", "good", priority=1000)]
GOOD[1]["spec"]["nodeSelector"] = {keys.RACK: "r9"}


@settings(max_examples=80, deadline=None)
@given(objects=st.lists(damaged() | st.sampled_from(REAL), max_size=10))
def test_a_cluster_of_damaged_objects_is_planned(objects: list[Object]) -> None:
    """Whatever was read, the solver takes it and the checker agrees with the answer."""
    state = ClusterState()
    for obj in [*objects, *GOOD]:
        state.apply(obj["kind"], "ADDED", obj)
    snapshot = state.snapshot()
    assert verify(snapshot, solve(snapshot)) == ()


def test_an_absurd_request_concerns_its_own_gang_only() -> None:
    """Quantities at the end of 63 bits do not overflow anything; the neighbour is placed."""
    resources = {"requests": {"memory": "9E", "cpu": "9E", keys.NVIDIA_GPU: "9E"}}
    spec = {"containers": [{"resources": resources}]}
    objects = [
        *GOOD,
        *(node(f"n{i}", memory="16Ei", cpu="9E") for i in range(3)),
        *(pod(f"run-{i}", node="n0", spec=spec) for i in range(50)),
        *(
            pod(f"a-{i}", "a", spec=spec, flavor_spec="[{name: f, resources: {cpu: 9E}}]")
            for i in "ab"
        ),
        *(pod(f"b-{i}", "b", spec=spec, role=f"r{i}") for i in range(50)),
    ]
    snapshot = state_of(objects).snapshot()
    plan = solve(snapshot)
    assert verify(snapshot, plan) == ()
    answers = {answer.gang: answer for answer in plan.assignments}
    assert [slot.node for slot in answers["good"].slots] == ["good"]
    for name in "ab":
        reason = answers[name].reason
        assert reason is not None and reason.code is not Code.INVALID_REQUEST
