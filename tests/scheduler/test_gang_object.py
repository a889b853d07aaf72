"""The Gang object is the durable record: what was decided is read back from it unchanged."""

from __future__ import annotations

import json

import pytest

from scheduler.gang_object import Phase, Record, gang_manifest, gang_status, read_record
from scheduler.model import Code, Gang, GangAssignment, PassedOver, PodSet, Reason, Slot
from topology.resources import Resources

REQUEST = Resources({"cpu": 1500, "nvidia.com/gpu": 8, "pods": 1})
GANG = Gang(
    namespace="default",
    name="chat",
    podsets=(PodSet(role="main", size=1, min_count=1, request=REQUEST),),
    min_members=1,
)
FULL = Reason(code=Code.INSUFFICIENT, message="full", numbers={"missing": 8})
ASSIGNMENT = GangAssignment(
    namespace="default",
    gang="chat",
    placed=True,
    flavor="a100",
    flavor_rank=1,
    passed_over=(PassedOver(flavor="h100", reason=FULL),),
    domains={"zone": ("a",), "block": ("a/b",), "rack": ("a/b/1", "a/b/2")},
    slots=(Slot(pod="chat-0", uid="u0", role="main", rank=0, node="n1", request=REQUEST),),
)


@pytest.mark.parametrize("phase", [Phase.PLANNED, Phase.BINDING, Phase.BOUND])
def test_a_committed_decision_survives_the_api_server(phase: Phase) -> None:
    """Equal after a round trip, although the API server sorts the keys of every map."""
    record = Record(phase=phase, plan_id="p1", assignment=ASSIGNMENT, message="why", bound=1)
    stored = {**gang_manifest(GANG), "status": gang_status(record, GANG)}
    read = read_record(json.loads(json.dumps(stored, sort_keys=True)))
    assert read == record
    assert list(read.assignment.domains) == ["zone", "block", "rack"]
