"""HAMi's scheduler: Muster filters first, a second extender chooses the cards on that node and binds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scheduler import keys
from tests.e2e.rig import Rig
from tests.ground.extender import Extender

pytestmark = pytest.mark.e2e

LIMITS = {"reserve_seconds": 6, "abort_seconds": 20}


@pytest.fixture
def hami() -> Iterator[Extender]:
    """A stand-in for HAMi: its filter returns one node, its bind creates the Binding."""
    extender = Extender()
    extender.answers["filter"] = lambda body: {"NodeNames": body["NodeNames"][:1]}
    yield extender
    extender.close()


@pytest.fixture
def beside(rig: Rig, hami: Extender) -> Iterator[Rig]:
    """kube-scheduler asks Muster, then HAMi."""
    hami.api = rig.cluster.api
    rig.muster.stop()
    rig.muster.configure_scheduler(binder=hami.url)
    rig.muster.start(filter_only=True, guarded=True, limits=LIMITS)
    yield rig
    rig.muster.stop()
    rig.muster.configure_scheduler()


@pytest.mark.timeout(600)
def test_whole_gangs_go_where_they_are_planned(beside: Rig, hami: Extender) -> None:
    """Gangs and plain pods together: HAMi is offered the planned node alone."""
    rig = beside
    rig.add_nodes(6)
    for name in ("one", "two"):
        rig.gang(name, 2)
    rig.create([rig.pod(f"plain-{i}", gpus=4) for i in range(4)])
    for name in ("one", "two"):
        places = rig.wait_bound(name, 2)
        status = rig.wait_phase(name, "Bound")
        assert {m["pod"]: m["node"] for m in status["members"]} == places
        for pod in rig.pods(name):
            annotations = pod["metadata"]["annotations"]
            assert annotations[keys.NODE] == pod["spec"]["nodeName"]
            offered = [
                call.body["NodeNames"] for call in hami.of("filter", pod["metadata"]["name"])
            ]
            assert offered and all(nodes == [pod["spec"]["nodeName"]] for nodes in offered)
    rig.cluster.api.wait_for("the plain pods", lambda: len(rig.places()) == 8)
    assert len({node for name, node in rig.places().items() if not name.startswith("plain")}) == 4


@pytest.mark.timeout(600)
@pytest.mark.parametrize("failures", [2, 1000])
def test_nothing_hangs_when_one_bind_fails(beside: Rig, hami: Extender, failures: int) -> None:
    """Twice: kube-scheduler tries again. For ever: that member gets another node; its sibling runs on."""
    rig = beside
    rig.add_nodes(3)
    refused: list[str] = []

    def bind(body: dict[str, Any]) -> dict[str, Any]:
        broken = refused[0] if refused else body["Node"]
        if body["PodName"] == "g-1" and body["Node"] == broken and len(refused) < failures:
            refused.append(body["Node"])
            return {"Error": "node has been locked within 5 minutes"}
        return hami.bind(body)

    hami.answers["bind"] = bind
    rig.gang("g", 2)
    places = rig.wait_bound("g", 2)
    rig.wait_phase("g", "Bound")
    assert refused and len(set(places.values())) == 2
    if failures > 2:
        assert places["g-1"] != refused[0]
