"""The guarded configuration: no pod of any priority takes a reserved place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.rig import Rig

pytestmark = pytest.mark.e2e

HOLD_SECONDS = 6


@pytest.fixture
def guarded(rig: Rig) -> Iterator[Rig]:
    """kube-scheduler sends plain pods with GPUs, too; gangs are held between plan and ungating."""
    rig.muster.stop()
    rig.muster.configure_scheduler(guarded=True)
    rig.muster.start(guarded=True, ungate_delay_seconds=HOLD_SECONDS)
    yield rig
    rig.muster.stop()
    rig.muster.configure_scheduler(guarded=False)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("priority", ["equal", "high"])
@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_no_burst_takes_a_reserved_place(guarded: Rig, priority: str, rounds: int) -> None:
    """200 plain pods, of equal or higher priority, at the very moment of the plan: zero losses."""
    rig = guarded
    rig.add_nodes(30)
    spec: dict[str, Any] = {"priorityClassName": "high"} if priority == "high" else {}
    for number in range(rounds):
        gang = f"held{number}"
        rig.gang(gang, 4)
        status = rig.wait_phase(gang, "Planned")
        reserved = {member["node"] for member in status["members"]}
        # All of them fit beside the gang: none has a reason to preempt it once it runs.
        rig.create([rig.pod(f"plain{number}-{i}", gpus=1, **spec) for i in range(200)])
        rig.wait_phase(gang, "Bound", timeout=HOLD_SECONDS + 30)
        assert set(rig.places(gang).values()) == reserved
        assert rig.evictions() == 0
        plain = [node for name, node in rig.places().items() if name.startswith("plain")]
        assert len(plain) == 200
        assert not reserved & set(plain)
        rig.cluster.api.delete(f"/api/v1/namespaces/{rig.name}/pods", grace_seconds=0)
        rig.cluster.api.wait_for("an empty cluster", lambda: not rig.pods())


@pytest.mark.timeout(300)
def test_a_scheduler_restart_opens_no_window(guarded: Rig) -> None:
    """The places are held by the filter, so a restart of kube-scheduler loses nothing."""
    rig = guarded
    rig.add_nodes(10)
    rig.gang("held", 4)
    status = rig.wait_phase("held", "Planned")
    reserved = {member["node"] for member in status["members"]}
    rig.create([rig.pod(f"plain-{i}", gpus=4) for i in range(60)])
    rig.cluster.restart_scheduler(kill=True)
    rig.wait_phase("held", "Bound", timeout=HOLD_SECONDS + 30)
    assert set(rig.places("held").values()) == reserved


def test_without_reservations_plain_pods_go_their_way(guarded: Rig) -> None:
    """The guard refuses nobody when nothing is reserved, and pods that fit beside a gang run."""
    rig = guarded
    rig.add_nodes(2)
    rig.create([rig.pod(f"plain-{i}", gpus=4) for i in range(2)])
    rig.cluster.api.wait_for("both to run", lambda: len(rig.places()) == 2)
    rig.gang("held", 1, gpus=4)
    rig.wait_phase("held", "Planned")
    rig.create([rig.pod("beside", gpus=4)])
    rig.cluster.api.wait_for("it to run", lambda: "beside" in rig.places())
