"""A rig for what controllers make: objects applied with kubectl, pods of LeaderWorkerSets and llmaz."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulations.controlplane import Workloads
from simulations.controlplane.api import STRATEGIC
from tests.e2e.rig import Object, Rig
from topology import keys

LLMAZ = f"{keys.LLMAZ_INFERENCE_GROUP}/v1alpha1"
START_DELAY = "kwok.muster.dev/start-delay"
"""Annotation of a pod: it becomes ready so long after it was bound (see the KWOK stages)."""
BY_HAND = {START_DELAY: "1h"}
"""It becomes ready when the test calls `become_ready`, however long the machine takes until then."""
POOL = "pool"
MODEL = "gpu.model"


@dataclass(slots=True)
class WorkloadRig(Rig):
    """One test's namespace, nodes and models beside the real managers."""

    workloads: Workloads = field(kw_only=True)

    # -- the fleet -------------------------------------------------------------------------------

    def cards(
        self,
        model: str,
        nodes: int = 1,
        count: int = 8,
        resource: str = keys.NVIDIA_GPU,
        labels: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Nodes with `count` cards of a model, found by the label `gpu.model`."""
        return self.add_nodes(nodes, count, {MODEL: model, **(labels or {})}, resource)

    def model(self, name: str, *flavors: str, count: int = 1) -> str:
        """An OpenModel whose flavors are models of cards, best first; its name is made unique."""
        own = f"{self.name}-{name}"
        listed = [
            {
                "name": flavor,
                "requests": {keys.NVIDIA_GPU: str(count)},
                "nodeSelector": {MODEL: flavor, POOL: self.name},
            }
            for flavor in flavors
        ]
        self.open_model(own, listed)
        return own

    def open_model(self, name: str, flavors: Sequence[Object]) -> None:
        """An OpenModel with these flavors."""
        self.apply(
            {
                "apiVersion": f"{keys.LLMAZ_GROUP}/v1alpha1",
                "kind": "OpenModel",
                "metadata": {"name": name},
                "spec": {
                    "familyName": "llama",
                    "source": {"modelHub": {"modelID": "meta-llama/Meta-Llama-3-8B"}},
                    "inferenceConfig": {"flavors": list(flavors)},
                },
            }
        )

    # -- what users apply ------------------------------------------------------------------------

    def apply(self, *objects: Object) -> None:
        """`kubectl apply` in the test's namespace."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.workloads.kubectl("apply", "-n", self.name, "-f", "-", stdin=json.dumps(items))

    def kubectl(self, *arguments: str) -> str:
        """Kubectl in the test's namespace; what it prints."""
        return self.workloads.kubectl(arguments[0], "-n", self.name, *arguments[1:])

    def playground(self, name: str, model: str, replicas: int, **claim: Any) -> Object:
        """A Playground of llmaz."""
        return {
            "apiVersion": LLMAZ,
            "kind": "Playground",
            "metadata": {"name": name},
            "spec": {"replicas": replicas, "modelClaim": {"modelName": model, **claim}},
        }

    def service(
        self,
        name: str,
        model: str,
        size: int,
        *,
        replicas: int = 1,
        leader_template: bool = False,
        annotations: Mapping[str, str] | None = None,
        flavors: Sequence[str] = (),
        image: str = "vllm/vllm-openai",
    ) -> Object:
        """A multi-host Service of llmaz; `annotations` go to the leader's pod (to all without template)."""
        template: Object = {
            "metadata": {"annotations": dict(annotations or {})},
            "spec": _runner(image),
        }
        group: Object = {"size": size, "workerTemplate": template}
        if leader_template:
            group = {
                "size": size,
                "leaderTemplate": template,
                "workerTemplate": {"spec": _runner(image)},
            }
        claims: Object = {"models": [{"name": model}]}
        if flavors:
            claims["inferenceFlavors"] = list(flavors)
        return {
            "apiVersion": LLMAZ,
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {
                "modelClaims": claims,
                "workloadTemplate": {"replicas": replicas, "leaderWorkerTemplate": group},
            },
        }

    def worker_set(
        self,
        name: str,
        size: int,
        *,
        replicas: int = 1,
        gpus: int = 8,
        annotations: Mapping[str, str] | None = None,
        template: Mapping[str, Any] | None = None,
        **spec: Any,
    ) -> Object:
        """A LeaderWorkerSet whose members ask for `gpus` cards each on nodes of the test."""
        pod = {
            "metadata": {"annotations": dict(annotations or {})},
            "spec": {
                "nodeSelector": {POOL: self.name},
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "vllm",
                        "image": "vllm/vllm-openai",
                        "resources": {"limits": {keys.NVIDIA_GPU: str(gpus)}},
                    }
                ],
            },
        }
        return {
            "apiVersion": f"{keys.LWS_GROUP}/v1",
            "kind": "LeaderWorkerSet",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "leaderWorkerTemplate": {"size": size, "workerTemplate": pod, **(template or {})},
                **spec,
            },
        }

    def disaggregated_set(self, name: str, **roles: tuple[int, int]) -> Object:
        """A DisaggregatedSet: of each role how many replicas of one pod, and how many cards for each."""
        return {
            "apiVersion": f"{keys.DISAGGREGATED_GROUP}/v1",
            "kind": "DisaggregatedSet",
            "metadata": {"name": name},
            "spec": {
                "roles": [
                    {"name": role, "spec": self.worker_set(role, 1, replicas=n, gpus=cards)["spec"]}
                    for role, (n, cards) in roles.items()
                ]
            },
        }

    def become_ready(self, pod: str) -> None:
        """What its kubelet reports when the containers have started; for pods that do so `BY_HAND`."""
        kinds = ("Initialized", "ContainersReady", "Ready")
        conditions = [{"type": kind, "status": "True"} for kind in kinds]
        status = {"phase": "Running", "conditions": conditions}
        path = f"{self._pods}/{pod}/status"
        self.cluster.api.patch(path, {"status": status}, STRATEGIC)

    # -- what came of it -------------------------------------------------------------------------

    def pods(self, gang: str | None = None) -> list[Object]:
        """Pods of the namespace, or of one group: `<set>-<index>` and its workers."""
        found = self.cluster.api.list(self._pods)
        if gang is None:
            return list(found)
        return [pod for pod in found if _group(pod) == gang]

    def models_of(self, gang: str) -> set[str]:
        """The models of cards that the group's bound pods stand on."""
        nodes = set(self.places(gang).values())
        return {
            node["metadata"]["labels"][MODEL]
            for node in self.cluster.api.list("/api/v1/nodes")
            if node["metadata"]["name"] in nodes
        }

    def whole_groups(self, sizes: Mapping[str, int]) -> set[str]:
        """Groups that are bound whole; fails for one that is bound in part."""
        whole = set()
        for gang, size in sizes.items():
            bound = len(self.places(gang))
            assert bound in (0, size), f"{gang}: {bound} of {size} members are bound"
            if bound:
                whole.add(gang)
        return whole

    def placeholders(self) -> list[Object]:
        """Pods of Muster's own namespace that hold places."""
        return list(self.cluster.api.list("/api/v1/namespaces/muster-system/pods"))

    def clean(self) -> None:
        """Remove the owners first: they would make their pods again."""
        for kind in (
            "playgrounds.inference.llmaz.io",
            "services.inference.llmaz.io",
            "disaggregatedsets.disaggregatedset.x-k8s.io",
            "leaderworkersets.leaderworkerset.x-k8s.io",
        ):
            self.kubectl("delete", kind, "--all", "--cascade=foreground", "--wait=false")
        Rig.clean(self)


def _runner(image: str) -> Object:
    container = {"name": "model-runner", "image": image}
    return {"terminationGracePeriodSeconds": 0, "containers": [container]}


def _group(pod: Object) -> str:
    labels = pod["metadata"].get("labels", {})
    return f"{labels.get(keys.LWS_NAME)}-{labels.get(keys.LWS_GROUP_INDEX)}"
