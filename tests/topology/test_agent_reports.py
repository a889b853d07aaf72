"""What a scanner's report adds to other sources, and how a Node object is compared with what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from extender.tools.inputs import understand
from tests.topology.source_fixtures import objects, seen
from topology.measured import problems
from topology.model import Accelerator, Node
from topology.resources import Resources

FOUND = "factory descriptions"


def report(name: str, **status: Any) -> dict[str, Any]:
    """A NodeTopology."""
    return {
        "apiVersion": "muster.dev/v1alpha1",
        "kind": "NodeTopology",
        "metadata": {"name": name},
        "status": status,
    }


def test_a_report_names_adapters_that_the_fabric_map_cannot() -> None:
    """One adapter of node-2-2 has the factory's description: its GUID, seen on the node, says whose it is."""
    fabric = objects("ibnetdiscover")
    without = seen(fabric)["problems"]
    assert any(FOUND in text for text in without) and any(
        "hangs on 1 of" in text for text in without
    )
    scan = report("node-2-2", nics=[{"device": "mlx5_1", "nodeGuid": "1000:0000:0000:0140"}])
    for given in ([*fabric, scan], [scan, *fabric]):
        now = seen(given)
        assert now["nodes"] == seen(fabric)["nodes"]
        assert not any(FOUND in text or "hangs on" in text for text in now["problems"])


def node(count: int, device_class: str = "nvidia-h100-80gb", vendor: str = "nvidia") -> Node:
    """A node that advertises cards."""
    cards = Accelerator(device_class=device_class, vendor=vendor, resource="r", count=count)
    return Node(name="n", allocatable=Resources({"r": count}), accelerator=cards)


H100 = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("told", "cards", "codes"),
    [
        (node(8), [("nvidia", H100, 8)], []),
        (node(7), [("nvidia", H100, 8)], ["CountDisagrees"]),
        (node(9), [("nvidia", H100, 8)], ["CountDisagrees"]),
        (node(16, "ascend-910c", "ascend"), [("ascend", "PCI 19e5:d803", 8)], []),
        (node(8), [("nvidia", "NVIDIA A100-SXM4-80GB", 8)], ["ProductDisagrees"]),
        (node(8), [("nvidia", "H100 SXM5 80GB", 8)], []),
        (node(8), [("nvidia", "NVIDIA of tomorrow", 8)], []),
        (node(8, "amd-mi300x", "amd"), [("amd", "AMD Instinct MI300X OAM", 8)], []),
        (node(8), [("amd", "MI300X", 8)], ["VendorDisagrees"]),
        (node(8, "r", "generic"), [("amd", "MI300X", 8)], []),
        (node(8, "biren-br106", "biren"), [("unknown", "PCI 1ee0:0001", 8)], []),
        (node(8), [], []),
        (Node(name="n", allocatable=Resources({"cpu": 1})), [("nvidia", H100, 8)], ["CountDisagrees"]),
        (Node(name="n"), [("nvidia", H100, 8)], []),
    ],
    ids=[
        "equal", "fewer", "more", "two chips a card", "another product", "name by PCI", "new product", "amd",
        "another vendor", "plugin without vendor", "vendor without PCI id", "no report", "no plugin", "bare",
    ],
)  # fmt: skip
def test_a_node_object_against_the_hardware(
    told: Node, cards: list[tuple[str, str, int]], codes: list[str]
) -> None:
    """Count, product and vendor; where one side says nothing there is nothing to disagree about."""
    assert [problem.field for problem in problems(told, cards)] == codes


@pytest.mark.parametrize(
    ("vendor", "model", "device_class"),
    [
        ("nvidia", H100, "nvidia-h100-80gb"),
        ("amd", "AMD Instinct MI300X OAM", "amd-mi300x"),
        ("kunlunxin", "Kunlun", None),
        ("unknown", "PCI 1ee0:0001", None),
    ],
)
def test_a_report_alone_is_a_fleet(vendor: str, model: str, device_class: str | None) -> None:
    """Without a Node object, as `muster topology -f` may get it: the cards that the plugin would show."""
    scan = report("n1", accelerators=[{"vendor": vendor, "model": model}] * 8)
    (state,) = understand([scan]).snapshot.nodes
    cards = state.node.accelerator
    if vendor == "unknown":
        assert cards is None
    else:
        assert cards is not None and (cards.vendor, cards.count) == (vendor, 8)
        assert device_class in (cards.device_class, None)
    assert state.node.problems == ()
