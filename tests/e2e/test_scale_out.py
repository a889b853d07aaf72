"""Scale-out advice on the real control plane: whoever follows it sees the gang start."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scheduler import keys
from tests.e2e.rig import Rig

pytestmark = pytest.mark.e2e


def test_nodes_that_were_advised_start_the_gang(rig: Rig) -> None:
    """The Gang names number, labels, resources and price; exactly these nodes are what was missing."""
    rig.add_nodes(3, labels={"card": "h100"})
    flavors = [
        {"name": "h100", "nodeSelector": {"card": "h100"}, "costPerHour": "12.50"},
        {"name": "spot", "nodeSelector": {"card": "spot"}, "costPerHour": 3},
    ]
    rig.gang("big", 5, annotations={keys.FLAVOR_SPEC: json.dumps(flavors)})

    def advised() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = rig.status("big").get("scaleOut", [])
        return found

    h100, spot = rig.cluster.api.wait_for("the advice", advised)
    assert (h100["flavor"], h100["nodes"], h100["costPerHour"]) == ("h100", 2, "25")
    assert h100["nodeSelector"] == {"card": "h100"}
    assert (spot["nodes"], spot["atMost"], spot["costPerHour"]) == (5, True, "15")
    assert [one.get("cheapest", False) for one in (h100, spot)] == [False, True]

    rig.add_nodes(h100["nodes"] - 1, labels=h100["nodeSelector"])
    rig.cluster.api.wait_for("newer advice", lambda: advised()[0]["nodes"] == 1)
    rig.add_nodes(1, labels=h100["nodeSelector"])
    rig.wait_bound("big", 5)
    assert "scaleOut" not in rig.wait_phase("big", "Bound")
