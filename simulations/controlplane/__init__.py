"""A real Kubernetes control plane on loopback: nothing is faked except the kubelets (KWOK)."""

from simulations.controlplane.api import Api, ApiError
from simulations.controlplane.build import Binaries, ControlPlaneUnavailable, find_or_build
from simulations.controlplane.cluster import Cluster, Settings, temporary_cluster

__all__ = [
    "Api",
    "ApiError",
    "Binaries",
    "Cluster",
    "ControlPlaneUnavailable",
    "Settings",
    "find_or_build",
    "temporary_cluster",
]
