"""Gauges about nodes: how many report, and what is wrong, by code."""

from __future__ import annotations

from extender.picture import node_problems
from scheduler.state import ClusterState
from tests.extender.world import World, drive
from tests.topology.source_fixtures import objects


def test_problems_of_nodes_by_code() -> None:
    """Agents' codes, disagreement with labels, and everything else; names of nodes and fields stay out."""
    state = ClusterState()
    for obj in objects("agent"):
        state.apply(obj["kind"], "ADDED", obj)
    bad = {"metadata": {"name": "n8"}, "status": {"allocatable": {"a.example/b": "x"}}}
    state.apply("Node", "ADDED", bad)
    assert node_problems(state) == {
        "LinkDown": 1,
        "CountDisagrees": 2,
        "ProductDisagrees": 1,
        "VendorDisagrees": 1,
        "Problem": 2,
        "SourcesDisagree": 2,
        "Other": 1,
    }


def test_the_service_shows_them() -> None:
    """In its metrics, as soon as the watch has brought the report."""

    async def scenario(world: World) -> None:
        problem = {"code": "LinkDown", "detail": "mlx5_0 is DOWN"}
        report = {"metadata": {"name": "n0"}, "status": {"problems": [problem]}}
        await world.until(lambda: world.service.picture().nodes > 0)
        assert world.service.picture().nodes_reported == 0
        world.service.engine.apply("NodeTopology", "ADDED", report)
        seen = world.service.picture()
        assert (seen.nodes_reported, seen.node_problems) == (1, {"LinkDown": 1})

    drive(scenario)
