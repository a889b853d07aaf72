"""Devices of dynamic resource allocation as numbers of cards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology import dra
from topology.dra import DeviceClass, counts, labels, matches, read_class, read_slice, read_template
from topology.keys import DEVICE_CLASS_RESOURCE, DRA_NVIDIA, NVIDIA_MEMORY_MIB, NVIDIA_PRODUCT

Object = dict[str, Any]


def device(name: str, kind: str = "gpu", **more: Any) -> Object:
    """A device as NVIDIA's driver publishes it."""
    attributes = {"type": {"string": kind}, "productName": {"string": "NVIDIA H100 80GB HBM3"}}
    capacity = {"memory": {"value": "81559Mi"}}
    return {"name": name, "attributes": attributes, "capacity": capacity, **more}


def slice_(*devices: Object, node: str = "n1", generation: int = 1, of: int = 1) -> Object:
    """A ResourceSlice."""
    pool = {"name": node, "generation": generation, "resourceSliceCount": of}
    spec = {"driver": DRA_NVIDIA, "nodeName": node, "pool": pool, "devices": list(devices)}
    return {"metadata": {"name": "s"}, "spec": spec}


def class_(*expressions: str, name: str = "gpu", resource: str = "", created: str = "") -> Object:
    """A DeviceClass."""
    selectors = [{"cel": {"expression": text}} for text in expressions]
    spec = {"selectors": selectors, **({"extendedResourceName": resource} if resource else {})}
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec}


def read(*slices: Object) -> list[dra.Device]:
    """The devices of a node."""
    return dra.whole_pools([found for each in slices if (found := read_slice(each))])


TYPE = f"device.attributes['{DRA_NVIDIA}'].type"


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        (f"device.driver == '{DRA_NVIDIA}'", 3),
        (f'device.driver == "{DRA_NVIDIA}" && {TYPE} == "gpu"', 2),
        (f"{TYPE} == 'mig'", 1),
        (f"{TYPE} == true", 0),  # a value of another type is another value
        ("device.driver == 'other'", 0),
        (f"{TYPE} == 'gpu' || {TYPE} == 'mig'", 0),  # not read, so nothing is promised
        (f"{TYPE}.matches('g.*')", 0),
        ("", 0),
    ],
)
def test_classes_are_read_as_comparisons(expression: str, count: int) -> None:
    """What can be read is exact; of what cannot, no device is promised."""
    devices = read(slice_(device("a"), device("b"), device("c", "mig")))
    found = read_class(class_(expression))
    assert sum(matches(found, each) for each in devices) == count
    assert (found.tests is None) == (
        expression == "" or "||" in expression or "matches" in expression
    )


@pytest.mark.parametrize(
    ("slices", "count"),
    [
        ([slice_(device("a"), device("b"))], 2),
        ([slice_(device("a"), of=2)], 0),  # the other part of the pool is not there yet
        ([slice_(device("a"), of=2), slice_(device("b"), of=2)], 2),
        ([slice_(device("a"), device("b")), slice_(device("a"), generation=2)], 1),  # the newest
        ([slice_(device("a"), device("b", allowMultipleAllocations=True))], 1),
        ([slice_(device("a", consumesCounters=[{"counterSet": "c"}]))], 0),
        ([slice_(device("a", taints=[{"key": "k", "effect": "NoSchedule"}]))], 0),
        ([slice_(device("a", taints=[{"key": "k", "effect": "None"}]))], 1),
        ([{"spec": {"driver": "d", "allNodes": True, "devices": [device("a")]}}], 0),
    ],
)
def test_only_what_a_claim_gets_in_any_case_counts(slices: list[Object], count: int) -> None:
    """Whole pools of one node, and devices that nobody shares."""
    found = counts(read(*slices), [read_class(class_(resource="nvidia.com/gpu"))])  # any device
    assert found == ({"nvidia.com/gpu": count} if count else {})


def test_names_of_classes() -> None:
    """Without an extended resource it is the class's own; the newest of two with one name wins."""
    devices = read(slice_(device("a"), device("b"), device("c", "mig")))
    old = class_(name="a", resource="x.io/y", created="2026-01-01T00:00:00Z")
    new = class_(f"{TYPE} == 'mig'", name="b", resource="x.io/y", created="2026-02-01T00:00:00Z")
    for both in ((old, new), (new, old)):
        assert counts(devices, map(read_class, both)) == {"x.io/y": 1}
    assert counts(devices, [read_class(class_())]) == {f"{DEVICE_CLASS_RESOURCE}gpu": 3}


def test_products_as_feature_discovery_names_them() -> None:
    """The catalogue then knows the class; partitions and devices of other drivers say nothing."""
    alike = read(slice_(device("a"), device("b"), device("m", "mig")))
    assert labels(alike) == {NVIDIA_PRODUCT: "NVIDIA-H100-80GB-HBM3", NVIDIA_MEMORY_MIB: "81559"}
    other = device("b", capacity={"memory": {"value": "40Gi"}})
    assert labels(read(slice_(device("a"), other))) == {}
    assert labels([]) == {}


def template(request: Object, **more: Any) -> Object:
    """A ResourceClaimTemplate with one request."""
    return {"spec": {"spec": {"devices": {"requests": [request], **more}}}}


@pytest.mark.parametrize(
    ("exactly", "found"),
    [
        ({"count": 8}, ("gpu", 8)),
        ({}, ("gpu", 1)),
        ({"deviceClassName": ""}, "names no DeviceClass"),
        ({"allocationMode": "All"}, "has allocationMode All"),
        ({"count": 0}, "has count 0"),
        ({"adminAccess": True}, "has adminAccess"),
        ({"selectors": [{}]}, "has selectors of its own"),
        ({"capacity": {"requests": {}}}, "asks for a part of a device"),
    ],
)
def test_claims_that_are_numbers(exactly: Object, found: object) -> None:
    """One request for a number of devices of one class, or why it is more than that."""
    assert read_template(template({"exactly": {"deviceClassName": "gpu", **exactly}})) == found


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (template({"firstAvailable": []}), "has alternatives (firstAvailable)"),
        (
            template({"exactly": {"deviceClassName": "g"}}, constraints=[{}]),
            "has constraints between devices",
        ),
        ({"spec": {"spec": {"devices": {"requests": [{}, {}]}}}}, "has 2 requests"),
        ({}, "has 0 requests"),
    ],
)
def test_claims_of_another_form(obj: Object, found: str) -> None:
    """Alternatives, relations between devices, several requests or none."""
    assert read_template(obj) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["spec", "devices", "requests", "exactly", "pool", "driver", "nodeName", "attributes",
             "capacity", "memory", "value", "taints", "selectors", "cel", "expression", "generation"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON, JSON)
def test_anything_is_read(one: Any, other: Any) -> None:
    """Total."""
    damaged = {"metadata": {"name": "x"}, "spec": one}
    found = read_slice(slice_(other if isinstance(other, dict) else {})), read_slice(damaged)
    devices = dra.whole_pools([each for each in found if each])
    assert isinstance(read_class(damaged), DeviceClass)
    assert isinstance(counts(devices, [read_class(damaged)]), dict)
    assert isinstance(labels(devices), dict)
    assert isinstance(read_template(damaged), (tuple, str))
