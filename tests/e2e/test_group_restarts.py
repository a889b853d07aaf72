"""Groups whose owner restarts them as a whole, and a worker whose end the real manager misses (lws#998)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from scheduler import keys
from tests.e2e.history import History
from tests.e2e.lives import CARDS, delete, leaves_nothing, uids, wait_groups
from tests.e2e.workload_rig import MODEL, WorkloadRig

pytestmark = pytest.mark.e2e

GRACE = 12
"""Seconds that LeaderWorkerSet has to restart a group."""
FLAVORS = json.dumps([{"name": name, "nodeSelector": {MODEL: name}} for name in ("a10", "a100")])


@pytest.fixture
def strict(work: WorkloadRig) -> Iterator[WorkloadRig]:
    """Muster that gives the owners of groups a short time."""
    work.muster.stop()
    work.muster.start(limits={"restart_seconds": GRACE})
    yield work
    work.muster.stop()


def told(work: WorkloadRig, gang: str, reason: str) -> list[str]:
    """Texts of the events of this reason on a Gang object."""
    events = work.cluster.api.list(f"/apis/events.k8s.io/v1/namespaces/{work.name}/events")
    about = {"kind": "Gang", "name": gang}
    return [
        e["note"]
        for e in events
        if e["reason"] == reason and about.items() <= e["regarding"].items()
    ]


def miss(work: WorkloadRig, pod: str) -> None:
    """A pod ends, and is made anew, without a trace for LeaderWorkerSet: it sees no pod that is deleted."""
    before = uids(work)
    work.cluster.stop("lws-manager", kill=True)
    delete(work, pod)
    work.cluster.api.wait_for("the end of the pod", lambda: uids(work).get(pod) != before[pod])
    work.workloads.up()
    work.cluster.api.wait_for("another one", lambda: pod in uids(work), timeout=60)


@pytest.mark.parametrize("startup", ["LeaderCreated", "LeaderReady"])
@pytest.mark.parametrize("room", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_worker_whose_end_the_manager_misses(
    strict: WorkloadRig, startup: str, room: bool
) -> None:
    """A pod ends while LWS is restarted, so that only it is made anew. It is not placed alone, room or not:
    the Gang says what its owner demands; after the grace the leader is evicted, once, and the group is there
    again in one piece: without room on its flavor, on the next."""
    work = strict
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=4 if room else 3)
    work.cards("a100", nodes=3)
    asked = {keys.FLAVOR_SPEC: FLAVORS}
    work.apply(work.worker_set("ring", 3, annotations=asked, startupPolicy=startup))
    places = wait_groups(work, {"ring-0": 3})["ring-0"]
    before = uids(work)
    work.cluster.api.wait_for("a record", lambda: "started" in work.status("ring-0"))
    work.cordon(places["ring-0-1"])
    miss(work, "ring-0-1")
    work.wait_phase("ring-0", "Degraded", reason="OwnerRestarts")
    said = "pod ring-0-1 came back alone, and LeaderWorkerSet/ring restarts all pods of ring-0 together"
    work.cluster.api.wait_for("the reason", lambda: said in work.status("ring-0")["message"])
    time.sleep(3)
    now = uids(work)
    assert {pod for pod, uid in before.items() if now[pod] == uid} == {"ring-0", "ring-0-2"}, (
        "the manager has missed it"
    )
    assert "ring-0-1" not in work.places(), "it joins nobody"
    wait_groups(work, {"ring-0": 3}, other_than=before)
    assert work.models_of("ring-0") == {"a10" if room else "a100"}
    [text] = told(work, "ring-0", "Restarted")
    assert text.startswith("ring-0 was evicted: ring-0-1 had come back alone")
    time.sleep(3)
    assert history.evicted() == {"ring-0"}
    assert [life.bound.keys() for life in history.lives()] == [before.keys()] * 2
    if startup == "LeaderCreated":
        assert all(life.whole for life in history.lives())
    assert len(uids(work).keys() & before.keys()) == 3 and work.status("ring-0")["phase"] == "Bound"
    assert max(history.most_cards().values()) <= CARDS
    leaves_nothing(work, "ring")


def test_others_wait_for_the_places_of_a_group_that_restarts(strict: WorkloadRig) -> None:
    """A gang that needs all nodes has waited for longer than the next life of the group exists: between the
    two lives placeholders keep the places, and the group gets them again."""
    work = strict
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=3)
    work.apply(work.worker_set("ring", 3))
    wait_groups(work, {"ring-0": 3})
    before = uids(work)
    work.cluster.api.wait_for("a record", lambda: "started" in work.status("ring-0"))
    work.gang("rival", 3, gpus=CARDS)
    work.wait_phase("rival", "Waiting", reason="Insufficient")
    miss(work, "ring-0-1")

    def whole() -> bool:
        now = uids(work)
        anew = all(now.get(pod) not in (None, uid) for pod, uid in before.items())
        return anew and len(work.places("ring-0")) == len(before)

    work.cluster.api.wait_for("the next life", whole, timeout=40)
    assert history.evicted() == {"ring-0"}
    rivals = {f"rival-{index}" for index in range(3)}
    bound = {p["metadata"]["name"] for _, p in history.events() if p["spec"].get("nodeName")}
    assert not bound & rivals
    assert max(history.most_cards().values()) <= CARDS
    work.kubectl("delete", "pods", *rivals)
    leaves_nothing(work, "ring")
