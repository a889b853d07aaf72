"""A gang service made of a few values, and a server on loopback, for the tests of the gRPC layer."""

from __future__ import annotations

from collections.abc import AsyncIterator

from extender.feed import Feed, GangView
from extender.rpc import InvalidManifests, Planned
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
    Slice,
    Slot,
    SolverStatus,
    TopologyRequest,
)
from scheduler.snapshot import Snapshot
from topology.model import Flavor
from topology.resources import Resources
from topology.tree import TopologyTree

REQUEST = Resources.parse({"cpu": "1500m", "example.com/gpu": 8, "pods": 1})
FULL = Reason(
    code=Code.INSUFFICIENT, message="0 of 2 places are free", numbers={"free": 0, "needed": 2}
)


def view(name: str = "llama", phase: str = "Planned", text: str = "planned on n1, n2") -> GangView:
    """A gang of two: `-0` runs on n1, `-1` has a place on n2."""
    podset = PodSet(
        role="main",
        size=2,
        min_count=2,
        request=REQUEST,
        members=(
            Member(pod=f"{name}-0", uid=f"{name}-0-uid", node="n1"),
            Member(pod=f"{name}-1", uid=f"{name}-1-uid"),
        ),
        slices=(Slice(level="rack", size=2),),
    )
    return GangView(
        gang=Gang(
            namespace="default",
            name=name,
            podsets=(podset,),
            min_members=2,
            created_seconds=7,
            flavors=(Flavor(name="h100"), Flavor(name="a100")),
            topology=TopologyRequest(required="block"),
        ),
        phase=phase,
        assignment=assignment(name),
        text=text,
    )


def assignment(name: str = "llama") -> GangAssignment:
    """The place of member 1, on the second best flavor."""
    slot = Slot(
        pod=f"{name}-1", uid=f"{name}-1-uid", role="main", rank=1, node="n2", request=REQUEST
    )
    return GangAssignment(
        namespace="default",
        gang=name,
        slots=(slot,),
        placed=True,
        flavor="a100",
        flavor_rank=1,
        passed_over=(PassedOver(flavor="h100", reason=FULL),),
        domains={"block": ("b1",), "rack": ("b1/r1", "b1/r2")},
        load_seconds=41,
    )


def waiting(name: str) -> GangAssignment:
    """A gang without a place."""
    return GangAssignment(namespace="default", gang=name, reason=FULL)


ADVICE = ScaleOut(
    flavor="h100",
    message="1 more node like n1 would do",
    nodes=1,
    cost_per_hour="12.5",
    cheapest=True,
    like="n1",
    level="rack",
    domains={"r1": 1},
    node_selector={"type": "h100"},
    resources=REQUEST,
)
SNAPSHOT = Snapshot(levels=("host",), nodes=(), tree=TopologyTree.build((), ("host",)))


class Values:
    """`GangService` over a dictionary of views; `changed` tells the watchers."""

    def __init__(self, *views: GangView) -> None:
        self.views = {view.gang.key: view for view in views}
        self.missing: tuple[str, ...] = ()
        self.planned: list[tuple[bytes, bool]] = []
        self.feed = Feed(self.views.get, lambda: tuple(self.views))

    def not_ready(self) -> tuple[str, ...]:
        """As set by the test."""
        return self.missing

    def gang(self, namespace: str, name: str) -> GangView | None:
        """The view, if there is one."""
        return self.views.get(f"{namespace}/{name}")

    def subscribe(self) -> AsyncIterator[GangView]:
        """The feed of the views."""
        return self.feed.subscribe()

    def explain(self, namespace: str, name: str) -> str | None:
        """The text of the view."""
        found = self.gang(namespace, name)
        return found.text if found else None

    async def scale_out(self, namespace: str, name: str) -> tuple[ScaleOut, ...]:
        """One more node on h100; nothing for a gang that does not wait."""
        return (ADVICE,) if self.views[f"{namespace}/{name}"].phase == "Waiting" else ()

    async def plan(self, manifests: bytes, live: bool) -> Planned:
        """A plan with one gang placed and one waiting; `bad` is not a manifest."""
        if manifests == b"bad":
            raise InvalidManifests("document 1, line 1: kind is missing")
        self.planned.append((manifests, live))
        plan = Plan(
            assignments=(assignment("llama"), waiting("qwen")),
            status=SolverStatus.OPTIMAL,
            objective=(0, 3),
            bound=(0, 2),
        )
        advice = {"default/qwen": (ADVICE,)}
        return Planned(snapshot=SNAPSHOT, plan=plan, seconds=0.25, advice=advice)

    def put(self, view: GangView) -> None:
        """A gang changed."""
        self.views[view.gang.key] = view
        self.feed.changed(view.gang.key)

    def drop(self, name: str) -> None:
        """A gang is gone."""
        del self.views[f"default/{name}"]
        self.feed.changed(f"default/{name}")
