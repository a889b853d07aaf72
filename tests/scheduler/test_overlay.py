"""Overlays: every field, and one sentence for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.flavors import FlavorError, read_flavor
from scheduler.overlay import FIELDS, Overlay, read_overlay
from topology.keys import ASCEND_910, NVIDIA_GPU
from topology.resources import Resources

FULL: dict[str, Any] = {
    "container": "engine",
    "image": "vllm-ascend:1",
    "command": ["python3", "-m", "server"],
    "args": ["--tensor-parallel-size=8", "--enforce-eager"],
    "removeArgs": ["--kv-cache-dtype="],
    "env": [
        {"name": "VLLM_PLUGINS", "value": "ascend"},
        {"name": "EMPTY"},
        {"name": "CARDS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ],
    "runtimeClassName": "ascend",
    "tolerations": [{"key": "npu", "operator": "Exists", "effect": "NoSchedule"}],
    "annotations": {"example.com/policy": "x"},
    "labels": {"ring": "a2"},
    "resources": {ASCEND_910: 8},
}


def test_every_field_is_read() -> None:
    """A variable without a value is empty text, as in a pod."""
    assert set(FULL) == set(FIELDS)
    found = read_overlay(FULL)
    assert found == Overlay(
        container="engine",
        image="vllm-ascend:1",
        command=("python3", "-m", "server"),
        args=("--tensor-parallel-size=8", "--enforce-eager"),
        remove_args=("--kv-cache-dtype=",),
        env=(FULL["env"][0], {"name": "EMPTY", "value": ""}, FULL["env"][2]),
        runtime_class="ascend",
        tolerations=(FULL["tolerations"][0],),
        annotations={"example.com/policy": "x"},
        labels={"ring": "a2"},
    )
    assert not found.empty


@pytest.mark.parametrize("spec", [None, {}, {"container": "c"}, {"args": [], "env": []}])
def test_an_overlay_that_changes_nothing_is_empty(spec: dict[str, Any] | None) -> None:
    """To name a container is no change by itself."""
    assert read_overlay(spec).empty


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"img": "x"}, ".img: unknown field; known: container, image"),
    ({"image": ""}, ".image: '' is not a text"),
    ({"container": 1}, ".container: 1 is not a text"),
    ({"args": {"--tp": "8"}}, ".args: {'--tp': '8'} is not a list of texts"),
    ({"args": [8]}, ".args[0]: 8 is not text; put it in quotes"),
    ({"args": ["tp=8"]}, ".args[0]: 'tp=8' is not a flag; expected --name=value or --name"),
    ({"args": ["--tp 8"]}, ".args[0]: '--tp 8' is not a flag"),
    ({"args": ["--t-p=8", "--t_p=4"]}, ".args[1]: --t-p is in the list already"),
    ({"removeArgs": ["--"]}, ".removeArgs[0]: '--' is not a flag; expected --name or --name="),
    (
        {"removeArgs": ["--a=b"]},
        ".removeArgs[0]: '--a=b' is not a flag; expected --name or --name=",
    ),
    ({"env": {"A": "b"}}, ".env: {'A': 'b'} is not a list of name and value"),
    ({"env": ["A=b"]}, ".env[0]: 'A=b' is not a mapping of name and value"),
    ({"env": [{"value": "b"}]}, ".env[0].name: None is not a variable's name"),
    ({"env": [{"name": "A", "value": 1}]}, ".env[0].value: 1 is not text; put it in quotes"),
    ({"env": [{"name": "A", "values": "b"}]}, ".env[0].values: unknown field"),
    ({"env": [{"name": "A"}, {"name": "A"}]}, ".env[1].name: A is in the list already"),
    (
        {"env": [{"name": "A", "value": "b", "valueFrom": {}}]},
        ".env[0].valueFrom: expected a mapping, and no value beside it",
    ),
    ({"tolerations": [{"key": "a", "op": "x"}]}, ".tolerations[0].op: unknown field"),
    (
        {"tolerations": [{"key": "a", "operator": "Has"}]},
        ".tolerations[0].operator: expected Equal or Exists",
    ),
    (
        {"tolerations": [{"key": "a", "effect": "Never"}]},
        ".tolerations[0].effect: expected one of NoSchedule, PreferNoSchedule, NoExecute",
    ),
    (
        {"tolerations": [{"value": "a"}]},
        ".tolerations[0].key: is missing; without a key the operator is Exists",
    ),
    (
        {"tolerations": [{"key": "a", "tolerationSeconds": "1"}]},
        ".tolerations[0].tolerationSeconds: '1' is not int",
    ),
    ({"labels": {"a": True}}, ".labels.a: True is not text; put it in quotes"),
    (
        {"annotations": {"muster.dev/gang": "x"}},
        ".annotations.muster.dev/gang: keys of muster.dev are written by Muster itself",
    ),
]


@pytest.mark.parametrize(("overlay", "message"), WRONG)
def test_a_wrong_overlay_names_its_field(overlay: dict[str, Any], message: str) -> None:
    """The path, the value and what would be right."""
    with pytest.raises(FlavorError) as caught:
        read_flavor("f", {"overlay": overlay}, "spec")
    assert str(caught.value).startswith(f"spec.overlay{message}")


def test_resources_of_the_overlay_are_resources_of_the_flavor() -> None:
    """Two places, one list; an amount that is said twice must be the same."""
    both = {"resources": {NVIDIA_GPU: 8}, "overlay": {"resources": {"cpu": "16", NVIDIA_GPU: "8"}}}
    assert read_flavor("f", both, "spec").resources == Resources({NVIDIA_GPU: 8, "cpu": 16_000})
    lone = {"overlay": {"resources": {ASCEND_910: 8}}}
    assert read_flavor("f", lone, "spec").resources == Resources({ASCEND_910: 8})
    wrong = {"resources": {NVIDIA_GPU: 8}, "overlay": {"resources": {NVIDIA_GPU: 4}}}
    with pytest.raises(FlavorError) as caught:
        read_flavor("f", wrong, "spec")
    assert str(caught.value) == (
        "spec.overlay.resources.nvidia.com/gpu: 4, but 8 in spec.resources; say it once"
    )
