"""The real LeaderWorkerSet and llmaz managers beside a local control plane.

with temporary_cluster() as cluster:
    workloads = Workloads(cluster)
    workloads.up()            # definitions of their kinds, webhooks, managers; returns when they answer
    workloads.kubectl("apply", "-f", "playground.yaml")
    ...                       # the cluster's `down` stops the managers too

LWS runs as it is released, webhooks on. llmaz's reconcilers run in a program of ours (see
`modules/llmaz/main.go`), with `config/workloads/llmaz.yaml` for what its release leaves out. The
PodGroup kinds of scheduler-plugins, Volcano and KAI are defined, their schedulers are absent.
"""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from urllib3.exceptions import HTTPError

from simulations.controlplane.api import JSON_PATCH, ApiError
from simulations.controlplane.build import (
    ControlPlaneUnavailable,
    Progress,
    find_or_build_managers,
    to_stderr,
)
from simulations.controlplane.cluster import Cluster
from simulations.controlplane.commands import GUESTS, config_file
from simulations.controlplane.processes import free_ports

_READY_SECONDS = 60.0
_LWS, _LLMAZ = GUESTS
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_FLAVOR = (
    "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/inferenceConfig/properties"
    "/flavors/items/properties"
)


class KubectlFailed(Exception):
    """kubectl ended with another exit code than 0; the text is what it said."""


class Workloads:
    """The managers of one running cluster, and kubectl as its administrator."""

    def __init__(self, cluster: Cluster, progress: Progress = to_stderr) -> None:
        self.cluster = cluster
        self._progress = progress

    def up(self) -> None:
        """Define the kinds, start what does not run, and wait until objects of users are taken.

        Builds the managers when needed. Raises `ControlPlaneUnavailable` when that fails or a
        manager does not start; its last log lines are in the message.
        """
        stopped = {name for name, pid in self.running().items() if pid is None}
        if not stopped:
            return
        folders = find_or_build_managers(self._progress)
        if len(stopped) == len(GUESTS):  # else it is a restart, and the kinds are there
            self._define([folder / "crds" for folder in folders.values()])
        if _LWS in stopped:
            self._start_lws(folders["lws"])
        if _LLMAZ in stopped:
            program = str(folders["llmaz"] / _LLMAZ)
            self.cluster.process(_LLMAZ).start([program, f"--kubeconfig={self.cluster.kubeconfig}"])
        self._wait("its webhooks", _LWS, self._set_is_defaulted)
        self._wait("its objects", _LLMAZ, self._flavor_is_completed)

    def down(self) -> None:
        """Stop the managers; objects and kinds stay. Webhooks of a stopped LWS refuse its pods."""
        for name in GUESTS:
            self.cluster.stop(name)

    def running(self) -> dict[str, int | None]:
        """Process id per manager; None where it does not run."""
        return {name: self.cluster.process(name).pid for name in GUESTS}

    def restart(self, manager: str, *, kill: bool = False) -> None:
        """Stop one of `running()` with SIGTERM or SIGKILL, and start it again."""
        self.cluster.stop(manager, kill=kill)
        self.up()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator; its output. Raises `KubectlFailed`."""
        assert self.cluster.binaries is not None, "call the cluster's up() first"
        done = subprocess.run(
            [
                str(self.cluster.binaries.paths["kubectl"]),
                f"--kubeconfig={self.cluster.kubeconfig}",
                f"--cache-dir={self.cluster.folder / 'kubectl-cache'}",
                *arguments,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _define(self, folders: list[Path]) -> None:
        """Server-side, since these definitions are too large for kubectl's own annotation."""
        paths = [f"--filename={folder}" for folder in (*folders, config_file("crds"))]
        self.kubectl("apply", "--server-side", "--force-conflicts", *paths)
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *paths)
        # Flavors of llmaz say `limits` since v0.1.1: the same as `requests`, see the policies.
        openmodels = f"{_CRDS}/openmodels.llmaz.io"
        copied = [{"op": "copy", "from": f"{_FLAVOR}/requests", "path": f"{_FLAVOR}/limits"}]
        self.cluster.api.request("PATCH", openmodels, copied, content_type=JSON_PATCH)
        self.kubectl("apply", "--server-side", f"--filename={config_file('workloads')}")

    def _start_lws(self, folder: Path) -> None:
        certificates = self.cluster.folder / "lws-tls"
        certificates.mkdir(exist_ok=True)
        pki = self.cluster.folder / "pki"
        for source, target in (("server.crt", "tls.crt"), ("server.key", "tls.key")):
            (certificates / target).write_bytes((pki / source).read_bytes())
        [port] = free_ports(1)
        config = yaml.safe_load(config_file("lws-manager.yaml").read_text())
        config["webhook"] |= {"port": port, "certDir": str(certificates)}
        file = self.cluster.folder / "lws-manager.yaml"
        file.write_text(yaml.safe_dump(config))
        arguments = [f"--config={file}", f"--kubeconfig={self.cluster.kubeconfig}"]
        arguments.append("--zap-devel=false")
        self.cluster.process(_LWS).start([str(folder / _LWS), *arguments])
        authority = base64.b64encode((pki / "ca.crt").read_bytes()).decode()
        for manifest in webhooks(folder / "webhooks", port, authority):
            plural = f"{manifest['kind'].lower()}s"
            path = f"/apis/{manifest['apiVersion']}/{plural}/{manifest['metadata']['name']}"
            self.cluster.api.apply(path, manifest)

    def _set_is_defaulted(self) -> bool:
        """A set that LWS's webhook completes, tried without creating it."""
        found = self._dry_run("leader-worker-set.yaml")
        return "rollingUpdateConfiguration" in found["spec"]["rolloutStrategy"]

    def _flavor_is_completed(self) -> bool:
        """A model of the newer form that the policies complete, tried without creating it."""
        found = self._dry_run("open-model.yaml")
        return "requests" in found["spec"]["inferenceConfig"]["flavors"][0]

    def _dry_run(self, file: str) -> dict[str, Any]:
        manifest = yaml.safe_load((config_file("probes") / file).read_text())
        plural = f"{manifest['kind'].lower()}s"
        namespace = manifest["metadata"].get("namespace")
        scope = f"/namespaces/{namespace}" if namespace else ""
        path = f"/apis/{manifest['apiVersion']}{scope}/{plural}"
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        return dict(self.cluster.api.request("POST", path, manifest, query=query))

    def _wait(self, what: str, manager: str, ready: Callable[[], bool]) -> None:
        """Wait for `ready`; both managers must stay alive meanwhile."""
        last: list[str] = []

        def check() -> bool:
            for name in GUESTS:
                if self.cluster.process(name).pid is None:
                    raise self._failure(name, "ended")
            try:
                return ready()
            except (ApiError, HTTPError) as error:  # not listening or not known yet
                last[:] = [str(error)]
                return False

        try:
            self.cluster.api.wait_for(what, check, _READY_SECONDS)
        except TimeoutError:
            raise self._failure(manager, f"does not serve {what}: {last}") from None

    def _failure(self, manager: str, what: str) -> ControlPlaneUnavailable:
        process = self.cluster.process(manager)
        return ControlPlaneUnavailable(f"{manager} {what} (log: {process.log})\n{process.tail()}")


def webhooks(folder: Path, port: int, authority: str) -> list[dict[str, Any]]:
    """The release's own configurations, but served by a process on loopback.

    `folder` holds templates of a Helm chart: names are filled in, and what is there on a condition
    is on. `authority` is the CA in base64. Rules, selectors and failure policies stay as released.
    """
    found: list[dict[str, Any]] = []
    for file in sorted(folder.iterdir()):
        unconditional = re.sub(r"(?m)^\s*{{-? (?:if|end)\b.*}}$", "", file.read_text())
        text = re.sub(r"{{.*?}}", "release", unconditional)
        for manifest in yaml.safe_load_all(text):
            for webhook in manifest["webhooks"]:
                path = webhook["clientConfig"]["service"]["path"]
                url = f"https://127.0.0.1:{port}{path}"
                webhook["clientConfig"] = {"url": url, "caBundle": authority}
            found.append(manifest)
    return found
