"""``make demo``, as somebody runs it who sees Muster for the first time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.controlplane import Binaries


def _demo(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulations.demo"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.e2e
def test_the_demo_on_the_real_control_plane(control_plane: Binaries) -> None:
    """Every gang ends as promised, and the last line names the version of kube-scheduler."""
    done = _demo()
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert re.search(r"Bound +2/2 +a100 \(2 of 2\) +a100-\d+, a100-\d+", rows["chat"])
    assert re.search(r"Bound +4/4 +l40s", rows["reason"])
    assert len({int(number) // 4 for number in re.findall(r"l40s-(\d)", rows["reason"])}) == 1
    assert re.search(r"Waiting +0/16 +none of h100, a100 +-", rows["pretrain"])
    assert re.search(r"Bound +2/2 +ascend-910b", rows["qwen"])
    assert re.search(r"notebook \(plain\) .*-\d+$", rows["notebook"])
    assert re.search(r"pretrain.* waits: .*\d", done.stdout)
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"All pods were bound by kube-scheduler v1\.\d+\.\d+\S*", last)


def test_the_demo_without_a_control_plane(tmp_path: Path) -> None:
    """One line says why there is none; the offline engine plans the same; exit code 3."""
    done = _demo(
        XDG_CACHE_HOME=str(tmp_path),
        KUBEBUILDER_ASSETS="",
        PATH="/usr/bin:/bin",
        GOPROXY="off",
        GOTOOLCHAIN="local",
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(tmp_path),
    )
    assert done.returncode == 3, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum("no control plane: " in line for line in lines) == 1
    assert any(re.match(r"default/chat +2/2 +a100 \(2 of 2\)", line) for line in lines)
    assert any(line.startswith("default/pretrain  0/16") for line in lines)
    assert lines[-1].startswith("OFFLINE: ")
