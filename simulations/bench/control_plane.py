"""Gangs on a real control plane with 500 nodes, 60 % busy: from creation until all members are bound.

Gangs arrive at a fixed rate, whether or not the ones before are bound. The same pods without a gang show what
the control plane itself takes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import yaml

from scheduler import keys
from scheduler.kube.client import KubeClient
from scheduler.kube.reflector import Reflector, Source, Verb
from scheduler.kube.resources import PODS
from simulations.bench import Line, percentile
from simulations.controlplane import Cluster, temporary_cluster
from simulations.fleet import Fleet, Pool
from simulations.local import LocalMuster
from topology.keys import NVIDIA_GPU

NODE_COUNT = 500
BUSY = 0.6
GANGS, WARM_UP = 40, 4
EVERY_SECONDS = 1.0
SIZES, CARDS = range(2, 17), (1, 2, 4)
_SEED = 7
_WAIT_SECONDS = 60.0

Object = dict[str, Any]

_FLAVOR_SPEC = yaml.safe_dump(
    [
        {"name": "h100", "deviceClass": "nvidia-h100-80gb"},
        {"name": "a100", "deviceClass": "nvidia-a100-80gb"},
        {"name": "l40s", "deviceClass": "nvidia-l40s"},
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pods that are created together."""

    name: str
    size: int
    cards: int
    annotations: Mapping[str, str]

    def names(self) -> list[str]:
        """Their names."""
        return [f"{self.name}-{i}" for i in range(self.size)]

    def pods(self) -> list[Object]:
        """Their manifests."""
        limits = {NVIDIA_GPU: str(self.cards)}
        return [
            {
                "metadata": {"name": name, "annotations": dict(self.annotations)},
                "spec": {
                    "containers": [
                        {
                            "name": "vllm",
                            "image": "vllm/vllm-openai",
                            "resources": {"limits": limits},
                        }
                    ]
                },
            }
            for name in self.names()
        ]


def run() -> Iterator[Line]:
    """The lines of this part; about two minutes."""
    with temporary_cluster() as cluster:
        muster = LocalMuster(cluster, settings={"log_level": "warning"})
        muster.install()
        _fill(cluster)
        muster.start()
        gangs = _measured(cluster, "gangs", _groups(gang=True))
        yield _line("gang creation -> all bound", gangs)
        cluster.api.delete("/api/v1/namespaces/gangs/pods", grace_seconds=0)
        plain = _measured(cluster, "plain", _groups(gang=False))
        yield _line("the same pods without a gang", plain)
        muster.stop()
    if gangs and plain:
        ratio = percentile(gangs, 50) / percentile(plain, 50)
        yield Line(text=f"a gang takes {ratio:.1f} x the time of plain pods (p50)")


def _line(what: str, seconds: Sequence[float]) -> Line:
    if not seconds:
        return Line(text=f"{what}: none of {GANGS} within {_WAIT_SECONDS:.0f} s", passed=False)
    p50, p99 = percentile(seconds, 50), percentile(seconds, 99)
    text = f"{what}, {NODE_COUNT} nodes, {GANGS} of {SIZES[0]}-{SIZES[-1]} pods, one every "
    text += f"{EVERY_SECONDS:g} s: p50 {p50:.2f} s, p99 {p99:.2f} s"
    missing = GANGS - len(seconds)
    if missing:
        return Line(text=f"{text}; {missing} not bound in {_WAIT_SECONDS:.0f} s", passed=False)
    return Line(text=text)


def _fill(cluster: Cluster) -> None:
    """Nodes, and a plain pod with all cards on most of them."""
    third = NODE_COUNT // 3
    counts = {"h100": third, "a100": third, "l40s": NODE_COUNT - 2 * third}
    nodes = Fleet(
        pools=tuple(Pool(prefix=name, count=n, device=name) for name, n in counts.items())
    ).nodes()
    cluster.add_nodes(nodes)
    for namespace in ("busy", "gangs", "plain"):
        cluster.api.create_namespace(namespace)
    names = [node["metadata"]["name"] for node in nodes]
    chosen = random.Random(_SEED).sample(names, int(BUSY * NODE_COUNT))
    (pod,) = Group(name="busy", size=1, cards=8, annotations={}).pods()
    cluster.api.create_all(
        "/api/v1/namespaces/busy/pods",
        (
            {"metadata": {"name": f"on-{node}"}, "spec": {**pod["spec"], "nodeName": node}}
            for node in chosen
        ),
    )


def _groups(*, gang: bool) -> list[Group]:
    dice = random.Random(_SEED)
    groups = []
    for number in range(WARM_UP + GANGS):
        name, size, cards = f"g{number}", dice.choice(SIZES), dice.choice(CARDS)
        asked = {
            keys.GANG: name,
            keys.GANG_SIZE: str(size),
            keys.FLAVOR_SPEC: _FLAVOR_SPEC,
            keys.GANG_TOPOLOGY_PREFERRED: "rack",
        }
        groups.append(Group(name=name, size=size, cards=cards, annotations=asked if gang else {}))
    return groups


def _measured(cluster: Cluster, namespace: str, groups: Sequence[Group]) -> list[float]:
    """Seconds from creation to the last binding of every group but the warm-up, the unbound left out."""
    created, bound = asyncio.run(_stream(cluster, namespace, groups))
    last = [_last(group, bound) for group in groups[WARM_UP:]]
    return [
        moment - created[group.name]
        for group, moment in zip(groups[WARM_UP:], last, strict=True)
        if moment is not None
    ]


def _last(group: Group, bound: Mapping[str, float]) -> float | None:
    moments = [bound.get(name) for name in group.names()]
    return None if None in moments else max(moment for moment in moments if moment is not None)


async def _stream(
    cluster: Cluster, namespace: str, groups: Sequence[Group]
) -> tuple[dict[str, float], dict[str, float]]:
    """When each group was created, and when each pod was seen bound."""
    async with (
        KubeClient(cluster.kubeconfig, timeout_seconds=_WAIT_SECONDS) as client,
        _bindings(client, namespace) as bindings,
    ):
        created: dict[str, float] = {}

        async def create(group: Group) -> None:
            created[group.name] = time.monotonic()
            await asyncio.gather(
                *(client.create(PODS, pod, namespace=namespace) for pod in group.pods())
            )

        started = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number, group in enumerate(groups):
                due = started + number * EVERY_SECONDS
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                tasks.create_task(create(group))
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_SECONDS):
                await bindings.all_of({name for group in groups for name in group.names()})
        return created, dict(bindings.moments)


class _Bindings:
    """Name of a pod -> the moment at which a watch showed it bound."""

    def __init__(self) -> None:
        self.moments: dict[str, float] = {}
        self._news = asyncio.Event()

    def take(self, _: str, verb: Verb, obj: Mapping[str, Any]) -> None:
        """One event of the watch."""
        if verb is not Verb.SYNCED and obj["spec"].get("nodeName"):
            self.moments.setdefault(obj["metadata"]["name"], time.monotonic())
            self._news.set()

    async def all_of(self, names: set[str]) -> None:
        """Return when all of `names` are bound."""
        while names - self.moments.keys():
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def _bindings(client: KubeClient, namespace: str) -> AsyncIterator[_Bindings]:
    found = _Bindings()
    reflector = Reflector(client, Source(resource=PODS, namespace=namespace), found.take)
    task = asyncio.create_task(reflector.run())
    await reflector.synced.wait()
    try:
        yield found
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
