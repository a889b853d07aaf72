"""``muster agent --once``: one NodeTopology of a captured tree, or of the machine at hand."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import yaml

import muster
from tests.scan.trees import Tree, load


def written(folder: Path, tree: Tree) -> None:
    """A captured tree on disk."""
    for name, value in tree.items():
        path = folder / name.strip("/")
        if isinstance(value, dict):
            written(path, value)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(value, str) and value.startswith("-> "):
                path.symlink_to(value.removeprefix("-> "))
            elif isinstance(value, str):
                path.write_text(value)


def test_a_captured_tree_on_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same report as from memory; ``/proc/1`` and links included."""
    captured = load("roce-lldp")
    written(tmp_path, captured["tree"])
    assert muster.main(["agent", "--once", "--root", str(tmp_path), "--node", "n1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "NodeTopology" and found["metadata"] == {"name": "n1"}
    for field in ("accelerators", "nics", "links", "domains", "problems", "bootId"):
        assert found["status"][field] == captured["report"][field]


def test_the_machine_at_hand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: its memory and boot id are those of the running kernel, and the name is the host's."""
    monkeypatch.delenv("NODE_NAME", raising=False)
    assert muster.main(["agent", "--once", "-o", "yaml"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    status = found["status"]
    assert found["metadata"]["name"] == socket.gethostname()
    assert status["memory"]["totalBytes"] > status["memory"]["availableBytes"] > 0
    assert status["bootId"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert status["collector"]["name"] == "muster"


def test_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a place to report to nor the wish to print."""
    assert muster.main(["agent"]) == 2
    assert "--server HOST:PORT" in capsys.readouterr().err
