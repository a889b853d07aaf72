"""The lives of LeaderWorkerSet groups on the real manager: what ends, what is built anew, what moves.

Always whole groups, never two on one place, and in the end nothing is left behind.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scheduler import keys
from tests.e2e.history import History
from tests.e2e.lives import (
    CARDS,
    check_lives,
    delete,
    hold,
    image,
    leaves_nothing,
    let_go,
    rack_of,
    rolling,
    silence,
    uids,
    wait_awaiting,
    wait_groups,
    wait_other,
)
from tests.e2e.rig import GANGS
from tests.e2e.workload_rig import BY_HAND, MODEL, WorkloadRig
from topology.keys import LWS_EXCLUSIVE, RACK

pytestmark = pytest.mark.e2e

HOLD_SECONDS = 6
NEW_IMAGE = "vllm/vllm-openai:new"
FLAVORS = json.dumps([{"name": name, "nodeSelector": {MODEL: name}} for name in ("a10", "a100")])
ALONE = {"restartPolicy": "None"}
"""Only the pod that fails is made anew; by default the whole group is."""
LATE: dict[str, Any] = {"startupPolicy": "LeaderReady"}


# -- rolling updates ---------------------------------------------------------------------------------


def test_a_rolling_update_with_room_for_a_surge_group(work: WorkloadRig) -> None:
    """Three groups become three of the new revision, one surge group beside them: no place has two pods at
    a time, and no group is ever there in part."""
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=8)
    lws = work.worker_set("roll", 2, replicas=3, rolloutStrategy=rolling(surge=1))
    work.apply(lws)
    sizes = {f"roll-{index}": 2 for index in range(3)}
    wait_groups(work, sizes)
    before = uids(work)
    work.apply(image(lws, NEW_IMAGE))
    wait_groups(work, sizes, other_than=before)
    surged = [life for life in history.lives() if life.group == "roll-3"]
    assert surged and all(life.whole for life in surged)
    check_lives(history)
    leaves_nothing(work, "roll")


def test_a_surge_group_without_room_waits_whole_and_says_why(work: WorkloadRig) -> None:
    """No group may be missing, so the update waits for it; a node more, and all are of the new revision."""
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=5)
    lws = work.worker_set("tight", 2, replicas=2, rolloutStrategy=rolling(1, unavailable=0))
    work.apply(lws)
    sizes = {"tight-0": 2, "tight-1": 2}
    wait_groups(work, sizes)
    before = uids(work)
    work.apply(image(lws, NEW_IMAGE))
    status = work.wait_phase("tight-2", "Waiting", reason="Insufficient")
    assert "1 of 2 members fit" in status["message"]
    assert not work.places("tight-2")
    assert before.items() <= uids(work).items(), "the others run on"
    work.cards("a10", nodes=1)
    wait_groups(work, sizes, other_than=before)
    check_lives(history)
    leaves_nothing(work, "tight")


@pytest.mark.parametrize("size", [3, pytest.param(2, marks=pytest.mark.slow)])
def test_a_rolling_update_in_place(work: WorkloadRig, size: int) -> None:
    """Without surge each group gives its places up before it comes again. Groups of two become groups of
    three, where the set asks for that: both sizes are there at a time, each whole."""
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=size * 2)
    lws = work.worker_set("slow", 2, replicas=2, rolloutStrategy=rolling(surge=0))
    work.apply(lws)
    wait_groups(work, {"slow-0": 2, "slow-1": 2})
    before = uids(work)
    lws["spec"]["leaderWorkerTemplate"]["size"] = size
    work.apply(image(lws, NEW_IMAGE))
    wait_groups(work, {"slow-0": size, "slow-1": size}, other_than=before)
    check_lives(history)
    sizes = [life.size for life in history.lives()]
    assert sizes[:2] == [2, 2] and set(sizes[2:]) == {size}
    leaves_nothing(work, "slow")


# -- members that end --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "startup", ["LeaderCreated", pytest.param("LeaderReady", marks=pytest.mark.slow)]
)
def test_a_worker_deleted_where_the_group_restarts(work: WorkloadRig, startup: str) -> None:
    """The group is built anew, whole and on one flavor: where the first has lost a node, on the next. A place
    that was held for the missing worker alone is nobody's then."""
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=3)
    work.cards("a100", nodes=3)
    asked = {keys.FLAVOR_SPEC: FLAVORS}
    work.apply(work.worker_set("ring", 3, annotations=asked, startupPolicy=startup))
    places = wait_groups(work, {"ring-0": 3})["ring-0"]
    assert work.models_of("ring-0") == {"a10"}
    before = uids(work)
    work.cordon(places["ring-0-1"])
    # One that ends at once may be back before LWS sees that it was away (kubernetes-sigs/lws#998).
    hold(work, "ring-0-1")
    delete(work, "ring-0-1")
    work.cluster.api.wait_for("LWS to end the group", lambda: "ring-0" not in uids(work))
    let_go(work, "ring-0-1")
    wait_groups(work, {"ring-0": 3}, other_than=before)
    assert work.models_of("ring-0") == {"a100"}
    check_lives(history)
    leaves_nothing(work, "ring")


def test_a_worker_deleted_where_only_it_restarts(work: WorkloadRig) -> None:
    """It comes back on the same flavor and in the same rack, next to its living peers; without room there
    the group is Degraded and says why, and nobody is evicted."""
    history = History(work.cluster, work.name)
    for rack in ("one", "two"):
        work.cards("a10", nodes=4, labels={RACK: f"{work.name}-{rack}"})
    work.cards("a100", nodes=3, labels={RACK: f"{work.name}-one"})
    asked = {keys.FLAVOR_SPEC: FLAVORS, keys.GANG_TOPOLOGY_REQUIRED: RACK}
    work.apply(work.worker_set("ring", 3, annotations=asked, template=ALONE))
    places = wait_groups(work, {"ring-0": 3})["ring-0"]
    before = uids(work)
    peers = {pod: before[pod] for pod in ("ring-0", "ring-0-2")}
    work.cordon(places["ring-0-1"])
    delete(work, "ring-0-1")
    again = {"ring-0-1": before["ring-0-1"]}
    moved = wait_groups(work, {"ring-0": 3}, other_than=again)["ring-0"]["ring-0-1"]
    assert moved not in places.values()
    assert rack_of(work, moved) == rack_of(work, places["ring-0"])
    assert work.models_of("ring-0") == {"a10"}

    again = {"ring-0-1": uids(work)["ring-0-1"]}
    work.cordon(moved)
    delete(work, "ring-0-1")
    status = work.wait_phase("ring-0", "Degraded", reason="PinnedToRunning")
    assert "pin it to rack" in status["message"]
    assert peers.items() <= uids(work).items()
    assert "ring-0-1" not in work.places()
    work.cordon(moved, on=False)
    wait_groups(work, {"ring-0": 3}, other_than=again)
    assert peers.items() <= uids(work).items(), "nobody was evicted"
    check_lives(history)
    leaves_nothing(work, "ring")


@pytest.fixture
def impatient(work: WorkloadRig) -> Iterator[WorkloadRig]:
    """Muster that gives broken gangs up after a short time."""
    work.muster.stop()
    work.muster.start(limits={"abort_seconds": 2})
    yield work
    work.muster.stop()


def test_a_late_worker_deleted_where_only_it_restarts(impatient: WorkloadRig) -> None:
    """Under LeaderReady its place is found before it comes again; without one the group is Degraded and says
    why, and nobody is evicted, however long its old self takes to end."""
    work = impatient
    work.cards("a10", nodes=3)
    work.apply(work.worker_set("ring", 3, template=ALONE, **LATE))
    places = wait_groups(work, {"ring-0": 3})["ring-0"]
    before = uids(work)
    peers = {pod: before[pod] for pod in ("ring-0", "ring-0-2")}
    delete(work, "ring-0-1")
    again = {"ring-0-1": before["ring-0-1"]}
    assert wait_groups(work, {"ring-0": 3}, other_than=again)["ring-0"] == places

    again = {"ring-0-1": hold(work, "ring-0-1")}
    delete(work, "ring-0-1")
    status = work.wait_phase("ring-0", "Degraded", reason="Insufficient")
    assert "2 of 3 members are bound" in status["message"]
    time.sleep(3)
    work.cordon(places["ring-0-1"])
    let_go(work, "ring-0-1")
    wait_other(work, "ring-0-1", again["ring-0-1"])
    time.sleep(3)
    assert work.status("ring-0")["phase"] == "Degraded"
    assert peers.items() <= uids(work).items()
    work.cordon(places["ring-0-1"], on=False)
    wait_groups(work, {"ring-0": 3}, other_than=again)
    assert peers.items() <= uids(work).items(), "nobody was evicted"
    leaves_nothing(work, "ring")


def test_a_leader_deleted(work: WorkloadRig) -> None:
    """Its group is built anew under either policy, since the leader owns the workers. What is left of the
    old life keeps its place until it has ended, and nobody of the new life is bound before."""
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=6)
    work.apply(work.worker_set("ring", 3), work.worker_set("lone", 3, template=ALONE))
    sizes = {"ring-0": 3, "lone-0": 3}
    wait_groups(work, sizes)
    before = uids(work)
    old = [hold(work, f"{group}-2") for group in sizes]
    for group in sizes:
        delete(work, group)
    for group in sizes:
        for pod in (group, f"{group}-1"):
            wait_other(work, pod, before[pod])
    time.sleep(1)
    assert set(work.places()) == {"ring-0-2", "lone-0-2"}, "none of the next life has a place"
    for group in sizes:
        let_go(work, f"{group}-2")
    wait_groups(work, sizes, other_than=before)
    assert not [pod for uid in old for pod in history.nominated_beside(uid)]
    check_lives(history)
    assert [life.group for life in history.lives()].count("lone-0") == 2
    leaves_nothing(work, "ring", "lone")


def test_a_leader_deleted_while_its_workers_are_awaited(work: WorkloadRig) -> None:
    """The places of the old life are given back, those of the new one are held; its workers get them."""
    work.cards("a10", nodes=3)
    work.apply(work.worker_set("ring", 3, annotations=BY_HAND, **LATE))
    wait_awaiting(work, "ring-0", 3)
    before = uids(work)
    delete(work, "ring-0")
    wait_other(work, "ring-0", before["ring-0"])
    places = wait_awaiting(work, "ring-0", 3)
    assert len(work.placeholders()) == 2
    work.become_ready("ring-0")
    assert wait_groups(work, {"ring-0": 3})["ring-0"] == places
    leaves_nothing(work, "ring")


def test_a_node_lost(work: WorkloadRig) -> None:
    """Its kubelet is silent, so that pods that are evicted do not end: their places are nobody else's. Once
    they are gone the owner makes what it demands, elsewhere: the one member, or the whole group."""
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=8)
    work.apply(work.worker_set("ring", 3), work.worker_set("lone", 3, template=ALONE))
    sizes = {"ring-0": 3, "lone-0": 3}
    wait_groups(work, sizes)
    before, places = uids(work), work.places()
    lost = ["ring-0-1", "lone-0-1"]
    held = [hold(work, pod) for pod in lost]
    silence(work, *(places[pod] for pod in lost))
    assert uids(work) == before, "nothing is done as long as the controllers of nodes wait"
    for pod in lost:
        delete(work, pod)  # as they do after five minutes
    status = work.wait_phase("lone-0", "Degraded", reason="MembersMissing")
    assert status["ready"] == "2/3"
    time.sleep(1)
    assert {pod: work.places()[pod] for pod in lost} == {pod: places[pod] for pod in lost}
    for pod in lost:
        let_go(work, pod)
    anew = {pod: uid for pod, uid in before.items() if pod in lost or pod.startswith("ring")}
    wait_groups(work, sizes, other_than=anew)
    kept = {pod: uid for pod, uid in before.items() if pod not in anew}
    assert kept.items() <= uids(work).items(), "only the lost member was made anew"
    assert not {places[pod] for pod in lost} & set(work.places().values())
    assert not [pod for uid in held for pod in history.nominated_beside(uid)]
    check_lives(history)
    for pod in lost:
        work.delete_node(places[pod])
    leaves_nothing(work, "ring", "lone")


@pytest.mark.slow
def test_a_node_deleted(work: WorkloadRig) -> None:
    """The garbage collector of pods takes a minute to notice; the member that it removes comes back on
    another node, and the rest runs on."""
    work.cards("a10", nodes=4)
    work.apply(work.worker_set("lone", 3, template=ALONE))
    places = wait_groups(work, {"lone-0": 3})["lone-0"]
    before = uids(work)
    work.delete_node(places["lone-0-1"])
    again = {"lone-0-1": before.pop("lone-0-1")}
    now = wait_groups(work, {"lone-0": 3}, other_than=again, timeout=120)["lone-0"]
    assert now["lone-0-1"] in work.nodes
    assert before.items() <= uids(work).items()
    leaves_nothing(work, "lone")


# -- groups that are given up ------------------------------------------------------------------------


@pytest.fixture
def holding(work: WorkloadRig) -> Iterator[WorkloadRig]:
    """Muster that keeps every gang between Planned and ungating for a while."""
    work.muster.stop()
    work.muster.start(ungate_delay_seconds=HOLD_SECONDS)
    yield work
    work.muster.stop()


@pytest.mark.parametrize(
    "startup", ["LeaderReady", pytest.param("LeaderCreated", marks=pytest.mark.slow)]
)
def test_a_set_scaled_down_while_planned(holding: WorkloadRig, startup: str) -> None:
    """Groups that are deleted between plan and Binding give everything back at once: who waits for the room
    is planned before they would have been bound."""
    work = holding
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=8)
    work.apply(work.worker_set("wide", 2, replicas=4, startupPolicy=startup))
    for index in range(4):
        work.wait_phase(f"wide-{index}", "Planned")
    work.apply(work.worker_set("then", 2, replicas=3, startupPolicy=startup))
    for index in range(3):
        work.wait_phase(f"then-{index}", "Waiting", reason="Insufficient")
    assert not work.places()
    work.kubectl("scale", "leaderworkersets", "wide", "--replicas=1")
    for index in range(3):
        work.wait_phase(f"then-{index}", "Planned", timeout=HOLD_SECONDS)
    sizes = {"wide-0": 2, **{f"then-{index}": 2 for index in range(3)}}
    wait_groups(work, sizes)
    assert max(history.most_cards().values()) == CARDS
    gangs = work.cluster.api.list(f"{GANGS}/{work.name}/gangs")
    assert {gang["metadata"]["name"] for gang in gangs} == sizes.keys()
    work.muster.stop()
    work.muster.start()
    leaves_nothing(work, "wide", "then")


def test_a_set_scaled_down_while_workers_are_awaited(work: WorkloadRig) -> None:
    """Placeholders of the groups that go leave at once, and others get their places."""
    work.cards("a10", nodes=6)
    work.apply(work.worker_set("ring", 2, replicas=3, annotations=BY_HAND, **LATE))
    for index in range(3):
        wait_awaiting(work, f"ring-{index}", 2)
    work.create(work.gang_pods("other", 4, gpus=CARDS))
    work.kubectl("scale", "leaderworkersets", "ring", "--replicas=1")
    work.cluster.api.wait_for("the others", lambda: len(work.places()) == 5)
    assert len(work.placeholders()) == 1
    others = f"/api/v1/namespaces/{work.name}/pods"
    for index in range(4):
        work.cluster.api.delete(f"{others}/other-{index}")
    leaves_nothing(work, "ring")


# -- groups that compete -----------------------------------------------------------------------------


def test_two_sets_compete_for_racks(work: WorkloadRig) -> None:
    """Exclusive topology: one set needs the large rack, where each leader of the other would fit, too. All
    get theirs (leaders placed one by one can take each other's for good, kubernetes-sigs/lws#539)."""
    work.cards("a10", nodes=4, labels={RACK: f"{work.name}-large"})
    for rack in ("a", "b"):
        work.cards("a10", nodes=2, labels={RACK: f"{work.name}-{rack}"})
    sets = [work.worker_set("small", 2, replicas=2), work.worker_set("large", 4)]
    for lws in sets:
        lws["metadata"]["annotations"] = {LWS_EXCLUSIVE: RACK}
    work.apply(*sets)
    places = wait_groups(work, {"small-0": 2, "small-1": 2, "large-0": 4})
    racks = {group: {rack_of(work, node) for node in on.values()} for group, on in places.items()}
    assert racks["large-0"] == {f"{work.name}-large"}
    assert racks["small-0"] | racks["small-1"] == {f"{work.name}-a", f"{work.name}-b"}
    assert all(len(found) == 1 for found in racks.values())
    leaves_nothing(work, "small", "large")
