"""Parsers never raise: any JSON object, and any damage to a real one, gives a value and Problems."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import keys as own
from scheduler.flavors import FlavorError, read_flavor_object, read_flavor_spec
from scheduler.gang_object import read_record
from scheduler.model import Code
from scheduler.pods import read_pod
from scheduler.policy import Policy
from scheduler.snapshot_json import dump, load
from scheduler.state import ClusterState
from tests.objects import Object, flavor, namespace, node, pod, priority_class, topology
from topology import keys
from topology.nodes import read_node
from topology.sources import Hierarchies

KINDS = ("Pod", "Node", "Namespace", "Flavor", "Topology", "PriorityClass", "Gang", "Lease")

WORDS = st.sampled_from(
    [
        "metadata", "spec", "status", "name", "namespace", "labels", "annotations", "containers",
        "resources", "requests", "limits", "affinity", "podAffinity", "tolerations", "levels", "nodeLabel",
        "requiredDuringSchedulingIgnoredDuringExecution", "topologySpreadConstraints", "allocatable",
        "conditions", "type", "Ready", "cpu", "8", "-1", "rack:4", "a=1", "host",
        keys.NVIDIA_GPU, keys.RACK, *sorted(own.REQUEST_ANNOTATIONS),
    ]
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(2**70)])
    | st.floats()
    | st.text(max_size=8)
    | WORDS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=30,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=6)

_TERM = {
    "topologyKey": keys.HOSTNAME,
    "labelSelector": {"matchLabels": {"app": "x"}},
    "namespaceSelector": {"matchExpressions": [{"key": "t", "operator": "In", "values": ["b"]}]},
    "matchLabelKeys": ["app"],
}
_REQUIRED = {"requiredDuringSchedulingIgnoredDuringExecution": [_TERM]}
FULL_SPEC: dict[str, Any] = {
    "affinity": {"podAffinity": _REQUIRED, "podAntiAffinity": _REQUIRED},
    "initContainers": [{"restartPolicy": "Always", "ports": [{"hostPort": 80}]}],
    "topologySpreadConstraints": [{**_TERM, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
    "resources": {"limits": {"cpu": "1"}},
    "overhead": {"cpu": "1m"},
}
REAL: list[Object] = [
    node("n1", "h100", {keys.RACK: "r1", keys.BLOCK: "b1"}),
    node("n2", "ascend", {keys.RACK: "r1", keys.BLOCK: "b1"}),
    topology("t", keys.BLOCK, keys.RACK, keys.HOSTNAME),
    flavor("h100", deviceClass="nvidia-h100-80gb", members=2, minMemory="80Gi", costPerHour=1),
    priority_class("high", 9),
    namespace("default", team="a"),
    pod("x", node="n1", gpus=1, spec=FULL_SPEC),
    pod(
        "a-0",
        "a",
        role="w",
        roles="w=2",
        gang_size="2",
        gang_min="1",
        role_min="1",
        flavors="h100",
        gang_topology_required="rack",
        topology_slices="block:2,rack:1",
        topology_group="g",
        group_topology_preferred="block",
        model_bytes="80G",
        spread="rack",
    ),
    pod("a-1", "a", flavor_spec='[{"name": "f", "resources": {"cpu": 1}}]'),
    pod("b-0", topology_required="rack", spec=FULL_SPEC),
]


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a JSON value."""
    found = [at] if at else []
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        found += _places(inner, (*at, key))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> Object:
    """A real object in which up to three values are replaced by any JSON or taken out."""
    obj: Object = copy.deepcopy(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in _places(obj) if place != ("kind",)] or [("metadata",)]
        obj.setdefault("metadata", {})
        *way, last = draw(st.sampled_from(places))
        inner: Any = obj
        for key in way:
            inner = inner[key]
        if draw(st.booleans()):
            inner[last] = draw(JSON)
        else:
            del inner[last]
    return obj


@given(obj=OBJECTS)
def test_any_object_can_be_read(obj: Object) -> None:
    """Nodes, pods, flavors and records of gangs: a value, whatever the JSON says."""
    read_pod(obj)
    read_node(obj, Hierarchies())
    read_flavor_object(obj)
    read_record(obj)
    Hierarchies.build([{}], [obj])


@settings(max_examples=300)
@given(obj=damaged())
def test_a_damaged_object_can_be_read(obj: Object) -> None:
    """One wrong field does not hide the others, and nothing raises."""
    read_pod(obj)
    read_node(obj, Hierarchies())
    read_flavor_object(obj)
    read_record(obj)


@settings(max_examples=150, deadline=None)
@given(objects=st.lists(st.tuples(st.sampled_from(KINDS), OBJECTS | damaged()), max_size=8))
def test_a_cluster_of_damaged_objects_has_a_snapshot(objects: list[tuple[str, Object]]) -> None:
    """Bad objects beside good ones: a snapshot that survives its JSON form, and the good gangs in it."""
    state = ClusterState()
    for kind, obj in objects:
        state.apply(kind, "ADDED", obj)
    for obj in [node("good", "h100", {keys.RACK: "r"}), pod("good-0", "good", namespace="apart")]:
        state.apply(obj["kind"], "ADDED", obj)
    snapshot = state.snapshot()
    again, _ = load(json.loads(json.dumps(dump(snapshot, Policy()))))
    assert again == snapshot
    good = state.gang("apart/good")
    assert good is not None and good.blocked is None


@given(
    key=st.sampled_from(sorted(own.REQUEST_ANNOTATIONS - {own.GANG})),
    value=st.text(max_size=30) | WORDS | st.integers().map(str),
)
def test_any_annotation_is_understood_or_told(key: str, value: str) -> None:
    """A request with any value is a gang that can be planned, or one sentence that names the field."""
    state = ClusterState()
    for obj in [*REAL[:4], pod("p-0", "p")]:
        obj = copy.deepcopy(obj)
        if obj["kind"] == "Pod":
            obj["metadata"]["annotations"][key] = value
        state.apply(obj["kind"], "ADDED", obj)
    gang = state.gang("default/p")
    assert gang is not None
    if gang.blocked is not None and gang.blocked.code is Code.INVALID_REQUEST:
        assert gang.blocked.message.startswith("Pod default/p-0: muster.dev/")


@given(document=st.text(max_size=60) | JSON.map(json.dumps))
def test_any_flavor_spec_is_read_or_refused(document: str) -> None:
    """YAML, JSON or neither: flavors, or a ``FlavorError``, and nothing else."""
    try:
        read = read_flavor_spec(document)
    except FlavorError:
        read = None
    assert read is None or len(read) > 0
