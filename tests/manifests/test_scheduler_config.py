"""The shipped kube-scheduler configurations, read by the real kube-scheduler, over mutual TLS."""

from __future__ import annotations

import asyncio
import datetime
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from extender import certs
from extender.certs import FolderStore, Serving
from scheduler import keys
from scheduler.kube.manifests import control_plane_manifests, scheduler_config
from simulations.controlplane import Binaries, Cluster, temporary_cluster
from simulations.local import install
from topology.keys import ASCEND_910, KWOK_NODE, NVIDIA_GPU
from topology.vendors import VENDORS

Object = dict[str, Any]
SIZE = {
    "cpu": "64",
    "memory": "512Gi",
    "pods": "110",
    NVIDIA_GPU: "8",
    ASCEND_910: "8",
    "x.io/y": "8",
}
PODS = "/api/v1/namespaces/default/pods"
SERVICE_NAME = "muster.muster-system.svc"


@dataclass(slots=True)
class Calls:
    """Which verb was called for which pod by a client with a certificate of ours."""

    seen: set[tuple[str, str]] = field(default_factory=set)
    strangers: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Accept every node; never bind."""
        assert request.transport is not None
        if not request.transport.get_extra_info("peercert"):
            self.strangers += 1
            return web.Response(status=403)
        args = json.loads(await request.read())
        verb = request.path.strip("/")
        name = args["PodName"] if verb == "bind" else args["Pod"]["metadata"]["name"]
        self.seen.add((verb, name))
        if verb == "bind":
            return web.json_response({"Error": "not today"})
        return web.json_response({"NodeNames": args["NodeNames"]})


@dataclass(frozen=True, slots=True)
class Rig:
    """A cluster, the extender that it may be told of, and where that listens."""

    cluster: Cluster
    calls: Calls
    port: int
    ca: bytes

    def configure(self, **options: Any) -> None:
        """Start kube-scheduler with a shipped configuration; the host part of the address is not the name
        on the certificate."""
        pki = self.cluster.folder / "pki"
        config = scheduler_config(
            f"https://127.0.0.1:{self.port}",
            self.ca,
            server_name=SERVICE_NAME,
            client_cert=(pki / "kube-scheduler.crt").read_bytes(),
            client_key=(pki / "kube-scheduler.key").read_bytes(),
            **options,
        )
        self.cluster.set_scheduler_config(config)

    def create(self, name: str, resource: str, **annotations: str) -> None:
        """A pod that asks for one card; if it is gated, the gate is removed as Muster does."""
        resources = {"limits": {resource: "1"}}
        container = {"name": "c", "image": "i", "resources": resources}
        metadata = {"name": name, "annotations": annotations}
        self.cluster.api.create(PODS, {"metadata": metadata, "spec": {"containers": [container]}})
        if annotations:
            self.cluster.api.patch(f"{PODS}/{name}", {"spec": {"schedulingGates": None}})

    def bound(self, name: str) -> bool:
        """Whether the pod has a node."""
        return "nodeName" in self.cluster.api.get(f"{PODS}/{name}")["spec"]

    def wait_for(self, *calls: tuple[str, str]) -> None:
        """Return when all of these were made."""
        self.cluster.api.wait_for(f"{calls}", lambda: set(calls) <= self.calls.seen)


@pytest.fixture(scope="module")
def rig(control_plane: Binaries) -> Iterator[Rig]:
    """One node with three kinds of cards; the extender runs in a thread of its own."""
    with temporary_cluster(binaries=control_plane) as cluster:
        install(cluster.api, control_plane_manifests())
        node = {
            "metadata": {"name": "n", "annotations": {KWOK_NODE: "fake"}},
            "status": {"allocatable": SIZE, "capacity": SIZE},
        }
        cluster.api.create("/api/v1/nodes", node)
        cluster.api.wait_for(
            "the node", lambda: "taints" not in cluster.api.get("/api/v1/nodes/n")["spec"]
        )
        calls = Calls()
        folder = cluster.folder / "extender-tls"
        ready: list[int] = []
        stop = threading.Event()

        async def serve() -> None:
            client_ca = str(cluster.folder / "pki" / "ca.crt")
            serving = Serving(FolderStore(folder), (SERVICE_NAME,), client_ca)
            await serving.refresh(datetime.datetime.now(datetime.UTC))
            app = web.Application()
            app.router.add_post("/{verb}", calls.answer)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving.context).start()
            ready.append(runner.addresses[0][1])
            await asyncio.to_thread(stop.wait)
            await runner.cleanup()
            await asyncio.sleep(0.5)  # connections that say goodbye in TLS end a moment later

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            cluster.api.wait_for("the extender", lambda: ready)
            yield Rig(cluster, calls, ready[0], (folder / certs.CA).read_bytes())
        finally:
            stop.set()
            thread.join()


@pytest.mark.e2e
def test_default_sends_gangs_and_nothing_else(rig: Rig) -> None:
    """A member goes through filter and bind; a plain pod is bound by kube-scheduler itself."""
    rig.configure()
    rig.create("plain-default", NVIDIA_GPU)
    rig.create("member-default", NVIDIA_GPU, **{keys.GANG: "g"})
    rig.wait_for(("filter", "member-default"), ("bind", "member-default"))
    rig.cluster.api.wait_for("the plain pod", lambda: rig.bound("plain-default"))
    assert {name for _, name in rig.calls.seen} == {"member-default"}
    assert not rig.bound("member-default"), "only our Binding binds a member"
    assert rig.calls.strangers == 0


@pytest.mark.e2e
def test_guarded_also_filters_plain_pods_with_cards(rig: Rig) -> None:
    """Shipped vendors and those that the operator adds; kube-scheduler still counts their cards and binds."""
    rig.configure(guarded=True, extra_resources=["x.io/y", NVIDIA_GPU])
    names = {"nvidia": NVIDIA_GPU, "ascend": ASCEND_910, "extra": "x.io/y", "cpu-only": "cpu"}
    for name, resource in names.items():
        rig.create(name, resource)
    for name in names:
        rig.cluster.api.wait_for(name, partial(rig.bound, name))
    plain = {call for call in rig.calls.seen if call[1] in names}
    assert plain == {("filter", name) for name in names if name != "cpu-only"}
    rig.create("member-guarded", NVIDIA_GPU, **{keys.GANG: "g"})
    rig.wait_for(("filter", "member-guarded"), ("bind", "member-guarded"))


def test_the_guard_knows_every_vendor() -> None:
    """A card under a name that is not listed could be taken by a plain pod from under a gang."""
    (entry, _) = scheduler_config("https://muster.example:9443", b"PEM", guarded=True)["extenders"]
    names = {item["name"] for item in entry["managedResources"]}
    assert names - keys.SYNTHETIC_RESOURCES == {
        name for vendor in VENDORS for name in vendor.resources
    }


def test_hami_binds_in_its_own_scheduler() -> None:
    """Muster's entry comes first and only filters, sees every pod, and no resource is managed twice, which
    kube-scheduler refuses; HAMi's entry is not touched."""
    config = scheduler_config("https://muster.example:9443", b"PEM", hami=True)
    ours, theirs = config["extenders"]
    assert (ours["filterVerb"], ours["preemptVerb"]) == ("filter", "preempt")
    assert not {"bindVerb", "managedResources"} & ours.keys()
    assert ours["urlPrefix"] == "https://muster.example:9443" and ours["ignorable"] is False
    assert theirs["bindVerb"] == "bind" and theirs["tlsConfig"] == {"insecure": True}
    ((fit,),) = (profile["pluginConfig"] for profile in config["profiles"])
    assert fit["args"] == {"ignoredResourceGroups": [keys.GROUP]}


@pytest.mark.parametrize("guarded", [False, True])
def test_nothing_may_be_ignored(guarded: bool) -> None:
    """Two entries with timeouts of their own; an entry that is ignorable would bind past our veto."""
    config = scheduler_config("https://muster.example:9443", b"PEM", guarded=guarded)
    watch, bind = config["extenders"]
    assert (watch["httpTimeout"], bind["httpTimeout"]) == ("1s", "30s")
    assert (watch["preemptVerb"], bind["bindVerb"]) == ("preempt", "bind")
    for entry in (watch, bind):
        assert entry["nodeCacheCapable"] is True
        assert entry["ignorable"] is False
        assert entry["tlsConfig"] == {"serverName": "muster.example", "caData": "UEVN"}
    ignored = {
        item["name"]
        for entry in (watch, bind)
        for item in entry["managedResources"]
        if item["ignoredByScheduler"]
    }
    assert ignored == keys.SYNTHETIC_RESOURCES
