"""Ground facts about `status.nominatedNodeName`: the reservation that our pattern rests on."""

from __future__ import annotations

import time

import pytest

from tests.ground.extender import veto
from tests.ground.rig import Rig
from topology.keys import NVIDIA_GPU

pytestmark = pytest.mark.e2e


def reserve(rig: Rig) -> str:
    """One node with 8 GPUs, nominated for the gated 8-GPU pod `gang`; gives the node's name."""
    [node] = rig.add_nodes(1)
    rig.create("gang", gated=True)
    rig.nominate("gang", node)
    return node


def test_nomination_blocks_equal_and_lower_priority(rig: Rig) -> None:
    """A nominated pod that is still gated holds its place against equal and lower priority."""
    reserve(rig)
    rig.create("equal")
    rig.create("lower", priority="low")
    assert rig.outcome("equal") == "refused"
    assert rig.outcome("lower") == "refused"
    assert f"Insufficient {NVIDIA_GPU}" in rig.refusal("equal")


def test_without_nomination_the_place_is_taken(rig: Rig) -> None:
    """The counterpart: the same gated pod without a nomination holds nothing."""
    rig.add_nodes(1)
    rig.create("gang", gated=True)
    rig.create("equal")
    assert rig.outcome("equal") == "bound"


def test_small_pods_fit_beside_a_nomination(rig: Rig) -> None:
    """A nomination holds what the pod requests, not the whole node."""
    [node] = rig.add_nodes(1)
    rig.create("gang", gated=True, gpus=6)
    rig.nominate("gang", node)
    rig.create("small", gpus=2)
    rig.create("cpu", gpus=0)
    assert rig.outcome("small") == "bound"
    assert rig.outcome("cpu") == "bound"


def test_higher_priority_passes_a_nomination(rig: Rig) -> None:
    """A nomination does not hold against higher priority, and the nominated pod keeps its field."""
    node = reserve(rig)
    rig.create("higher", priority="high")
    assert rig.outcome("higher") == "bound"
    assert rig.nominated("gang") == node


def test_nomination_survives_updates_that_do_not_concern_it(rig: Rig) -> None:
    """Labels and annotations of a nominated gated pod may change; the place stays held."""
    reserve(rig)
    for i in range(5):
        rig.touch("gang", str(i))
    rig.create("equal")
    assert rig.outcome("equal") == "refused"


def test_nomination_moves_with_the_field(rig: Rig) -> None:
    """A second patch moves the reservation: the first node is free again, the second is held."""
    first, second = rig.add_nodes(2)
    rig.create("gang", gated=True)
    rig.nominate("gang", first)
    rig.nominate("gang", second)
    rig.create("one")
    rig.create("two")
    assert {rig.outcome("one"), rig.outcome("two")} == {"bound", "refused"}
    assert first in (rig.node_of("one"), rig.node_of("two"))


def test_removing_the_nomination_wakes_those_it_blocked(rig: Rig) -> None:
    """Clearing the field releases the place, and a pod that was refused because of it is tried."""
    reserve(rig)
    rig.create("equal")
    assert rig.outcome("equal") == "refused"
    rig.cluster.api.patch(rig.path("gang") + "/status", {"status": {"nominatedNodeName": None}})
    rig.wait_bound("equal")


def test_status_at_creation_is_dropped(rig: Rig) -> None:
    """A pod cannot be created with a nomination (its status is dropped), so we patch it."""
    [node] = rig.add_nodes(1)
    rig.create("gang", gated=True, status={"nominatedNodeName": node})
    assert rig.nominated("gang") is None


def test_nomination_right_after_creation_holds(rig: Rig) -> None:
    """No pause is needed between creation and the patch, nor before the competitors: 20 of 20 hold.

    Both travel through one watch in the order of their writes, so a pod that was created after our
    patch had returned cannot be scheduled before kube-scheduler knows of the nomination.
    """
    for i, node in enumerate(rig.add_nodes(20)):
        rig.create(f"gang-{i}", gated=True)
        rig.nominate(f"gang-{i}", node)
    for i in range(20):
        rig.create(f"equal-{i}")
    assert [rig.outcome(f"equal-{i}") for i in range(20)] == ["refused"] * 20


@pytest.mark.parametrize("answer", ["veto", "error"])
def test_nomination_is_cleared_by_a_failed_attempt(rig: Rig, answer: str) -> None:
    """Every attempt that fails clears the field: Muster has to nominate again."""
    [node] = rig.add_nodes(1)
    answers = {"veto": veto, "error": lambda body: {"Error": "scripted"}}
    rig.extender.answers["filter"] = answers[answer]
    rig.create("gang", gated=True, member=True)
    rig.nominate("gang", node)
    assert rig.nominated("gang") == node
    rig.ungate("gang")
    rig.cluster.api.wait_for("clearing", lambda: rig.nominated("gang") is None)
    rig.create("equal")
    assert rig.outcome("equal") == "bound", "the place must be free again"


def test_nomination_is_cleared_by_a_failed_bind(rig: Rig) -> None:
    """A refused bind clears the field too."""
    [node] = rig.add_nodes(1)
    rig.extender.answers["bind"] = lambda body: {"Error": "scripted"}
    rig.create("gang", gated=True, bind=True)
    rig.nominate("gang", node)
    rig.ungate("gang")
    rig.cluster.api.wait_for("clearing", lambda: rig.nominated("gang") is None)
    assert rig.extender.of("bind", "gang")


def test_nominated_node_is_asked_first_and_alone(rig: Rig) -> None:
    """With 150 nodes kube-scheduler shows 100; for a nominated pod it asks for exactly that node.

    20 pods, each nominated to a different node: a sample could not hit all of them.
    """
    nodes = rig.add_nodes(150)
    targets = nodes[3::7][:20]
    for i, node in enumerate(targets):
        rig.create(f"gang-{i}", gated=True, member=True)
        rig.nominate(f"gang-{i}", node)
    for i in range(len(targets)):
        rig.ungate(f"gang-{i}")
    for i, node in enumerate(targets):
        assert rig.wait_bound(f"gang-{i}") == node
        [call] = rig.extender.of("filter", f"gang-{i}")
        assert call.body["NodeNames"] == [node]
        assert call.body["Pod"]["status"]["nominatedNodeName"] == node


def test_without_nomination_the_extender_sees_a_sample(rig: Rig) -> None:
    """The counterpart: an un-nominated pod is offered 100 of 150 nodes."""
    rig.add_nodes(150)
    rig.create("gang", member=True)
    rig.wait_bound("gang")
    [call] = rig.extender.of("filter", "gang")
    assert len(call.body["NodeNames"]) == 100


def test_veto_of_the_nominated_node_is_followed_by_a_sample(rig: Rig) -> None:
    """After a veto of the nominated node the extender is asked again, in the same attempt."""
    nodes = rig.add_nodes(150)
    rig.extender.answers["filter"] = veto
    rig.create("gang", gated=True, member=True)
    rig.nominate("gang", nodes[7])
    rig.ungate("gang")
    assert rig.outcome("gang") == "refused"
    first, second = rig.extender.of("filter", "gang")[:2]
    assert first.body["NodeNames"] == [nodes[7]]
    assert len(second.body["NodeNames"]) == 100
    assert second.at - first.at < 1.0


def test_nominated_node_that_in_tree_filters_refuse_is_not_shown(rig: Rig) -> None:
    """If the nominated node was cordoned, our list lacks it though the field is still set."""
    first, second = rig.add_nodes(2)
    rig.create("gang", gated=True, member=True)
    rig.nominate("gang", first)
    rig.cluster.api.patch(f"/api/v1/nodes/{first}", {"spec": {"unschedulable": True}})
    rig.ungate("gang")
    assert rig.wait_bound("gang") == second
    [call] = rig.extender.of("filter", "gang")
    assert call.body["NodeNames"] == [second]
    assert call.body["Pod"]["status"]["nominatedNodeName"] == first


@pytest.mark.parametrize("kill", [False, True])
def test_nomination_of_a_gated_pod_survives_a_scheduler_restart(rig: Rig, kill: bool) -> None:
    """kube-scheduler reads nominations of gated pods at its start, before it schedules anything.

    The competitors wait already, so they are tried first after the start. Up to 1.36 the place was
    lost here until the gated pod was touched; 1.37 records nominations of gated pods when it adds
    them.
    """
    reserve(rig)
    for i in range(10):
        rig.create(f"equal-{i}")
    assert rig.outcome("equal-9") == "refused"
    for _ in range(3):
        rig.cluster.restart_scheduler(kill=kill)
        rig.create("later", gpus=0)
        rig.wait_bound("later")  # it schedules again
        rig.cluster.api.delete(rig.path("later"), grace_seconds=0)
        assert not any(rig.node_of(f"equal-{i}") for i in range(10))


def test_nomination_written_while_the_scheduler_is_down_holds(rig: Rig) -> None:
    """A gang planned while kube-scheduler is away holds its place from the first moment."""
    [node] = rig.add_nodes(1)
    rig.cluster.stop("kube-scheduler")
    rig.create("a-equal")
    rig.create("gang", gated=True)
    rig.nominate("gang", node)
    rig.cluster.restart_scheduler()
    assert rig.outcome("a-equal") == "refused"


def test_nomination_of_a_vetoed_pod_wakes_it(rig: Rig) -> None:
    """A pod that we vetoed is tried again, with its new node first, as soon as it is nominated."""
    first, second = rig.add_nodes(2)
    rig.extender.answers["filter"] = veto
    rig.create("gang", gated=True, member=True)
    rig.nominate("gang", first)
    rig.ungate("gang")
    rig.cluster.api.wait_for("clearing", lambda: rig.nominated("gang") is None)
    time.sleep(0.5)  # its own status updates have been handled
    before = len(rig.extender.calls)
    rig.extender.reset()
    rig.nominate("gang", second)
    assert rig.wait_bound("gang") == second
    [call] = rig.extender.of("filter", "gang")
    assert call.body["NodeNames"] == [second]
    assert before <= 8, "a vetoed pod must not be retried in a loop"
