"""Members that their controller creates late: their places are planned with the gang and held for them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.workload_rig import BY_HAND, START_DELAY, WorkloadRig
from topology.keys import LWS_EXCLUSIVE

pytestmark = pytest.mark.e2e

BURSTS = [(150, BY_HAND), pytest.param((500, {START_DELAY: "20s"}), marks=pytest.mark.slow)]
"""Other pods that arrive, and when a leader is ready: after them, or in the middle."""
LATE_SECONDS = 4


def planned(work: WorkloadRig, gang: str) -> dict[str, str]:
    """Member -> node as the Gang object says."""
    return {member["pod"]: member["node"] for member in work.status(gang)["members"]}


def wait_awaiting(work: WorkloadRig, gang: str) -> dict[str, str]:
    """The plan of a group whose leader is bound and whose workers do not exist yet."""
    work.wait_bound(gang, 1)
    work.wait_phase(gang, "Binding")
    places = planned(work, gang)
    assert work.places(gang) == {gang: places[gang]}, (
        "the leader is on its place, nobody else exists"
    )
    return places


def others(work: WorkloadRig, prefix: str, count: int) -> None:
    """Plain pods of equal priority that want one card each, anywhere in the test's nodes."""
    work.create([work.pod(f"{prefix}-{index}", gpus=1) for index in range(count)])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("burst", BURSTS, ids=["150", "500"])
def test_workers_get_their_places_whoever_arrives_meanwhile(
    work: WorkloadRig, burst: tuple[int, dict[str, str]]
) -> None:
    """Llmaz Services of size 2 and 4, with and without leaderTemplate, leaders ready long after they are
    bound: one flavor per group, and workers on their reserved nodes although hundreds of other pods came."""
    pods, slow = burst
    sizes = {"two-0": 2, "two-led-0": 2, "four-0": 4, "four-led-0": 4}
    work.cards("a10", nodes=sum(sizes.values()) - 4)  # too few for all groups: one goes to a100
    work.cards("a100", nodes=8)
    model = work.model("llama", "a10", "a100", count=8)
    work.apply(
        work.service("two", model, 2, annotations=slow),
        work.service("two-led", model, 2, annotations=slow, leader_template=True),
        work.service("four", model, 4, annotations=slow),
        work.service("four-led", model, 4, annotations=slow, leader_template=True),
    )
    places = {gang: wait_awaiting(work, gang) for gang in sizes}
    assert {gang: len(found) for gang, found in places.items()} == sizes
    reserved = {node for found in places.values() for node in found.values()}
    others(work, "other", pods)
    if slow is BY_HAND:
        for leader in sizes:
            work.become_ready(leader)
    for gang, size in sizes.items():
        assert work.wait_bound(gang, size) == places[gang]
        assert len(work.models_of(gang)) == 1, f"{gang} stands on one flavor"
        work.wait_phase(gang, "Bound")
    taken = {node for name, node in work.places().items() if name.startswith("other")}
    assert taken, "there was room for others beside the groups"
    assert not taken & reserved, "nobody took a reserved place"
    work.cluster.api.wait_for("placeholders to go", lambda: not work.placeholders())


def test_exclusive_topology_is_planned_for_the_whole_group(work: WorkloadRig) -> None:
    """LWS makes the workers only when the leader is bound; a rack with room for all of them is chosen
    before that, where the first rack has room for the leader alone."""
    rack = "topology.kubernetes.io/rack"
    work.cards("a10", nodes=1, labels={rack: f"{work.name}-small"})
    big = work.cards("a10", nodes=4, labels={rack: f"{work.name}-big"})
    lws = work.worker_set("ring", 4, replicas=1)
    lws["metadata"]["annotations"] = {LWS_EXCLUSIVE: rack}
    work.apply(lws)
    places = work.wait_bound("ring-0", 4)
    assert set(places.values()) == set(big)


@pytest.fixture
def impatient(work: WorkloadRig) -> Iterator[WorkloadRig]:
    """Muster that gives places of late members back after a few seconds."""
    work.muster.stop()
    work.muster.start(limits={"late_seconds": LATE_SECONDS})
    yield work
    work.muster.stop()


def test_a_leader_that_is_never_ready_is_told_of(impatient: WorkloadRig) -> None:
    """After the limit the Gang says LeaderNeverReady and the places are free, also after a restart."""
    work = impatient
    work.cards("a10", nodes=2)
    model = work.model("llama", "a10", count=8)
    work.apply(work.service("stuck", model, 2, annotations=BY_HAND))
    places = wait_awaiting(work, "stuck-0")
    assert len(work.placeholders()) == 1
    work.create([work.pod("other", gpus=8)])
    time.sleep(LATE_SECONDS / 2)
    assert "other" not in work.places(), "the place is held until the limit"
    status = work.wait_phase("stuck-0", "Waiting", reason="LeaderNeverReady")
    assert "1 of 2 members do not exist" in status["message"]
    free = places["stuck-0-1"]
    api = work.cluster.api
    assert api.wait_for("the other pod", lambda: work.places().get("other")) == free
    assert not work.placeholders()
    assert work.places("stuck-0") == {"stuck-0": places["stuck-0"]}, "the leader is not evicted"
    work.muster.kill()
    work.muster.start(limits={"late_seconds": LATE_SECONDS})
    time.sleep(1)
    assert work.status("stuck-0")["reason"] == "LeaderNeverReady"


@pytest.mark.timeout(120)
def test_places_are_held_while_muster_and_kube_scheduler_restart(
    work: WorkloadRig, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kill -9 of Muster, then a restart of kube-scheduler, while workers are awaited; other pods arrive all
    the time. The time until every placeholder is nominated again is printed."""
    work.cards("a10", nodes=5)
    model = work.model("llama", "a10", count=8)
    work.apply(work.service("quad", model, 4, annotations=BY_HAND))
    places = wait_awaiting(work, "quad-0")
    work.muster.kill()
    others(work, "without", 10)
    time.sleep(1)
    started = time.monotonic()
    work.cluster.restart_scheduler(kill=True)
    others(work, "restarted", 10)
    work.muster.start()

    def nominated() -> bool:
        held = {pod["status"].get("nominatedNodeName") for pod in work.placeholders()}
        return held == set(places.values()) - {places["quad-0"]}

    work.cluster.api.wait_for("nominated placeholders", nominated)
    with capsys.disabled():
        print(f"\n  placeholders nominated {time.monotonic() - started:.1f} s after the restarts")
    work.become_ready("quad-0")
    assert work.wait_bound("quad-0", 4) == places
    taken = {node for name, node in work.places().items() if not name.startswith("quad")}
    assert taken and not taken & set(places.values())


def test_placeholders_go_with_their_gang(work: WorkloadRig) -> None:
    """A Service that is deleted while its workers are awaited leaves nothing behind."""
    work.cards("a10", nodes=4)
    model = work.model("llama", "a10", count=8)
    work.apply(work.service("gone", model, 4, annotations=BY_HAND))
    wait_awaiting(work, "gone-0")
    assert len(work.placeholders()) == 3
    work.kubectl("delete", "services.inference.llmaz.io", "gone")
    work.cluster.api.wait_for("placeholders to go", lambda: not work.placeholders())
    work.create([work.pod(f"next-{index}", gpus=8) for index in range(4)])
    work.cluster.api.wait_for("free nodes", lambda: len(work.places()) >= 4)


@pytest.fixture
def guarded(work: WorkloadRig) -> Iterator[WorkloadRig]:
    """kube-scheduler sends plain pods with GPUs, too."""
    work.muster.stop()
    work.muster.configure_scheduler(guarded=True)
    work.muster.start(guarded=True)
    yield work
    work.muster.stop()
    work.muster.configure_scheduler(guarded=False)


@pytest.mark.timeout(120)
def test_guarded_late_workers_get_their_places_whatever_arrives(guarded: WorkloadRig) -> None:
    """Pods of higher priority arrive while workers are awaited, and none takes a place. They fit beside the
    group: what runs, the leader among it, may be preempted by a higher priority as everywhere."""
    work = guarded
    work.cards("a10", nodes=6)
    model = work.model("llama", "a10", count=8)
    work.apply(work.service("quad", model, 4, annotations=BY_HAND))
    places = wait_awaiting(work, "quad-0")
    assert not work.placeholders()
    work.create([work.pod(f"high-{i}", gpus=1, priorityClassName="high") for i in range(16)])
    work.cluster.api.wait_for("them to run", lambda: len(work.places()) == 17)
    work.become_ready("quad-0")
    assert work.wait_bound("quad-0", 4) == places
    taken = {node for name, node in work.places().items() if name.startswith("high")}
    assert len(taken) == 2 and not taken & set(places.values())
