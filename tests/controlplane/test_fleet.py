"""Fleet files become Node objects; bad ones are refused with the pool and the field."""

from __future__ import annotations

import tomllib
from collections import Counter

import pytest

from simulations.fleet import DEVICES, default_fleet, parse_fleet
from topology import keys


def test_default_fleet_is_what_the_demo_promises() -> None:
    """At least 32 nodes, three NVIDIA types and one Ascend type, several racks and blocks."""
    nodes = default_fleet().nodes()
    labels = [node["metadata"]["labels"] for node in nodes]
    assert len(nodes) >= 32
    assert (
        len({found[keys.NVIDIA_PRODUCT] for found in labels if keys.NVIDIA_PRODUCT in found}) == 3
    )
    assert {found[keys.ASCEND_CHIP] for found in labels if keys.ASCEND_CHIP in found} == {"910B3"}
    assert max(Counter(found[keys.RACK] for found in labels).values()) == 4
    assert len({node["metadata"]["name"] for node in nodes}) == len(nodes)


def test_racks_lie_inside_blocks() -> None:
    """Every rack has one block and every block one zone."""
    labels = [node["metadata"]["labels"] for node in default_fleet().nodes()]
    for inner, outer in ((keys.RACK, keys.BLOCK), (keys.BLOCK, keys.ZONE)):
        parents = {(found[inner], found[outer]) for found in labels}
        assert len(parents) == len({child for child, _ in parents})


def test_a_pool_overrides_its_device() -> None:
    """Resources and labels of the pool win over those of the device; taints are passed on."""
    fleet = parse_fleet(
        tomllib.loads(
            """
            [[pools]]
            prefix = "small"
            count = 3
            device = "a100"
            nodes_per_rack = 2
            resources = {cpu = "16", "nvidia.com/gpu" = "4"}
            labels = {team = "x"}
            taints = [{key = "gpu", effect = "NoSchedule"}]
            """
        )
    )
    first, _, third = fleet.nodes()
    expected = {**DEVICES["a100"].resources, "cpu": "16", keys.NVIDIA_GPU: "4", "pods": "110"}
    assert first["status"]["allocatable"] == expected
    assert first["metadata"]["labels"]["team"] == "x"
    assert first["spec"]["taints"] == [{"key": "gpu", "effect": "NoSchedule"}]
    assert third["metadata"]["labels"][keys.RACK] == "small-rack-1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "fleet: pools is missing"),
        ("[[pools]]\ncount = 1", "pool 'number 0': prefix is missing"),
        ("[[pools]]\nprefix = 'a'", "pool 'a': count is missing"),
        ("[[pools]]\nprefix = 'a'\ncount = 0", "pool 'a': count is 0, must be 1 or more"),
        ("[[pools]]\nprefix = 'a'\ncount = 1\nrack = 2", "pool 'a': rack is not one of"),
        ("[[pools]]\nprefix = 'a'\ncount = 1\ndevice = 'b200'", "device 'b200' is not one of"),
        ("[[pools]]\nprefix = 'a'\ncount = 1\ntaints = [{key = 'x'}]", "needs a key and one of"),
        ("[[pools]]\nprefix = 'a'\ncount = 1\n" * 2, "pool 'a': prefix is used twice"),
    ],
)
def test_bad_fleet_is_refused_with_pool_and_field(text: str, message: str) -> None:
    """One clear message that says which pool, which field and what would be right."""
    with pytest.raises(ValueError, match=message):
        parse_fleet(tomllib.loads(text))
