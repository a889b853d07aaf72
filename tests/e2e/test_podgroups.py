"""PodGroups of four kinds are gangs without any annotation of ours; the schedulers of three are absent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from scheduler.keys import PLAN
from scheduler.kube.manifests import api_path, load_manifests
from simulations.controlplane import Binaries, Cluster, Workloads, temporary_cluster
from simulations.local import LocalMuster, gates_members
from tests.e2e.rig import Object, Rig
from tests.e2e.workload_rig import WorkloadRig
from topology import keys

pytestmark = pytest.mark.e2e


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A PodGroup ``train`` of which three must run, and how its pods say that they belong to it."""

    api: str
    spec: Object
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `spec` of a pod."""

    def group(self) -> Object:
        """The PodGroup."""
        metadata = {"name": "train"}
        return {"apiVersion": self.api, "kind": "PodGroup", "metadata": metadata, "spec": self.spec}

    def member(self, rig: Rig, name: str) -> Object:
        """A pod of it that needs a whole node."""
        pod = rig.pod(name, annotations=self.annotations, **self.pod)
        pod["metadata"]["labels"] = dict(self.labels)
        return pod


FORMS = {
    "scheduler-plugins": Form(
        api=f"{keys.SCHEDULER_PLUGINS_GROUP}/v1alpha1",
        spec={"minMember": 3, "scheduleTimeoutSeconds": 10},
        labels={keys.SCHEDULER_PLUGINS_POD_GROUP: "train"},
    ),
    "volcano": Form(
        api=f"{keys.VOLCANO_GROUP}/v1beta1",
        spec={"minMember": 3, "queue": "default"},
        annotations={keys.VOLCANO_POD_GROUP: "train"},
        pod={"schedulerName": "volcano"},
    ),
    "kai": Form(
        api=f"{keys.KAI_GROUP}/v2alpha2",
        spec={"minMember": 3, "queue": "default"},
        annotations={keys.KAI_POD_GROUP: "train"},
        pod={"schedulerName": "kai-scheduler"},
    ),
}
KUBERNETES = Form(
    api=f"{keys.SCHEDULING_GROUP}/v1beta1",
    spec={"schedulingPolicy": {"gang": {"minCount": 3}}, "priorityClassName": "high"},
    pod={"schedulingGroup": {"podGroupName": "train"}, "priorityClassName": "high"},
)
SCHEDULERS = ["default-scheduler", "volcano", "kai-scheduler"]


def admit(cluster: Cluster, schedulers: list[str]) -> None:
    """The admission policy for pods of these schedulers, as an operator edits `manifests/admission.yaml`."""
    for manifest in load_manifests("admission"):
        text = json.dumps(manifest).replace("['default-scheduler']", str(schedulers))
        cluster.api.apply(api_path(manifest), json.loads(text))
    cluster.api.wait_for("the policy", lambda: gates_members(cluster.api, schedulers[-1]))


@pytest.fixture(scope="module")
def named(
    installed: LocalMuster, muster_cluster: Cluster, managers: Workloads
) -> Iterator[LocalMuster]:
    """Muster and kube-scheduler, with one more profile each, take pods that name other schedulers."""
    del managers  # it defines the kinds
    before = muster_cluster.settings.scheduler_config
    assert isinstance(before, dict)
    profiles = [{"schedulerName": name} for name in SCHEDULERS]
    muster_cluster.set_scheduler_config({**before, "profiles": profiles})
    admit(muster_cluster, SCHEDULERS)
    installed.stop()
    installed.start(schedulers=SCHEDULERS)
    yield installed
    installed.stop()
    admit(muster_cluster, SCHEDULERS[:1])
    muster_cluster.set_scheduler_config(before)


def wait_places(rig: Rig, members: int) -> dict[str, str]:
    """Plan by pod, once so many members are bound and the gang says so."""

    def bound() -> dict[str, str] | None:
        pods = [pod for pod in rig.pods() if pod["metadata"]["name"].startswith("train-")]
        plans = {
            pod["metadata"]["name"]: pod["metadata"]["annotations"][PLAN]
            for pod in pods
            if "nodeName" in pod["spec"]
        }
        return plans if len(plans) == members else None

    try:
        plans = rig.cluster.api.wait_for(f"{members} members", bound)
    except TimeoutError as error:
        raise AssertionError(
            f"{error}: {rig.places()}, {rig.status('train')}\n{rig.muster.tail()}"
        ) from None

    def told() -> bool:
        status = rig.status("train")
        return (status["phase"], status["ready"]) == ("Bound", f"{members}/4")

    rig.cluster.api.wait_for(f"Bound with {members} of 4", told)
    return plans


def starts_at_its_minimum(rig: Rig, form: Form) -> None:
    """With room for two of four nothing starts, with room for three three of them, then the fourth."""
    rig.add_nodes(2)
    items = [form.group(), *(form.member(rig, f"train-{index}") for index in range(4))]
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    Workloads(rig.cluster).kubectl("apply", "-n", rig.name, "-f", "-", stdin=manifests)
    why = "4 of 4 members present; 2 of 3 members fit"
    rig.cluster.api.wait_for(why, lambda: why in rig.status("train").get("message", ""))
    assert rig.wait_phase("train", "Waiting")["reason"] == "Insufficient"
    assert not [name for name in rig.places() if name.startswith("train")]
    rig.add_nodes(1)
    three = wait_places(rig, 3)
    assert len(set(three.values())) == 1, "they were bound by one plan"
    rig.add_nodes(1)
    four = wait_places(rig, 4)
    assert three.items() <= four.items(), "the first three run on"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_pod_group_of_another_scheduler(
    named: LocalMuster, work: WorkloadRig, form: Form
) -> None:
    """Its pods start together at its minimum, also where they name its scheduler; one above waits alone."""
    del named
    starts_at_its_minimum(work, form)


@pytest.mark.timeout(180)
def test_a_pod_group_of_kubernetes(control_plane: Binaries) -> None:
    """The same with kube-scheduler's own gangs turned on, which must not get in the way: it holds all pods of
    a group while one is gated, and would preempt for a group of higher priority."""
    with temporary_cluster(
        binaries=control_plane,
        feature_gates={"GenericWorkload": True},
        runtime_config=(KUBERNETES.api,),
    ) as cluster:
        muster = LocalMuster(cluster)
        muster.install()
        cluster.api.create_priority_class("high", 1000)
        cluster.api.create_namespace("native")
        rig = Rig(cluster=cluster, muster=muster, name="native")
        [node] = rig.add_nodes(1)
        rig.create([rig.pod("plain", nodeName=node)])
        muster.start()
        try:
            starts_at_its_minimum(rig, KUBERNETES)
        finally:
            muster.stop()
        assert rig.evictions() == 0 and rig.places()["plain"] == node
