"""``muster topology -o svg``: one picture of the fleet, and scale-up domains in the tree."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import muster
from extender.tools.inputs import understand
from extender.tools.picture import COLOURS, draw
from simulations.fleet import Fleet, Pool
from topology import keys
from topology.model import Problem
from topology.vendors import VENDORS

SVG = "{http://www.w3.org/2000/svg}"
Object = dict[str, Any]

RACKS = Fleet(
    pools=(
        Pool(prefix="h100", count=6, device="h100"),
        Pool(prefix="ascend", count=2, device="ascend-910b"),
        Pool(prefix="cpu", count=1),
        Pool(prefix="shared", count=1, device="a10", labels={keys.NVIDIA_REPLICAS: "4"}),
    )
).nodes()


def pod(node: str, resource: str, count: int) -> Object:
    """A pod that runs on the node with so many cards."""
    limits = {resource: str(count)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"on-{node}", "namespace": "default"},
        "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"limits": limits}}]},
        "status": {"phase": "Running"},
    }


def picture(*objects: Object) -> ElementTree.Element:
    """The picture of these objects, which is XML."""
    return ElementTree.fromstring(draw(understand(objects).snapshot))


def nodes(svg: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """The nodes in the picture; each is there once."""
    found = [group for group in svg.iter(f"{SVG}g") if "data-node" in group.attrib]
    names = Counter(group.attrib["data-node"] for group in found)
    assert set(names.values()) <= {1}
    return {group.attrib["data-node"]: group for group in found}


def cells(node: ElementTree.Element) -> dict[str, int]:
    """How many cards are drawn as used and as free."""
    return {path.attrib["class"]: path.attrib["d"].count("M") for path in node.iter(f"{SVG}path")}


def tip(element: ElementTree.Element) -> str:
    """The tool tip."""
    return element.findtext(f"{SVG}title") or ""


def test_every_node_is_drawn_once_in_its_rack_with_its_cards() -> None:
    """Boxes nest as domains do; used and free cards are counted in cells of the vendor's colour."""
    svg = picture(*RACKS, pod("h100-3", keys.NVIDIA_GPU, 5))
    drawn = nodes(svg)
    assert sorted(drawn) == sorted(node["metadata"]["name"] for node in RACKS)
    assert cells(drawn["h100-3"]) == {"used": 5, "free": 3}
    assert cells(drawn["ascend-0"]) == {"free": 8}
    assert cells(drawn["cpu-0"]) == {}
    domains = [group for group in svg.iter(f"{SVG}g") if group.get("class") == "domain"]
    [rack] = [group for group in domains if tip(group).startswith("rack h100-rack-0:")]
    assert tip(rack) == "rack h100-rack-0: 4 nodes, 27 of 32 cards free"
    assert sorted(nodes(rack)) == ["h100-0", "h100-1", "h100-2", "h100-3"]
    text = ElementTree.tostring(drawn["ascend-0"], encoding="unicode")
    assert COLOURS["ascend"] in text and COLOURS["nvidia"] not in text


def test_what_is_wrong_is_marked_and_said() -> None:
    """A red mark and the problem as tool tip on the node, and a list below; cordoned nodes are grey."""
    cordoned = {**RACKS[0], "spec": {"unschedulable": True}}
    svg = picture(cordoned, *RACKS[1:])
    drawn = nodes(svg)
    marked = [name for name, node in drawn.items() if node.find(f"{SVG}circle") is not None]
    assert marked == ["shared-0"]
    assert "not counted as cards" in tip(drawn["shared-0"])
    assert drawn["h100-0"].attrib["class"] == "node off" and "cordoned" in tip(drawn["h100-0"])
    shown = [text.text or "" for text in svg.iter(f"{SVG}text")]
    assert "1 problem" in shown
    assert any(text.startswith("Node shared-0: ") for text in shown)


def test_the_legend_names_each_class_with_what_is_free() -> None:
    """In the order of the catalogue; every vendor has a colour, and twelve of them one of their own."""
    shown = [text.text or "" for text in picture(*RACKS).iter(f"{SVG}text")]
    legend = [text for text in shown if text.endswith(" free")]
    assert legend == ["nvidia-h100-80gb 48/48 free", "ascend-910b 16/16 free"]
    assert list(COLOURS) == [vendor.name for vendor in VENDORS]
    assert len(set(COLOURS.values())) >= 12


def nvl(name: str, clique: str) -> Object:
    """A node of an NVLink domain."""
    pool = Pool(prefix=name, count=1, device="h100", labels={keys.NVIDIA_CLIQUE: clique})
    [node] = pool.nodes()
    return node


def test_nvlink_domains_are_boxes_and_lines_of_the_tree(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Who shares one stands together, with its name; a domain over two racks says which part is here."""
    fleet = [nvl("a", "c.1"), nvl("b", "c.1"), nvl("x", "c.2")]
    for node in fleet[:2]:
        node["metadata"]["labels"] |= {keys.RACK: "r1", keys.BLOCK: "b1"}
    boxes = [g for g in picture(*fleet).iter(f"{SVG}g") if g.get("class") == "scale-up"]
    assert [(tip(box).splitlines()[0], sorted(nodes(box))) for box in boxes] == [
        ("scale-up c.1: 2 nodes", ["a-0", "b-0"]),
        ("scale-up c.2: 1 node", ["x-0"]),
    ]
    fleet[1]["metadata"]["labels"][keys.RACK] = "r2"
    apart = [g for g in picture(*fleet).iter(f"{SVG}g") if g.get("class") == "scale-up"]
    assert tip(apart[0]) == "scale-up c.1: 1 of 2 nodes"
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": fleet}))
    assert muster.main(["topology", "-f", str(file)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "scale-up c.1: 2 nodes; 16/16 nvidia-h100-80gb free" in out
    assert any(line.endswith("a-0  8/8 nvidia-h100-80gb free; scale-up c.1") for line in out)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_equal_fleets_give_equal_pictures(seed: int) -> None:
    """Whatever the order of the objects."""
    objects = [*RACKS, pod("h100-1", keys.NVIDIA_GPU, 2)]
    shuffled = random.Random(seed).sample(objects, len(objects))
    assert draw(understand(shuffled).snapshot) == draw(understand(objects).snapshot)


@settings(max_examples=50, deadline=None)
@given(name=st.text(min_size=1), rack=st.text(), message=st.text())
def test_any_text_is_safe(name: str, rack: str, message: str) -> None:
    """Names with angle brackets, quotes or control characters stay text, and the picture stays XML."""
    labels = {keys.RACK: rack}
    status = {"allocatable": {keys.NVIDIA_GPU: "2000"}}
    node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}}
    problems = [Problem(subject=f"Node {name}", field="f", message=f"<script>{message}")]
    svg = ElementTree.fromstring(draw(understand([{**node, "status": status}]).snapshot, problems))
    assert len(nodes(svg)) <= 1
    assert next(svg.iter(f"{SVG}script"), None) is None


def test_a_fleet_without_nodes_is_a_picture_too() -> None:
    """With a line that says so."""
    assert tip(picture()).startswith("0 nodes")


def test_five_hundred_nodes_stay_small() -> None:
    """The document of 500 nodes is below a megabyte, and as wide as it is high, about."""
    pool = Pool(prefix="n", count=500, device="h100")
    inputs = understand(list(pool.nodes()))
    text = draw(inputs.snapshot)
    svg = ElementTree.fromstring(text)
    assert len(nodes(svg)) == 500 and len(text) < 1_000_000
    assert 0.3 < float(svg.attrib["width"]) / float(svg.attrib["height"]) < 4


def test_svg_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """``-o svg`` prints the document."""
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(RACKS)}))
    assert muster.main(["topology", "-f", str(file), "-o", "svg"]) == 0
    assert len(nodes(ElementTree.fromstring(capsys.readouterr().out))) == len(RACKS)
