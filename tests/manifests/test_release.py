"""``muster release``: the way out, up to pods that a kube-scheduler without Muster binds."""

from __future__ import annotations

import argparse
import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from extender import release
from scheduler import keys
from scheduler.gang_object import gang_manifest
from scheduler.kube import writes
from scheduler.kube.client import KubeClient
from scheduler.kube.lease import LeaderElection, LeaseTiming
from scheduler.kube.manifests import (
    control_plane_manifests,
    load_manifests,
    scheduler_config,
)
from scheduler.kube.resources import GANGS
from scheduler.kube.resources import PODS as PODS_RESOURCE
from scheduler.kube.writes import PodRef
from simulations.controlplane import Binaries, Cluster, temporary_cluster
from simulations.local import gates_members, install
from tests.manifests.test_writes import small_gang
from topology.keys import KWOK_NODE

pytestmark = pytest.mark.e2e

Object = dict[str, Any]
SIZE = {"cpu": "64", "memory": "512Gi", "pods": "110"}
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def installed(control_plane: Binaries) -> Iterator[Cluster]:
    """A cluster whose kube-scheduler is configured for a Muster that does not answer."""
    with temporary_cluster(binaries=control_plane) as cluster:
        install(cluster.api, control_plane_manifests())
        node = {
            "metadata": {"name": "n", "annotations": {KWOK_NODE: "fake"}},
            "status": {"allocatable": SIZE, "capacity": SIZE},
        }
        cluster.api.create("/api/v1/nodes", node)
        ca = (cluster.folder / "pki" / "ca.crt").read_bytes()
        cluster.set_scheduler_config(scheduler_config("https://127.0.0.1:1", ca))
        yield cluster


def member(name: str, gang: str) -> Object:
    """A pod as a user writes it."""
    return {
        "metadata": {"name": name, "annotations": {keys.GANG: gang, keys.GANG_SIZE: "2"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }


def gated(pod: Object) -> bool:
    """Whether our gate is on the pod."""
    return {"name": keys.GATE} in pod["spec"].get("schedulingGates", [])


def node_of(cluster: Cluster, name: str) -> str | None:
    """Where the pod is bound."""
    node: str | None = cluster.api.get(f"{PODS}/{name}")["spec"].get("nodeName")
    return node


def create_gang(cluster: Cluster, gang: str) -> list[str]:
    """Two gated members, nominated, and the Gang object that reserves their places."""
    names = [f"{gang}-0", f"{gang}-1"]

    async def plan() -> None:
        async with KubeClient(cluster.kubeconfig) as client:
            for name in names:
                pod = await client.create(PODS_RESOURCE, member(name, gang), namespace="default")
                uid = pod["metadata"]["uid"]
                ref = PodRef(namespace="default", name=name, uid=uid)
                assert (await writes.nominate(client, ref, "n")).done
            manifest = gang_manifest(small_gang("default")[0])
            spec = {**manifest["spec"], "gang": gang}
            metadata = {"namespace": "default", "name": gang}
            record = {**manifest, "metadata": metadata, "spec": spec}
            assert (await writes.create_gang(client, record)).done

    asyncio.run(plan())
    return names


def muster_release(cluster: Cluster, *arguments: str) -> int:
    """The command as a user gives it."""
    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    return release.run(parser.parse_args([*arguments, f"--kubeconfig={cluster.kubeconfig}"]))


@contextmanager
def leading(cluster: Cluster) -> Iterator[None]:
    """A planner that holds the Lease meanwhile, and dies without giving it back."""
    started, stop = threading.Event(), threading.Event()

    async def lead() -> None:
        async with KubeClient(cluster.kubeconfig) as client:
            election = LeaderElection(
                client,
                namespace="muster-system",
                name=keys.LEASE,
                identity="planner-1",
                started=started.set,
                stopped=lambda: None,
                timing=LeaseTiming(duration=2, renew_deadline=1.5, retry=0.2),
            )
            task = asyncio.create_task(election.run())
            await asyncio.to_thread(stop.wait)
            task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(lead()))
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_way_out(installed: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """One gang by name; then all, and the uninstall: pods that still carry our resources are bound by a
    kube-scheduler that has never heard of Muster, and new ones are not gated."""
    one, two = create_gang(installed, "one"), create_gang(installed, "two")
    api = installed.api

    assert muster_release(installed) == 2
    assert muster_release(installed, "one", "--all") == 2
    assert muster_release(installed, "three") == 2
    assert "no such gang: default/three" in capsys.readouterr().err
    with leading(installed):
        assert muster_release(installed, "one") == 2
    assert "planner-1 leads" in capsys.readouterr().err
    assert all(gated(api.get(f"{PODS}/{name}")) for name in one + two)

    assert muster_release(installed, "one") == 0, "the Lease of a dead planner does not block it"
    assert "2 pods released, 1 Gang objects deleted" in capsys.readouterr().out
    for name in one:
        pod = api.get(f"{PODS}/{name}")
        assert not gated(pod)
        assert "nominatedNodeName" not in pod["status"]
    assert all(gated(api.get(f"{PODS}/{name}")) for name in two)
    assert [gang["metadata"]["name"] for gang in api.list(GANGS.path())] == ["two"]
    assert gates_members(api), "naming a gang does not uninstall"

    assert muster_release(installed, "--all") == 0
    assert api.list(GANGS.path()) == []
    api.wait_for("the end of gating", lambda: not gates_members(api))
    pods = [api.get(f"{PODS}/{name}") for name in one + two]
    assert not any(gated(pod) or "nodeName" in pod["spec"] for pod in pods)

    installed.set_scheduler_config(load_manifests("scheduler/without-muster")[0])
    for name in one + two:
        api.wait_for(f"{name} to be bound", partial(node_of, installed, name))
    assert muster_release(installed, "--all") == 0, "twice is no error"
