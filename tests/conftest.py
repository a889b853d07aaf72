"""The control plane for end-to-end tests: real binaries, or a clear count of what could not run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from simulations.controlplane import (
    Binaries,
    Cluster,
    ControlPlaneUnavailable,
    find_or_build,
    temporary_cluster,
)

_UNAVAILABLE = "control plane unavailable: "


@pytest.fixture(scope="session")
def control_plane(pytestconfig: pytest.Config) -> Binaries:
    """Binaries of the control plane; without them the test cannot run, with `CI=true` it fails."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a first build takes minutes: show its progress
        try:
            return find_or_build()
        except ControlPlaneUnavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{_UNAVAILABLE}{error}", pytrace=False)
            pytest.skip(f"{_UNAVAILABLE}{error}")


@pytest.fixture(scope="module")
def plain_cluster(control_plane: Binaries) -> Iterator[Cluster]:
    """A real cluster with the plain kube-scheduler, shared by the module: clean up after use."""
    with temporary_cluster(binaries=control_plane) as cluster:
        yield cluster


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says how many end-to-end tests could not run, and why."""
    reasons = [
        report.longrepr[2].partition(_UNAVAILABLE)[2]
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and _UNAVAILABLE in report.longrepr[2]
    ]
    if reasons:
        terminalreporter.write_line(
            f"{len(reasons)} end-to-end tests could not run: {reasons[0]}", yellow=True
        )
