"""What somebody wrote who knew the format, and what a reader must not make of it."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import pytest

from topology import keys
from topology.nodes import read_node
from topology.scan import Settings, scan
from topology.scan.files import Recorded
from topology.sources import Hierarchies, degraded, documents, hermes, hypernode, topograph, ufm
from topology.sources.survey import Document


def member(kind: str = "Node", **selector: Any) -> dict[str, Any]:
    """An entry of ``spec.members``."""
    return {"type": kind, "selector": selector}


def hyper(name: str, tier: int, *members: Mapping[str, Any]) -> dict[str, Any]:
    """A HyperNode."""
    return {"metadata": {"name": name}, "spec": {"tier": tier, "members": list(members)}}


def pattern(text: str, kind: str = "Node") -> dict[str, Any]:
    """A member by regular expression."""
    return member(kind, regexMatch={"pattern": text})


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (pattern("node-[0"), "'node-[0' is no regular expression: unterminated character set"),
        (pattern("^(a+)+$"), "'^(a+)+$' repeats a group in which something repeats"),
        (pattern("^((x|a{2,})b?)*$"), "repeats a group in which something repeats"),
        (member("HyperNode", exactMatch={"name": "ghost"}), "there is no HyperNode ghost"),
        (pattern("a", "Pod"), "expected type Node or HyperNode"),
    ],
)
def test_members_of_hypernodes_that_cannot_be_used(given: dict[str, Any], wrong: str) -> None:
    """The message says what is wrong with the entry; the others count, and nothing takes long."""
    found = hypernode.read([hyper("s", 2, given, member(exactMatch={"name": "n1"}))])
    started = time.perf_counter()
    assert found.position("a" * 40 + "!", {}) is None
    assert time.perf_counter() - started < 1
    (problem,) = found.problems
    assert problem.subject == "HyperNode s"
    assert problem.field.startswith("spec.members")
    assert wrong in problem.message
    assert found.position("n1", {}) is not None


@pytest.mark.parametrize(
    "text",
    [r"^node-[0-9]+\z", "^(node-[0-9]+)$", r"^(no|de|-|\d)*$", "^[(a+)*]?node-1$", "(n(o)d)?e"],
)
def test_expressions_that_are_fine(text: str) -> None:
    """Go's end of text, groups that do not repeat, and signs inside of brackets."""
    found = hypernode.read([hyper("s", 1, pattern(text))])
    assert not found.problems
    assert found.position("node-1", {}) is not None


def row(system: str, peer: str, kind: str, name: str = "", **more: str) -> dict[str, str]:
    """A row of UFM's ports."""
    return {
        "system_name": system,
        "peer_node_name": peer,
        "description": kind,
        "name": name,
        **more,
    }


ROWS = [
    row("n1", "leaf1", "Computer IB Port", "p1", node_description="gpu mlx5_0"),
    row("n2", "leaf2", "Computer IB Port", "p1", node_description="gpu mlx5_0"),
    row("leaf1", "spine", "Switch IB Port", "33"),
    row("spine", "leaf1", "Switch IB Port", "1"),
    row("leaf2", "spine", "Switch IB Port", "33"),
    row("spine", "leaf2", "Switch IB Port", "2"),
]


@pytest.mark.parametrize("seed", range(6))
def test_rows_of_ufm_in_any_order(seed: int) -> None:
    """Both ends of a cable between switches are one link; a description of two hosts is the name of none."""
    shuffled = random.Random(seed).sample(ROWS, len(ROWS))
    found = ufm.read(Document(name="p.json", value=shuffled), {})
    assert found == ufm.read(Document(name="p.json", value=ROWS), {})
    assert found.fabric is not None
    assert len(found.fabric.links) == 4
    assert found.aliases == {}


MODEL: dict[str, Any] = {
    "switches": {
        "S1": {"switches": ["L1", "L2"]},
        "A": {"switches": ["B"]},
        "B": {"switches": ["A"]},
    },
    "blocks": [
        {"switch": "L2", "nodes": ["n1", "x[1-2]-[01-02]"]},
        {"switch": "L1", "nodes": ["n1"]},
        {"switch": "lost", "nodes": ["n2"]},
        {"switch": "L1", "nodes": ["x[1-999]-[1-999]"]},
    ],
}


def test_blocks_of_a_model_in_any_order() -> None:
    """A node below two switches, a switch that is not there, one below itself: said, and not guessed."""
    found = topograph.read(Document(name="m.yaml", value=MODEL), {})
    assert {name: [step.value for step in at.path] for name, at in found.positions.items()} == {
        "n1": ["S1", "L1"], "n2": ["lost"], **{f"x{a}-0{b}": ["S1", "L2"] for a in (1, 2) for b in (1, 2)}
    }  # fmt: skip
    assert {str(problem).partition(": ")[2] for problem in found.problems} == {
        "switches: A is below itself; its levels end there",
        "switches: B is below itself; its levels end there",
        "blocks: n1 is below L1 and L2; L1 counts",
        "blocks[2].switch: 'lost' is none of the switches: what is around its nodes is unknown",
        "blocks[3].nodes: expected names such as node[01-18], not 'x[1-999]-[1-999]'; it is not used",
    }
    turned = {**MODEL, "blocks": MODEL["blocks"][1::-1]}
    assert (
        topograph.read(Document(name="m.yaml", value=turned), {}).positions["n1"]
        == found.positions["n1"]
    )


def test_a_node_that_hermes_lists_twice() -> None:
    """Whatever the order, the same entry counts; the same entry twice is no problem."""
    one, two = {"name": "a", "leafgroup": "1"}, {"name": "a", "leafgroup": "2"}
    first, second, same = (
        hermes.read(Document(name="s", value={"nodes": nodes}), {})
        for nodes in ([one, two], [two, one], [one, dict(one)])
    )
    assert first == second
    assert [problem.field for problem in first.problems] == ["nodes"]
    assert not same.problems


def test_documents_as_windows_writes_them() -> None:
    """A mark in front of the text is none of it; what is no text at all is in no known format."""
    given = {"data": {"a": '\ufeff{"lldp": []}'}, "binaryData": {"b": "//4="}}
    binary, text = documents.documents(given)
    assert text.value == {"lldp": []}
    (problem,) = documents.read(binary, "ConfigMap m/x", {}).problems
    assert str(problem).startswith("ConfigMap m/x: data.b: its content is in none of the formats")


def test_a_placeholder_in_a_label_is_said() -> None:
    """Oracle's ``no-imds-data`` is no place; the node says which level is unknown for it."""
    labels = {
        keys.OCI_LOCAL_BLOCK: "no-imds-data",
        keys.OCI_ISLAND: "i1",
        keys.OCI_NETWORK_BLOCK: "",
    }
    assert list(map(str, degraded.problems("n", labels))) == [
        f"Node n: {keys.OCI_LOCAL_BLOCK}: 'no-imds-data' is a placeholder: its leaf is unknown"
    ]


@pytest.mark.parametrize("clique", [f"{'0' * 8}-0000-0000-0000-{'0' * 12}.0", "N/A", "none"])
def test_no_clique_is_no_domain(clique: str) -> None:
    """GPUs outside multi-node NVLink have the cluster of zeros: that does not join all such nodes."""
    node = read_node(
        {"metadata": {"name": "n", "labels": {keys.NVIDIA_CLIQUE: clique}}}, Hierarchies()
    )
    assert node.scale_up is None


def test_a_root_without_a_host_is_not_a_host_without_devices() -> None:
    """A wrong --root finds nothing at all: that is said, else the node would look empty."""
    (problem,) = scan(Recorded({"/etc/hostname": "x"}), Settings()).problems
    assert (problem.code, problem.detail) == (
        "Unreadable",
        "/sys: no PCI device and no network port is there; is the root that of a host?",
    )
