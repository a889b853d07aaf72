"""Every vendor of the catalogue shows the cards of the nodes in its fixture folder.

A fixture is a node's labels and allocatable amounts and what is expected: ``class``, ``count``,
``memoryGiB``, ``scaleUp``, ``vendor``, ``problem`` and ``quarantined``; what is left out is absent.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from topology.model import Node
from topology.nodes import read_node
from topology.sources import Hierarchies
from topology.vendors import VENDORS

FIXTURES = Path(__file__).parents[1] / "fixtures" / "vendors"
FILES = sorted(FIXTURES.glob("*/*.yaml"))
CASES: dict[str, dict[str, Any]] = {
    f"{path.parent.name}/{path.stem}": yaml.safe_load(path.read_text()) for path in FILES
}


def read(labels: Any, allocatable: Any) -> Node:
    """The node with these labels and amounts."""
    metadata = {"name": "n1", "labels": labels}
    return read_node({"metadata": metadata, "status": {"allocatable": allocatable}}, Hierarchies())


def seen(node: Node) -> dict[str, Any]:
    """What a fixture expects, as far as it is there."""
    cards = node.accelerator
    memory = cards and cards.memory_bytes
    shown = {
        "class": cards and cards.device_class,
        "vendor": cards and cards.vendor,
        "count": cards.count if cards else 0,
        "memoryGiB": memory and memory / 2**30,
        "scaleUp": node.scale_up,
        "problem": "; ".join(problem.message for problem in node.problems),
        "quarantined": node.quarantined,
    }
    return {key: value for key, value in shown.items() if value}


@pytest.mark.parametrize("case", CASES)
def test_the_cards_of_a_node(case: str) -> None:
    """Class, number, nominal memory and scale-up domain, or why there are none."""
    fixture = CASES[case]
    node = read(fixture["labels"], fixture["allocatable"])
    expected = {key: value for key, value in fixture["expect"].items() if value}
    if "class" in expected:
        expected.setdefault("vendor", case.partition("/")[0])
    assert seen(node) == expected
    assert all(problem.subject == "Node n1" for problem in node.problems)


@pytest.mark.parametrize("vendor", [*(vendor.name for vendor in VENDORS), "generic"])
def test_every_vendor_has_fixtures(vendor: str) -> None:
    """A vendor is one file, one line and one folder of fixtures."""
    assert any(case.startswith(f"{vendor}/") for case in CASES)


def test_a_resource_name_belongs_to_one_vendor() -> None:
    """An alias of two vendors would make every node that has it ambiguous."""
    names = [name for vendor in VENDORS for name in vendor.resources]
    assert len(names) == len(set(names))


@given(case=st.sampled_from(sorted(CASES)), order=st.randoms(use_true_random=False))
def test_the_order_of_labels_and_resources_does_not_matter(case: str, order: random.Random) -> None:
    """JSON objects have no order."""
    fixture = CASES[case]
    labels, amounts = list(fixture["labels"].items()), list(fixture["allocatable"].items())
    shuffled = read(
        dict(order.sample(labels, len(labels))), dict(order.sample(amounts, len(amounts)))
    )
    assert shuffled == read(fixture["labels"], fixture["allocatable"])


LABELS = sorted({key for case in CASES.values() for key in case["labels"]})
VALUES = sorted({value for case in CASES.values() for value in case["labels"].values()})
AMOUNTS = sorted({key for case in CASES.values() for key in case["allocatable"]})
ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(VALUES)


@given(
    labels=st.dictionaries(st.sampled_from(LABELS), ANY),
    amounts=st.dictionaries(st.sampled_from(AMOUNTS), ANY | st.sampled_from(["1", "8", "16Ei"])),
)
def test_mangled_labels_never_raise(labels: dict[str, Any], amounts: dict[str, Any]) -> None:
    """Whatever a node carries, it is read; cards come only from a plain number of them."""
    node = read(labels, amounts)
    if node.accelerator is not None:
        assert node.accelerator.count == node.allocatable[node.accelerator.resource] > 0
        assert not node.quarantined
    assert node.problems or not node.quarantined
