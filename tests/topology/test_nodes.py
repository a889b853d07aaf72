"""``v1.Node`` as the planner sees it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.objects import node
from topology import keys
from topology.model import Taint
from topology.nodes import read_node
from topology.resources import Resources
from topology.sources import Hierarchies

FLAT = Hierarchies()


def test_a_usual_node() -> None:
    """Name, labels, allocatable in kube-scheduler's units, cards, the path of its levels."""
    labels = {keys.RACK: "r1", keys.ZONE: "z"}
    read = read_node(node("n1", "h100", labels, cpu="500m"), Hierarchies.build([labels]))
    assert read.name == "n1"
    assert read.allocatable[keys.NVIDIA_GPU] == 8
    assert read.allocatable["cpu"] == 500
    assert read.allocatable["memory"] == 512 * 2**30
    assert [(step.level, step.key, step.value) for step in read.path] == [
        ("zone", keys.ZONE, "z"),
        ("rack", keys.RACK, "r1"),
    ]
    assert read.ready and not read.unschedulable and not read.quarantined
    assert read.problems == ()


CONDITIONS: list[tuple[Any, bool]] = [
    ([{"type": "Ready", "status": "True"}], True),
    ([{"type": "Ready", "status": "False"}], False),
    ([{"type": "Ready", "status": "Unknown"}], False),
    ([{"type": "DiskPressure", "status": "False"}], False),
    ([], True),
    (None, True),
]


@pytest.mark.parametrize(("conditions", "ready"), CONDITIONS)
def test_ready(conditions: Any, ready: bool) -> None:
    """Ready must be True, even without the taint; a manifest by hand has no conditions and counts."""
    obj = node("n")
    obj["status"]["conditions"] = conditions
    assert read_node(obj, FLAT).ready is ready


def test_a_cordoned_node() -> None:
    """By its field or by the taint that the node controller adds."""
    field, taint = node("n"), node("n")
    field["spec"] = {"unschedulable": True}
    taint["spec"] = {"taints": [{"key": keys.TAINT_UNSCHEDULABLE, "effect": "NoSchedule"}]}
    assert read_node(field, FLAT).unschedulable
    assert read_node(taint, FLAT).unschedulable


def test_taints() -> None:
    """Key, value and effect, in their order."""
    obj = node("n")
    obj["spec"] = {
        "taints": [
            {"key": "a", "value": "b", "effect": "NoExecute"},
            {"key": "c", "effect": "NoSchedule"},
        ]
    }
    assert read_node(obj, FLAT).taints == (
        Taint(key="a", value="b", effect="NoExecute"),
        Taint(key="c", value="", effect="NoSchedule"),
    )


def test_capacity_where_allocatable_is_missing() -> None:
    """A manifest by hand may give only one of both."""
    read = read_node({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "2"}}}, FLAT)
    assert read.allocatable == Resources({"cpu": 2000})


def test_the_hostname_label_is_always_there() -> None:
    """A selector by host name works for manifests that leave the label out."""
    read = read_node({"metadata": {"name": "n7"}}, FLAT)
    assert read.labels == {keys.HOSTNAME: "n7"}


@pytest.mark.parametrize("wrong", ["eight", "-1", None, True, [], "8 cards"])
def test_an_unreadable_quantity_counts_as_nothing(wrong: Any) -> None:
    """The Problem names object and field; the node is used as far as it is right."""
    obj = node("n", "a100")
    obj["status"]["allocatable"]["cpu"] = wrong
    read = read_node(obj, FLAT)
    (problem,) = read.problems
    assert (problem.subject, problem.field) == ("Node n", "status.allocatable.cpu")
    assert read.allocatable["cpu"] == 0
    assert read.allocatable[keys.NVIDIA_GPU] == 8
