"""The wheel, the lock, the Makefile and the documents fit together."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

import muster
from tests.architecture.tree import PACKAGES, ROOT, files

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
INTENTS = {"setup", "demo", "test", "check", "bench", "cluster-up", "cluster-down"}
RUN, DEV = "requirements.lock", "requirements-dev.lock"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The distribution, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    built = subprocess.run(
        [*command, folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(Path(folder).glob("*.whl")))


def test_the_wheel_has_exactly_our_roots(wheel: zipfile.ZipFile) -> None:
    """Four packages and one module, none of which hides a module of the standard library."""
    roots = {Path(entry).parts[0] for entry in wheel.namelist()}
    own = {root for root in roots if not root.endswith(".dist-info")}
    assert own == {*PACKAGES, "muster.py"}
    assert not {root.removesuffix(".py") for root in own} & sys.stdlib_module_names


def test_the_wheel_cannot_be_published_by_accident(wheel: zipfile.ZipFile) -> None:
    """The index refuses uploads with this classifier; our package names are too general for it."""
    metadata = next(entry for entry in wheel.namelist() if entry.endswith("METADATA"))
    assert "Classifier: Private :: Do Not Upload" in wheel.read(metadata).decode()


def test_the_wheel_has_what_is_read_at_run_time(wheel: zipfile.ZipFile) -> None:
    """Manifests, workloads, pinned Go modules: every data file of the packages, and `manifests/`."""
    paths = [path.relative_to(ROOT) for path in files()]
    data = {str(path) for path in paths if path.parts[0] in PACKAGES}
    shipped = {f"scheduler/_{path}" for path in paths if path.parts[0] == "manifests"}
    assert (data | shipped) - set(wheel.namelist()) == set()


def test_nothing_else_installs_packages_of_our_names() -> None:
    """Another distribution with a package `scheduler` would overwrite ours without a word."""
    owners = packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["muster"])) == {"muster"}


def _pins(lock: str) -> dict[str, str]:
    """Package -> version of every entry; an entry without a hash would not install."""
    text = (ROOT / lock).read_text()
    entries = re.findall(
        r"^([a-z0-9-]+)==(\S+).*?\\\n((?:    --hash=\S+.*\n)+)", text, re.MULTILINE
    )
    assert len(entries) == len(re.findall(r"^[^ #\n]", text, re.MULTILINE)), f"{lock}: no hash"
    return {package: version for package, version, _ in entries}


def _names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[\w-]+", requirement) for requirement in requirements)
    return {match.group().lower() for match in found if match}


def test_the_locks_hold_every_requirement() -> None:
    """With a hash each; the two locks agree; and they say nothing about where packages come from."""
    run, dev = _pins(RUN), _pins(DEV)
    wanted = _names(PROJECT["project"]["dependencies"])
    assert wanted - set(run) == set()
    assert _names(PROJECT["project"]["optional-dependencies"]["dev"]) - set(dev) == set()
    assert {package: dev.get(package) for package in run} == run
    for lock in (RUN, DEV):
        text = (ROOT / lock).read_text()
        assert not re.search(r"^-|://|--(?:extra-)?index|--find-links", text, re.MULTILINE), lock


def test_there_is_one_command_per_intent() -> None:
    """And each is explained by `make help`."""
    assert set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)) >= INTENTS


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_documents_name_commands_that_exist(document: str) -> None:
    """Every `make target` is one of the Makefile's, and every `muster command` one of ours."""
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"(?:^|`|&& )make ([a-z-]+)", text, re.MULTILINE))
    assert targets - TARGETS == set()
    commands = set(re.findall(r"(?:^|`|\| |bin/)muster ([a-z-]+)", text, re.MULTILINE))
    assert commands - set(muster.COMMANDS) == set()


def test_ci_runs_what_developers_run() -> None:
    """`.ci/run` is `make test` and nothing else; it is executable."""
    script = ROOT / ".ci" / "run"
    assert re.search(r"^exec make test\b", script.read_text(), re.MULTILINE)
    assert script.stat().st_mode & 0o111
