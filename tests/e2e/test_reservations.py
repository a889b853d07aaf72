"""Reserved places stay reserved: against plain pods, preemption, and with Muster stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from scheduler import keys
from tests.e2e.rig import Rig
from topology.keys import HOSTNAME

pytestmark = pytest.mark.e2e

HOLD_SECONDS = 6
RESTART_SECONDS = 10
"""To be planned for so long leaves kube-scheduler the time to restart."""
ROUNDS = [1, pytest.param(20, marks=pytest.mark.slow)]


@pytest.fixture
def holding(rig: Rig, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Muster that keeps every gang between Planned and ungating for some seconds."""
    rig.muster.stop()
    rig.muster.start(ungate_delay_seconds=getattr(request, "param", HOLD_SECONDS))
    yield rig
    rig.muster.stop()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_200_plain_pods_take_no_reserved_place(holding: Rig, rounds: int) -> None:
    """From 1 s after phase Planned no plain pod of equal priority lands on a reserved place."""
    rig = holding
    rig.add_nodes(30)
    for number in range(rounds):
        gang = f"held{number}"
        rig.gang(gang, 4)
        status = rig.wait_phase(gang, "Planned")
        reserved = {member["node"] for member in status["members"]}
        time.sleep(1)
        rig.create([rig.pod(f"plain{number}-{i}", gpus=4) for i in range(200)])
        rig.wait_phase(gang, "Bound", timeout=HOLD_SECONDS + 40)
        places = rig.places()
        assert set(rig.places(gang).values()) == reserved
        taken = {node for name, node in places.items() if name.startswith("plain")}
        assert not taken & reserved
        assert len(taken) == 26, "plain pods fill everything that is not reserved"
        rig.cluster.api.delete(f"/api/v1/namespaces/{rig.name}/pods", grace_seconds=0)
        rig.cluster.api.wait_for("an empty cluster", lambda: not rig.pods())


def test_a_higher_priority_pod_wins_and_the_gang_is_planned_again_whole(holding: Rig) -> None:
    """Default configuration: nominations do not hold against higher priority; no partial gang results."""
    rig = holding
    rig.add_nodes(5)
    rig.gang("held", 4)
    status = rig.wait_phase("held", "Planned")
    reserved = sorted(member["node"] for member in status["members"])
    free = next(node for node in rig.nodes if node not in reserved)
    time.sleep(1)
    there = {HOSTNAME: reserved[0]}
    rig.create([rig.pod("high-0", nodeSelector=there, priorityClassName="high")])
    rig.cluster.api.wait_for("the pod to win", lambda: rig.places().get("high-0"))
    rig.never_partial({"held": 4}, 3)
    places = rig.wait_bound("held", 4, timeout=HOLD_SECONDS * 2 + 40)
    assert free in places.values()
    assert reserved[0] not in places.values()


@pytest.mark.parametrize("holding", [RESTART_SECONDS], indirect=True)
def test_a_scheduler_restart_leads_to_re_nomination_within_a_second(
    holding: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    """The window between the change of kube-scheduler's Lease and the touch of all members is printed.

    On Kubernetes 1.37 nominations survive the restart (tests/ground), so no place is lost in it either.
    """
    rig = holding
    rig.add_nodes(10)
    rig.gang("held", 4)
    reserved = {m["node"] for m in rig.wait_phase("held", "Planned")["members"]}
    time.sleep(1)
    rig.create([rig.pod(f"plain-{i}", gpus=4) for i in range(40)])
    lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"

    def touched() -> list[int]:
        tokens = [p["metadata"]["annotations"].get(keys.TOUCHED, "") for p in rig.pods("held")]
        return [int(token.rpartition(".")[2]) for token in tokens if token.count(".") == 2]

    before = set(touched())
    rig.cluster.restart_scheduler(kill=True)
    rig.cluster.api.wait_for("the touch", lambda: set(touched()) - before)
    acquired = rig.cluster.api.get(lease)["spec"]["acquireTime"]
    window = max(touched()) / 1000 - datetime.fromisoformat(acquired).timestamp()
    with capsys.disabled():
        print(
            f"\nkube-scheduler restart: members touched {window:.2f} s after its Lease changed hands"
        )
    assert window < 1
    rig.wait_phase("held", "Bound", timeout=HOLD_SECONDS + 40)
    assert set(rig.places("held").values()) == reserved


def test_a_vetoed_member_never_causes_an_eviction(rig: Rig) -> None:
    """Victims of lower priority on every node, members without a plan in the queue: 0 evictions."""
    nodes = rig.add_nodes(5)
    rig.create([rig.pod(f"low-{i}", priorityClassName="low") for i in range(5)])
    rig.cluster.api.wait_for("victims to run", lambda: len(rig.places()) == 5)
    pods = rig.gang_pods("gang", 5)
    rig.create(pods)
    rig.wait_phase("gang", "Waiting")
    # Somebody removes the gates by hand: now kube-scheduler asks, and is refused.
    for index in range(5):
        rig.cluster.api.patch(
            f"/api/v1/namespaces/{rig.name}/pods/gang-{index}", {"spec": {"schedulingGates": []}}
        )
    time.sleep(5)
    assert rig.evictions() == 0
    assert set(rig.places()) == {f"low-{i}" for i in range(5)}
    assert rig.places("gang") == {}
    assert len(nodes) == 5


def test_without_muster_plain_pods_bind_and_gangs_wait_for_it(rig: Rig) -> None:
    """Stopped: plain pods are bound; a gang is accepted, gated, and bound within 5 s of the start."""
    rig.add_nodes(4)
    rig.muster.stop()
    rig.gang("late", 3, gpus=1)
    rig.create([rig.pod("plain")])
    rig.cluster.api.wait_for("the plain pod", lambda: "plain" in rig.places())
    gates = [pod["spec"].get("schedulingGates") for pod in rig.pods("late")]
    assert all(gates)
    time.sleep(1)
    assert rig.places("late") == {}
    started = time.monotonic()
    rig.muster.start(ready=False)
    rig.wait_bound("late", 3)
    assert time.monotonic() - started < 5


@pytest.mark.slow
def test_without_muster_plain_pods_keep_their_rate(rig: Rig) -> None:
    """Stopped: plain pods are bound at 0.9 of their rate at least. It takes an otherwise idle machine."""
    rig.add_nodes(20)

    def rate(prefix: str) -> float:
        """Pods bound per second, of 150 that are created as fast as the API server takes them."""
        started = time.monotonic()
        rig.create([rig.pod(f"{prefix}-{i}", gpus=0) for i in range(150)])
        names = {f"{prefix}-{i}" for i in range(150)}
        rig.cluster.api.wait_for("150 pods", lambda: names <= rig.places().keys())
        seconds = time.monotonic() - started
        rig.cluster.api.delete(f"/api/v1/namespaces/{rig.name}/pods", grace_seconds=0)
        rig.cluster.api.wait_for("an empty cluster", lambda: not rig.pods())
        return 150 / seconds

    rate("warm")
    # Noise only ever lowers a rate: the best of equally many rounds on both sides is compared.
    usual = max(rate(f"with-{number}") for number in range(6))
    rig.muster.stop()
    stopped = max(rate(f"without-{number}") for number in range(6))
    assert stopped >= 0.9 * usual, f"{stopped:.0f} of {usual:.0f} pods/s"
