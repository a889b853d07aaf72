"""``make demo``: gangs that the real kube-scheduler places, from nothing, in one table.

A control plane with KWOK nodes comes up, Muster is installed on it as an operator would do it, the
workloads of ``simulations/workloads`` are applied with kubectl, and the outcome is read back from
the cluster. Where no control plane can be had, the same workloads go through the offline engine.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from scheduler import keys
from simulations.controlplane import (
    Binaries,
    Cluster,
    ControlPlaneUnavailable,
    find_or_build,
    temporary_cluster,
)
from simulations.fleet import default_fleet
from simulations.local import LocalMuster, MusterDidNotStart
from simulations.stage import Narrator, hold, table, workload
from topology.keys import NVIDIA_GPU

Object = dict[str, Any]

OFFLINE_EXIT = 3
_INTERRUPTED, _TERMINATED = 130, 143  # exit codes as shells report them
FLAVORS, BUSY = "flavors.yaml", "busy-h100.yaml"
WORKLOADS = ("chat.yaml", "rack.yaml", "too-large.yaml", "plain.yaml", "ascend.yaml")
BOUND_GANGS = ("chat", "reason", "qwen")
WAITING_GANG = "pretrain"
PLAIN_POD = "notebook"

_MEMBERS_MISSING = "MembersMissing"  # what it says while its pods are still being made
_WIDTH = 100
_OUTCOME_SECONDS = 60.0
_PODS = "/api/v1/namespaces/default/pods"
_GANGS = f"/apis/{keys.API_VERSION}/namespaces/default/gangs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. 0: as promised; 1: the outcome is another one; 3: no control plane, offline."""
    parser = argparse.ArgumentParser(description="Gangs that the real kube-scheduler places.")
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    keep = parser.parse_args(arguments).keep
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # so that all is cleaned up
    with Narrator() as tell:
        try:
            return _online(find_or_build(tell), tell, keep=keep)
        except ControlPlaneUnavailable as error:
            tell(f"no control plane: {error}")
            return _offline()
        except (MusterDidNotStart, subprocess.CalledProcessError) as error:
            tell(f"this went wrong: {error}")
            return 1
        except KeyboardInterrupt:
            return _INTERRUPTED


def _online(binaries: Binaries, tell: Narrator, *, keep: bool) -> int:
    with ExitStack() as stack:
        tell(f"starting etcd, kube-apiserver, kube-scheduler, KWOK ({binaries.source})")
        cluster = stack.enter_context(temporary_cluster(binaries=binaries))
        version = cluster.scheduler_version()
        tell("installing Muster and pointing kube-scheduler at it")
        muster = LocalMuster(cluster)
        muster.install()
        stack.callback(muster.stop)
        muster.start()
        nodes = default_fleet().nodes()
        tell(f"adding {len(nodes)} nodes: {_pools(nodes)}")
        cluster.add_nodes(nodes)
        tell("filling the H100 nodes with plain pods")
        _apply(cluster, binaries, FLAVORS, BUSY)
        _wait(
            cluster,
            "H100 nodes to be full",
            lambda: _all_bound(cluster, "app=finetune"),
        )
        tell(f"applying {', '.join(WORKLOADS)}")
        _apply(cluster, binaries, *WORKLOADS)
        tell("waiting for Muster and kube-scheduler")
        done = _wait(cluster, "the outcome", lambda: _finished(cluster))
        tell("done" if done else "this is not the promised outcome")
        print(_report(cluster))
        if not done:
            print(f"Last lines of muster serve:\n{muster.tail()}")
        if keep:
            tell.hush()
            hold(cluster, muster)
        print(f"All pods were bound by kube-scheduler {version}.")
        return 0 if done else 1


def _apply(cluster: Cluster, binaries: Binaries, *files: str) -> None:
    """What a user does: ``kubectl apply -f``."""
    command = [
        str(binaries.paths["kubectl"]),
        "--kubeconfig",
        str(cluster.kubeconfig),
        "apply",
    ]
    for name in files:
        command += ["-f", str(workload(name))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _wait(cluster: Cluster, what: str, check: Callable[[], bool]) -> bool:
    try:
        return cluster.api.wait_for(what, check, _OUTCOME_SECONDS, every=0.2)
    except TimeoutError:
        return False


def _all_bound(cluster: Cluster, selector: str) -> bool:
    pods = cluster.api.list(_PODS, labelSelector=selector)
    return bool(pods) and all(pod["spec"].get("nodeName") for pod in pods)


def _finished(cluster: Cluster) -> bool:
    gangs = {gang["metadata"]["name"]: gang.get("status", {}) for gang in cluster.api.list(_GANGS)}
    plain = cluster.api.get(f"{_PODS}/{PLAIN_POD}")
    return (
        all(gangs.get(name, {}).get("phase") == "Bound" for name in BOUND_GANGS)
        and gangs.get(WAITING_GANG, {}).get("reason") not in (None, "", _MEMBERS_MISSING)
        and bool(plain["spec"].get("nodeName"))
    )


def _pools(nodes: Iterable[Object]) -> str:
    counts: dict[str, int] = {}
    for node in nodes:
        pool = node["metadata"]["name"].rpartition("-")[0]
        counts[pool] = counts.get(pool, 0) + 1
    return ", ".join(f"{count} {pool}" for pool, count in counts.items())


def _report(cluster: Cluster) -> str:
    """Gangs -> flavor -> nodes, and why the one that waits does."""
    pods = cluster.api.list(_PODS)
    rows = [("GANG", "PHASE", "MEMBERS", "FLAVOR (CHOICE)", "NODES")]
    reasons = []
    for gang in cluster.api.list(_GANGS):
        name, status, spec = (
            gang["metadata"]["name"],
            gang.get("status", {}),
            gang["spec"],
        )
        members = [pod for pod in pods if _gang_of(pod) == name]
        nodes = sorted(pod["spec"]["nodeName"] for pod in members if pod["spec"].get("nodeName"))
        rows.append(
            (
                name,
                status.get("phase", ""),
                f"{len(nodes)}/{spec['members']}",
                _choice(status, spec["flavors"]),
                ", ".join(nodes) or "-",
            )
        )
        if status.get("reason") or status.get("passedOver"):
            text = f"{name}: {status.get('message')}"
            reasons.append(textwrap.fill(text, _WIDTH, subsequent_indent="    "))
    plain = next(pod for pod in pods if pod["metadata"]["name"] == PLAIN_POD)
    rows.append((f"{PLAIN_POD} (plain)", "", "", "-", plain["spec"].get("nodeName", "-")))
    return "\n".join(["", *table(rows), "", *reasons, ""])


def _gang_of(pod: Object) -> str | None:
    annotations = pod["metadata"].get("annotations", {})
    return str(annotations[keys.GANG]) if keys.GANG in annotations else None


def _choice(status: Object, flavors: Sequence[str]) -> str:
    if not status.get("flavor"):
        return f"none of {', '.join(flavors)}"
    return f"{status['flavor']} ({status['flavorRank'] + 1} of {len(flavors)})"


def _offline() -> int:
    """The same fleet and workloads through ``muster plan``."""
    nodes = list(default_fleet().nodes())
    names = [node["metadata"]["name"] for node in nodes]
    busy = [_plain_pod(name) for name in names if name.startswith("h100-")]
    fleet = {"apiVersion": "v1", "kind": "List", "items": [*nodes, *busy]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(fleet, file)
        file.flush()
        command = [sys.executable, "-m", "muster", "plan", "-f", file.name]
        for name in (FLAVORS, *WORKLOADS):
            command += ["-f", str(workload(name))]
        outcome = subprocess.run(command, check=False)
    if outcome.returncode not in (0, 1):
        return outcome.returncode
    print("OFFLINE: planned by Muster's engine; no kube-scheduler was asked.")
    return OFFLINE_EXIT


def _plain_pod(node: str) -> Object:
    """A pod that keeps all cards of an H100 node busy."""
    limits = {NVIDIA_GPU: "8"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"finetune-{node}", "namespace": "default"},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "trainer", "resources": {"limits": limits}}],
        },
        "status": {"phase": "Running"},
    }


if __name__ == "__main__":
    sys.exit(main())
