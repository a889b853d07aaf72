"""What every ground test needs: nodes and pods of its own on the shared real cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from scheduler import keys
from simulations.controlplane import Cluster
from simulations.controlplane.api import PATIENCE_SECONDS
from tests.ground.extender import Extender
from topology.keys import KWOK_NODE, NVIDIA_GPU

Object = dict[str, Any]

REFUSALS = ("Unschedulable", "SchedulerError")
PRIORITIES = {"low": -10, "high": 1000}


@dataclass(slots=True)
class Rig:
    """One test's namespace and node pool; pods are confined to the pool by a node selector."""

    cluster: Cluster
    extender: Extender
    name: str
    nodes: list[str] = field(default_factory=list)

    def add_nodes(self, count: int, gpus: int = 8) -> list[str]:
        """Create KWOK nodes and wait until they are ready for pods."""
        resources = {"cpu": "64", "memory": "512Gi", "pods": "110", NVIDIA_GPU: str(gpus)}
        names = [f"{self.name}-{len(self.nodes) + i:04d}" for i in range(count)]
        self.cluster.add_nodes(
            {
                "metadata": {
                    "name": name,
                    "labels": {"pool": self.name},
                    "annotations": {KWOK_NODE: "fake"},
                },
                "status": {"allocatable": resources, "capacity": resources},
            }
            for name in names
        )
        self.nodes += names
        return names

    def create(
        self,
        name: str,
        *,
        gpus: int = 8,
        gated: bool = False,
        member: bool = False,
        bind: bool = False,
        priority: str | None = None,
        spec: Object | None = None,
        status: Object | None = None,
        annotations: dict[str, str] | None = None,
    ) -> Object:
        """Create a pod; `member` and `bind` add the synthetic resources that route it to us."""
        limits = {NVIDIA_GPU: str(gpus)} if gpus else {}
        limits |= {keys.RESOURCE_MEMBER: "1"} if member else {}
        limits |= {keys.RESOURCE_BIND: "1"} if bind else {}
        body: Object = {
            "metadata": {"name": name, "annotations": annotations or {}},
            "spec": {
                "nodeSelector": {"pool": self.name},
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "image": "x", "resources": {"limits": limits}}],
                **({"schedulingGates": [{"name": keys.GATE}]} if gated else {}),
                **({"priorityClassName": priority} if priority else {}),
                **(spec or {}),
            },
        }
        if status is not None:
            body["status"] = status
        return self.cluster.api.create(f"/api/v1/namespaces/{self.name}/pods", body)

    def path(self, pod: str) -> str:
        """API path of a pod."""
        return f"/api/v1/namespaces/{self.name}/pods/{pod}"

    def get(self, pod: str) -> Object:
        """The pod now."""
        return self.cluster.api.get(self.path(pod))

    def node_of(self, pod: str) -> str | None:
        """Node that the pod is bound to."""
        node = self.get(pod)["spec"].get("nodeName")
        return None if node is None else str(node)

    def nominated(self, pod: str) -> str | None:
        """`status.nominatedNodeName`."""
        node = self.get(pod)["status"].get("nominatedNodeName")
        return None if node is None else str(node)

    def nominate(self, pod: str, node: str) -> None:
        """Patch the pod's status as Muster does."""
        self.cluster.api.patch(self.path(pod) + "/status", {"status": {"nominatedNodeName": node}})

    def ungate(self, pod: str) -> None:
        """Remove all gates."""
        self.cluster.api.patch(self.path(pod), {"spec": {"schedulingGates": []}})

    def touch(self, pod: str, value: str = "1") -> None:
        """An update without meaning for scheduling."""
        self.cluster.api.patch(self.path(pod), {"metadata": {"annotations": {"touched": value}}})

    def refusal(self, pod: str) -> str:
        """Message of a failed attempt (gated pods have none); empty if there was none."""
        for item in self.get(pod)["status"].get("conditions", []):
            if item["type"] == "PodScheduled" and item.get("reason") in REFUSALS:
                return str(item.get("message", ""))
        return ""

    def outcome(self, pod: str, timeout: float = PATIENCE_SECONDS) -> str:
        """`bound` or `refused`, as soon as one is true."""

        def decided() -> str | None:
            if self.node_of(pod):
                return "bound"
            return "refused" if self.refusal(pod) else None

        return self.cluster.api.wait_for(f"a decision on {pod}", decided, timeout)

    def wait_bound(self, pod: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Node of the pod once it has one."""
        return self.cluster.api.wait_for(
            f"{pod} to be bound", lambda: self.node_of(pod), timeout, every=0.01
        )

    def history(self, pod: str, version: str) -> list[Object]:
        """Every state of the pod that the API server served after `version`."""
        path = f"/api/v1/namespaces/{self.name}/pods"
        query = {
            "watch": "true",
            "resourceVersion": version,
            "fieldSelector": f"metadata.name={pod}",
            "timeoutSeconds": "1",
        }
        lines = str(self.cluster.api.request("GET", path, query=query)).splitlines()
        return [json.loads(line)["object"] for line in lines]

    def clean(self) -> None:
        """Remove pods and nodes so that the next test starts empty."""
        api = self.cluster.api
        pods = f"/api/v1/namespaces/{self.name}/pods"
        api.delete(pods, grace_seconds=0)
        api.wait_for("pods to go", lambda: not api.list(pods))
        api.parallel(lambda node: api.delete(f"/api/v1/nodes/{node}"), self.nodes)


def create_priorities(cluster: Cluster) -> None:
    """Priority classes `low` and `high`; a pod without one has priority 0."""
    for name, value in PRIORITIES.items():
        cluster.api.create_priority_class(name, value)
