"""A Job-like gang on the real control plane: its members finish one by one."""

from __future__ import annotations

import time

import pytest

from tests.e2e.rig import Rig

pytestmark = pytest.mark.e2e


def finish(rig: Rig, pod: str, phase: str) -> None:
    """What a kubelet reports when the containers of a pod have ended."""
    path = f"/api/v1/namespaces/{rig.name}/pods/{pod}/status"
    rig.cluster.api.patch(path, {"status": {"phase": phase}})


def test_a_gang_is_whole_while_its_members_succeed(rig: Rig) -> None:
    """Not Degraded, no eviction, also after Muster was killed; a member that fails is missed."""
    rig.add_nodes(3)
    rig.gang("job", 3)
    rig.wait_phase("job", "Bound")
    evictions = rig.evictions()
    finish(rig, "job-1", "Succeeded")
    wait_ready(rig, "2/3")
    rig.muster.kill()
    rig.muster.start()
    time.sleep(2)
    status = rig.status("job")
    assert (status["phase"], status["ready"]) == ("Bound", "2/3")
    finish(rig, "job-0", "Failed")
    assert rig.wait_phase("job", "Degraded")["ready"] == "1/3"
    assert rig.evictions() == evictions


def wait_ready(rig: Rig, ready: str) -> None:
    """Until the Gang shows so many running members; it has been Bound all the time."""

    def shown() -> bool:
        status = rig.status("job")
        assert status["phase"] == "Bound"
        return bool(status["ready"] == ready)

    rig.cluster.api.wait_for(f"{ready} members", shown, every=0.02)


def test_the_place_of_a_finished_member_is_free(rig: Rig) -> None:
    """The next gang gets it, although the finished pod still exists."""
    rig.add_nodes(2)
    rig.gang("first", 2)
    rig.wait_phase("first", "Bound")
    place = rig.places("first")["first-0"]
    finish(rig, "first-0", "Succeeded")
    rig.gang("next", 1)
    assert rig.wait_bound("next", 1) == {"next-0": place}
