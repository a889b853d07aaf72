"""Muster on the in-memory cluster, with kube-scheduler's part played by the test."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from extender.config import Config
from extender.engine import Engine
from extender.executor import Executor
from extender.metrics import Metrics
from extender.reporter import Reporter
from extender.service import Service
from extender.wire import BindRequest, FilterAnswer, FilterRequest
from scheduler.keys import GANG, GANG_SIZE, GATE, RESOURCE_BIND, RESOURCE_MEMBER
from scheduler.ledger import Ledger
from scheduler.model import GangAssignment
from scheduler.progress import Limits
from scheduler.reservation import Reservation, State
from scheduler.solve import solve
from scheduler.state import ClusterState
from tests.extender.cluster import Cluster, Object
from topology.keys import NVIDIA_GPU

QUICK = Config(
    debounce_seconds=0.001,
    interval_seconds=0.005,
    barrier_seconds=1,
    bind_retry_seconds=0.2,
    exclude_seconds=5,
    limits=Limits(
        arrive_seconds=0.3, reserve_seconds=3, abort_seconds=0.4, renominate_seconds=0.05
    ),
)


class World:
    """A cluster with Muster beside it; ``drive`` runs a scenario in one."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cluster = Cluster()
        self.start()

    def start(self) -> None:
        """A new process of Muster that knows only what the API server has."""
        self.state, self.ledger = ClusterState(rewrites=self.config.rewrites), Ledger()
        latest: dict[str, GangAssignment] = {}
        metrics = Metrics()
        self.reporter = Reporter(self.config, self.state, self.ledger, self.cluster, latest)
        self.executor = Executor(
            self.config, self.state, self.ledger, self.cluster, self.reporter, metrics
        )
        self.engine = Engine(
            self.config, self.state, self.ledger, self.executor, solve, metrics, latest
        )
        self.executor.outcomes = self.engine.follower
        self.reporter.leading = lambda: self.engine.leading
        self.service = Service(
            self.config,
            self.state,
            self.ledger,
            self.engine,
            self.executor,
            self.reporter,
            metrics,
        )
        self.cluster.sink = self.engine.apply
        for kind, _ in list(self.cluster.objects):
            for obj in self.cluster.all(kind):
                self.engine.apply(kind, "ADDED", copy.deepcopy(obj))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Muster leads and works until the end of the block; then it is gone, as after SIGKILL."""
        self.engine.start_leading()
        tasks = [asyncio.create_task(self.engine.run()), asyncio.create_task(self.reporter.run())]
        try:
            yield
        finally:
            for left in (tasks, self.executor._tasks):
                for task in tuple(left):
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
                await asyncio.sleep(0)  # what was asked for in this turn has begun

    # -- what users do ---------------------------------------------------------------------------

    def node(self, name: str, gpus: int = 8, **spec: object) -> None:
        """A ready node."""
        room = {"cpu": "64", "memory": "1Ti", "pods": "110", NVIDIA_GPU: str(gpus)}
        self.cluster.put(
            "Node",
            {
                "metadata": {"name": name, "uid": name},
                "spec": dict(spec),
                "status": {
                    "allocatable": room,
                    "conditions": [{"type": "Ready", "status": "True"}],
                },
            },
        )

    def pod(self, name: str, gpus: int = 8, uid: str = "", **extra: Any) -> Object:
        """A plain pod."""
        pod: Object = {
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": uid or f"{name}-uid",
                "annotations": {},
                **extra.pop("metadata", {}),
            },
            "spec": {
                "containers": [{"name": "c", "resources": {"limits": {NVIDIA_GPU: str(gpus)}}}],
                **extra,
            },
            "status": {},
        }
        return self.cluster.put("Pod", pod)

    def member(self, gang: str, index: int, size: int, **options: Any) -> None:
        """A member as it is after admission: gated, with the membership resources."""
        annotations = {GANG: gang, GANG_SIZE: str(size), **options.pop("annotations", {})}
        gpus = options.pop("gpus", 8)
        metadata: Object = {"annotations": annotations, **options.pop("metadata", {})}
        limits = {NVIDIA_GPU: str(gpus), RESOURCE_MEMBER: "1", RESOURCE_BIND: "1"}
        self.pod(
            f"{gang}-{index}",
            metadata=metadata,
            schedulingGates=[{"name": GATE}],
            containers=[{"name": "c", "resources": {"limits": limits}}],
            **options,
        )

    def gang(self, name: str, size: int, **options: Any) -> None:
        """A whole gang of members that need a node each."""
        for index in range(size):
            self.member(name, index, size, **copy.deepcopy(options))

    # -- what kube-scheduler does ----------------------------------------------------------------

    def filter(self, name: str, *nodes: str) -> FilterAnswer:
        """The verb ``filter`` for a pod; with the nodes that passed so far, or all."""
        pod = self.cluster.get("Pod", name)
        known = tuple(node["metadata"]["name"] for node in self.cluster.all("Node"))
        request = FilterRequest(
            pod=pod,
            namespace="default",
            name=name,
            uid=pod["metadata"]["uid"],
            nominated=pod["status"].get("nominatedNodeName"),
            node_names=nodes or known,
            nodes=None,
        )
        return self.service.filter(request)

    def bind(self, name: str, node: str) -> asyncio.Task[str]:
        """The verb ``bind``, in a call of its own."""
        uid = self.cluster.get("Pod", name)["metadata"]["uid"]
        request = BindRequest(namespace="default", name=name, uid=uid, node=node)
        return asyncio.create_task(self.service.bind(request))

    async def arrive(self, name: str) -> asyncio.Task[str]:
        """A member's way through kube-scheduler up to the barrier, once it is ungated."""
        await self.until(lambda: not self.cluster.get("Pod", name)["spec"]["schedulingGates"])
        await self.until(lambda: self.filter(name).nodes)
        call = self.bind(name, *self.filter(name).nodes)
        await asyncio.sleep(0)
        return call

    def fail_attempt(self, name: str) -> None:
        """A failed attempt of kube-scheduler clears the nomination."""
        pod = self.cluster.get("Pod", name)
        pod["status"]["nominatedNodeName"] = None
        self.cluster.put("Pod", pod)

    # -- looking ---------------------------------------------------------------------------------

    async def until(self, seen: Callable[[], object], seconds: float = 3) -> None:
        """Wait for something that must happen."""
        async with asyncio.timeout(seconds):
            while not seen():  # noqa: ASYNC110 - what is waited for is data, not an event
                await asyncio.sleep(0.002)

    def reservation(self, gang: str = "default/g") -> Reservation | None:
        """What the ledger holds for the gang."""
        return self.ledger.get(gang)

    def stands(self, state: State | None, gang: str = "default/g") -> bool:
        """Whether the gang's reservation is in the state; None: there is none."""
        found = self.reservation(gang)
        return (found.state if found else None) is state

    def phase(self, gang: str = "g") -> str:
        """Phase of the Gang object; empty when there is none."""
        obj = self.cluster.objects.get(("Gang", gang))
        return str(obj["status"]["phase"]) if obj else ""

    def status(self, gang: str = "g") -> Object:
        """Status of the Gang object."""
        found: Object = self.cluster.get("Gang", gang)["status"]
        return found

    def places(self) -> dict[str, str]:
        """Bound pods and their nodes."""
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in self.cluster.all("Pod")
            if pod["spec"].get("nodeName")
        }

    def recorded(self, gang: str = "g") -> dict[str, str]:
        """Pods and their nodes as the Gang object has them."""
        return {item["pod"]: item["node"] for item in self.status(gang)["members"]}

    def overbooked(self) -> list[str]:
        """Nodes on which running pods and what is held are more than there is."""
        return [
            name
            for name, node in self.state.nodes.items()
            if not node.free.fits(self.ledger.reserved_on(name))
        ]

    def snapshot_excluded(self, gang: str = "default/g") -> tuple[str, ...]:
        """Nodes that the next plan of the gang leaves out."""
        found = {g.key: g.excluded_nodes for g in self.engine.snapshot().gangs}
        return found[gang]

    async def ungated(self, name: str = "g", size: int = 2) -> None:
        """Wait until the gang is nominated, ungated, and that is known."""
        await self.until(
            lambda: (
                (found := self.reservation(f"default/{name}"))
                and found.ungated_seconds is not None
                and len(found.nominated) == len(found.open_slots)
            )
        )

    async def bound(self, name: str = "g", size: int = 2) -> None:
        """See a gang through to the end of its reservation."""
        calls = [await self.arrive(f"{name}-{index}") for index in range(size)]
        assert await asyncio.gather(*calls) == [""] * size
        await self.until(lambda: self.stands(None, f"default/{name}"))
        await self.until(lambda: self.phase(name) == "Bound")


def drive(
    scenario: Callable[[World], Awaitable[None]], config: Config = QUICK, nodes: int = 2
) -> World:
    """Run a scenario in a world with some nodes of 8 GPUs, ``n0``.., and a running Muster."""

    async def main() -> World:
        world = World(config)
        for index in range(nodes):
            world.node(f"n{index}")
        async with world.running():
            await scenario(world)
        return world

    return asyncio.run(main())
