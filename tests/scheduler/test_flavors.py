"""``Flavor`` objects and inline lists: the same fields, every mistake with its field."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.flavors import (
    MAX_SPEC,
    FlavorError,
    FlavorObject,
    merged,
    read_flavor_object,
    read_flavor_spec,
    select,
)
from topology.keys import NVIDIA_GPU
from topology.model import Flavor
from topology.resources import Resources

FULL: dict[str, Any] = {
    "resources": {NVIDIA_GPU: 8, "memory": "100Gi"},
    "nodeSelector": {"disk": "ssd"},
    "deviceClass": "nvidia-h100-80gb",
    "minMemory": "80Gi",
    "members": 2,
    "overlay": {"image": "x", "env": [{"name": "A", "value": "b"}]},
    "costPerHour": "12.50",
    "performance": {"tokensPerSecond": 1200.5},
}
READ = Flavor(
    name="h100",
    resources=Resources({NVIDIA_GPU: 8, "memory": 100 * 2**30}),
    node_selector={"disk": "ssd"},
    device_class="nvidia-h100-80gb",
    min_memory_bytes=80 * 2**30,
    members=2,
    overlay={"image": "x", "env": [{"name": "A", "value": "b"}]},
    cost_per_hour="12.50",
    performance={"tokensPerSecond": 1200.5},
)


def test_an_object_with_every_field() -> None:
    """Quantities become integers; the rest is taken as it is."""
    assert read_flavor_object({"metadata": {"name": "h100"}, "spec": FULL}).flavor == READ


def test_an_empty_spec_is_any_node() -> None:
    """Every field is optional."""
    found = read_flavor_object({"metadata": {"name": "any"}, "spec": {}})
    assert found == FlavorObject(flavor=Flavor(name="any"))


def test_json_and_yaml_lists() -> None:
    """The annotation takes either."""
    yaml = "- name: a\n  members: 2\n- {name: b, resources: {nvidia.com/gpu: 8}}\n"
    json = '[{"name": "a", "members": 2},\t{"name": "b", "resources": {"nvidia.com/gpu": 8}}]'
    assert read_flavor_spec(yaml) == read_flavor_spec(json)
    assert read_flavor_spec(yaml)[1].resources == Resources({NVIDIA_GPU: 8})


WRONG_FIELDS: list[tuple[dict[str, Any], str]] = [
    (
        {"resources": {NVIDIA_GPU: "eight"}},
        f"spec.resources.{NVIDIA_GPU}: 'eight' is not a quantity",
    ),
    ({"resources": {"cpu": -1}}, "spec.resources.cpu: -1 is negative"),
    ({"resources": 8}, "spec.resources: 8 is not a mapping"),
    ({"nodeSelector": {"a": True}}, "spec.nodeSelector.a: True is not text; put it in quotes"),
    ({"nodeSelector": ["a"]}, "spec.nodeSelector: ['a'] is not a mapping"),
    ({"deviceClass": 7}, "spec.deviceClass: 7 is not text"),
    ({"minMemory": "80GB"}, "spec.minMemory: '80GB' is not a quantity"),
    ({"members": 0}, "spec.members: 0 is not a number of pods from 1 up"),
    ({"members": "2"}, "spec.members: '2' is not a number of pods"),
    ({"members": True}, "spec.members: True is not a number of pods"),
    ({"overlay": "x"}, "spec.overlay: 'x' is not a mapping"),
    ({"costPerHour": "cheap"}, "spec.costPerHour: 'cheap' is not an amount"),
    ({"member": 2}, "spec.member: unknown field; known: "),
]


@pytest.mark.parametrize(("spec", "message"), WRONG_FIELDS)
def test_a_wrong_field(spec: dict[str, Any], message: str) -> None:
    """Field, what was wrong, what would be right."""
    found = read_flavor_object({"metadata": {"name": "f"}, "spec": spec})
    assert found.flavor is None
    assert f"{found.field}: {found.error}".startswith(message)


def test_an_object_without_spec() -> None:
    """As the CRD demands."""
    found = read_flavor_object({"metadata": {"name": "f"}})
    assert (found.flavor, found.field) == (None, "spec")


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
WRONG_LISTS = [
    ("", "expected a list of flavors"),
    ("[]", "expected a list of flavors"),
    ("name: a", "expected a list of flavors"),
    ("- a", "[0]: expected a mapping with a name, not 'a'"),
    ("- {members: 2}", "[0].name: None is not a flavor name"),
    ("- {name: 7}", "[0].name: 7 is not a flavor name"),
    ("- {name: a}\n- {name: a}", "[1].name: a is in the list already"),
    ("- {name: a, members: x}", "[0].members: 'x' is not a number of pods"),
    ("- {name: a\n- {", "neither JSON nor YAML at line 2"),
    (BOMB, "YAML aliases are not read"),
    ("- !!python/object:os.system {}", "neither JSON nor YAML"),
    ("[" * 30_000, "more than 20 levels deep"),
    ("[" * 500 + "]" * 500, "[0]: expected a mapping with a name, not [[[[["),
    ('[{"name": "a", "overlay": {"a": ' + "[" * 30 + "]" * 30 + "}}]", "[0].overlay: more than 20"),
    ("[" * 30 + "a" + "]" * 30, "more than 20 levels deep"),
    ("- {name: a, members: " + "9" * 5000 + "}", "neither JSON nor YAML"),
    ("- {name: a, performance: {date: 2026-01-01}}", "[0].performance: "),
    ("x" * (MAX_SPEC + 1), f"{MAX_SPEC + 1} characters; at most {MAX_SPEC} are read"),
]


@pytest.mark.parametrize(("document", "message"), WRONG_LISTS)
def test_a_wrong_list(document: str, message: str) -> None:
    """The place in the list, what was wrong; nothing that is small to write and large to read."""
    with pytest.raises(FlavorError) as error:
        read_flavor_spec(document)
    assert str(error.value).startswith(message)


def test_names_are_looked_up_inline_first() -> None:
    """Then among Flavor objects; without names the order of the list counts."""
    inline = (Flavor(name="a", members=1), Flavor(name="b"))
    objects = {"a": FlavorObject(flavor=Flavor(name="a", members=9))}
    objects["c"] = FlavorObject(flavor=Flavor(name="c"))
    assert select(["c", "a"], inline, objects) == (Flavor(name="c"), inline[0])
    assert select([], inline, objects) == inline
    with pytest.raises(FlavorError, match="flavor 'x' does not exist; known: a, b, c"):
        select(["x"], inline, objects)


def test_a_model_and_a_flavor_object_of_one_name_are_one_flavor() -> None:
    """The model's resources and selector win; what it lacks comes from the object."""
    model = Flavor(
        name="h100",
        resources=Resources({NVIDIA_GPU: 1}),
        node_selector={"pool": "a", "disk": "hdd"},
    )
    found = merged(model, READ)
    assert found.resources == Resources({NVIDIA_GPU: 1})
    assert found.node_selector == {"disk": "hdd", "pool": "a"}
    assert (found.device_class, found.members, found.overlay) == (
        "nvidia-h100-80gb",
        2,
        READ.overlay,
    )
    assert merged(model, None) == model
    assert merged(Flavor(name="h100"), READ) == READ
