"""The local control plane itself: start, stop, side by side, security, nothing left behind."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from simulations.controlplane import (
    Api,
    ApiError,
    Binaries,
    Cluster,
    ControlPlaneUnavailable,
    Settings,
    cli,
    temporary_cluster,
)
from simulations.controlplane import cluster as cluster_module
from simulations.controlplane.cluster import sweep_orphans
from simulations.controlplane.commands import COMPONENTS
from simulations.controlplane.processes import free_ports, start_mark
from simulations.fleet import Fleet, Pool
from simulations.local import FAST_LEADER_ELECTION

pytestmark = pytest.mark.e2e

PODS = "/api/v1/namespaces/default/pods"


def muster(*arguments: str) -> int:
    """`muster cluster ...` without the top-level program."""
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser.add_subparsers())
    return cli.run(parser.parse_args(["cluster", *arguments]))


def alive(pids: list[int | None]) -> list[int]:
    """Those processes that run."""
    return [pid for pid in pids if pid is not None and start_mark(pid) is not None]


@pytest.fixture(scope="module")
def small(plain_cluster: Cluster) -> Iterator[Cluster]:
    """The shared cluster with two nodes of 8 GPUs."""
    nodes = Fleet(pools=(Pool(prefix="small", count=2, device="h100"),)).nodes()
    plain_cluster.add_nodes(nodes)
    yield plain_cluster
    for node in nodes:
        plain_cluster.api.delete(f"/api/v1/nodes/{node['metadata']['name']}")


def pod(name: str, **annotations: str) -> dict[str, Any]:
    """A pod that asks for eight GPUs."""
    limits = {"nvidia.com/gpu": "8"}
    return {
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "x", "resources": {"limits": limits}}],
        },
    }


def test_up_status_down_from_the_command_line(
    control_plane: Binaries, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`up` prints kubeconfig and version, `status -o json` one object; `down` ends all of it."""
    folder = tmp_path / "cluster"
    fleet = tmp_path / "fleet.toml"
    fleet.write_text("[[pools]]\nprefix = 'n'\ncount = 3\ndevice = 'a10'\n")
    assert muster("up", "--dir", str(folder), "--nodes", str(fleet)) == 0
    shown = capsys.readouterr().out
    assert f"export KUBECONFIG={folder / 'kubeconfig'}" in shown
    assert f"export PATH={control_plane.paths['kubectl'].parent}:" in shown
    kubectl = [str(control_plane.paths["kubectl"]), "--kubeconfig", str(folder / "kubeconfig")]
    nodes = subprocess.run(
        [*kubectl, "get", "nodes", "--no-headers"], capture_output=True, text=True, check=True
    )
    assert nodes.stdout.count(" Ready ") == 3

    assert muster("status", "--dir", str(folder), "-o", "json") == 0
    status = json.loads(capsys.readouterr().out)
    assert set(status["components"]) == set(COMPONENTS)
    assert status["schedulerVersion"] in shown

    assert muster("up", "--dir", str(folder)) == 0, "a second up changes nothing"
    again = Cluster(folder)
    assert again.running() == status["components"]

    assert muster("down", "--dir", str(folder)) == 0
    assert not alive(list(status["components"].values()))
    assert muster("status", "--dir", str(folder)) == 1
    assert (folder / "logs" / "kube-scheduler.log").stat().st_size > 0, "logs are kept"

    assert muster("up", "--dir", str(folder)) == 0, "a stopped cluster is continued"
    assert len(again.api.list("/api/v1/nodes")) == 3
    assert muster("down", "--dir", str(folder), "--delete") == 0
    assert not folder.exists()


@pytest.mark.parametrize("option", ["--nodes", "--scheduler-config"])
def test_unusable_input_is_exit_code_2(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not there is named on standard error, and nothing is started."""
    folder = tmp_path / "cluster"
    assert muster("up", "--dir", str(folder), option, str(tmp_path / "missing")) == 2
    assert "missing" in capsys.readouterr().err
    assert not folder.exists()


def test_clusters_run_side_by_side(small: Cluster, control_plane: Binaries) -> None:
    """A second cluster has its own ports, data and processes."""
    with temporary_cluster(binaries=control_plane) as other:
        assert other.api.server != small.api.server
        assert not other.api.list("/api/v1/nodes")
        assert not set(other.running().values()) & set(small.running().values())
        pids = list(other.running().values())
    assert not alive(pids)
    assert not other.folder.exists()
    assert all(small.running().values())


def test_killed_component_is_noticed_and_started_again(control_plane: Binaries) -> None:
    """A stale pid file does not count as running; `up` brings the cluster back with its data."""
    with temporary_cluster(binaries=control_plane) as cluster:
        cluster.api.create_namespace("kept")
        pid = cluster.process("kube-apiserver").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        cluster.api.wait_for(
            "the death to be seen", lambda: cluster.running()["kube-apiserver"] is None
        )
        cluster.up()
        assert cluster.api.find("/api/v1/namespaces/kept")


def test_clusters_of_a_killed_owner_are_swept(control_plane: Binaries) -> None:
    """Nothing stays behind when the program that started a temporary cluster was killed."""
    script = (
        "import os, signal\n"
        "from simulations.controlplane import temporary_cluster\n"
        "with temporary_cluster() as cluster:\n"
        "    print(cluster.folder, *cluster.running().values(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = str(Path(__file__).parents[2])
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=root
    )
    folder, *pids = shown.stdout.split()
    assert len(alive([int(pid) for pid in pids])) == len(COMPONENTS)
    sweep_orphans()
    assert not alive([int(pid) for pid in pids])
    assert not Path(folder).exists()


def test_strangers_are_refused(small: Cluster) -> None:
    """No anonymous access: without a client certificate every request is 401."""
    pool = urllib3.PoolManager(ca_certs=str(small.folder / "pki" / "ca.crt"), retries=False)
    assert pool.request("GET", f"{small.api.server}/api/v1/nodes").status == 401


def test_service_identity_has_only_what_it_is_given(small: Cluster) -> None:
    """RBAC is on: `muster` is known, may do nothing, and gets rights through its group."""
    service = Api(small.service_kubeconfig)
    with pytest.raises(ApiError) as refused:
        service.list("/api/v1/nodes")
    assert refused.value.code == 403
    assert 'User "muster"' in refused.value.message
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "test-view"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:node-proxier",  # may list nodes
        },
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "muster:service"}
        ],
    }
    path = f"/apis/{binding['apiVersion']}/clusterrolebindings"
    small.api.create(path, binding)
    nodes = small.api.wait_for("the grant", lambda: _try_list(service))
    small.api.delete(f"{path}/test-view")
    assert len(nodes) == 2


def _try_list(api: Api) -> list[dict[str, Any]]:
    try:
        return api.list("/api/v1/nodes")
    except ApiError:
        return []


def test_keys_are_private(small: Cluster) -> None:
    """Nobody else on the machine can read a key or a kubeconfig."""
    secret = [*small.folder.glob("pki/*.key"), *small.folder.glob("*kubeconfig")]
    assert len(secret) > 8
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


def test_pods_run_after_their_start_delay(small: Cluster) -> None:
    """KWOK starts pods at once, or as late as their annotation says."""
    small.api.create(PODS, pod("now"))
    small.api.create(PODS, pod("later", **{"kwok.muster.dev/start-delay": "3s"}))

    def phase(name: str) -> str:
        return str(small.api.get(f"{PODS}/{name}")["status"]["phase"])

    small.api.wait_for(
        "the second to be bound", lambda: small.api.get(f"{PODS}/later")["spec"].get("nodeName")
    )
    assert phase("later") == "Pending"
    small.api.wait_for("the first to run", lambda: phase("now") == "Running")
    small.api.wait_for("the second to run", lambda: phase("later") == "Running")
    small.api.delete(PODS)
    small.api.wait_for("deletion", lambda: not small.api.list(PODS))


def test_controllers_work(small: Cluster) -> None:
    """A Deployment makes pods, a Job completes, and deleting the owners removes all of it."""
    deployment = {
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": pod("x")["spec"]},
        },
    }
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    small.api.create(deployments, deployment)
    small.api.wait_for(
        "ready replicas",
        lambda: small.api.get(f"{deployments}/d")["status"].get("readyReplicas") == 2,
    )
    small.api.delete(f"{deployments}/d")
    small.api.wait_for("garbage collection", lambda: not small.api.list(PODS))

    jobs = "/apis/batch/v1/namespaces/default/jobs"
    template = {"spec": {**pod("x")["spec"], "restartPolicy": "Never"}}
    small.api.create(jobs, {"metadata": {"name": "j"}, "spec": {"template": template}})
    small.api.wait_for(
        "the job", lambda: small.api.get(f"{jobs}/j")["status"].get("succeeded") == 1
    )
    small.api.request("DELETE", f"{jobs}/j", {"propagationPolicy": "Background"})
    small.api.wait_for("garbage collection", lambda: not small.api.list(PODS))


def test_scheduler_config_can_be_changed(small: Cluster) -> None:
    """Another configuration takes effect at once, and its kubeconfig is patched in."""
    small.set_scheduler_config(
        {"profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": "second"}]}
    )
    body = pod("chosen")
    body["spec"]["schedulerName"] = "second"
    small.api.create(PODS, body)
    small.api.wait_for("binding", lambda: small.api.get(f"{PODS}/chosen")["spec"].get("nodeName"))
    small.api.delete(f"{PODS}/chosen")
    small.set_scheduler_config({})


def test_leader_election_hands_over(small: Cluster) -> None:
    """With leader election on, a killed scheduler's successor schedules once the lease ran out."""
    small.set_scheduler_config({"leaderElection": FAST_LEADER_ELECTION})
    small.restart_scheduler(kill=True)
    small.api.create(PODS, pod("after"))
    small.api.wait_for("binding", lambda: small.api.get(f"{PODS}/after")["spec"].get("nodeName"))
    small.api.delete(f"{PODS}/after")
    small.set_scheduler_config({})


def test_a_taken_port_is_tried_again(
    control_plane: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another program takes a port before we do, the start is repeated with other ports."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        chosen = [(*free_ports(5)[:4], taken.getsockname()[1]), free_ports(5)]
        monkeypatch.setattr(cluster_module, "free_ports", lambda count: chosen.pop(0))
        with temporary_cluster(binaries=control_plane) as cluster:
            assert all(cluster.running().values())
    assert not chosen


def test_a_component_that_ends_is_named(control_plane: Binaries, tmp_path: Path) -> None:
    """A bad kube-scheduler configuration gives one line with its log, and nothing keeps running."""
    settings = Settings(scheduler_config={"profiles": [{"schedulerName": ["not a name"]}]})
    cluster = Cluster(tmp_path / "cluster", settings=settings, binaries=control_plane)
    with pytest.raises(ControlPlaneUnavailable, match="kube-scheduler ended: .*schedulerName"):
        cluster.up()
    assert not any(cluster.running().values())
