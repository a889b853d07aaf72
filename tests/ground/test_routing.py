"""Ground facts about the synthetic resources that route pods to the two extender entries."""

from __future__ import annotations

import pytest

from tests.ground.rig import Rig

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("member", "bind", "verbs"),
    [
        (False, False, set()),
        (True, False, {"filter"}),
        (False, True, {"bind"}),
        (True, True, {"filter", "bind"}),
    ],
)
def test_synthetic_resources_route(rig: Rig, member: bool, bind: bool, verbs: set[str]) -> None:
    """No node advertises the resources; each sends its pod to its own entry, plain pods to none."""
    rig.add_nodes(1)
    rig.create("pod", member=member, bind=bind)
    rig.wait_bound("pod")
    assert {call.verb for call in rig.extender.calls if call.pod == "pod"} == verbs
