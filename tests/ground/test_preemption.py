"""Ground facts about default preemption meeting an extender that refuses nodes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.ground.extender import Object, veto, veto_resolvable
from tests.ground.rig import Rig

pytestmark = pytest.mark.e2e

NODES = 5


def victims(rig: Rig) -> list[str]:
    """A pod of low priority on every node, each filling it."""
    rig.add_nodes(NODES)
    names = [f"victim-{i}" for i in range(NODES)]
    for name in names:
        rig.create(name, priority="low")
    for name in names:
        rig.wait_bound(name)
    return names


def evictions(rig: Rig, names: list[str]) -> int:
    """How many of the pods are gone or going."""
    pods = rig.cluster.api.list(f"/api/v1/namespaces/{rig.name}/pods")
    alive = {p["metadata"]["name"] for p in pods if "deletionTimestamp" not in p["metadata"]}
    return sum(name not in alive for name in names)


def all_candidates(body: Object) -> Object:
    """Give kube-scheduler every candidate back, as an extender without an opinion does."""
    return {"NodeNameToMetaVictims": body["NodeNameToMetaVictims"]}


@pytest.mark.parametrize("refuse", [veto, veto_resolvable])
def test_empty_preempt_map_stops_evictions(rig: Rig, refuse: Callable[[Object], Object]) -> None:
    """A vetoed gang pod evicts nobody, though every node has lower-priority victims."""
    names = victims(rig)
    rig.extender.answers["filter"] = refuse
    rig.create("gang", member=True)
    rig.cluster.api.wait_for("a preempt call", lambda: rig.extender.of("preempt", "gang"))
    for i in range(5):
        rig.touch("gang", str(i))  # wakes it: every attempt ends in PostFilter
        time.sleep(0.2)
    assert evictions(rig, names) == 0
    assert rig.extender.of("preempt", "gang")[0].body["NodeNameToMetaVictims"]


def test_without_the_empty_map_preemption_cascades(rig: Rig) -> None:
    """The counterpart: with all candidates returned, a veto empties node after node."""
    names = victims(rig)
    rig.extender.answers["filter"] = veto
    rig.extender.answers["preempt"] = all_candidates
    rig.create("gang", member=True)
    rig.cluster.api.wait_for("an eviction", lambda: evictions(rig, names) > 0)
    rig.cluster.api.wait_for("the cascade", lambda: evictions(rig, names) == NODES)
    assert rig.node_of("gang") is None


def test_preemption_of_plain_pods_does_not_reach_us(rig: Rig) -> None:
    """A plain pod of high priority preempts as always, without a call to the extender."""
    victims(rig)
    rig.create("plain", priority="high")
    rig.wait_bound("plain")
    assert not rig.extender.calls


def test_preemption_by_higher_priority_clears_a_nomination(rig: Rig) -> None:
    """A higher-priority pod that preempts on the nominated node takes the field away as well.

    Muster sees that as an update of the pod, in contrast to a place that was simply taken.
    """
    [node] = rig.add_nodes(1)
    rig.create("victim", gpus=4, priority="low")
    rig.wait_bound("victim")
    rig.create("gang", gpus=4, gated=True)
    rig.nominate("gang", node)
    rig.create("higher", gpus=8, priority="high")
    rig.wait_bound("higher")
    assert rig.nominated("gang") is None
