"""Faults between plan and bind: always a whole gang or none, nothing leaks, nothing is stuck."""

from __future__ import annotations

import random
import time

import pytest

from simulations.controlplane.api import PATIENCE_SECONDS
from tests.e2e.rig import Rig

pytestmark = pytest.mark.e2e


def everything_bound(rig: Rig, sizes: dict[str, int], timeout: float = PATIENCE_SECONDS) -> None:
    """Every gang ends Bound and whole."""
    for gang, size in sizes.items():
        rig.wait_bound(gang, size, timeout=timeout)
        rig.wait_phase(gang, "Bound", timeout=timeout)


def nothing_reserved(rig: Rig) -> None:
    """The ledger holds nothing any more."""
    rig.cluster.api.wait_for(
        "no reservation to be left",
        lambda: rig.muster.metrics()["muster_reserved_gangs"] == 0,
    )


def test_a_member_deleted_while_planned_releases_the_gang(rig: Rig) -> None:
    """The rest is never bound alone; when the member comes back the gang is bound whole."""
    rig.muster.stop()
    rig.muster.start(ungate_delay_seconds=3)
    rig.add_nodes(4)
    rig.gang("g", 4)
    rig.wait_phase("g", "Planned")
    rig.delete_pod("g-2")
    rig.wait_phase("g", "Waiting", reason="MembersMissing")
    rig.never_partial({"g": 4}, 4)
    rig.create(rig.gang_pods("g", 4, members=[2]))
    everything_bound(rig, {"g": 4})
    rig.muster.stop()


@pytest.mark.parametrize("fault", ["cordon", "delete"])
def test_a_node_lost_between_plan_and_bind_leads_to_a_new_plan(rig: Rig, fault: str) -> None:
    """The gang is planned again on other nodes, whole; never stuck."""
    rig.muster.stop()
    rig.muster.start(ungate_delay_seconds=3)
    rig.add_nodes(5)
    rig.gang("g", 4)
    status = rig.wait_phase("g", "Planned")
    lost = status["members"][0]["node"]
    if fault == "cordon":
        rig.cordon(lost)
    else:
        rig.delete_node(lost)
    places = rig.wait_bound("g", 4)
    assert lost not in places.values()
    rig.muster.stop()


def test_a_gang_deleted_while_planned_leaves_nothing(rig: Rig) -> None:
    """Its places are free for the next gang at once."""
    rig.muster.stop()
    rig.muster.start(ungate_delay_seconds=3)
    rig.add_nodes(4)
    rig.gang("first", 4)
    rig.wait_phase("first", "Planned")
    for index in range(4):
        rig.delete_pod(f"first-{index}")
    rig.gang("second", 4)
    everything_bound(rig, {"second": 4})
    nothing_reserved(rig)
    rig.muster.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_leaves_no_partial_gang(rig: Rig, kills: int) -> None:
    """A stream of gangs, SIGKILL and restart: every gang that fits is bound, nothing leaks."""
    chance = random.Random(7)
    rig.add_nodes(kills + 8)  # room for two gangs of four single cards a round
    sizes: dict[str, int] = {}
    for number in range(kills):
        for part in range(2):
            gang, size = f"g{number}-{part}", chance.randint(2, 4)
            rig.gang(gang, size, gpus=1)
            sizes[gang] = size
        time.sleep(chance.uniform(0, 0.4))
        rig.muster.kill()
        rig.muster.start(ready=False)
        if chance.random() < 0.5:
            rig.muster.wait_ready()
    rig.muster.wait_ready()
    everything_bound(rig, sizes)
    nothing_reserved(rig)


@pytest.mark.timeout(600)
def test_kube_scheduler_restarts_in_the_middle(rig: Rig) -> None:
    """Killed while gangs are on their way: every gang that fits is bound whole."""
    rig.add_nodes(12)
    sizes: dict[str, int] = {}
    for number in range(4):
        for part in range(2):
            gang = f"g{number}-{part}"
            rig.gang(gang, 3, gpus=1)
            sizes[gang] = 3
        time.sleep(0.05 * number)
        rig.cluster.restart_scheduler(kill=number % 2 == 0)
    everything_bound(rig, sizes)
    nothing_reserved(rig)


def test_a_waiting_gang_is_explained_alike_everywhere(rig: Rig) -> None:
    """Gang status, event and page say the same, in numbers; it wakes within 2 s of capacity."""
    nodes = rig.add_nodes(3)
    for node in nodes[1:]:
        rig.cordon(node)
    rig.gang("g", 3)
    message = rig.wait_phase("g", "Waiting", reason="Insufficient")["message"]
    assert "1 of 3" in message

    def texts() -> set[str]:
        events = rig.cluster.api.list("/apis/events.k8s.io/v1/events")
        return {
            event.get("note", "")
            for event in events
            if event.get("regarding", {}).get("name", "").startswith("g")
            and event["metadata"]["namespace"] == rig.name
        }

    rig.cluster.api.wait_for("the event", lambda: message in texts())
    assert message in rig.muster.get("/").decode()
    started = time.monotonic()
    for node in nodes[1:]:
        rig.cordon(node, on=False)
    rig.wait_bound("g", 3, timeout=5)
    assert time.monotonic() - started < 2
