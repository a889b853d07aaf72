"""A local Kubernetes cluster as plain processes on loopback, with TLS, authentication and RBAC on.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the real ones; KWOK plays the
kubelets of nodes that carry the annotation `kwok.x-k8s.io/node: fake`. All data of a cluster lives
in one folder: `pki/`, `logs/`, `pids/`, `etcd/`, `cluster.json` and the kubeconfigs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from urllib3.exceptions import HTTPError

from simulations.controlplane import pki
from simulations.controlplane.api import Api, ApiError
from simulations.controlplane.build import Binaries, ControlPlaneUnavailable, find_or_build
from simulations.controlplane.commands import (
    COMPONENTS,
    GUESTS,
    PORTS,
    Layout,
    arguments,
    config_file,
    switches,
)
from simulations.controlplane.processes import Process, free_ports, start_mark
from topology import keys

_READY_SECONDS = 60.0
_START_ATTEMPTS = 3
_TEMPORARY = "muster-cluster-"
_OWNER = "owner"

KUBECONFIGS = ("admin", "kube-scheduler", "kube-controller-manager", "kwok", "muster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may differ between clusters.

    `scheduler_config`: a KubeSchedulerConfiguration as a mapping or a file; None keeps what the
    folder has, at first the plain scheduler. `node_lease_seconds`: KWOK renews each node's lease
    every quarter of it; use several minutes for 1,000 nodes and more. `feature_gates` go to every
    Kubernetes component and `runtime_config` names APIs (group and version) that the server has
    off by default.
    """

    scheduler_config: Mapping[str, Any] | Path | None = None
    node_lease_seconds: int = 40
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    runtime_config: tuple[str, ...] = ()


def default_folder(name: str) -> Path:
    """`$XDG_STATE_HOME/muster/clusters/<name>`, by default under `~/.local/state`."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "muster" / "clusters" / name


@dataclass(slots=True)
class Cluster:
    """One cluster in one folder; another process may have started it."""

    folder: Path
    name: str = "muster"
    settings: Settings = field(default_factory=Settings)
    binaries: Binaries | None = None
    _api: Api | None = field(default=None, init=False)
    _processes: dict[str, Process] = field(init=False)

    def __post_init__(self) -> None:
        names = (*COMPONENTS, *GUESTS)
        self._processes = {name: Process(name=name, folder=self.folder) for name in names}

    @property
    def kubeconfig(self) -> Path:
        """Administrator (`system:masters`)."""
        return self.folder / "kubeconfig"

    @property
    def service_kubeconfig(self) -> Path:
        """User `muster` in group `muster:service`: has no rights until a role is bound to it."""
        return self.folder / "muster.kubeconfig"

    @property
    def api(self) -> Api:
        """Client of the administrator."""
        if self._api is None:
            self._api = Api(self.kubeconfig)
        return self._api

    def running(self) -> dict[str, int | None]:
        """Process id per component; None where it does not run."""
        return {name: self.process(name).pid for name in COMPONENTS}

    def process(self, component: str) -> Process:
        """Handle of one component or guest: pid, log, tail."""
        return self._processes[component]

    def up(self) -> None:
        """Start what does not run and wait until pods can be created and scheduled.

        A folder with old data is continued. Raises `ControlPlaneUnavailable` when there are no
        binaries or a component does not start; its last log lines are in the message.
        """
        if self.binaries is None:
            self.binaries = find_or_build()
        if all(self.running().values()):
            if self.settings.scheduler_config is not None:
                self.set_scheduler_config(self.settings.scheduler_config)
            return
        self.down()
        pki.issue(self._layout.pki)
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._start_all()
                return
            except _PortTakenError:  # somebody took a port between our choice and the start
                self.down()
                if attempt == _START_ATTEMPTS:
                    raise
            except BaseException:
                self.down()
                raise

    def down(self) -> None:
        """Stop every component in order, so that each can still write; the folder stays."""
        for component in (*GUESTS, *reversed(COMPONENTS)):
            self.stop(component)

    def delete(self) -> None:
        """Stop and remove the folder."""
        self.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, component: str) -> None:
        """Start one component with the arguments of the last `up`."""
        assert self.binaries is not None, "call up() first"
        argv = [str(self.binaries.paths[component])]
        argv += arguments(component, self._layout, self._ports(), self.settings.node_lease_seconds)
        argv += switches(component, self.settings.feature_gates, self.settings.runtime_config)
        self.process(component).start(argv)

    def stop(self, component: str, *, kill: bool = False) -> None:
        """SIGTERM (or SIGKILL) and wait until it is gone."""
        process = self.process(component)
        process.signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.wait_stopped()

    def restart_scheduler(self, *, kill: bool = False) -> None:
        """Stop and start kube-scheduler; returns when it answers its readiness check."""
        self.stop("kube-scheduler", kill=kill)
        self.start("kube-scheduler")
        self._wait("kube-scheduler", self._scheduler_ready)

    def set_scheduler_config(self, config: Mapping[str, Any] | Path) -> None:
        """Use another kube-scheduler configuration from now on; a running one is restarted."""
        self.settings = replace(self.settings, scheduler_config=config)
        self._write_scheduler_config()
        if self.process("kube-scheduler").pid is not None:
            self.restart_scheduler()

    def add_nodes(self, nodes: Iterable[Mapping[str, Any]], timeout: float = 120.0) -> None:
        """Create KWOK nodes and wait until none of them is tainted as not ready any more."""
        path = "/api/v1/nodes"
        created = {node["metadata"]["name"] for node in self.api.create_all(path, nodes)}

        def ready() -> bool:
            waiting = {
                node["metadata"]["name"]
                for node in self.api.list(path)
                if any(t["key"] == keys.TAINT_NOT_READY for t in node["spec"].get("taints", ()))
            }
            return not created & waiting

        self.api.wait_for(f"{len(created)} nodes to be ready", ready, timeout, every=0.1)

    def scheduler_version(self) -> str:
        """Version that the running kube-scheduler reports of itself, for example `v1.37.1`."""
        metrics = str(self._scheduler_api().request("GET", "/metrics"))
        found = re.search(r'^kubernetes_build_info{.*git_version="([^"]+)"', metrics, re.MULTILINE)
        return found.group(1) if found else "unknown"

    def _start_all(self) -> None:
        self._write_files(dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
        self._api = None
        self.start("etcd")
        self.start("kube-apiserver")  # waits for etcd by itself
        self._wait("kube-apiserver", self._apiserver_ready)
        self._allow_kwok()
        for component in COMPONENTS[2:]:
            self.start(component)
        self._wait("kube-scheduler", self._scheduler_ready)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait("kwok", lambda: self.api.find(account) is not None)

    def _write_files(self, ports: Mapping[str, int]) -> None:
        self._layout.record.write_text(json.dumps({"name": self.name, "ports": ports}))
        server = f"https://127.0.0.1:{ports['kube-apiserver']}"
        for identity in KUBECONFIGS:
            pki.write_kubeconfig(
                self._layout.kubeconfig(identity),
                pki=self._layout.pki,
                identity=identity,
                server=server,
                cluster=f"muster-{self.name}",
            )
        self._write_scheduler_config()

    def _write_scheduler_config(self) -> None:
        given = self.settings.scheduler_config
        if given is None and self._layout.scheduler_config.exists():
            given = self._layout.scheduler_config  # continue with what it had
        if isinstance(given, Path):
            given = yaml.safe_load(given.read_text())
        config: dict[str, Any] = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            **(given or {}),
        }
        config["clientConnection"] = {
            "qps": 500,
            "burst": 1000,
            **config.get("clientConnection", {}),
            "kubeconfig": str(self._layout.kubeconfig("kube-scheduler")),
        }
        self._layout.scheduler_config.write_text(json.dumps(config, indent=1))

    def _wait(self, component: str, ready: Callable[[], bool]) -> None:
        """Wait for `component`; it and those started before it must stay alive meanwhile."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                if ready():
                    return
            except (ApiError, HTTPError):
                pass  # not listening or not ready yet
            for name in COMPONENTS[: COMPONENTS.index(component) + 1]:
                if self.process(name).pid is None:
                    raise _failure(self.process(name), "ended")
            if time.monotonic() > deadline:
                raise _failure(self.process(component), "is not ready")
            time.sleep(0.05)

    def _apiserver_ready(self) -> bool:
        return str(self.api.request("GET", "/readyz", timeout=2.0)) == "ok"

    def _scheduler_ready(self) -> bool:
        return str(self._scheduler_api().request("GET", "/readyz", timeout=2.0)) == "ok"

    def _scheduler_api(self) -> Api:
        return self.api.at(f"https://127.0.0.1:{self._ports()['kube-scheduler']}")

    def _allow_kwok(self) -> None:
        """KWOK has no built-in role: it acts for every kubelet."""
        for role in yaml.safe_load_all(config_file("kwok-rbac.yaml").read_text()):
            kind, name = role["kind"].lower() + "s", role["metadata"]["name"]
            self.api.apply(f"/apis/{role['apiVersion']}/{kind}/{name}", role)

    def _ports(self) -> dict[str, int]:
        return dict(json.loads(self._layout.record.read_text())["ports"])

    @property
    def _layout(self) -> Layout:
        return Layout(self.folder)


class _PortTakenError(ControlPlaneUnavailable):
    pass


def _failure(process: Process, what: str) -> ControlPlaneUnavailable:
    tail = process.tail()
    if "address already in use" in tail:
        return _PortTakenError(f"{process.name}: a port was taken by another program")
    lines = tail.splitlines() or [""]
    return ControlPlaneUnavailable(f"{process.name} {what}: {lines[-1]} (log: {process.log})")


def sweep_orphans() -> None:
    """Remove temporary clusters whose owner was killed before it could stop them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        try:
            pid, started = (folder / _OWNER).read_text().split()
        except (OSError, ValueError):
            continue
        if start_mark(int(pid)) != started:
            Cluster(folder).delete()


@contextmanager
def temporary_cluster(
    scheduler_config: Mapping[str, Any] | Path | None = None,
    *,
    node_lease_seconds: int = 40,
    feature_gates: Mapping[str, bool] | None = None,
    runtime_config: tuple[str, ...] = (),
    binaries: Binaries | None = None,
    keep_logs: Path | None = None,
) -> Iterator[Cluster]:
    """A cluster in a temporary folder, removed at the end; `keep_logs` gets a copy of the logs."""
    sweep_orphans()
    settings = Settings(
        scheduler_config=scheduler_config,
        node_lease_seconds=node_lease_seconds,
        feature_gates=feature_gates or {},
        runtime_config=runtime_config,
    )
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
    (folder / _OWNER).write_text(f"{os.getpid()} {start_mark(os.getpid())}")
    cluster = Cluster(folder, folder.name, settings, binaries)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        if keep_logs is not None:
            shutil.copytree(folder / "logs", keep_logs, dirs_exist_ok=True)
        cluster.delete()
