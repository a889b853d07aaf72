"""Tokens of agents on a real cluster."""

from __future__ import annotations

from scheduler.kube.manifests import api_path, load_manifests
from simulations.controlplane import Cluster

_SPACE, _NAME = "muster-agents", "muster-agent"
AGENT = f"system:serviceaccount:{_SPACE}:{_NAME}"
"""User name of the agents in manifests/agent.yaml."""


def agent_token(cluster: Cluster, node: str, audience: str = "muster") -> str:
    """The token that a pod of the DaemonSet has on ``node``.

    It is bound to the Node itself: no kubelet runs here that would start the pod.
    """
    for obj in load_manifests("agent"):
        if obj["kind"] in ("Namespace", "ServiceAccount"):
            cluster.api.apply(api_path(obj), obj)
    uid = cluster.api.get(f"/api/v1/nodes/{node}")["metadata"]["uid"]
    bound = {"kind": "Node", "apiVersion": "v1", "name": node, "uid": uid}
    path = f"/api/v1/namespaces/{_SPACE}/serviceaccounts/{_NAME}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [audience], "expirationSeconds": 3600, "boundObjectRef": bound},
    }
    token: str = cluster.api.create(path, body)["status"]["token"]
    return token
