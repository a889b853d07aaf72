"""Failure at the barrier and while Bindings are created: within 30 s no partial gang outside Degraded,
and no capacity stays assumed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from scheduler import keys
from simulations.controlplane import ApiError
from tests.e2e.rig import Rig
from tests.e2e.slow_binding import BindingWebhook
from tests.e2e.test_faults import everything_bound, nothing_reserved

pytestmark = pytest.mark.e2e


ABORT_SECONDS = [4, pytest.param(20, marks=pytest.mark.slow)]
"""How long Muster tries to complete a broken gang; 20 s is the default, and the promise is made for it."""


@pytest.fixture
def webhook(rig: Rig) -> Iterator[BindingWebhook]:
    """Control over single Bindings, on the real API server."""
    with BindingWebhook(rig.cluster) as webhook:
        yield webhook


@pytest.fixture
def aborts(rig: Rig, abort_seconds: int) -> Iterator[int]:
    """Muster that tries for so long."""
    rig.muster.stop()
    rig.muster.start(limits={"abort_seconds": abort_seconds})
    yield abort_seconds
    rig.muster.stop()


def capacity_is_back(rig: Rig, count: int) -> None:
    """Delete everything: plain pods can then take every node, so kube-scheduler assumes nothing."""
    rig.cluster.api.delete(f"/api/v1/namespaces/{rig.name}/pods", grace_seconds=0)
    rig.cluster.api.wait_for("pods to go", lambda: not rig.pods())
    nothing_reserved(rig)
    rig.create([rig.pod(f"plain-{i}") for i in range(count)])
    rig.cluster.api.wait_for("every node to be usable", lambda: len(rig.places()) == count)


def test_a_member_deleted_while_bindings_are_created(rig: Rig, webhook: BindingWebhook) -> None:
    """Two of three are bound when the third is deleted: it comes back and completes the gang."""
    rig.add_nodes(4)
    webhook.delays["g-2"] = 2
    rig.gang("g", 3)
    rig.wait_bound("g", 2)
    rig.delete_pod("g-2")
    webhook.delays.clear()
    rig.cluster.api.wait_for("the pod to go", lambda: len(rig.pods("g")) == 2)
    rig.create(rig.gang_pods("g", 3, members=[2]))
    everything_bound(rig, {"g": 3}, timeout=30)
    capacity_is_back(rig, 4)


@pytest.mark.parametrize("abort_seconds", ABORT_SECONDS)
def test_a_node_deleted_while_bindings_are_created(
    rig: Rig, webhook: BindingWebhook, aborts: int
) -> None:
    """Two of three are bound when the third's node goes: 30 s later the gang is whole or Degraded.

    The API server takes a Binding to a node that is gone; Kubernetes removes such a pod later.
    """
    rig.add_nodes(4)
    webhook.delays["g-2"] = 2
    rig.gang("g", 3)
    rig.wait_bound("g", 2)
    planned = {member["pod"]: member["node"] for member in rig.status("g")["members"]}
    rig.delete_node(planned["g-2"])
    time.sleep(aborts + 10)
    phase = rig.status("g")["phase"]
    assert phase == ("Bound" if len(rig.places("g")) == 3 else "Degraded")
    capacity_is_back(rig, 3)


@pytest.mark.parametrize("abort_seconds", ABORT_SECONDS)
def test_bare_members_of_a_gang_that_cannot_be_completed_stay_degraded(
    rig: Rig, webhook: BindingWebhook, aborts: int
) -> None:
    """Binding refused for good: members stay, the missing place stays reserved, the reason says so."""
    rig.add_nodes(3)
    webhook.refused.add("g-2")
    rig.gang("g", 3)
    status = rig.wait_phase("g", "Degraded", timeout=30)
    assert "2 of 3 members are bound" in status["message"]
    assert len(rig.places("g")) == 2
    webhook.refused.clear()
    everything_bound(rig, {"g": 3}, timeout=30)
    capacity_is_back(rig, 3)


@pytest.mark.parametrize("abort_seconds", ABORT_SECONDS)
def test_members_that_may_be_rolled_back_are_evicted(
    rig: Rig, webhook: BindingWebhook, aborts: int
) -> None:
    """`muster.dev/rollback: delete`: within 30 s no member of the broken gang holds a card."""
    rig.add_nodes(3)
    webhook.refused.add("g-2")
    rig.gang("g", 3, annotations={keys.ROLLBACK: "delete"})
    rig.wait_bound("g", 2)
    rig.cluster.api.wait_for("the rollback", lambda: not rig.places("g"), timeout=30)
    capacity_is_back(rig, 3)


def test_a_late_binding_is_adopted(rig: Rig, webhook: BindingWebhook) -> None:
    """A Binding that lands when its plan was given up: the rest follows, the gang is whole in 30 s."""
    rig.muster.stop()
    rig.muster.start(bind_retry_seconds=1)
    nodes = rig.add_nodes(3)
    webhook.refused.update({"g-0", "g-1", "g-2"})
    rig.gang("g", 3)
    rig.cluster.api.wait_for("Bindings to be tried", lambda: len(webhook.seen) >= 3)
    webhook.refused.clear()
    target = {"apiVersion": "v1", "kind": "Node", "name": nodes[2]}
    with contextlib.suppress(ApiError):  # Muster may have bound it meanwhile: as good for this test
        rig.cluster.api.create(
            f"/api/v1/namespaces/{rig.name}/pods/g-0/binding",
            {"metadata": {"name": "g-0"}, "target": target},
        )
    everything_bound(rig, {"g": 3}, timeout=30)
    rig.muster.stop()


def test_duplicate_bind_calls_for_one_uid_get_one_answer(rig: Rig, webhook: BindingWebhook) -> None:
    """kube-scheduler repeats a call after a timeout: both calls end with the one Binding."""
    rig.add_nodes(1)
    webhook.delays["g-0"] = 2
    rig.gang("g", 1)
    rig.cluster.api.wait_for("the Binding to be tried", lambda: "g-0" in webhook.seen)
    pod = rig.pods("g")[0]
    body = (
        f'{{"PodName": "g-0", "PodNamespace": "{rig.name}", '
        f'"PodUID": "{pod["metadata"]["uid"]}", "Node": "{rig.nodes[0]}"}}'
    )
    started = time.monotonic()
    assert rig.muster.post("/bind", body.encode()) == (200, b'{"Error":""}')
    assert time.monotonic() - started < 10
    assert rig.places("g") == {"g-0": rig.nodes[0]}
    assert webhook.seen.count("g-0") == 1
