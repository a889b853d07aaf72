"""Gauges about nodes: how many report, and what is wrong, by code."""

from __future__ import annotations

from extender.picture import picture
from scheduler.ledger import Ledger
from scheduler.state import ClusterState
from tests.topology.source_fixtures import objects


def test_problems_of_nodes_by_code() -> None:
    """Agents' codes, disagreement with labels, and everything else; names of nodes and fields stay out."""
    state = ClusterState()
    for obj in objects("agent"):
        state.apply(obj["kind"], "ADDED", obj)
    bad = {"metadata": {"name": "n8"}, "status": {"allocatable": {"a.example/b": "x"}}}
    state.apply("Node", "ADDED", bad)
    seen = picture(state, Ledger(), {}, synced=True, leader=True)
    assert seen.nodes_reported == 6
    assert seen.node_problems == {
        "LinkDown": 1,
        "CountDisagrees": 2,
        "ProductDisagrees": 1,
        "VendorDisagrees": 1,
        "Problem": 2,
        "SourcesDisagree": 2,
        "Other": 1,
    }
