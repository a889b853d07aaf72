"""1,000 KWOK nodes: the extender sees only a sample of them, and the promises hold all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from simulations.controlplane import Binaries, temporary_cluster
from simulations.local import LocalMuster
from tests.e2e.rig import Rig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NODES = 1000


@pytest.fixture(scope="module")
def thousand(control_plane: Binaries) -> Iterator[Rig]:
    """A cluster of its own with 1,000 nodes of 8 GPUs."""
    with temporary_cluster(binaries=control_plane, node_lease_seconds=240) as cluster:
        muster = LocalMuster(cluster)
        muster.install()
        cluster.api.create_namespace("scale")
        rig = Rig(cluster=cluster, muster=muster, name="scale")
        rig.add_nodes(NODES)
        muster.start()
        try:
            yield rig
        finally:
            muster.stop()


@pytest.fixture
def rig(thousand: Rig) -> Iterator[Rig]:
    """The cluster with Muster running and no pods."""
    rig = thousand
    if rig.muster.pid is None:
        rig.muster.start()
    yield rig
    rig.cluster.api.delete("/api/v1/namespaces/scale/pods", grace_seconds=0)
    rig.cluster.api.wait_for("pods to go", lambda: not rig.pods())


def test_all_or_nothing_on_a_thousand_nodes(rig: Rig) -> None:
    """Room for 7 of 8 binds nothing; the eighth place binds all eight within 2 s."""
    open_nodes = rig.nodes[3::140]
    assert len(open_nodes) == 8
    for node in open_nodes:
        rig.cluster.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"open": "yes"}}})
    rig.cordon(open_nodes[7])
    rig.gang("eight", 8, nodeSelector={"pool": rig.name, "open": "yes"})
    status = rig.wait_phase("eight", "Waiting", reason="Insufficient")
    assert "7 of 8" in status["message"]
    time.sleep(1)
    assert rig.places("eight") == {}
    started = time.monotonic()
    rig.cordon(open_nodes[7], on=False)
    places = rig.wait_bound("eight", 8, timeout=5)
    assert time.monotonic() - started < 2
    assert set(places.values()) == set(open_nodes)


def test_a_scheduler_restart_on_a_thousand_nodes(rig: Rig) -> None:
    """Killed with gangs on their way: all are bound whole."""
    for number in range(4):
        rig.gang(f"g{number}", 4)
    rig.cluster.restart_scheduler(kill=True)
    for number in range(4):
        rig.wait_bound(f"g{number}", 4)


def test_a_cordon_between_plan_and_bind_on_a_thousand_nodes(rig: Rig) -> None:
    """The gang is planned again elsewhere, whole."""
    rig.muster.stop()
    rig.muster.start(ungate_delay_seconds=3)
    rig.gang("g", 4)
    lost = rig.wait_phase("g", "Planned")["members"][0]["node"]
    rig.cordon(lost)
    places = rig.wait_bound("g", 4)
    assert lost not in places.values()
    rig.cordon(lost, on=False)
    rig.muster.stop()
