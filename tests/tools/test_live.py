"""The commands of the README against a real cluster with a running Muster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import muster
from extender.tools import yaml_text
from scheduler import keys
from simulations.controlplane import Binaries, Cluster, temporary_cluster
from simulations.fleet import Fleet, Pool
from simulations.local import LocalMuster

pytestmark = pytest.mark.e2e

WORKLOADS = resources.files("simulations") / "workloads"
GANGS = f"/apis/{keys.API_VERSION}/namespaces/default/gangs"
PODS = "/api/v1/namespaces/default/pods"
DUMP = "nodes,pods,namespaces,flavors,gangs"


@pytest.fixture(scope="module")
def service(control_plane: Binaries) -> Iterator[LocalMuster]:
    """A small cluster with Muster: two H100, four A100 and two Ascend nodes; no workloads yet."""
    fleet = Fleet(
        pools=(
            Pool(prefix="h100", count=2, device="h100"),
            Pool(prefix="a100", count=4, device="a100"),
            Pool(prefix="ascend", count=2, device="ascend-910b"),
        )
    )
    with temporary_cluster(binaries=control_plane) as cluster:
        service = LocalMuster(cluster)
        service.install()
        cluster.add_nodes(fleet.nodes())
        service.start()
        kubectl(cluster, "apply", "-f", str(WORKLOADS / "flavors.yaml"))
        try:
            yield service
        finally:
            service.stop()


def kubectl(cluster: Cluster, *arguments: str) -> str:
    """What ``kubectl`` prints."""
    assert cluster.binaries is not None
    command = [str(cluster.binaries.paths["kubectl"]), f"--kubeconfig={cluster.kubeconfig}"]
    done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def wait_status(cluster: Cluster, gang: str, phase: str, reason: str = "") -> dict[str, Any]:
    """``status`` of the Gang once it has this phase and reason."""

    def reached() -> dict[str, Any] | None:
        status = (cluster.api.find(f"{GANGS}/{gang}") or {}).get("status", {})
        right = status.get("phase") == phase and status.get("reason", "") == reason
        return status if right else None

    return cluster.api.wait_for(f"{gang} to be {phase}", reached)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command of ours."""
    code = muster.main(arguments)
    out, err = capsys.readouterr()
    assert err == ""
    return code, out


def places(document: dict[str, Any], gang: str) -> list[tuple[str, str]]:
    """(pod, node) of the members of a gang in the JSON of ``muster plan``."""
    [found] = [entry for entry in document["gangs"] if entry["name"] == gang]
    return [(member["pod"], member["node"]) for member in found["members"]]


def bound(cluster: Cluster, names: Sequence[str]) -> list[tuple[str, str]]:
    """(pod, node) as the cluster has them."""
    return [(name, cluster.api.get(f"{PODS}/{name}")["spec"]["nodeName"]) for name in names]


def test_a_dump_is_planned_as_muster_then_does(
    service: LocalMuster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With Muster stopped a gang stays gated; the plan of the dump is what Muster does on start.

    The decision that it stored gives the same members and nodes again.
    """
    cluster = service.cluster
    service.stop()
    kubectl(cluster, "apply", "-f", str(WORKLOADS / "chat.yaml"))
    cluster.api.wait_for("two gated pods", lambda: len(cluster.api.list(PODS)) == 2)
    dump = tmp_path / "dump.json"
    dump.write_text(kubectl(cluster, "get", DUMP, "-A", "-o", "json"))
    code, out = run(capsys, "plan", "-f", str(dump), "-o", "json")
    planned = places(json.loads(out), "chat")
    assert (code, [pod for pod, _ in planned]) == (0, ["chat-0", "chat-1"])

    service.start()
    status = wait_status(cluster, "chat", "Bound")
    assert bound(cluster, ["chat-0", "chat-1"]) == planned

    stored = tmp_path / "snapshot.json"
    stored.write_bytes(service.get(f"/debug/snapshot?plan={status['plan']}"))
    code, out = run(capsys, "plan", "-f", str(stored), "-o", "json")
    assert places(json.loads(out), "chat") == planned


def test_one_text_explains_everywhere(
    service: LocalMuster, capsys: pytest.CaptureFixture[str]
) -> None:
    """``muster explain``, the Gang's status and the event on its pods say the same about a waiter."""
    cluster = service.cluster
    kubectl(cluster, "apply", "-f", str(WORKLOADS / "too-large.yaml"))
    status = wait_status(cluster, "pretrain", "Waiting", "Insufficient")
    kubeconfig = ("--kubeconfig", str(cluster.kubeconfig))
    code, out = run(capsys, "explain", "default/pretrain", *kubeconfig)
    assert (code, out.splitlines()[0]) == (0, status["message"])
    assert status["numbers"]["membersNeeded"] == 16

    def told() -> bool:
        events = cluster.api.list("/apis/events.k8s.io/v1/namespaces/default/events")
        return status["message"] in {event.get("note") for event in events}

    assert cluster.api.wait_for("the event", told)


def test_more_nodes_are_advised(service: LocalMuster, capsys: pytest.CaptureFixture[str]) -> None:
    """The Gang of a waiter says which nodes would start it; explain and status show it."""
    cluster = service.cluster
    kubectl(cluster, "apply", "-f", str(WORKLOADS / "too-large.yaml"))
    kubeconfig = ("--kubeconfig", str(cluster.kubeconfig))

    def advice() -> list[dict[str, Any]]:
        found = cluster.api.get(f"{GANGS}/pretrain").get("status", {}).get("scaleOut", [])
        assert isinstance(found, list)
        return found

    assert cluster.api.wait_for("the advice", lambda: bool(advice()))
    said = [f"    scale-out: {one['flavor']}: {one['message']}" for one in advice()]
    assert len(said) == 2
    _, out = run(capsys, "explain", "default/pretrain", *kubeconfig)
    assert out.splitlines()[1:] == said
    _, out = run(capsys, "status", *kubeconfig)
    rows = [line.split() for line in out.split("\n\n")[1].splitlines()[1:]]
    assert [row[:3] for row in rows] == [
        ["default/pretrain", one["flavor"], str(one["nodes"])] for one in advice()
    ]


def test_status_and_topology_of_the_cluster(
    service: LocalMuster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both read the live cluster through the kubeconfig."""
    cluster = service.cluster
    kubeconfig = ("--kubeconfig", str(cluster.kubeconfig))
    kubectl(cluster, "apply", "-f", str(WORKLOADS / "ascend.yaml"))
    wait_status(cluster, "qwen", "Bound")
    code, out = run(capsys, "status", *kubeconfig)
    assert code == 0
    [row] = [line.split() for line in out.splitlines() if line.startswith("default/qwen")]
    assert row[1:4] == ["2/2", "Bound", "ascend-910b"]
    code, out = run(capsys, "topology", *kubeconfig, "-o", "json")
    cards = json.loads(out)["nodes"]["ascend-0"]["accelerators"]
    assert (cards["class"], cards["count"], cards["free"]) == ("ascend-910b", 8, 0)


def test_kubectl_piped_into_plan(service: LocalMuster) -> None:
    """``kubectl get nodes,pods -A -o yaml | muster plan -f -`` as the README shows it."""
    dump = kubectl(service.cluster, "get", "nodes,pods", "-A", "-o", "yaml")
    command = [sys.executable, "-m", "muster", "plan", "-f", "-", "-o", "yaml"]
    done = subprocess.run(command, input=dump, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    [(_, document)] = yaml_text.read(done.stdout)
    assert document["snapshot"]["nodes"] == 8
