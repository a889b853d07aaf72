"""Every vendor of the catalogue shows the cards of the nodes in its fixture folder.

The conformance suite of vendors: a new folder takes part by itself. A fixture is a node's labels, annotations
and allocatable amounts and what is expected: ``class``, ``count``, ``memoryGiB``, ``scaleUp``, ``vendor``,
``problem`` and ``quarantined``; what is left out is absent.
"""

from __future__ import annotations

import json
import random
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from topology import keys
from topology.keys import NVIDIA_GPU
from topology.model import Node
from topology.nodes import read_node
from topology.resources import Resources
from topology.sources import Hierarchies
from topology.vendors import VENDORS, vendor_of
from topology.vendors.catalogue import BESIDE, Vendor
from topology.vendors.generic import NAME as GENERIC
from topology.vendors.reading import Seen, reveal

FIXTURES = Path(__file__).parents[1] / "fixtures" / "vendors"
FILES = sorted(FIXTURES.glob("*/*.yaml"))
CASES: dict[str, dict[str, Any]] = {
    f"{path.parent.name}/{path.stem}": yaml.safe_load(path.read_text()) for path in FILES
}


def read(labels: Any, allocatable: Any, annotations: Any = None) -> Node:
    """The node with these labels, amounts and annotations."""
    metadata = {"name": "n1", "labels": labels, "annotations": annotations or {}}
    return read_node({"metadata": metadata, "status": {"allocatable": allocatable}}, Hierarchies())


def of(fixture: dict[str, Any]) -> Node:
    """The node of a fixture."""
    return read(fixture["labels"], fixture["allocatable"], fixture.get("annotations"))


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
    node = of(fixture)
    expected = {key: value for key, value in fixture["expect"].items() if value}
    if "class" in expected:
        expected.setdefault("vendor", case.partition("/")[0])
    assert seen(node) == expected
    assert all(problem.subject == "Node n1" for problem in node.problems)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_the_fixtures_show_the_whole_entry(vendor: Vendor) -> None:
    """Every name, register and sign of sharing in an entry is on some node, and so is an unknown product."""
    own = {case: fixture for case, fixture in CASES.items() if case.startswith(f"{vendor.name}/")}
    expected = [fixture["expect"] for fixture in own.values()]
    problems = " ".join(want.get("problem", "") for want in expected)
    counted = {
        name
        for fixture in own.values()
        if fixture["expect"].get("count")
        for name, units in fixture["allocatable"].items()
        if str(units) != "0"
    }
    annotated = {key for fixture in own.values() for key in fixture.get("annotations", {})}
    assert set(vendor.resources) <= counted, "whole cards under every name"
    for sign in vendor.sharing:
        shown = f": {sign.means}" if sign.by == BESIDE else f"{sign.by}="
        assert shown in problems and sign.means in problems
    assert not vendor.registers or annotated & set(vendor.registers)
    assert not vendor.counts or any(key in problems for key in vendor.counts)
    unknown = CASES[f"{vendor.name}/unknown-product"]["expect"]
    assert unknown["class"] not in vendor.classes or vendor.classes[unknown["class"]] is None


def test_names_belong_to_one_vendor() -> None:
    """An alias or a class of two vendors would make every node that has it ambiguous."""
    names = [name for vendor in VENDORS for name in (*vendor.resources, *vendor.classes)]
    assert len(names) == len(set(names))
    assert vendor_of("ascend") in VENDORS
    assert vendor_of(GENERIC) is None


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_an_entry_is_consistent(vendor: Vendor) -> None:
    """Globs lead to classes of the entry, slots are among its names, engines are for some class."""
    reached = {name for classes in vendor.products.values() for name in classes.values()}
    assert reached <= set(vendor.classes)
    assert all(name == vendor.name or name.startswith(f"{vendor.name}-") for name in vendor.classes)
    assert set(vendor.slots) <= set(vendor.resources)
    assert not vendor.slots or vendor.registers or vendor.counts
    for glob, engine in vendor.engines.items():
        assert glob == "*" or any(fnmatchcase(name, glob) for name in vendor.classes)
        assert engine.source
    if vendor.handoff is not None:
        assert all("{i" in device for device in vendor.handoff.devices.values())


@pytest.mark.parametrize(
    ("device_class", "key"),
    [
        ("nvidia-h100-80gb", "cuda"),
        ("ascend-910b-32gb", "ascend-a2"),
        ("ascend-910c", "ascend-a3"),
        ("ascend-950pr", "ascend-950"),
        ("ascend-910a", None),
        ("gaudi-1", None),
        ("kunlunxin-p800", "kunlunxin"),
    ],
)
def test_the_engine_of_a_class(device_class: str, key: str | None) -> None:
    """Generations of one vendor need different images; vLLM runs on none of 910A and Gaudi 1."""
    vendor = vendor_of(device_class.partition("-")[0])
    assert vendor is not None
    engine = vendor.engine(device_class)
    assert (engine and engine.image_key) == key


def test_cards_that_are_installed_are_counted_without_slots() -> None:
    """Under HAMi a node's capacity counts slots; rules for whole nodes need its cards, ill ones included."""
    fixture = CASES["nvidia/hami"]
    status = {"allocatable": {NVIDIA_GPU: "80"}, "capacity": {NVIDIA_GPU: "80"}}
    node = {"metadata": {"name": "n1", "annotations": fixture["annotations"]}, "status": status}
    accelerator = read_node(node, Hierarchies()).accelerator
    assert accelerator is not None
    assert (accelerator.count, accelerator.size) == (7, 8)


def test_the_example_in_contributing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows it step by step gets a vendor whose node is read as the example says."""
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    section = guide.split("### A vendor, step by step")[1].split("\n## ")[0]
    names, entry, node = re.findall(r"```(?:python|yaml)\n(.*?)```", section, re.DOTALL)
    for line in names.splitlines()[1:]:
        name, _, value = line.partition(" = ")
        monkeypatch.setattr(keys, name, json.loads(value), raising=False)
    made: dict[str, Any] = {}
    exec(entry, made)
    fixture = yaml.safe_load(node)
    seen_there = Seen(
        labels=fixture["labels"],
        annotations={},
        allocatable=Resources.parse(fixture["allocatable"]),
    )
    cards = reveal(made["VENDOR"], seen_there)
    assert cards is not None and cards.accelerator is not None
    memory = cards.accelerator.memory_bytes or 0
    found = (cards.accelerator.device_class, cards.accelerator.count, memory / 2**30)
    assert found == tuple(fixture["expect"].values())


@given(case=st.sampled_from(sorted(CASES)), order=st.randoms(use_true_random=False))
def test_the_order_of_labels_and_resources_does_not_matter(case: str, order: random.Random) -> None:
    """JSON objects have no order, and neither have the devices of a register."""
    fixture = CASES[case]

    def shuffled(part: str) -> dict[str, Any]:
        items = list(fixture.get(part, {}).items())
        return dict(order.sample(items, len(items)))

    notes = {key: _shuffled_register(text, order) for key, text in shuffled("annotations").items()}
    assert seen(read(shuffled("labels"), shuffled("allocatable"), notes)) == seen(of(fixture))


def _shuffled_register(text: str, order: random.Random) -> str:
    if text.startswith("["):
        devices: list[object] = json.loads(text)
        return json.dumps(order.sample(devices, len(devices)))
    parts = text.rstrip(":").split(":")
    return ":".join(order.sample(parts, len(parts)))


def _known(part: str) -> list[str]:
    return sorted({key for case in CASES.values() for key in case.get(part, {})})


VALUES = sorted({value for case in CASES.values() for value in case["labels"].values()})
NOTES = sorted({note for case in CASES.values() for note in case.get("annotations", {}).values()})
ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(VALUES)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A register with a part of it cut out, or another text put there."""
    text: str = draw(st.sampled_from(NOTES))
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    return text[:start] + draw(st.text(max_size=5)) + text[end:]


@given(
    labels=st.dictionaries(st.sampled_from(_known("labels")), ANY),
    amounts=st.dictionaries(
        st.sampled_from(_known("allocatable")), ANY | st.sampled_from(["1", "8", "16Ei"])
    ),
    annotations=st.dictionaries(st.sampled_from(_known("annotations")), ANY | damaged()),
)
def test_mangled_nodes_never_raise(
    labels: dict[str, Any], amounts: dict[str, Any], annotations: dict[str, Any]
) -> None:
    """Whatever a node carries, it is read, each time alike; cards come only from a plain number of them."""
    node = read(labels, amounts, annotations)
    assert node == read(labels, amounts, annotations)
    if node.accelerator is not None:
        assert node.accelerator.count == node.allocatable[node.accelerator.resource] > 0
        assert not node.quarantined
    assert node.problems or not node.quarantined


def test_slices_under_the_name_of_cards_are_not_offered() -> None:
    """No gang gets a place on them, also when it asks for the resource by its name and for no memory."""
    assert of(CASES["nvidia/shared"]).allocatable[NVIDIA_GPU] == 0
    assert of(CASES["nvidia/hami"]).allocatable[NVIDIA_GPU] == 7
    assert of(CASES["nvidia/mig-mixed"]).allocatable["nvidia.com/mig-1g.5gb"] == 14


@given(case=st.sampled_from(sorted(CASES)), factor=st.integers(2, 100))
def test_more_units_never_give_more_memory_or_cards_than_a_register_has(
    case: str, factor: int
) -> None:
    """Units multiplied, as sharing does it, change no class, and registered devices bound the count."""
    fixture = CASES[case]
    more = {
        name: int(units) * factor if str(units).isdigit() and "/" in name else units
        for name, units in fixture["allocatable"].items()
    }
    before, after = of(fixture), read(fixture["labels"], more, fixture.get("annotations"))
    if before.accelerator and after.accelerator:
        assert after.accelerator.device_class == before.accelerator.device_class
        assert after.accelerator.memory_bytes == before.accelerator.memory_bytes
        if fixture.get("annotations"):
            assert after.accelerator.count == before.accelerator.count
