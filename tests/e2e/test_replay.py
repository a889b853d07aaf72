"""A decision can be replayed: from its stored snapshot, and from a dump of the cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scheduler import keys
from simulations.controlplane import find_or_build
from tests.e2e.rig import Rig

pytestmark = pytest.mark.e2e


def plan(document: bytes) -> Any:
    """`muster plan -f - -o json`, as a user runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "muster", "plan", "-f", "-", "-o", "json"],
        input=document,
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr.decode()
    return json.loads(done.stdout)


def members(answer: Any, gang: str) -> dict[str, str]:
    """Pod -> node of one gang of a plan."""
    found = next(item for item in answer["gangs"] if item["name"] == gang)
    return {member["pod"]: member["node"] for member in found["members"]}


def test_the_snapshot_of_a_decision_gives_the_same_plan(rig: Rig) -> None:
    """`/debug/snapshot?plan=ID`, replayed by `muster plan`: same members, same nodes."""
    rig.add_nodes(6)
    flavors = json.dumps([{"name": "any", "resources": {"nvidia.com/gpu": "8"}}])
    rig.gang("g", 3, annotations={keys.FLAVOR_SPEC: flavors})
    status = rig.wait_phase("g", "Bound")
    snapshot = rig.muster.get(f"/debug/snapshot?plan={status['plan']}")
    answer = plan(snapshot)
    assert members(answer, "g") == rig.places("g")
    again = plan(snapshot)
    for one in (answer, again):
        del one["solver"]["seconds"]
    assert answer == again


def test_a_dump_of_the_stopped_cluster_gives_the_plan_that_muster_then_makes(
    rig: Rig, tmp_path: Path
) -> None:
    """Dump with flavors, topologies and gangs while Muster is stopped; start it; compare."""
    rig.muster.stop()
    rig.add_nodes(5, labels={"topology.kubernetes.io/rack": "r1"})
    rig.add_nodes(5, labels={"topology.kubernetes.io/rack": "r2"})
    rig.gang("rack", 4, annotations={keys.GANG_TOPOLOGY_REQUIRED: "rack"})
    rig.gang("free", 3)
    kubectl = find_or_build().paths["kubectl"]
    kinds = "nodes,pods,namespaces,flavors.muster.dev,gangs.muster.dev"
    dump = subprocess.run(
        [kubectl, "--kubeconfig", rig.cluster.kubeconfig, "get", kinds, "-A", "-o", "yaml"],
        capture_output=True,
        check=True,
    ).stdout
    answer = plan(dump)
    rig.muster.start()
    for gang in ("rack", "free"):
        rig.wait_phase(gang, "Bound")
        assert members(answer, gang) == rig.places(gang)
