"""A real Kubernetes control plane on loopback: nothing is faked except the kubelets (KWOK)."""

from simulations.controlplane.api import Api, ApiError
from simulations.controlplane.build import (
    Binaries,
    ControlPlaneUnavailable,
    find_or_build,
    find_or_build_managers,
)
from simulations.controlplane.cluster import Cluster, Settings, temporary_cluster
from simulations.controlplane.workloads import KubectlFailed, Workloads

__all__ = [
    "Api",
    "ApiError",
    "Binaries",
    "Cluster",
    "ControlPlaneUnavailable",
    "KubectlFailed",
    "Settings",
    "Workloads",
    "find_or_build",
    "find_or_build_managers",
    "temporary_cluster",
]
