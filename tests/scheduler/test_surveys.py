"""Fabric maps whose names prove little: switches of one name, hosts without one, adapters of two nodes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.state import ClusterState
from tests.objects import node, state_of
from tests.scheduler.test_fleet import config_map, places, problems

Object = dict[str, Any]
FACTORY = "Quantum Mellanox Technologies"


def fabric(*leaves: tuple[str, str, str]) -> str:
    """What ibnetdiscover prints of leaf switches: (GUID, description, descriptions of its adapters)."""
    lines = []
    for guid, name, hosts in leaves:
        lines.append(f'Switch\t65 "S-{guid}"\t\t# "{name}" base port 0 lid 1 lmc 0')
        cards = [(f"{guid}{port:02}", port, host) for port, host in enumerate(hosts.split(","))]
        lines += [
            f'[{n}]\t"H-{card}"[1]({card}) \t\t# "{host}" lid 2 4xNDR' for card, n, host in cards
        ]
        lines += [f'Ca\t1 "H-{card}"\t\t# "{host}"' for card, _, host in cards]
    return "\n".join(lines)


def seen(*objects: Object) -> tuple[dict[str, str], list[str]]:
    """Where the nodes stand, and all problems."""
    snapshot = state_of(objects).snapshot()
    return places(snapshot), problems(snapshot)


def scan(name: str, *guids: str) -> Object:
    """A report of the adapters that a node has."""
    nics = [{"device": f"mlx5_{at}", "nodeGuid": guid} for at, guid in enumerate(guids)]
    return {"kind": "NodeTopology", "metadata": {"name": name}, "status": {"nics": nics}}


def test_switches_of_one_name_are_two_leaves() -> None:
    """Unmanaged switches all have the factory's description; their hosts are not together for that."""
    told = fabric(("aa", FACTORY, "n1 mlx5_0,n2 mlx5_0"), ("bb", FACTORY, "n3 mlx5_0"))
    found, wrong = seen(*(node(f"n{i}") for i in (1, 2, 3)), config_map("x", ib=told))
    assert found == {
        "n1": f"leaf={FACTORY} (S-aa)",
        "n2": f"leaf={FACTORY} (S-aa)",
        "n3": f"leaf={FACTORY} (S-bb)",
    }
    assert not wrong


def test_two_subnets_that_name_their_switches_alike() -> None:
    """Each fabric has a LEAF-1: they are told apart, and are one again when the other document goes."""
    one = config_map("x", ib=fabric(("aa", "LEAF-1", "n1 mlx5_0")))
    two = config_map("y", ib=fabric(("bb", "LEAF-1", "n2 mlx5_0")))
    state = state_of([node("n1"), node("n2"), one, two])
    assert places(state.snapshot()) == {"n1": "leaf=LEAF-1 (S-aa)", "n2": "leaf=LEAF-1 (S-bb)"}
    state.apply("ConfigMap", "DELETED", two)
    assert places(state.snapshot()) == {"n1": "leaf=LEAF-1", "n2": ""}


@pytest.mark.parametrize("unnamed", ["localhost mlx5_0", "(none) mlx5_0", "localhost.localdomain"])
def test_hosts_that_had_no_name_yet_are_nobody(unnamed: str) -> None:
    """The map says how many adapters it cannot place; reports of the nodes say whose they are."""
    told = fabric(("aa", "LEAF-1", f"n1 mlx5_0,{unnamed}"), ("bb", "LEAF-2", unnamed))
    fleet = [node("n1"), node("n2"), config_map("x", ib=told)]
    assert [text for text in seen(*fleet)[1] if "2 adapters are of hosts without a name" in text]
    found, wrong = seen(*fleet, scan("n1", "aa01"), scan("n2", "bb00"))
    assert (found, wrong) == ({"n1": "leaf=LEAF-1", "n2": "leaf=LEAF-2"}, [])


@pytest.mark.parametrize(
    ("host", "name", "known"),
    [
        ("n1.example.com", "n1", True),
        ("n1", "n1.example.com", True),
        ("n1.example.com", "n1.example.com", True),
        ("n1.example.com", "n1.example.org", False),
        ("10.0.0.1", "10", False),
    ],
)
def test_a_host_with_a_domain_is_the_node_without(host: str, name: str, known: bool) -> None:
    """rdma-ndd may write the whole host name; two different domains are two hosts."""
    told = config_map("x", ib=fabric(("aa", "LEAF-1", f"{host} mlx5_0")))
    found, wrong = seen(node(name), told)
    assert found[name] == ("leaf=LEAF-1" if known else "")
    assert known == (not wrong)


def test_a_map_of_other_hosts_says_so() -> None:
    """Names that fit no node are a problem that shows one of them; one that fits is enough."""
    told = config_map("x", ib=fabric(("aa", "LEAF-1", "gpu1 mlx5_0,gpu2 mlx5_0")))
    _, wrong = seen(node("n1"), told)
    expected = (
        "ibnetdiscover ib: hosts: none of its 2 hosts, such as gpu1, is the name or host name of a "
        "node: it says of no node where it stands"
    )
    assert wrong == [expected]
    assert not seen(node("n1"), node("gpu2"), told)[1]


def test_an_adapter_that_two_nodes_report_is_nobodys() -> None:
    """Which of the two it is in cannot be known: neither gets its leaf, and both have a problem."""
    told = config_map(
        "x", ib=fabric(("aa", "LEAF-1", "localhost mlx5_0"), ("bb", "LEAF-2", "n3 mlx5_0"))
    )
    nodes = [node(f"n{i}") for i in (1, 2, 3)]
    assert seen(*nodes, told, scan("n1", "aa00"))[0]["n1"] == "leaf=LEAF-1"
    found, wrong = seen(*nodes, told, scan("n1", "aa00"), scan("n2", "aa00"))
    assert found == {"n1": "", "n2": "", "n3": "leaf=LEAF-2"}
    assert [text for text in wrong if "nodeGuid" in text] == [
        f"Node {one}: nodeGuid: aa00 is an adapter of {other} as well by their reports; fabric maps do not "
        "go by it"
        for one, other in (("n1", "n2"), ("n2", "n1"))
    ]


def test_ports_of_a_chassis_and_blanks_at_the_end() -> None:
    """``ibnetdiscover -g`` adds the number outside; blanks do not hide the rate."""
    told = (
        fabric(("aa", "LEAF-1", "n1 mlx5_0"))
        .replace("[0]", "[0][ext 5]")
        .replace("4xNDR", "4xNDR  ")
    )
    snapshot = state_of([node("n1"), config_map("x", ib=told)]).snapshot()
    assert (places(snapshot), problems(snapshot)) == ({"n1": "leaf=LEAF-1"}, [])
    assert [(each.kind, each.gbps) for each in snapshot.fabrics[0].links] == [("4xNDR", 400)]


def test_a_map_that_was_cut_short() -> None:
    """Every cable says at each end what is at the other: hosts without lines of their own are known."""
    told = fabric(("aa", "LEAF-1", "n1 mlx5_0,n2 mlx5_0"))
    cut = "\n".join(line for line in told.splitlines() if not line.startswith("Ca"))
    assert seen(node("n1"), node("n2"), config_map("x", ib=cut)) == (
        {"n1": "leaf=LEAF-1", "n2": "leaf=LEAF-1"},
        [],
    )


DESCRIPTIONS = st.sampled_from(
    ["n1 mlx5_0", "n2 mlx5_0", "localhost mlx5_0", "n1.example.com HCA-1"]
)
LEAVES = st.tuples(st.sampled_from(["aa", "bb"]), st.sampled_from(["L1", "L2"]), DESCRIPTIONS)
OBJECTS: st.SearchStrategy[Object] = st.one_of(
    st.builds(node, st.sampled_from(["n1", "n2", "n1.example.com"])),
    st.builds(lambda name, leaf: config_map(name, ib=fabric(leaf)), st.sampled_from("xyz"), LEAVES),
    st.builds(scan, st.sampled_from(["n1", "n2"]), st.sampled_from(["aa00", "bb00"])),
)


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(
        st.tuples(OBJECTS, st.sampled_from(["MODIFIED", "MODIFIED", "DELETED"])), max_size=12
    )
)
def test_documents_come_and_go_without_a_trace(steps: list[tuple[Object, str]]) -> None:
    """Names that are shared, or known by a report, for a while only: what is there now counts."""
    state = ClusterState()
    there: dict[tuple[str, str], Object] = {}
    for obj, verb in steps:
        state.apply(obj["kind"], verb, obj)
        there.pop((obj["kind"], obj["metadata"]["name"]), None)
        if verb != "DELETED":
            there[obj["kind"], obj["metadata"]["name"]] = obj
        state.snapshot()
    assert state.snapshot() == state_of(there.values()).snapshot()
