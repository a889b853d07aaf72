"""The agent as a process beside a running Muster: a dead link becomes a problem of the fleet, and heals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scheduler.kube.resources import NODE_TOPOLOGIES
from tests.e2e.rig import Rig
from tests.manifests.agents import agent_token
from tests.scan.test_agent import written
from tests.scan.trees import load
from topology.keys import NVIDIA_COUNT, NVIDIA_PRODUCT

pytestmark = pytest.mark.e2e

H100 = {NVIDIA_PRODUCT: "NVIDIA-H100-80GB-HBM3", NVIDIA_COUNT: "8"}
MLX5_5 = "0000:59:01.0/0000:5a:00.0/0000:5b:00.0/0000:5e:00.0/infiniband/mlx5_5"
DEAD = "mlx5_5 is DOWN, Polling; it should be ACTIVE, LinkUp"


@contextmanager
def agent(
    rig: Rig, node: str, folder: Path, of: str | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`muster agent` on ``node`` over the files in ``folder``, with the token of node ``of``."""
    token = folder / "token"
    token.write_text(agent_token(rig.cluster, of or node))
    command = [
        *(sys.executable, "-m", "muster", "agent", "--node", node, "--interval", "0.2"),
        *("--root", str(folder / "host"), "--token", str(token)),
        *("--server", f"127.0.0.1:{rig.muster.grpc_port}", "--ca", str(rig.muster.ca)),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def reported(rig: Rig, node: str) -> dict[str, Any]:
    """`status` of the NodeTopology; empty while there is none."""
    found = rig.cluster.api.find(NODE_TOPOLOGIES.path(name=node)) or {}
    status: dict[str, Any] = found.get("status", {})
    return status


def problems(rig: Rig, node: str) -> list[str]:
    """What `muster topology` says is wrong with a node."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "muster",
            "topology",
            "-o",
            "json",
            "--kubeconfig",
            rig.cluster.kubeconfig,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)["nodes"][node]["problems"]
    return found


def count(rig: Rig, code: str) -> float:
    """Problems of nodes with this code, in the service's metrics."""
    return rig.muster.metrics().get(f'muster_node_problems{{code="{code}"}}', 0)


def test_a_dead_link_is_a_problem_until_it_heals(rig: Rig, tmp_path: Path) -> None:
    """Agent, service, NodeTopology, `muster topology` and /metrics; also across a restart of the service."""
    (node,) = rig.add_nodes(1, labels=H100)
    written(tmp_path / "host", load("dead-link")["tree"])
    api, before = rig.cluster.api, count(rig, "LinkDown")
    with agent(rig, node, tmp_path) as process:
        api.wait_for("the report", lambda: reported(rig, node), 20)
        assert reported(rig, node)["summary"]["nics"] == "7 of 8 up, 400 Gb/s"
        assert f"Node {node}: LinkDown: {DEAD}" in problems(rig, node)
        api.wait_for("the metric", lambda: count(rig, "LinkDown") == before + 1, 10)
        owner = api.get(NODE_TOPOLOGIES.path(name=node))["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"]) == ("Node", node)

        rig.muster.kill()
        rig.muster.start()
        port = tmp_path / "host/sys/devices/pci0000:59" / MLX5_5 / "ports/1"
        (port / "state").write_text("4: ACTIVE\n")
        (port / "phys_state").write_text("5: LinkUp\n")
        (port / "rate").write_text("400 Gb/sec (4X NDR)\n")
        api.wait_for(
            "the link to heal", lambda: reported(rig, node)["summary"]["nics"] == "8, 400 Gb/s", 30
        )
        assert not any("LinkDown" in problem for problem in problems(rig, node))
        api.wait_for("the metric", lambda: count(rig, "LinkDown") == before, 10)
        assert process.poll() is None, "one process all the time"
    rig.delete_node(node)
    api.wait_for("the report to go with its Node", lambda: not reported(rig, node), 60)


def test_an_agent_cannot_speak_for_another_node(rig: Rig, tmp_path: Path) -> None:
    """The API server knows where its token belongs; nothing is written, and the log says why."""
    mine, other = rig.add_nodes(2)
    written(tmp_path / "host", load("no-accelerator")["tree"])
    with agent(rig, other, tmp_path, of=mine) as process:
        assert process.stderr is not None
        line = next(text for text in process.stderr if "report not taken" in text)
    assert f"an agent on {mine} cannot speak for node {other}" in line
    assert reported(rig, other) == {}
