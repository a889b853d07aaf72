"""``make journey``, as somebody runs it who sees Muster for the first time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from simulations.controlplane import Binaries


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_the_journey_on_the_real_control_plane(control_plane: Binaries) -> None:
    """It ends as promised, and tells why a replica stands on its third choice."""
    del control_plane
    command = [sys.executable, "-m", "simulations.journey"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4090   4" in done.stdout
    assert "on 4090 (choice 3 of 3)" in done.stdout and "a100 passed over" in done.stdout
