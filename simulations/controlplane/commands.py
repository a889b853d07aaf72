"""Command lines of the components: where their files are and which options they get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from topology import keys

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""In start order."""

GUESTS = ("lws-manager", "llmaz-manager")
"""Programs beside the components, started by `Workloads`; they stop before the components do."""

PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler")

# What workloads, evictions, quotas and garbage collection need; nothing for clouds, volumes or
# certificates, which only cost start-up time and memory here.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "podgroup-protection-controller",
    "replicaset-controller",
    "resourceclaim-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Files of one cluster folder."""

    folder: Path

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.folder / "pki"

    @property
    def record(self) -> Path:
        """`cluster.json`: name, ports, settings."""
        return self.folder / "cluster.json"

    @property
    def scheduler_config(self) -> Path:
        """The KubeSchedulerConfiguration in use, with our kubeconfig patched in."""
        return self.folder / "kube-scheduler.json"

    def kubeconfig(self, identity: str) -> Path:
        """Kubeconfig of one identity of `pki.IDENTITIES`."""
        return self.folder / ("kubeconfig" if identity == "admin" else f"{identity}.kubeconfig")

    def file(self, name: str) -> str:
        """Path of one file of the PKI."""
        return str(self.pki / name)


def config_file(name: str) -> Path:
    """A file of `config/`, also of an installed package."""
    return Path(str(resources.files("simulations.controlplane"))) / "config" / name


def arguments(
    component: str, layout: Layout, ports: Mapping[str, int], lease_seconds: int
) -> tuple[str, ...]:
    """Options of one component, without the program itself."""
    if component == "etcd":
        options = _etcd(layout, ports)
    elif component == "kube-apiserver":
        options = _apiserver(layout, ports)
    elif component == "kube-controller-manager":
        options = _serving(component, layout, ports) | _controller_manager(layout, lease_seconds)
    elif component == "kube-scheduler":
        options = _serving(component, layout, ports)
        options["config"] = str(layout.scheduler_config)
    else:
        options = _kwok(layout, lease_seconds)
    return tuple(f"--{name}={value}" for name, value in options.items())


def switches(
    component: str, feature_gates: Mapping[str, bool], runtime_config: Sequence[str]
) -> tuple[str, ...]:
    """Options that turn on what Kubernetes has off by default: gates everywhere, APIs on the server."""
    if component in {"etcd", "kwok"}:
        return ()
    options: list[str] = []
    if feature_gates:
        gates = ",".join(f"{name}={str(on).lower()}" for name, on in feature_gates.items())
        options.append(f"--feature-gates={gates}")
    if runtime_config and component == "kube-apiserver":
        options.append(f"--runtime-config={','.join(f'{api}=true' for api in runtime_config)}")
    return tuple(options)


def _etcd(layout: Layout, ports: Mapping[str, int]) -> dict[str, str]:
    peer = f"https://127.0.0.1:{ports['etcd-peer']}"
    client = f"https://127.0.0.1:{ports['etcd']}"
    return {
        "name": "etcd",
        "data-dir": str(layout.folder / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"etcd={peer}",
        "cert-file": layout.file("server.crt"),
        "key-file": layout.file("server.key"),
        "trusted-ca-file": layout.file("ca.crt"),
        "client-cert-auth": "true",
        "peer-cert-file": layout.file("server.crt"),
        "peer-key-file": layout.file("server.key"),
        "peer-trusted-ca-file": layout.file("ca.crt"),
        "peer-client-cert-auth": "true",
        "quota-backend-bytes": str(4 << 30),
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "10m",
        "unsafe-no-fsync": "true",  # local throw-away data: a power cut may lose it
        "log-level": "warn",
    }


def _apiserver(layout: Layout, ports: Mapping[str, int]) -> dict[str, str]:
    return {
        "etcd-servers": f"https://127.0.0.1:{ports['etcd']}",
        "etcd-cafile": layout.file("ca.crt"),
        "etcd-certfile": layout.file("etcd-client.crt"),
        "etcd-keyfile": layout.file("etcd-client.key"),
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": str(ports["kube-apiserver"]),
        "tls-cert-file": layout.file("server.crt"),
        "tls-private-key-file": layout.file("server.key"),
        "client-ca-file": layout.file("ca.crt"),
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": layout.file("sa.key"),
        "service-account-signing-key-file": layout.file("sa.key"),
        "service-cluster-ip-range": "10.0.0.0/16",
        "authorization-mode": "Node,RBAC",
        "anonymous-auth": "false",
        "endpoint-reconciler-type": "none",
        "allow-privileged": "true",
        "shutdown-send-retry-after": "false",
        "v": "1",
    }


def _serving(component: str, layout: Layout, ports: Mapping[str, int]) -> dict[str, str]:
    kubeconfig = str(layout.kubeconfig(component))
    return {
        "bind-address": "127.0.0.1",
        "secure-port": str(ports[component]),
        "tls-cert-file": layout.file("server.crt"),
        "tls-private-key-file": layout.file("server.key"),
        "client-ca-file": layout.file("ca.crt"),
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "v": "1",
    }


def _controller_manager(layout: Layout, lease_seconds: int) -> dict[str, str]:
    return {
        "kubeconfig": str(layout.kubeconfig("kube-controller-manager")),
        "controllers": ",".join(CONTROLLERS),
        "use-service-account-credentials": "true",  # each controller has its own RBAC role
        "service-account-private-key-file": layout.file("sa.key"),
        "root-ca-file": layout.file("ca.crt"),
        "leader-elect": "false",
        "kube-api-qps": "500",
        "kube-api-burst": "1000",
        "node-monitor-grace-period": f"{max(50, lease_seconds + 10)}s",
    }


def _kwok(layout: Layout, lease_seconds: int) -> dict[str, str]:
    return {
        "kubeconfig": str(layout.kubeconfig("kwok")),
        "config": str(config_file("kwok.yaml")),
        "manage-nodes-with-annotation-selector": f"{keys.KWOK_NODE}=fake",
        "node-lease-duration-seconds": str(lease_seconds),
        "node-ip": "127.0.0.1",
        "cidr": "10.128.0.0/9",
        "v": "ERROR",
    }
