"""The Gang object is the durable record: what was decided is read back from it unchanged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scheduler.advice import ScaleOut
from scheduler.gang_object import (
    Phase,
    Record,
    gang_manifest,
    gang_status,
    read_record,
    standing,
    to_come,
)
from scheduler.model import (
    Code,
    Gang,
    GangAssignment,
    Member,
    Minimum,
    PassedOver,
    PodSet,
    Reason,
    Slot,
    Traffic,
)
from scheduler.solve.reasons import explain
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
    load_seconds=41,
    traffic=Traffic(crossings={"rack": 1, "host": 3}, milliseconds=18),
    load_elsewhere="212 s in rack 3, which has no copy",
)


def test_members_that_run_are_counted_once_and_all_are_shown() -> None:
    """Of an elastic gang one member runs since the decision about it, another from before."""
    members = tuple(Member(pod=f"chat-{i}", uid=f"u{i}", node=f"n{i + 1}") for i in range(2))
    missing = Member(pod="chat-2", uid="u2")
    main = PodSet(role="main", size=3, min_count=1, request=REQUEST, members=(*members, missing))
    gang = replace(GANG, podsets=(main,))
    decided = replace(ASSIGNMENT, flavor=None)
    assert explain(gang, to_come(decided, gang)).startswith("placed: 2 of 3 members run")
    record = Record(phase=Phase.BOUND, plan_id="p", assignment=decided, message="", bound=2)
    shown = gang_status(standing(record, gang), gang)["members"]
    assert [(item["pod"], item["rank"], item["node"]) for item in shown] == [
        ("chat-0", 0, "n1"),
        ("chat-1", 1, "n2"),
    ]


@pytest.mark.parametrize("phase", [Phase.PLANNED, Phase.BINDING, Phase.BOUND])
def test_a_committed_decision_survives_the_api_server(phase: Phase) -> None:
    """Equal after a round trip, although the API server sorts the keys of every map."""
    started = Minimum(members=3, roles={"prefill": 1, "decode": 2})
    record = Record(
        phase=phase,
        plan_id="p1",
        assignment=ASSIGNMENT,
        message="why",
        bound=1,
        started=started,
    )
    stored = {**gang_manifest(GANG), "status": gang_status(record, GANG)}
    read = read_record(json.loads(json.dumps(stored, sort_keys=True)))
    assert read == record
    assert list(read.assignment.domains) == ["zone", "block", "rack"]


def test_the_advice_for_a_waiting_gang_survives_the_api_server() -> None:
    """Every field comes back, and what is empty takes no room; a gang without advice has no such key."""
    everything = ScaleOut(
        flavor="h100",
        message="at most 3 more nodes",
        nodes=3,
        at_most=True,
        cost_per_hour="37.5",
        cheapest=True,
        like="n1",
        level="rack",
        domains={"a/r1": 1, "a/r2": 2},
        node_selector={"type": "h100"},
        resources=REQUEST,
    )
    advice = (everything, ScaleOut(flavor=None, message="no number of nodes would do"))
    waits = GangAssignment(namespace="default", gang="chat")
    record = Record(
        phase=Phase.WAITING, plan_id="", assignment=waits, message="why", bound=0, scale_out=advice
    )
    status = gang_status(record, GANG)
    assert status["scaleOut"][1] == {"message": "no number of nodes would do"}
    stored = {**gang_manifest(GANG), "status": status}
    assert read_record(json.loads(json.dumps(stored, sort_keys=True))) == record
    assert "scaleOut" not in gang_status(replace(record, scale_out=()), GANG)


@pytest.mark.parametrize(
    "written",
    ["", 7, [None, 7, "x"], [{"nodes": "three", "domains": [], "resources": {"cpu": "much"}}]],
)
def test_advice_that_somebody_else_wrote_is_read_as_far_as_it_goes(written: object) -> None:
    """The status of a Gang is data: whatever stands there gives values, never an exception."""
    record = read_record({"status": {"phase": "Waiting", "scaleOut": written}})
    assert record is not None
    assert all((one.nodes, one.resources["cpu"]) == (None, 0) for one in record.scale_out)


@pytest.mark.parametrize("written", ["", 7, {"members": "3"}, {"roles": {"a": 1}}])
def test_a_start_that_somebody_else_wrote_is_none(written: object) -> None:
    """Without a count of members nothing is known of it."""
    record = read_record({"status": {"phase": "Bound", "started": written}})
    assert record is not None and record.started is None
