"""The JSON of ``muster plan`` is a contract: this is its shape, key by key."""

from __future__ import annotations

from scheduler.advice import ScaleOut
from scheduler.model import (
    Code,
    Gang,
    GangAssignment,
    Member,
    PassedOver,
    Plan,
    PodSet,
    Reason,
    Slot,
    SolverStatus,
)
from scheduler.plan_json import plan_document
from scheduler.snapshot import NodeState, RunningPod, Snapshot
from topology.model import Node
from topology.resources import Resources
from topology.tree import TopologyTree

CARDS = Resources({"nvidia.com/gpu": 8, "pods": 1})
NODE = Node(name="n1", allocatable=CARDS)
POD = RunningPod(namespace="other", name="busy", uid="u0", request=Resources({"pods": 1}))


def _gang(name: str) -> Gang:
    members = (Member(pod=f"{name}-0", uid=f"u-{name}"),)
    podset = PodSet(role="main", size=1, min_count=1, request=CARDS, members=members)
    return Gang(namespace="default", name=name, podsets=(podset,), min_members=1)


SNAPSHOT = Snapshot(
    levels=("host",),
    nodes=(NodeState(node=NODE, free=CARDS, pods=(POD,)),),
    tree=TopologyTree.build([NODE], ["host"]),
    gangs=(_gang("chat"), _gang("train")),
)
FULL = Reason(code=Code.INSUFFICIENT, message="8 cards are missing", numbers={"missing": 8})
PLACED = GangAssignment(
    namespace="default",
    gang="chat",
    placed=True,
    flavor="a100",
    flavor_rank=1,
    passed_over=(PassedOver(flavor="h100", reason=FULL),),
    domains={"block": ("b1",), "rack": ("b1/r1", "b1/r2")},
    load_seconds=41,
    slots=(Slot(pod="chat-0", uid="u-chat", role="main", rank=0, node="n1", request=CARDS),),
)
WAITING = GangAssignment(namespace="default", gang="train", reason=FULL)


def test_the_document() -> None:
    """A placed gang shows its flavor, what was passed over and its members; a waiting one why."""
    plan = Plan(
        assignments=(PLACED, WAITING),
        status=SolverStatus.OPTIMAL,
        objective=(1, 1),
        bound=(1, 0),
    )
    assert plan_document(SNAPSHOT, plan, 0.123456) == {
        "gangs": [
            {
                "namespace": "default",
                "name": "chat",
                "status": "placed",
                "flavor": "a100",
                "flavorRank": 1,
                "passedOver": [
                    {
                        "flavor": "h100",
                        "reason": "Insufficient",
                        "message": "8 cards are missing",
                    }
                ],
                "members": [{"pod": "chat-0", "role": "main", "rank": 0, "node": "n1"}],
                "domains": {"block": ["b1"], "rack": ["b1/r1", "b1/r2"]},
                "loadSeconds": 41,
                "reason": None,
            },
            {
                "namespace": "default",
                "name": "train",
                "status": "waiting",
                "flavor": None,
                "flavorRank": 0,
                "passedOver": [],
                "members": [],
                "domains": {},
                "loadSeconds": None,
                "reason": {
                    "code": "Insufficient",
                    "message": "8 cards are missing",
                    "numbers": {"missing": 8},
                },
            },
        ],
        "solver": {
            "status": "optimal",
            "objective": [1, 1],
            "bound": [1, 0],
            "seconds": 0.1235,
        },
        "snapshot": {"nodes": 1, "pods": 3},
    }


def test_advice_stands_with_the_gangs_that_wait() -> None:
    """One key more, and only where there is something to say: readers of the contract see no other change."""
    plan = Plan(assignments=(PLACED, WAITING))
    advice = {"default/train": (ScaleOut(flavor="h100", message="1 more node", nodes=1),)}
    placed, waits = plan_document(SNAPSHOT, plan, 0, advice)["gangs"]
    assert "scaleOut" not in placed
    assert waits.pop("scaleOut") == [{"flavor": "h100", "nodes": 1, "message": "1 more node"}]
    assert [placed, waits] == plan_document(SNAPSHOT, plan, 0)["gangs"]
