"""The planned nodes are on record before any member may run, so that a preloader can start first."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from scheduler.keys import GATE, MODEL, MODEL_BYTES
from tests.extender.world import World, drive

ASKS = {"annotations": {MODEL: "ome://llama", MODEL_BYTES: "30G"}}


def test_the_nodes_are_published_before_the_members_are_let_in() -> None:
    """The write that says Planned names model, nodes and seconds while every pod is gated, not nominated."""
    seen: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []

    async def life(world: World) -> None:
        write = world.cluster.write_gang

        async def watched(*call: Any) -> Any:
            written = await write(*call)
            seen.append(
                (copy.deepcopy(dict(written or {})), copy.deepcopy(world.cluster.all("Pod")))
            )
            return written

        setattr(world.cluster, "write_gang", watched)  # noqa: B010 - mypy lets no method be assigned
        for name in ("n0", "n1"):
            node = world.cluster.get("Node", name)
            node["metadata"]["labels"] = {"models.ome.io/clusterbasemodel.llama": "Ready"}
            world.cluster.put("Node", node)
        world.gang("g", 2, **ASKS)
        await world.ungated()
        await asyncio.sleep(0)

    drive(life)
    planned, pods = next(found for found in seen if found[0]["status"]["phase"] == "Planned")
    assert planned["spec"]["model"] == "ome://llama"
    places = {member["pod"]: member["node"] for member in planned["status"]["members"]}
    assert places == {"g-0": "n0", "g-1": "n1"}
    assert planned["status"]["loadSeconds"] == 5
    for pod in pods:
        assert [gate["name"] for gate in pod["spec"]["schedulingGates"]] == [GATE]
        assert "nominatedNodeName" not in pod["status"]
