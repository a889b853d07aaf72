"""The example client over gRPC, beside the command line: the same plan, phases and words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.rig import Rig

pytestmark = pytest.mark.e2e


def test_a_client_plans_watches_and_explains(rig: Rig, tmp_path: Path) -> None:
    """What-if before the pods exist, phases of the gang up to Bound, the text of `muster explain`."""
    nodes = rig.add_nodes(2)
    manifests = tmp_path / "gang.yaml"
    manifests.write_text(yaml.safe_dump_all(rig.gang_pods("chat", 2)))
    client = subprocess.Popen(
        [
            *(sys.executable, "-m", "extender.tools.grpc_client"),
            *(f"127.0.0.1:{rig.muster.grpc_port}", f"{rig.name}/chat"),
            *("--ca", rig.cluster.folder / "pki" / "ca.crt", "--manifests", manifests),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with client:
        assert client.stdout is not None
        planned = client.stdout.readline().split()
        assert planned[:3] == ["plan:", "chat", "-"]
        assert sorted(planned[3:]) == nodes
        assert rig.pods() == [], "a what-if creates nothing"

        rig.gang("chat", 2)
        said = client.stdout.read().splitlines()
    *phases, text = said
    assert client.returncode == 0
    assert phases[-1] == "phase: Bound"
    assert sorted(rig.wait_bound("chat", 2).values()) == nodes
    explained = subprocess.run(
        [
            *(sys.executable, "-m", "muster", "explain", "-n", rig.name, "chat"),
            *("--kubeconfig", rig.cluster.kubeconfig),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert explained.stdout == text + "\n"
