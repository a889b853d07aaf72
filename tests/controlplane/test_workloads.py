"""The real managers on a local control plane, and that our records are what they create."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulations.controlplane import Binaries, Cluster, KubectlFailed, Workloads, temporary_cluster
from simulations.controlplane.workloads import webhooks
from tests.controlplane.record import (
    FOLDER,
    WITH_NODES,
    WITH_SLICES,
    WITHOUT_NODES,
    record_all,
)
from topology import keys

CASES = [case.name for case in (*WITHOUT_NODES, *WITH_NODES)]

Object = dict[str, Any]


@pytest.fixture(scope="module")
def workloads(control_plane: Binaries) -> Iterator[Workloads]:
    """A cluster of its own with the managers, and with the PodGroups of Kubernetes turned on."""
    gates = {"GenericWorkload": True, "TopologyAwareWorkloadScheduling": True}
    api = f"{keys.SCHEDULING_GROUP}/v1beta1"
    with temporary_cluster(
        binaries=control_plane, feature_gates=gates, runtime_config=(api,)
    ) as cluster:
        workloads = Workloads(cluster)
        workloads.up()
        yield workloads


@pytest.fixture(scope="module")
def created(workloads: Workloads) -> dict[str, list[Object]]:
    """What the managers make of every recorded case, here and now."""
    return {name: recorded["items"] for name, recorded in record_all(workloads).items()}


def pods(items: list[Object]) -> dict[str, Object]:
    """The pods of one case by name."""
    return {item["metadata"]["name"]: item for item in items if item["kind"] == "Pod"}


def comparable(item: object) -> object:
    """Without what differs from run to run: identifiers, times, places and what is observed."""
    if isinstance(item, list):
        return [comparable(value) for value in item]
    if isinstance(item, dict):
        dropped = {"uid", "resourceVersion", "creationTimestamp", "status", "nodeName", keys.ZONE}
        return {key: comparable(value) for key, value in item.items() if key not in dropped}
    return "random" if str(item).startswith("kube-api-access-") else item


@pytest.mark.e2e
@pytest.mark.parametrize("case", CASES)
def test_records_are_what_the_managers_create(created: dict[str, list[Object]], case: str) -> None:
    """Unit tests that read `tests/fixtures/workloads` see what the pinned releases make of a case."""
    recorded = json.loads((FOLDER / f"{case}.json").read_text())["items"]
    assert comparable(created[case]) == comparable(recorded)


@pytest.mark.e2e
def test_members_of_a_set_are_marked_by_its_webhook(created: dict[str, list[Object]]) -> None:
    """Group and index are not in the template of the workers' StatefulSet: LWS's webhook runs."""
    found = pods(created["lws"])
    marked = {
        name: (
            pod["metadata"]["labels"][keys.LWS_GROUP_INDEX],
            pod["metadata"]["labels"][keys.LWS_WORKER_INDEX],
            pod["metadata"]["annotations"][keys.LWS_SIZE],
        )
        for name, pod in found.items()
    }
    groups = [(str(group), str(worker), "4") for group in range(2) for worker in range(4)]
    assert sorted(marked.values()) == groups
    assert marked["train-1-3"] == ("1", "3", "4")
    environment = found["train-1-3"]["spec"]["containers"][0]["env"]
    assert {"name": "LWS_GROUP_SIZE", "value": "4"} in environment


@pytest.mark.e2e
def test_a_playground_becomes_pods_that_name_their_model(
    created: dict[str, list[Object]],
) -> None:
    """Playground, Service, set and pod are one chain; the first claimed flavor sets the cards."""
    chain = {item["kind"] for item in created["playground"]}
    assert {"Playground", "Service", "LeaderWorkerSet", "StatefulSet", "Pod"} <= chain
    for pod in pods(created["playground"]).values():
        assert pod["metadata"]["labels"][keys.LLMAZ_MODEL] == "llama3-8b"
        assert pod["metadata"]["annotations"][keys.LLMAZ_FLAVORS] == "a100,a10"
        assert pod["spec"]["containers"][0]["resources"]["limits"][keys.NVIDIA_GPU] == "1"


@pytest.mark.e2e
def test_workers_of_llmaz_wait_for_their_leader(created: dict[str, list[Object]]) -> None:
    """LeaderReady: a bound leader that is not Ready has no workers, a Ready one has all of them."""
    assert set(pods(created["service-leader-waiting"])) == {"quad-0"}
    ready = pods(created["service-leader-template"])
    assert set(ready) == {"quad-0", "quad-0-1", "quad-0-2", "quad-0-3"}
    named = {name for name, pod in ready.items() if keys.LLMAZ_MODEL in pod["metadata"]["labels"]}
    assert named == {"quad-0"}  # with a leader template the workers carry no key of llmaz


@pytest.mark.e2e
def test_a_disaggregated_set_becomes_pods_of_its_roles(created: dict[str, list[Object]]) -> None:
    """Each set makes one LeaderWorkerSet a role, whose pods carry the set's name and their role."""
    roles = [
        (labels[keys.DISAGGREGATED_NAME], labels[keys.DISAGGREGATED_ROLE])
        for pod in pods(created["disaggregated-set"]).values()
        for labels in [pod["metadata"]["labels"]]
    ]
    for number in range(3):
        assert roles.count((f"chat-{number}", "prefill")) == 2
        assert roles.count((f"chat-{number}", "decode")) == 4


@pytest.mark.e2e
@pytest.mark.parametrize(
    "manifest",
    [
        {
            "apiVersion": f"{keys.SCHEDULING_GROUP}/v1beta1",
            "spec": {
                "schedulingPolicy": {"gang": {"minCount": 2}},
                "schedulingConstraints": {"topology": [{"key": keys.RACK}]},
            },
        },
        {
            "apiVersion": f"{keys.SCHEDULER_PLUGINS_GROUP}/v1alpha1",
            "spec": {"minMember": 2, "scheduleTimeoutSeconds": 10},
        },
        {
            "apiVersion": f"{keys.VOLCANO_GROUP}/v1beta1",
            "spec": {"minMember": 2, "minTaskMember": {"worker": 2}, "queue": "default"},
        },
        {
            "apiVersion": f"{keys.KAI_GROUP}/v2alpha2",
            "spec": {
                "minMember": 2,
                "queue": "default",
                "subGroups": [{"name": "decode", "minMember": 1}],
                "topologyConstraint": {"topology": "t", "requiredTopologyLevel": "rack"},
            },
        },
    ],
    ids=["kubernetes", "scheduler-plugins", "volcano", "kai"],
)
def test_pod_groups_of_every_kind_are_served(workloads: Workloads, manifest: Object) -> None:
    """Kubernetes takes one with the fields that a gang is read from, and drops none."""
    group = {"kind": "PodGroup", "metadata": {"name": "pair"}, **manifest}
    shown = workloads.kubectl("apply", "-f", "-", "-o", "json", stdin=json.dumps(group))
    assert json.loads(shown)["spec"] | group["spec"] == json.loads(shown)["spec"]


@pytest.mark.e2e
def test_a_pod_can_name_its_pod_group(workloads: Workloads) -> None:
    """With the feature gate on, kube-apiserver keeps `spec.schedulingGroup`."""
    pod = {
        "metadata": {"name": "grouped"},
        "spec": {
            "schedulingGroup": {"podGroupName": "absent"},
            "containers": [{"name": "c", "image": "x"}],
        },
    }
    path = "/api/v1/namespaces/default/pods"
    kept = workloads.cluster.api.request("POST", path, pod, query={"dryRun": "All"})
    assert kept["spec"]["schedulingGroup"] == {"podGroupName": "absent"}


@pytest.mark.e2e
def test_a_manager_that_was_killed_runs_again(workloads: Workloads) -> None:
    """`restart` ends the old process; afterwards sets are taken and completed again."""
    before = workloads.running()
    workloads.restart("lws-manager", kill=True)
    after = workloads.running()
    assert after["lws-manager"] not in {None, before["lws-manager"]}
    assert after["llmaz-manager"] == before["llmaz-manager"]
    shown = workloads.kubectl(
        "apply", "--dry-run=server", "-o", "json", "-f", str(FOLDER / "lws.yaml")
    )
    assert "rollingUpdateConfiguration" in json.loads(shown)["spec"]["rolloutStrategy"]


@pytest.mark.e2e
def test_kubectl_says_what_was_wrong(workloads: Workloads) -> None:
    """A refused object is one exception with the server's words."""
    bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Bad_Name"}}
    with pytest.raises(KubectlFailed, match="Bad_Name"):
        workloads.kubectl("apply", "-f", "-", stdin=json.dumps(bad))


def test_managers_stop_with_the_cluster(tmp_path: Path) -> None:
    """Stopping a cluster stops a manager too, also one that another command started."""
    Cluster(tmp_path).process("llmaz-manager").start(["sleep", "60"])
    cluster = Cluster(tmp_path)
    assert Workloads(cluster).running()["llmaz-manager"] is not None
    cluster.down()
    assert set(Workloads(cluster).running().values()) == {None}


def test_webhooks_stay_as_released_but_for_their_address(tmp_path: Path) -> None:
    """Only the address changes; parts that the chart has on a condition are there."""
    (tmp_path / "webhook.yaml").write_text(
        """\
kind: MutatingWebhookConfiguration
metadata: {name: sets}
webhooks:
  - name: set
    failurePolicy: Fail
    clientConfig:
      service:
        namespace: {{ .Release.Namespace }}
        path: /mutate
  {{- if .Values.enabled }}
  - {name: other, clientConfig: {service: {path: /other}}}
  {{- end }}
"""
    )
    [found] = webhooks(tmp_path, 4443, "Q0E=")
    first, second = found["webhooks"]
    assert first == {
        "name": "set",
        "failurePolicy": "Fail",
        "clientConfig": {"url": "https://127.0.0.1:4443/mutate", "caBundle": "Q0E="},
    }
    assert second["clientConfig"]["url"] == "https://127.0.0.1:4443/other"


def test_every_record_has_its_manifest() -> None:
    """A record without the file that it came from could not be made again."""
    records = {path.stem for path in FOLDER.glob("*.json")}
    cases = {*CASES, *(case.name for case in WITH_SLICES)}
    assert records == cases
    for case in cases:
        assert list(yaml.safe_load_all((FOLDER / f"{case}.yaml").read_text()))
