"""`muster serve` beside a local control plane: for the demo, end-to-end tests and benchmarks.

with temporary_cluster() as cluster:
    muster = LocalMuster(cluster)
    muster.install()          # CRDs, RBAC, admission policy, kube-scheduler configuration
    muster.start()            # a process of its own; returns when it is ready
    ...
    muster.stop()             # or kill(): SIGKILL
"""

from __future__ import annotations

import json
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scheduler import keys
from scheduler.kube.manifests import (
    api_path,
    control_plane_manifests,
    scheduler_config,
    webhook_manifests,
)
from simulations.controlplane import Api, ApiError, Cluster
from simulations.controlplane.pki import SERVICE_GROUP
from simulations.controlplane.processes import Process, free_ports

_READY_SECONDS = 60.0

_ANSWER_SECONDS = 10
"""What is shipped gives Muster 1 s to filter and 2 s to admit. On two busy cores it can need longer, and then
kube-scheduler clears the nomination of the member, so that others may take its place."""

FAST_LEADER_ELECTION = {
    "leaderElect": True,
    "leaseDuration": "4s",
    # A kube-scheduler that cannot renew in time ends itself, and nobody here would start it again: this must
    # outlast the worst moment of two busy cores.
    "renewDeadline": "3500ms",
    "retryPeriod": "500ms",
    "resourceName": "kube-scheduler",
    "resourceNamespace": "kube-system",
    "resourceLock": "leases",
}

_GROUP = {"kind": "Group", "name": SERVICE_GROUP, "apiGroup": "rbac.authorization.k8s.io"}


class MusterDidNotStart(Exception):
    """The service did not become ready; the text ends with its log."""


def install(api: Api, manifests: Sequence[Mapping[str, Any]]) -> None:
    """Apply manifests of Muster, the policy among them, and return when the API server acts on them."""
    for manifest in manifests:
        api.apply(api_path(manifest), manifest)
    wait_in_force(api, manifests)


def wait_in_force(api: Api, manifests: Iterable[Mapping[str, Any]]) -> None:
    """Return when kinds and policy that were applied are in use. Raises ``TimeoutError``.

    The API server looks for new policies once a second. A member that is created before that is a
    plain pod for ever: kube-scheduler binds it and nobody asks Muster.
    """
    for manifest in manifests:
        if manifest["kind"] == "CustomResourceDefinition":
            spec = manifest["spec"]
            path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
            api.wait_for(f"{path} to be served", partial(_served, api, path))
    api.wait_for("the admission policy", lambda: gates_members(api))


def gates_members(api: Api, scheduler: str = "default-scheduler") -> bool:
    """Whether a member for that kube-scheduler would be gated if it were created now; it is not created."""
    body = {
        "metadata": {"name": "would-be-gated", "annotations": {keys.GANG: "probe"}},
        "spec": {"schedulerName": scheduler, "containers": [{"name": "c", "image": "i"}]},
    }
    path = "/api/v1/namespaces/default/pods"
    pod = api.request("POST", path, body, query={"dryRun": "All"})
    return {"name": keys.GATE} in pod["spec"].get("schedulingGates", ())


def _served(api: Api, path: str) -> bool:
    try:
        api.get(path)
        return True
    except ApiError as error:
        if error.code in (404, 429):  # not known yet; known, but its storage is being set up
            return False
        raise


class LocalMuster:
    """One `muster serve` process. Several may run beside one cluster: one leads."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        name: str = "muster",
        settings: Mapping[str, object] | None = None,
        ports: tuple[int, int] | None = None,
    ) -> None:
        self.cluster = cluster
        self.https_port, self.grpc_port = ports or free_ports(2)
        self._process = Process(name=name, folder=cluster.folder)
        self._settings: dict[str, object] = {
            "lease_seconds": 2,
            "log_json": False,
            **(settings or {}),
        }
        self._tls = cluster.folder / "muster-tls"
        self._context = ssl.create_default_context(cafile=str(self.ca))

    @property
    def ca(self) -> Path:
        """The cluster's own CA signs the service's certificate here."""
        pki = self.cluster.folder / "pki"
        self._tls.mkdir(exist_ok=True)
        for source, target in (("server.crt", "tls.crt"), ("server.key", "tls.key")):
            (self._tls / target).write_bytes((pki / source).read_bytes())
        (self._tls / "ca.crt").write_bytes((pki / "ca.crt").read_bytes())
        return self._tls / "ca.crt"

    @property
    def url(self) -> str:
        """Base of the HTTPS server."""
        return f"https://127.0.0.1:{self.https_port}"

    @property
    def log(self) -> Path:
        """Its output."""
        return self._process.log

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid

    def install(self, *, guarded: bool = False) -> None:
        """Apply the manifests, bind the least-privilege roles and configure kube-scheduler."""
        install(self.cluster.api, control_plane_manifests(_GROUP))
        self.configure_scheduler(guarded=guarded)

    def install_handoff(self) -> None:
        """Let it read in which ConfigMaps device plugins list cards."""
        for manifest in control_plane_manifests(_GROUP, ["handoff"]):
            self.cluster.api.apply(api_path(manifest), manifest)

    def install_webhook(self) -> None:
        """Flavors are written into pods from the next `start` on; before it nobody can create any of ours."""
        self._settings["rewrites"] = True
        for manifest in webhook_manifests(self.url, self.ca.read_bytes()):
            for webhook in manifest["webhooks"]:
                webhook["timeoutSeconds"] = _ANSWER_SECONDS
            self.cluster.api.apply(api_path(manifest), manifest)

    def configure_scheduler(self, *, guarded: bool = False, binder: str = "") -> None:
        """Point kube-scheduler at this process; ``binder`` is the URL of what plays HAMi's part."""
        config = scheduler_config(
            self.url, self.ca.read_bytes(), guarded=guarded, hami=bool(binder)
        )
        for extender in config["extenders"]:
            if "filterVerb" in extender:
                extender["httpTimeout"] = f"{_ANSWER_SECONDS}s"
        if binder:
            config["profiles"][0]["schedulerName"] = "default-scheduler"  # here it is HAMi's
            plain = {"urlPrefix": binder, "enableHTTPS": False, "tlsConfig": None}
            config["extenders"][1] |= plain
        self.cluster.set_scheduler_config({**config, "leaderElection": FAST_LEADER_ELECTION})

    def start(self, *, ready: bool = True, **settings: object) -> None:
        """Start the process; with `ready` wait until it is synced and leads."""
        flags = [
            f"--set={key}={json.dumps(value)}"
            for key, value in {**self._settings, **settings}.items()
        ]
        self._process.start(
            [
                sys.executable,
                "-m",
                "muster",
                "serve",
                f"--kubeconfig={self.cluster.service_kubeconfig}",
                f"--listen=127.0.0.1:{self.https_port}",
                f"--grpc-listen=127.0.0.1:{self.grpc_port}",
                f"--tls-dir={self._tls}",
                *flags,
            ]
        )
        if ready:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Return when `/readyz` says so. Raises `MusterDidNotStart` when it ends or takes too long."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.pid is None:
                break
            try:
                self.get("/readyz")
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        raise MusterDidNotStart(f"muster serve is not ready:\n{self._process.tail(25)}")

    def stop(self) -> None:
        """SIGTERM and wait: a graceful stop."""
        self._process.signal(signal.SIGTERM)
        self._process.wait_stopped()

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        self._process.signal(signal.SIGKILL)
        self._process.wait_stopped()

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        return self._process.tail(lines)

    def get(self, path: str) -> bytes:
        """GET over HTTPS. Raises `urllib.error.HTTPError` for an answer other than 200."""
        with urllib.request.urlopen(self.url + path, context=self._context, timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """POST over HTTPS; status and body, also of a refusal."""
        request = urllib.request.Request(
            self.url + path, data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=35) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics` by its name with labels."""
        samples: dict[str, Any] = {}
        for line in self.get("/metrics").decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples
