"""``v1.Pod`` as the planner sees it: requests and constraints as kube-scheduler counts them."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler import keys
from scheduler.model import NodeTerm, PodTerm, Requirement, SpreadTerm, Toleration
from scheduler.pods import MAX_ANNOTATION, Pod, read_pod
from topology.keys import HOSTNAME, NVIDIA_GPU, ZONE
from topology.resources import Resources


def pod(spec: Any = None, **metadata: Any) -> Pod:
    """The pod ``default/p`` with this spec."""
    return read_pod({"metadata": {"name": "p", **metadata}, "spec": spec or {}})


def request(**spec: Any) -> dict[str, int]:
    """What a pod with this spec requests, ``pods`` left out."""
    amounts = pod(spec).request.amounts
    assert amounts["pods"] == 1
    return {name: amounts[name] for name in amounts if name != "pods"}


def container(
    cpu: str | None = None, limits: dict[str, str] | None = None, *, always: bool = False
) -> dict[str, Any]:
    """A container that requests ``cpu`` and has some limits."""
    made: dict[str, Any] = {"resources": {"limits": limits or {}}}
    if cpu is not None:
        made["resources"]["requests"] = {"cpu": cpu}
    if always:
        made["restartPolicy"] = "Always"
    return made


# -- requests: k8s.io/component-helpers/resource, TestPodRequests has the same rules ------------------


def test_containers_add_up() -> None:
    """In thousandths for cpu, in whole units for everything else."""
    assert request(containers=[container("100m"), container("1.5")]) == {"cpu": 1600}
    assert request(
        containers=[container(limits={"memory": "1Ki"}), container(limits={"memory": "1k"})]
    ) == {"memory": 2024}


def test_limits_are_the_default_of_requests() -> None:
    """As the API server fills them in."""
    assert request(containers=[container("1", {"cpu": "4", "memory": "8"})]) == {
        "cpu": 1000,
        "memory": 8,
    }


def test_init_containers_run_one_after_the_other() -> None:
    """Only the largest counts, and only where it exceeds the containers."""
    inits = [container("3"), container("2")]
    assert request(containers=[container("1")], initContainers=inits) == {"cpu": 3000}
    assert request(containers=[container("4")], initContainers=inits) == {"cpu": 4000}


SIDECARS = [
    # (initContainers as cpu; * restarts always), cpu of the container, cpu of the pod
    (["*2"], "1", 3000),
    (["*2", "5"], "1", 7000),
    (["5", "*2"], "1", 5000),
    (["*1", "*2", "1"], "3", 6000),
    (["*1", "4", "*2"], "1", 5000),
]


@pytest.mark.parametrize(("inits", "main", "cpu"), SIDECARS)
def test_sidecars_run_beside_all_that_follows(inits: list[str], main: str, cpu: int) -> None:
    """A restartable init container counts with the containers and with later init containers."""
    containers = [container(text.strip("*"), always=text.startswith("*")) for text in inits]
    assert request(containers=[container(main)], initContainers=containers) == {"cpu": cpu}


def test_pod_level_resources_replace_what_they_name() -> None:
    """``spec.resources`` is for cpu, memory and huge pages; cards are never among them."""
    containers = [container("1", {"memory": "1Gi", NVIDIA_GPU: "8"})]
    level = {"requests": {"cpu": "4", NVIDIA_GPU: "1"}}
    assert request(containers=containers, resources=level) == {
        "cpu": 4000,
        "memory": 2**30,
        NVIDIA_GPU: 8,
    }


def test_a_pod_level_limit_alone() -> None:
    """It is the request only where no container requests anything of it."""
    level = {"limits": {"cpu": "4", "memory": "1Gi"}}
    assert request(containers=[container("1")], resources=level) == {"cpu": 1000, "memory": 2**30}


def test_overhead_is_added_in_the_end() -> None:
    """Also to pod-level resources."""
    spec = {"containers": [container("1")], "resources": {"requests": {"cpu": "2"}}}
    assert request(**spec, overhead={"cpu": "250m", "memory": "64Mi"}) == {
        "cpu": 2250,
        "memory": 64 * 2**20,
    }


def test_sums_are_rounded_once() -> None:
    """Two halves are one, not two; below a thousandth the API server rounds up."""
    assert request(
        containers=[container(limits={"memory": "500m"}), container(limits={"memory": "500m"})]
    ) == {"memory": 1}
    assert request(containers=[container("1n"), container("1n")]) == {"cpu": 2}


def test_membership_resources_are_left_out() -> None:
    """What Muster's admission adds is no capacity."""
    limits = dict.fromkeys(keys.SYNTHETIC_RESOURCES, "1")
    assert request(containers=[container("1", limits)]) == {"cpu": 1000}


def test_a_container_that_is_resized_in_place() -> None:
    """It counts with the larger of spec and status."""
    obj = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", **container("1")}]},
        "status": {
            "containerStatuses": [
                {"name": "c", "resources": {"requests": {"cpu": "3"}}, "allocatedResources": {}}
            ]
        },
    }
    assert read_pod(obj).request == Resources({"cpu": 3000, "pods": 1})


@pytest.mark.parametrize("wrong", ["eight", "-1", None, True, {}, "1.5.5", "9" * 5000])
def test_an_unreadable_quantity(wrong: Any) -> None:
    """It counts as nothing, the rest counts, and one Problem names pod and field."""
    spec = {"containers": [{"resources": {"requests": {"cpu": wrong, "memory": "1"}}}]}
    read = pod(spec)
    assert read.request == Resources({"memory": 1, "pods": 1})
    (problem,) = read.problems
    assert str(problem).startswith("Pod default/p: spec.containers[0].resources.requests.cpu: ")


def test_cards_are_recognised() -> None:
    """Extended resources are those of somebody's own domain."""
    spec = {"containers": [container("1", {NVIDIA_GPU: "8", "ephemeral-storage": "1Gi"})]}
    assert pod(spec).extended == (NVIDIA_GPU,)


# -- what it demands of its node -----------------------------------------------------------------------


def test_node_rules() -> None:
    """Selector, required affinity (alternatives of requirements) and tolerations."""
    read = pod(
        {
            "nodeSelector": {"disk": "ssd"},
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": "a", "operator": "In", "values": ["b", "c"]}
                                ],
                                "matchFields": [
                                    {
                                        "key": "metadata.name",
                                        "operator": "In",
                                        "values": ["n1"],
                                    }
                                ],
                            }
                        ]
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}],
                }
            },
            "tolerations": [{"key": "t", "operator": "Exists"}, {"key": "u", "value": "v"}],
        }
    ).constraints
    assert read.node_selector == {"disk": "ssd"}
    assert read.node_affinity == (
        NodeTerm(
            labels=(Requirement(key="a", operator="In", values=("b", "c")),),
            fields=(Requirement(key="metadata.name", operator="In", values=("n1",)),),
        ),
    )
    assert read.tolerations == (
        Toleration(key="t", operator="Exists"),
        Toleration(key="u", operator="Equal", value="v"),
    )


def _apart(**term: Any) -> dict[str, Any]:
    required = {
        "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": HOSTNAME, **term}]
    }
    return {"affinity": {"podAntiAffinity": required}}


APP = (Requirement(key="app", operator="In", values=("x",)),)
TERMS: list[tuple[dict[str, Any], tuple[str, ...], tuple[Requirement, ...] | None]] = [
    ({"labelSelector": {"matchLabels": {"app": "x"}}}, ("default",), APP),
    ({"labelSelector": {}}, ("default",), ()),
    ({}, ("default",), None),
    ({"namespaces": ["b", "a"], "labelSelector": {}}, ("a", "b"), ()),
    ({"namespaceSelector": {}, "labelSelector": {}}, ("*",), ()),
    (
        {"labelSelector": {}, "matchLabelKeys": ["rev", "none"], "mismatchLabelKeys": ["app"]},
        ("default",),
        (
            Requirement(key="rev", operator="In", values=("7",)),
            Requirement(key="app", operator="NotIn", values=("x",)),
        ),
    ),
]


@pytest.mark.parametrize(("term", "namespaces", "selector"), TERMS)
def test_pod_affinity_terms(
    term: dict[str, Any], namespaces: tuple[str, ...], selector: tuple[Requirement, ...] | None
) -> None:
    """Own namespace by default; no selector takes nothing, an empty one everything."""
    read = pod(_apart(**term), labels={"app": "x", "rev": "7"}).constraints
    assert read.anti_affinity == (
        PodTerm(topology_key=HOSTNAME, selector=selector, namespaces=namespaces),
    )


def test_a_namespace_selector_waits_for_the_namespaces() -> None:
    """A term names no namespace by itself then: the snapshot puts those in that the selector takes."""
    read = pod(_apart(labelSelector={}, namespaceSelector={"matchLabels": {"app": "x"}}))
    assert read.constraints.anti_affinity[0].namespaces == ()
    assert read.namespace_selectors == (APP,)


def test_hard_spread_only() -> None:
    """``ScheduleAnyway`` excludes no node."""
    spread = {"topologyKey": ZONE, "maxSkew": 2, "labelSelector": {"matchLabels": {"app": "x"}}}
    soft = {**spread, "whenUnsatisfiable": "ScheduleAnyway"}
    hard = {**spread, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3}
    read = pod({"topologySpreadConstraints": [soft, hard]}).constraints
    assert read.spread == (SpreadTerm(topology_key=ZONE, max_skew=2, selector=APP, min_domains=3),)


def test_host_ports() -> None:
    """Those of containers and sidecars; with the host's network every container port is one."""
    ports = [
        {"containerPort": 80},
        {"containerPort": 81, "hostPort": 8081, "protocol": "UDP"},
        {"containerPort": 82, "hostPort": 8082, "hostIP": "10.0.0.1"},
    ]
    sidecar = {"restartPolicy": "Always", "ports": [{"containerPort": 9, "hostPort": 9}]}
    once = {"ports": [{"containerPort": 10, "hostPort": 10}]}
    spec = {"containers": [{"ports": ports}], "initContainers": [sidecar, once]}
    assert pod(spec).constraints.host_ports == ("10.0.0.1:TCP/8082", "TCP/9", "UDP/8081")
    assert "TCP/80" in pod({**spec, "hostNetwork": True}).constraints.host_ports


# -- the rest --------------------------------------------------------------------------------------------


def test_the_scheduled_condition() -> None:
    """False only after kube-scheduler has tried: a gate is no attempt."""

    def scheduled(**condition: str) -> tuple[bool | None, str]:
        conditions = [{"type": "PodScheduled", **condition}]
        read = read_pod({"metadata": {"name": "p"}, "status": {"conditions": conditions}})
        return read.scheduled, read.refusal

    assert scheduled(status="True") == (True, "")
    assert scheduled(status="False", reason="SchedulingGated") == (None, "")
    assert scheduled(status="False", reason="Unschedulable", message="0/3 nodes") == (
        False,
        "0/3 nodes",
    )


def test_where_it_is() -> None:
    """Node, nomination, gates, owner, deletion."""
    read = read_pod(
        {
            "metadata": {
                "name": "p",
                "uid": "u",
                "deletionTimestamp": "2026-01-01T00:00:00Z",
                "creationTimestamp": "1970-01-01T00:01:00Z",
                "ownerReferences": [
                    {"kind": "Other", "name": "x"},
                    {"kind": "Job", "name": "j", "uid": "v", "controller": True},
                ],
            },
            "spec": {"nodeName": "n1", "schedulingGates": [{"name": keys.GATE}, {"name": "g"}]},
            "status": {"nominatedNodeName": "n2", "phase": "Failed"},
        }
    )
    assert (read.uid, read.node, read.nominated, read.finished) == ("u", "n1", "n2", True)
    assert (read.terminating, read.created_seconds) == (True, 60)
    assert read.owner is not None and (read.owner.kind, read.owner.name) == ("Job", "j")
    assert read.foreign_gates == ("g",)
    assert read.evictable


def test_a_manifest_has_a_name_for_an_identity() -> None:
    """Without uid and namespace."""
    read = pod()
    assert (read.namespace, read.uid, read.evictable) == ("default", "default/p", False)
    assert pod(annotations={keys.ROLLBACK: "delete"}).evictable


def test_only_our_annotations_are_kept() -> None:
    """Those of others may be large and mean nothing here."""
    read = pod(annotations={keys.GANG: "g", "example.com/x": "y"})
    assert read.annotations == {keys.GANG: "g"}


def test_a_huge_annotation_is_cut_and_told() -> None:
    """One Problem with the length; the text does not stay in memory."""
    read = pod(annotations={keys.FLAVOR_SPEC: "x" * 2**20})
    (problem,) = read.problems
    assert problem.field == keys.FLAVOR_SPEC
    assert problem.message == f"1048576 characters; at most {MAX_ANNOTATION} are read"
    assert len(read.annotations[keys.FLAVOR_SPEC]) == MAX_ANNOTATION


def test_equal_templates_share_what_was_read() -> None:
    """20,000 pods come from a few templates: requests and constraints are stored once."""
    spec = {"containers": [container("1")], "nodeSelector": {"a": "b"}}
    one, other = pod(spec, name="a"), pod(spec, name="b")
    assert one.request is other.request
    assert one.constraints is other.constraints
