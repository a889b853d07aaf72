"""What the end-to-end tests need: a namespace and nodes of their own beside a running Muster."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler import keys
from simulations.controlplane import Cluster
from simulations.controlplane.api import PATIENCE_SECONDS
from simulations.local import LocalMuster
from topology.keys import HOSTNAME, KWOK_NODE, NVIDIA_GPU

Object = dict[str, Any]
GANGS = f"/apis/{keys.API_VERSION}/namespaces"


@dataclass(slots=True)
class Rig:
    """One test's namespace and node pool on a real cluster; pods are confined to the pool."""

    cluster: Cluster
    muster: LocalMuster
    name: str
    nodes: list[str] = field(default_factory=list)

    # -- nodes -----------------------------------------------------------------------------------

    def add_nodes(
        self,
        count: int,
        gpus: int = 8,
        labels: Mapping[str, str] | None = None,
        resource: str = NVIDIA_GPU,
    ) -> list[str]:
        """Create KWOK nodes of the pool, with `gpus` cards each, and wait until they are ready."""
        resources = {"cpu": "128", "memory": "1Ti", "pods": "110", resource: str(gpus)}
        names = [f"{self.name}-{len(self.nodes) + i:04d}" for i in range(count)]
        self.cluster.add_nodes(
            {
                "metadata": {
                    "name": name,
                    "labels": {"pool": self.name, HOSTNAME: name, **(labels or {})},
                    "annotations": {KWOK_NODE: "fake"},
                },
                "status": {"allocatable": resources, "capacity": resources},
            }
            for name in names
        )
        self.nodes += names
        return names

    def cordon(self, node: str, on: bool = True) -> None:
        """Mark the node unschedulable, or undo it."""
        self.cluster.api.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": on}})

    def delete_node(self, node: str) -> None:
        """Delete the Node object."""
        self.cluster.api.delete(f"/api/v1/nodes/{node}")
        self.nodes.remove(node)

    # -- pods ------------------------------------------------------------------------------------

    def pod(
        self,
        name: str,
        *,
        gpus: int = 8,
        annotations: Mapping[str, str] | None = None,
        **spec: object,
    ) -> Object:
        """A pod manifest as a user writes it: nothing of Muster in it but the annotations."""
        limits = {NVIDIA_GPU: str(gpus)} if gpus else {}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": self.name,
                "annotations": dict(annotations or {}),
            },
            "spec": {
                "nodeSelector": {"pool": self.name},
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {"name": "vllm", "image": "vllm/vllm-openai", "resources": {"limits": limits}}
                ],
                **spec,
            },
        }

    def gang_pods(
        self,
        name: str,
        size: int,
        *,
        gpus: int = 8,
        annotations: Mapping[str, str] | None = None,
        members: Sequence[int] | None = None,
        **spec: object,
    ) -> list[Object]:
        """Manifests of a gang's pods `name-0`..; `members` creates only some of them."""
        asked = {keys.GANG: name, keys.GANG_SIZE: str(size), **(annotations or {})}
        return [
            self.pod(f"{name}-{index}", gpus=gpus, annotations=asked, **spec)
            for index in (range(size) if members is None else members)
        ]

    def create(self, pods: Sequence[Object]) -> None:
        """Create pods, 16 at a time."""
        self.cluster.api.create_all(self._pods, pods)

    def gang(self, name: str, size: int, **options: Any) -> None:
        """Create a gang."""
        self.create(self.gang_pods(name, size, **options))

    def delete_pod(self, name: str) -> None:
        """Delete a pod without grace."""
        self.cluster.api.delete(f"{self._pods}/{name}", grace_seconds=0)

    def pods(self, gang: str | None = None) -> list[Object]:
        """Pods of the namespace, or of one gang."""
        found = self.cluster.api.list(self._pods)
        if gang is None:
            return list(found)
        return [
            pod for pod in found if pod["metadata"].get("annotations", {}).get(keys.GANG) == gang
        ]

    def places(self, gang: str | None = None) -> dict[str, str]:
        """Bound pods and their nodes."""
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in self.pods(gang)
            if pod["spec"].get("nodeName")
        }

    @property
    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.name}/pods"

    # -- gangs -----------------------------------------------------------------------------------

    def status(self, gang: str) -> Object:
        """`status` of the Gang object; empty while there is none."""
        found = self.cluster.api.find(f"{GANGS}/{self.name}/gangs/{gang}")
        status: Object = (found or {}).get("status", {})
        return status

    def wait_phase(
        self, gang: str, *phases: str, reason: str | None = None, timeout: float = PATIENCE_SECONDS
    ) -> Object:
        """The Gang's status once its phase is one of `phases`, for `reason` when given."""

        def reached() -> Object | None:
            status = self.status(gang)
            if reason is not None and status.get("reason") != reason:
                return None
            return status if status.get("phase") in phases else None

        try:
            return self.cluster.api.wait_for(
                f"gang {gang} to be {' or '.join(phases)}", reached, timeout, every=0.02
            )
        except TimeoutError as error:
            raise AssertionError(
                f"{error}; status {self.status(gang)}\n{self.muster.tail()}"
            ) from None

    def wait_bound(self, gang: str, size: int, timeout: float = PATIENCE_SECONDS) -> dict[str, str]:
        """Places of the gang once `size` members are bound."""

        def bound() -> dict[str, str] | None:
            places = self.places(gang)
            return places if len(places) >= size else None

        try:
            return self.cluster.api.wait_for(
                f"{size} members of {gang} to be bound", bound, timeout, every=0.02
            )
        except TimeoutError as error:
            raise AssertionError(
                f"{error}; bound {len(self.places(gang))}, status {self.status(gang)}\n"
                f"{self.muster.tail()}"
            ) from None

    def never_partial(self, sizes: Mapping[str, int], seconds: float) -> None:
        """Watch for a while: no gang ever has between 1 and size-1 bound members for more than 1 s."""
        deadline = time.monotonic() + seconds
        partial_since: dict[str, float] = {}
        while time.monotonic() < deadline:
            for gang, size in sizes.items():
                count = len(self.places(gang))
                if 0 < count < size:
                    since = partial_since.setdefault(gang, time.monotonic())
                    assert time.monotonic() - since < 1, f"{gang}: {count} of {size} are bound"
                else:
                    partial_since.pop(gang, None)
            time.sleep(0.05)

    def evictions(self) -> int:
        """Pods of the namespace that were preempted (events of kube-scheduler)."""
        events = self.cluster.api.list(f"/api/v1/namespaces/{self.name}/events")
        return sum(event.get("reason") == "Preempted" for event in events)

    def clean(self) -> None:
        """Remove pods and nodes, and wait until Muster has removed the Gang objects."""
        api = self.cluster.api
        api.delete(self._pods, grace_seconds=0)
        api.wait_for("pods to go", lambda: not api.list(self._pods))
        api.parallel(lambda node: api.delete(f"/api/v1/nodes/{node}"), self.nodes)
        self.nodes.clear()
