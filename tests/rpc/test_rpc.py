"""Calls of `muster.v1.PlacementService` over a real connection: answers, refusals, watches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from extender.muster_v1 import placement_pb2 as pb
from tests.rpc.client import LLAMA, Code, Stub, call, first, refusal
from tests.rpc.service import ADVICE as NEEDED
from tests.rpc.service import Values, view

ADVICE = {
    "flavor": "h100",
    "nodes": 1,
    "cost_per_hour": "12.5",
    "cheapest": True,
    "like": "n1",
    "level": "rack",
    "domains": {"r1": 1},
    "node_selector": {"type": "h100"},
    "resources": {"cpu": "1500m", "example.com/gpu": "8", "pods": "1"},
    "message": "1 more node like n1 would do",
}


def test_plan_is_the_plan_document() -> None:
    """Every field of `muster plan -o json` arrives, with `null` as an unset field."""
    service = Values()
    answer = call(service, lambda stub: stub.Plan(pb.PlanRequest(manifests=b"kind: Node")))
    assert service.planned == [(b"kind: Node", False)]
    assert MessageToDict(answer, preserving_proto_field_name=True) == {
        "gangs": [
            {
                "namespace": "default",
                "name": "llama",
                "status": "STATUS_PLACED",
                "flavor": "a100",
                "flavor_rank": 1,
                "passed_over": [
                    {
                        "flavor": "h100",
                        "reason": {
                            "code": "Insufficient",
                            "message": "0 of 2 places are free",
                            "numbers": {"free": "0", "needed": "2"},
                        },
                    }
                ],
                "members": [
                    {
                        "pod": "llama-1",
                        "uid": "llama-1-uid",
                        "role": "main",
                        "rank": 1,
                        "node": "n2",
                    }
                ],
                "domains": [
                    {"level": "block", "names": ["b1"]},
                    {"level": "rack", "names": ["b1/r1", "b1/r2"]},
                ],
                "load_seconds": "41",
            },
            {
                "namespace": "default",
                "name": "qwen",
                "status": "STATUS_WAITING",
                "reason": {
                    "code": "Insufficient",
                    "message": "0 of 2 places are free",
                    "numbers": {"free": "0", "needed": "2"},
                },
                "scale_out": [ADVICE],
            },
        ],
        "solver": {
            "status": "STATUS_OPTIMAL",
            "objective": ["0", "3"],
            "bound": ["0", "2"],
            "seconds": 0.25,
        },
        "snapshot": {},
    }
    assert not answer.gangs[1].HasField("flavor")
    assert not answer.gangs[1].HasField("load_seconds")


def test_plan_of_a_live_gang_answers_for_it_alone() -> None:
    """The gang is decided beside all others, and the answer holds only its part."""
    service = Values(view("llama"), view("qwen"))
    answer = call(service, lambda stub: stub.Plan(pb.PlanRequest(gang=LLAMA)))
    assert service.planned == [(b"", True)]
    assert [gang.name for gang in answer.gangs] == ["llama"]


def test_get_gang_says_what_was_understood_and_where_members_are() -> None:
    """Request, phase, decision; running members and planned places in one list."""
    gang = call(Values(view()), lambda stub: stub.GetGang(pb.GetGangRequest(gang=LLAMA)))
    assert gang.phase == pb.PHASE_PLANNED
    assert gang.message == "planned on n1, n2"
    assert [(m.pod, m.rank, m.node, m.bound) for m in gang.members] == [
        ("llama-0", 0, "n1", True),
        ("llama-1", 1, "n2", False),
    ]
    assert list(gang.spec.flavors) == ["h100", "a100"]
    assert gang.spec.topology.required == "block"
    (podset,) = gang.spec.pod_sets
    assert dict(podset.request) == {"cpu": "1500m", "example.com/gpu": "8", "pods": "1"}
    assert [(item.level, item.size) for item in podset.slices] == [("rack", 2)]


def test_explain_is_the_text_itself() -> None:
    """Not a character is added to what `muster explain` prints."""
    service = Values(view(text="waits: h100 has 3 of 4 places"))
    answer = call(service, lambda stub: stub.Explain(pb.ExplainRequest(gang=LLAMA)))
    assert answer.text == "waits: h100 has 3 of 4 places"


def test_scale_out_names_the_nodes_that_are_missing() -> None:
    """Every field of the advice; a gang that has its places gets an empty answer."""
    service = Values(view("llama", "Waiting"), view("qwen", "Bound"))
    qwen = pb.GangName(namespace="default", name="qwen")

    def ask(gang: pb.GangName) -> dict[str, Any]:
        answer = call(service, lambda stub: stub.ScaleOut(pb.ScaleOutRequest(gang=gang)))
        return MessageToDict(answer, preserving_proto_field_name=True)

    assert ask(LLAMA) == {"flavors": [ADVICE]}
    assert ask(qwen) == {}


def test_a_watch_carries_the_advice() -> None:
    """A gang that waits is told with the nodes that would start it."""
    waits = replace(view("llama", "Waiting"), scale_out=(NEEDED,))
    gang = call(Values(waits), lambda stub: stub.GetGang(pb.GetGangRequest(gang=LLAMA)))
    assert [one.nodes for one in gang.decision.scale_out] == [1]


async def _watch(stub: Stub, request: pb.WatchGangsRequest) -> list[pb.Gang]:
    return await first(stub.WatchGangs(request), 1)


REFUSED: dict[str, tuple[Callable[[Stub], Awaitable[object]], Code, str]] = {
    "unknown gang": (
        lambda stub: stub.GetGang(
            pb.GetGangRequest(gang=pb.GangName(namespace="default", name="none"))
        ),
        Code.NOT_FOUND,
        "there is no gang default/none",
    ),
    "no gang": (
        lambda stub: stub.GetGang(pb.GetGangRequest()),
        Code.INVALID_ARGUMENT,
        "gang.namespace is empty",
    ),
    "no name": (
        lambda stub: stub.Explain(pb.ExplainRequest(gang=pb.GangName(namespace="default"))),
        Code.INVALID_ARGUMENT,
        "gang.name is empty",
    ),
    "no input": (
        lambda stub: stub.Plan(pb.PlanRequest(live=True)),
        Code.INVALID_ARGUMENT,
        "input is missing: manifests (YAML or JSON bytes) or gang",
    ),
    "bad manifests": (
        lambda stub: stub.Plan(pb.PlanRequest(manifests=b"bad")),
        Code.INVALID_ARGUMENT,
        "manifests: document 1, line 1: kind is missing",
    ),
    "name without namespace": (
        lambda stub: _watch(stub, pb.WatchGangsRequest(name="llama")),
        Code.INVALID_ARGUMENT,
        "namespace is empty: a name alone does not say which",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_requests_name_object_or_field(case: str) -> None:
    """One status code and one sentence that says what to change."""
    do, code, text = REFUSED[case]
    assert refusal(Values(view()), do) == (code, text)


LIVE: dict[str, Callable[[Stub], Awaitable[object]]] = {
    "GetGang": lambda stub: stub.GetGang(pb.GetGangRequest(gang=LLAMA)),
    "Explain": lambda stub: stub.Explain(pb.ExplainRequest(gang=LLAMA)),
    "ScaleOut": lambda stub: stub.ScaleOut(pb.ScaleOutRequest(gang=LLAMA)),
    "WatchGangs": lambda stub: _watch(stub, pb.WatchGangsRequest()),
    "Plan of a gang": lambda stub: stub.Plan(pb.PlanRequest(gang=LLAMA)),
    "Plan on the cluster": lambda stub: stub.Plan(pb.PlanRequest(manifests=b"{}", live=True)),
}


@pytest.mark.parametrize("case", LIVE)
def test_live_calls_wait_for_the_caches(case: str) -> None:
    """Before the first sync, or on a replica that does not lead, nobody gets half the truth."""
    service = Values(view())
    service.missing = ("not synced: Pod", "another replica leads")
    expected = (Code.UNAVAILABLE, "not synced: Pod; another replica leads")
    assert refusal(service, LIVE[case]) == expected


def test_offline_plan_needs_no_cluster() -> None:
    """A what-if on manifests alone is answered by any replica at any time."""
    service = Values()
    service.missing = ("not synced: Pod",)
    answer = call(service, lambda stub: stub.Plan(pb.PlanRequest(manifests=b"{}")))
    assert len(answer.gangs) == 2


def test_watch_gives_the_present_then_changes_of_the_named_gang() -> None:
    """First state, every change, deletion; other gangs are left out."""
    service = Values(view("llama", "Waiting"), view("qwen", "Waiting"))

    async def watch(stub: Stub) -> list[tuple[str, str, bool]]:
        stream = stub.WatchGangs(pb.WatchGangsRequest(namespace="default", name="llama"))
        seen = await first(stream, 1)
        service.put(view("qwen", "Bound"))
        service.put(view("llama", "Bound"))
        seen += await first(stream, 1)
        service.drop("llama")
        seen += await first(stream, 1)
        return [(gang.name, pb.Phase.Name(gang.phase), gang.deleted) for gang in seen]

    assert call(service, watch) == [
        ("llama", "PHASE_WAITING", False),
        ("llama", "PHASE_BOUND", False),
        ("llama", "PHASE_BOUND", True),
    ]
