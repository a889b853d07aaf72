"""Levels: from Topology objects, from presets of node labels, and from what gangs ask for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology import keys
from topology.sources import Hierarchies
from topology.sources.node_labels import PRESETS, preset, usual_order

Labels = dict[str, str]


def topology(name: str, *node_labels: str) -> dict[str, Any]:
    """A Kueue ``Topology`` with these labels, coarse to fine."""
    return {
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"levels": [{"nodeLabel": label} for label in node_labels]},
    }


def path(hierarchies: Hierarchies, labels: Labels) -> str:
    """The node's domains as ``level=value``, outermost first."""
    return " ".join(f"{step.level}={step.value}" for step in hierarchies.path(labels))


TIER = keys.TOPOGRAPH_TIER
PRESET_CASES: list[tuple[str, Labels, str]] = [
    (
        "generic",
        {keys.RACK: "r", keys.BLOCK: "b", keys.ZONE: "z", keys.REGION: "e"},
        "region=e zone=z block=b rack=r",
    ),
    (
        "Topograph: tier 0 is the closest",
        {f"{TIER}0": "l", f"{TIER}1": "s", f"{TIER}2": "c"},
        "core=c spine=s leaf=l",
    ),
    ("Topograph 0.5", {keys.TOPOGRAPH_LEAF: "l", keys.TOPOGRAPH_SPINE: "s"}, "spine=s leaf=l"),
    (
        "Topograph 0.1: its block is the leaf",
        {
            keys.TOPOGRAPH_OLD_LEAF: "l",
            keys.TOPOGRAPH_OLD_CORE: "c",
        },
        "core=c leaf=l",
    ),
    ("GKE", {keys.GKE_BLOCK: "b", keys.GKE_SUBBLOCK: "r", keys.GKE_HOST: "h"}, "block=b rack=r"),
    (
        "AWS: layer 1 is the broadest",
        {keys.AWS_LAYER_1: "1", keys.AWS_LAYER_2: "2", keys.AWS_LAYER_3: "3", keys.ZONE: "z"},
        "zone=z core=1 spine=2 leaf=3",
    ),
    (
        "AWS with four layers: the fourth is the closest",
        {
            keys.AWS_LAYER_1: "1",
            keys.AWS_LAYER_2: "2",
            keys.AWS_LAYER_3: "3",
            keys.AWS_LAYER_4: "4",
        },
        f"{keys.AWS_LAYER_1}=1 core=2 spine=3 leaf=4",
    ),
    (
        "CoreWeave",
        {keys.COREWEAVE_FABRIC: "f", keys.COREWEAVE_SUPERPOD: "p", keys.COREWEAVE_LEAFGROUP: "g"},
        "core=f spine=p leaf=g",
    ),
    (
        "Oracle: the placeholder is unknown",
        {keys.OCI_ISLAND: "i", keys.OCI_NETWORK_BLOCK: "n", keys.OCI_LOCAL_BLOCK: keys.OCI_UNKNOWN},
        "core=i spine=n",
    ),
    ("no label", {"team": "a"}, ""),
    ("an empty value is unknown", {keys.RACK: ""}, ""),
]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [case[1:] for case in PRESET_CASES],
    ids=[case[0] for case in PRESET_CASES],
)
def test_presets(labels: Labels, expected: str) -> None:
    """Each provider's labels become levels in the order outermost first."""
    assert path(Hierarchies.build([labels]), labels) == expected


def test_the_levels_of_two_presets_are_not_mixed_on_a_node() -> None:
    """Nothing says whether a rack is inside a leaf: the fabric's labels win, racks exist when asked for."""
    labels = {keys.TOPOGRAPH_LEAF: "l", keys.RACK: "r", keys.ZONE: "z"}
    assert path(Hierarchies.build([labels]), labels) == "zone=z leaf=l"
    asked = Hierarchies.build([labels], asked=["rack"])
    assert set(asked.levels) == {"zone", "leaf", "rack", "host"}
    assert asked.resolve("rack") == asked.resolve(keys.RACK) == "rack"


def test_levels_exist_only_where_a_node_has_them() -> None:
    """A fleet without labels has hosts and nothing else."""
    assert Hierarchies.build([{}]).levels == ("host",)
    assert Hierarchies.build([{keys.RACK: "r"}, {keys.ZONE: "z"}]).levels == (
        "zone",
        "rack",
        "host",
    )


def test_fleets_of_several_providers() -> None:
    """One order holds the levels of all: each hierarchy keeps its own order in it."""
    nodes: list[Labels] = [
        {keys.ZONE: "z", keys.BLOCK: "b", keys.RACK: "r"},
        {keys.ZONE: "z", keys.TOPOGRAPH_SPINE: "s", keys.TOPOGRAPH_LEAF: "l"},
    ]
    levels = Hierarchies.build(nodes).levels
    assert levels == ("zone", "block", "spine", "rack", "leaf", "host")


def test_a_custom_list_of_labels() -> None:
    """Configured labels come before the presets, with level names of the user."""
    own = preset("ours", (("hall", "dc/hall"), ("row", "dc/row")))
    labels = {"dc/hall": "h", "dc/row": "7", keys.RACK: "r"}
    built = Hierarchies.build([labels], presets=(own, *PRESETS))
    assert path(built, labels) == "hall=h row=7"


# -- Topology objects ----------------------------------------------------------------------------------


def test_a_topology_defines_the_tree_and_its_order() -> None:
    """Presets count only for nodes that no Topology covers; known keys keep their level words."""
    nodes = [{"dc/hall": "h", keys.RACK: "r", keys.ZONE: "z"}, {keys.ZONE: "z", keys.RACK: "r"}]
    built = Hierarchies.build(nodes[:1], [topology("t", "dc/hall", keys.RACK, keys.HOSTNAME)])
    assert built.levels == ("dc/hall", "rack", "host")
    assert path(built, nodes[0]) == "dc/hall=h rack=r"
    # The label of the Topology's last level covers the second node as well.
    assert path(built, nodes[1]) == "rack=r"


def test_nodes_that_no_topology_covers_use_presets() -> None:
    """A mixed fleet: one half described by an object, the other by labels."""
    nodes = [{"dc/hall": "h"}, {keys.ZONE: "z", keys.BLOCK: "b"}]
    built = Hierarchies.build(nodes, [topology("t", "dc/hall", keys.HOSTNAME)])
    assert path(built, nodes[1]) == "zone=z block=b"
    assert set(built.levels) == {"dc/hall", "zone", "block", "host"}


def test_the_topology_with_most_labels_covers_a_node() -> None:
    """Several Topology objects: most labels first, then the name."""
    big, small = topology("z-big", "a", "b"), topology("a-small", "a")
    twin = topology("a-twin", "c", "b")
    built = Hierarchies.build([], [big, small, twin])
    assert path(built, {"a": "1", "b": "2"}) == "a=1 b=2"
    assert path(built, {"a": "1"}) == "a=1"
    assert path(built, {"b": "2", "c": "3"}) == "c=3 b=2"


def test_level_words_of_topology_labels() -> None:
    """A preset's word, or a last part that is exactly one; else the label key is the name."""
    labels = ("cloud.provider.com/topology-block", "example.com/rack", keys.TOPOGRAPH_LEAF)
    built = Hierarchies.build([], [topology("t", *labels, keys.HOSTNAME)])
    assert built.levels == ("cloud.provider.com/topology-block", "rack", "leaf", "host")
    assert built.resolve("example.com/rack") == "rack"


def test_a_label_called_host_is_not_the_host() -> None:
    """Nodes that share its value are not one host."""
    built = Hierarchies.build([{"host": "x"}], [topology("t", "host", keys.HOSTNAME)])
    assert built.levels == ("host label", "host")
    assert path(built, {"host": "x"}) == "host label=x"
    assert built.resolve("host") == "host"


def test_two_labels_with_one_word() -> None:
    """Their keys tell them apart."""
    built = Hierarchies.build([], [topology("t", "a.com/rack", "b.com/rack")])
    assert built.levels == ("a.com/rack", "b.com/rack", "host")


def test_a_topology_that_contradicts_another_is_not_used() -> None:
    """The later one by name is left out, and a Problem says so; its nodes fall back to presets."""
    first, second = topology("a", keys.BLOCK, keys.RACK), topology("b", keys.RACK, keys.BLOCK)
    for objects in ([first, second], [second, first]):
        built = Hierarchies.build([{keys.RACK: "r", keys.BLOCK: "b"}], objects)
        assert built.levels == ("block", "rack", "host")
        (problem,) = built.problems
        assert problem.subject == "Topology b"
        assert "rack, block contradicts the order block, rack" in problem.message


def test_tiers_that_nobody_relates_stand_by_their_number() -> None:
    """Racks of HyperNodes may be of tier 1 here and of tier 2 there: the higher tier is the outer one."""
    levels = ["tier-1", "tier-10", "rack", "tier-2"]
    assert sorted(levels, key=usual_order) == ["rack", "tier-10", "tier-2", "tier-1"]


def test_an_order_that_nobody_gave_contradicts_nobody() -> None:
    """Levels that two objects leave unrelated may be related by a third."""
    objects = [topology("a", "x"), topology("b", "y"), topology("c", "y", "x")]
    built = Hierarchies.build([], objects)
    assert (built.levels, built.problems) == (("y", "x", "host"), ())


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"levels": []},
        {"levels": "rack"},
        {"levels": [{"nodeLabel": 7}]},
        {"levels": [{"nodeLabel": "a"}, {"nodeLabel": "a"}]},
        {"levels": [{"nodeLabel": keys.HOSTNAME}, {"nodeLabel": "a"}]},
    ],
)
def test_a_topology_that_cannot_be_read(spec: Any) -> None:
    """One Problem names object and field; levels come from elsewhere."""
    built = Hierarchies.build([{keys.RACK: "r"}], [{"metadata": {"name": "t"}, "spec": spec}])
    (problem,) = built.problems
    assert (problem.subject, problem.field) == ("Topology t", "spec.levels")
    assert built.levels == ("rack", "host")


# -- levels that gangs ask for ---------------------------------------------------------------------------


def test_a_label_that_a_gang_asks_for_becomes_a_level() -> None:
    """Any node label will do; nobody need configure it."""
    nodes = [{keys.RACK: f"r{i // 2}", "row": f"w{i // 4}"} for i in range(8)]
    built = Hierarchies.build(nodes, asked=["row"])
    assert built.levels == ("row", "rack", "host")
    assert path(built, nodes[5]) == "row=w1 rack=r2"
    assert built.problems == ()


def test_a_label_that_no_node_has_is_no_level() -> None:
    """A name that means nothing stays unknown: the gang is told."""
    built = Hierarchies.build([{keys.RACK: "r"}], asked=["rakc", "zone"])
    assert built.levels == ("rack", "host")
    assert built.resolve("rakc") is None and built.resolve("zone") is None


def test_an_extra_level_does_not_cut_the_domains_of_others() -> None:
    """It stands inside a level whose domains have several of its values, and a Problem tells the effect."""
    nodes = [{keys.RACK: f"r{i // 4}", "team": "ab"[i % 2]} for i in range(8)]
    built = Hierarchies.build(nodes, asked=["team"])
    assert built.levels == ("rack", "team", "host")
    (problem,) = built.problems
    assert problem.field == "team" and "stays in one rack" in problem.message


def test_nodes_without_the_label_count_as_another_value() -> None:
    """A rack with and without the label must stay one rack."""
    nodes: list[Labels] = [{keys.RACK: "r1", "team": "a"}, {keys.RACK: "r1"}, {keys.RACK: "r2"}]
    assert Hierarchies.build(nodes, asked=["team"]).levels == ("rack", "team", "host")


def test_several_extra_levels_stand_by_their_numbers() -> None:
    """Fewer values stand further out."""
    nodes = [{"hall": f"h{i // 8}", "row": f"r{i // 4}", "pdu": f"p{i // 2}"} for i in range(16)]
    assert Hierarchies.build(nodes, asked=["pdu", "hall", "row"]).levels == (
        "hall",
        "row",
        "pdu",
        "host",
    )


def test_names_of_levels() -> None:
    """A level name, its label key, or the host under either name."""
    built = Hierarchies.build([{keys.RACK: "r"}])
    assert built.resolve("rack") == built.resolve(keys.RACK) == "rack"
    assert built.resolve("host") == built.resolve(keys.HOSTNAME) == "host"
    assert built.resolve("leaf") is None


LABELS = st.dictionaries(
    st.sampled_from(
        [keys.RACK, keys.BLOCK, keys.ZONE, keys.TOPOGRAPH_LEAF, keys.AWS_LAYER_3, "row", "team"]
    ),
    st.sampled_from(["a", "b", "c", ""]),
)


@given(
    nodes=st.lists(LABELS, max_size=6),
    chains=st.lists(
        st.lists(st.sampled_from(["row", "team", "host", keys.RACK]), max_size=3), max_size=3
    ),
    asked=st.sets(st.sampled_from(["row", "team", "rack", "leaf", "x"])),
)
def test_what_holds_for_any_fleet(
    nodes: list[Labels], chains: list[list[str]], asked: set[str]
) -> None:
    """Levels are distinct and end with the host; paths follow their order; node order does not matter."""
    objects = [topology(f"t{i}", *chain) for i, chain in enumerate(chains)]
    built = Hierarchies.build(nodes, objects, asked)
    assert len(set(built.levels)) == len(built.levels)
    assert built.levels[-1] == "host"
    for labels in nodes:
        order = [built.levels.index(step.level) for step in built.path(labels)]
        assert order == sorted(order)
    assert Hierarchies.build(nodes[::-1], objects[::-1], asked) == built


def test_what_nobody_asks_for_changes_nothing() -> None:
    """Asking for a level that exists does not change the levels."""
    nodes = [{keys.RACK: "r", keys.ZONE: "z"}]
    assert Hierarchies.build(nodes, asked=["rack", keys.ZONE]) == Hierarchies.build(nodes)
