"""Nodes and the network as they change: the same picture as from the start, at the cost of what changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import snapshot_json
from scheduler.keys import TOPOLOGY_SOURCE
from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from scheduler.state import ClusterState
from tests.objects import node, pod, state_of
from topology import keys
from topology.sources import Hierarchies
from topology.tree import TopologyTree

Object = dict[str, Any]


def config_map(name: str, **documents: Any) -> Object:
    """Documents about the network, by key (``_json`` for ``.json``)."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "m", "name": name, "labels": {TOPOLOGY_SOURCE: name}},
        "data": {key.replace("_json", ".json"): value for key, value in documents.items()},
    }


def rows(**leaves: str) -> list[Object]:
    """UFM: the leaf switches of each host, one letter each: ``rows(n1="ab")``."""
    return [
        {"system_name": host, "peer_node_name": leaf, "description": "Computer IB Port"}
        for host, names in leaves.items()
        for leaf in names
    ]


def hermes(**racks: str) -> Object:
    """A report with a rack for each node."""
    detection = {"topology_type": "Rack"}
    return {
        "rdma_nodes": 0,
        "nodes": [
            {"name": name, "topology_block": f"rack-{rack}", "topology_detection": detection}
            for name, rack in racks.items()
        ],
    }


def hypernode(name: str, *nodes: str) -> Object:
    """A rack that names its nodes."""
    members = [{"type": "Node", "selector": {"exactMatch": {"name": each}}} for each in nodes]
    return {
        "apiVersion": "topology.volcano.sh/v1alpha1",
        "kind": "HyperNode",
        "metadata": {"name": name},
        "spec": {"tier": 1, "tierName": "rack", "members": members},
    }


def places(snapshot: Snapshot) -> dict[str, str]:
    """The path of each node as ``level=value ...``."""
    return {
        state.node.name: " ".join(f"{step.level}={step.value}" for step in state.node.path)
        for state in snapshot.nodes
    }


def problems(snapshot: Snapshot) -> list[str]:
    """The texts of all problems."""
    return [str(problem) for problem in snapshot.problems]


LABELS = st.dictionaries(
    st.sampled_from([keys.RACK, keys.ZONE, keys.TOPOGRAPH_LEAF, keys.GKE_BLOCK, "row", keys.NVIDIA_CLIQUE]),
    st.sampled_from(["a", "b", "unknown"]),
)  # fmt: skip
NAMES = st.sampled_from(["n1", "n2", "n3", "n4.example.com"])
ASKED = st.sampled_from(["row", "rack", "leaf", "scale-up"])
LEAVES = st.dictionaries(
    st.sampled_from(["n1", "n2", "n4", "N3"]), st.sampled_from(["a", "ab", "abc", "bd"])
)
OBJECTS: st.SearchStrategy[Object] = st.one_of(
    st.builds(lambda name, labels: node(name, labels=labels), NAMES, LABELS),
    st.builds(lambda name, leaves: config_map(name, p_json=rows(**leaves)), st.sampled_from("xy"), LEAVES),
    st.builds(
        lambda racks: config_map("z", h_json=hermes(**racks)),
        st.dictionaries(st.sampled_from(["n1", "n2"]), st.sampled_from("ab")),
    ),
    st.builds(hypernode, st.sampled_from(["a", "b"]), NAMES, NAMES),
    st.builds(
        lambda levels: {
            "kind": "Topology",
            "metadata": {"name": "t"},
            "spec": {"levels": [{"nodeLabel": level} for level in levels]},
        },
        st.lists(st.sampled_from([keys.RACK, "row"]), max_size=2, unique=True),
    ),
    st.builds(lambda level: pod("p", "g", topology_required=level), ASKED),
)  # fmt: skip


VERBS = st.sampled_from(["MODIFIED", "MODIFIED", "DELETED"])


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.tuples(OBJECTS, VERBS, st.booleans()), max_size=14)
)  # fmt: skip
def test_following_is_like_starting_anew(steps: list[tuple[Object, str, bool]]) -> None:
    """Whatever came, changed and went, with looks in between: only what is there now counts."""
    state = ClusterState()
    there: dict[tuple[str, str], Object] = {}
    for obj, verb, look in steps:
        state.apply(obj["kind"], verb, obj)
        there.pop((obj["kind"], obj["metadata"]["name"]), None)
        if verb != "DELETED":
            there[obj["kind"], obj["metadata"]["name"]] = obj
        if look:
            state.snapshot()
    seen, anew = state.snapshot(), state_of(there.values()).snapshot()
    assert seen == anew
    assert (seen.tree.domain_of == anew.tree.domain_of).all()


def test_a_level_that_only_the_gang_names_from_now_on() -> None:
    """A fabric map makes racks unrelated to leaves; the gang still has them, by the label."""
    racks = node("n3", labels={keys.RACK: "a"})
    state = state_of([racks, node("n1"), pod("p", "g", topology_required="rack")])
    assert state.snapshot().levels == ("rack", "host")
    state.apply("ConfigMap", "ADDED", config_map("x", p_json=rows(n1="a", n3="a")))
    assert state.snapshot().levels == ("leaf", "rack", "host")


def test_a_node_that_moves_does_not_have_the_tree_built_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another rack, a new node, a node that goes: no other node is looked at."""
    state = state_of([node(f"n{i}", labels={keys.RACK: f"r{i // 4}"}) for i in range(16)])
    before = state.snapshot()
    for whole in (TopologyTree, Hierarchies):
        monkeypatch.setattr(whole, "build", None)
    state.apply("Node", "MODIFIED", node("n5", labels={keys.RACK: "r3"}))
    state.apply("Node", "ADDED", node("n16", labels={keys.RACK: "r0"}))
    state.apply("Node", "DELETED", node("n9"))
    after = state.snapshot()
    assert [s.node.name for s in after.nodes if s not in before.nodes] == ["n16", "n5"]
    assert {name: path for name, path in places(after).items() if name in ("n5", "n16")} == {
        "n5": "rack=r3",
        "n16": "rack=r0",
    }


def test_leaf_groups_follow_the_fabric_map() -> None:
    """A port that dies marks the node and leaves it in its group; with the last whole node the group goes."""
    fleet = [node(name) for name in ("n1", "n2", "n3")]
    state = state_of([*fleet, config_map("ufm", p_json=rows(n1="ab", n2="ab", n3="cd"))])
    assert places(state.snapshot()) == {"n1": "leaf={a,b}", "n2": "leaf={a,b}", "n3": "leaf={c,d}"}
    state.apply("ConfigMap", "MODIFIED", config_map("ufm", p_json=rows(n1="a", n2="ab", n3="cd")))
    snapshot = state.snapshot()
    assert places(snapshot)["n1"] == "leaf={a,b}"
    assert problems(snapshot) == ["Node n1: ufm: hangs on 1 of the 2 leaves of its group, not on b"]
    state.apply("Node", "DELETED", node("n2"))
    assert places(state.snapshot()) == {"n1": "leaf=a", "n3": "leaf={c,d}"}


def test_rails_in_separate_documents_are_one_set() -> None:
    """One file per subnet: the leaves of a node are those of all."""
    maps = [
        config_map("x", p_json=rows(n1="a", n2="a")),
        config_map("y", p_json=rows(n1="b", n2="b")),
    ]
    assert set(places(state_of([node("n1"), node("n2"), *maps]).snapshot()).values()) == {
        "leaf={a,b}"
    }


SHORT: list[tuple[str, list[str], dict[str, str]]] = [
    ("a short name", ["n1.example.com"], {"n1.example.com": "leaf=a"}),
    ("of two nodes, means neither", ["n1.a", "n1.b"], {"n1.a": "", "n1.b": ""}),
    ("an address is no short name", ["10.0.0.1"], {"10.0.0.1": ""}),
    ("its own name, whatever others are called", ["n1", "n1.a"], {"n1": "leaf=a", "n1.a": ""}),
]


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case[0])
def test_names_of_nodes(case: tuple[str, list[str], dict[str, str]]) -> None:
    """Sources know hosts by short names and in capitals."""
    _, names, expected = case
    documents = config_map("ufm", p_json=rows(**{"N1": "a", "10": "b"}))
    found = places(state_of([*(node(name) for name in names), documents]).snapshot())
    assert found == expected


FABRIC = """\
Switch\t64 "S-0c42a10300000001"\t\t# "MF0;leaf-1:MQM9700/U1" enhanced port 0 lid 1 lmc 0
[1]\t"H-0c42a10300000011"[1](c42a10300000011) \t\t# "n1 mlx5_0" lid 2 4xNDR
[2]\t"H-0c42a10300000022"[1](c42a10300000022) \t\t# "MT4129 ConnectX7   Mellanox Technologies" lid 3 4xNDR
Ca\t1 "H-0c42a10300000011"\t\t# "n1 mlx5_0"
[1](c42a10300000011) \t"S-0c42a10300000001"[1]\t\t# lid 2 lmc 0 "leaf-1" lid 1 4xNDR
Ca\t1 "H-0c42a10300000022"\t\t# "MT4129 ConnectX7   Mellanox Technologies"
[1](c42a10300000022) \t"S-0c42a10300000001"[2]\t\t# lid 3 lmc 0 "leaf-1" lid 1 4xNDR
"""


def test_an_adapter_without_a_name_is_found_by_its_guid() -> None:
    """A scanner's report says in which node it is; without the report nobody knows."""
    scan = {
        "kind": "NodeTopology",
        "metadata": {"name": "n2"},
        "status": {"nics": [{"device": "mlx5_0", "nodeGuid": "0c42:a103:0000:0022"}]},
    }
    state = state_of([node("n1"), node("n2"), config_map("ib", fabric=FABRIC)])
    nameless = state.snapshot()
    assert places(nameless) == {"n1": "leaf=leaf-1", "n2": ""}
    assert [problem.field for problem in nameless.problems] == ["adapters"]
    state.apply("NodeTopology", "ADDED", scan)
    found = state.snapshot()
    assert places(found) == {"n1": "leaf=leaf-1", "n2": "leaf=leaf-1"}
    assert problems(found) == []
    state.apply("NodeTopology", "DELETED", scan)
    assert state.snapshot() == nameless


def test_a_config_map_without_the_label_says_nothing() -> None:
    """Nor does one whose label is taken away."""
    told = config_map("ufm", p_json=rows(n1="a"))
    state = state_of([node("n1"), told])
    assert places(state.snapshot()) == {"n1": "leaf=a"}
    state.apply("ConfigMap", "MODIFIED", {**told, "metadata": {**told["metadata"], "labels": {}}})
    assert places(state.snapshot()) == {"n1": ""}


def test_a_document_of_no_known_format() -> None:
    """One Problem names the object, the key, how it begins and what is understood."""
    state = state_of([node("n1"), config_map("notes", readme="call the network team")])
    (text,) = problems(state.snapshot())
    assert text.startswith(
        "ConfigMap m/notes: data.readme: text that begins 'call the network team'"
    )
    assert "ibnetdiscover, ufm" in text


def test_a_snapshot_carries_what_sources_said() -> None:
    """A decision can be replayed: places, scale-up domains, networks and problems are in the document."""
    nvlink = [{"Name": "n1", "DomainUUID": "d1", "Health": "UNHEALTHY"}]
    documents = config_map("net", p_json=rows(n1="ab", n2="a"), q_json=nvlink)
    snapshot = state_of([node("n1"), node("n2"), documents]).snapshot()
    assert [(len(fabric.switches), len(fabric.links)) for fabric in snapshot.fabrics] == [(2, 3)]
    assert [state.node.scale_up for state in snapshot.nodes] == ["d1", None]
    document = json.loads(json.dumps(snapshot_json.dump(snapshot, Policy())))
    assert snapshot_json.load(document)[0] == snapshot


DISAGREE: list[tuple[str, Callable[[], list[Object]], list[str]]] = [
    (
        "the same names, one node differs",
        lambda: [
            *(node(f"n{i}", labels={keys.RACK: "r1"}) for i in range(3)),
            config_map("h", h_json=hermes(n0="r1", n1="r2", n2="r1")),
        ],
        ["Node n1: rack: hermes says r2, preset kubernetes says r1; hermes counts"],
    ),
    (
        "other names for the same racks are no disagreement",
        lambda: [
            *(node(f"n{i}", labels={keys.RACK: f"r{i // 2}"}) for i in range(4)),
            hypernode("first", "n0", "n1"),
            hypernode("second", "n2", "n3"),
        ],
        [],
    ),
    (
        "other names, and a node stands elsewhere",
        lambda: [
            *(node(f"n{i}", labels={keys.RACK: f"r{i // 3}"}) for i in range(6)),
            hypernode("first", "n0", "n1"),
            hypernode("second", "n2", "n3", "n4", "n5"),
        ],
        ["Node n2: rack: HyperNodes says second, preset kubernetes says r0; HyperNodes counts"],
    ),
    (
        "a single node with two names proves nothing, so it is told",
        lambda: [node("n0", labels={keys.RACK: "r1"}), hypernode("first", "n0")],
        ["Node n0: rack: HyperNodes says first, preset kubernetes says r1; HyperNodes counts"],
    ),
    (
        "unknown is no disagreement",
        lambda: [node("n0", labels={keys.RACK: "unknown"}), hypernode("first", "n0")],
        [f"Node n0: {keys.RACK}: 'unknown' is a placeholder: its rack is unknown"],
    ),
]


@pytest.mark.parametrize("case", DISAGREE, ids=lambda case: case[0])
def test_where_sources_disagree(
    case: tuple[str, Callable[[], list[Object]], list[str]],
) -> None:
    """The better source counts, and a Problem on the node names both with what they say."""
    _, objects, expected = case
    assert problems(state_of(objects()).snapshot()) == expected
