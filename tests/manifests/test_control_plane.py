"""Watches and leader election on a real API server that is restarted under them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from scheduler.kube.client import ApiError, KubeClient
from scheduler.kube.lease import LeaderElection, LeaseTiming
from scheduler.kube.reflector import Reflector, Source, Timing, Verb
from scheduler.kube.resources import LEASES, PODS
from simulations.controlplane import Binaries, Cluster, temporary_cluster

pytestmark = pytest.mark.e2e

UNFINISHED = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}
TIMING = LeaseTiming(duration=3, renew_deadline=2, retry=0.2)


@pytest.fixture(scope="module")
def cluster(control_plane: Binaries) -> Iterator[Cluster]:
    """A cluster of its own: its API server is killed."""
    with temporary_cluster(binaries=control_plane) as cluster:
        yield cluster


async def until(check: Callable[[], bool], seconds: float = 15) -> None:
    """Return when ``check`` holds."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


@dataclass(slots=True)
class Mirror:
    """What a user of the reflector believes to exist: uid -> name, held strictly to its verbs."""

    pods: dict[str, str] = field(default_factory=dict)
    verbs: list[Verb] = field(default_factory=list)

    def take(self, kind: str, verb: Verb, obj: Mapping[str, Any]) -> None:
        """Apply one report."""
        self.verbs.append(verb)
        if verb is Verb.SYNCED:
            return
        uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
        assert (uid in self.pods) is (verb is not Verb.ADDED)
        if verb is Verb.DELETED:
            del self.pods[uid]
        else:
            self.pods[uid] = name

    def names(self) -> list[str]:
        """Pods that exist, sorted."""
        return sorted(self.pods.values())


async def create(client: KubeClient, name: str) -> None:
    """A pod that nobody schedules."""
    containers = [{"name": "c", "image": "i"}]
    body = {"metadata": {"name": name}, "spec": {"schedulerName": "no", "containers": containers}}
    await client.create(PODS, body, namespace="default")


async def restart_api_server(cluster: Cluster, client: KubeClient) -> None:
    """Kill it and start it; returns when it answers."""
    await asyncio.to_thread(cluster.stop, "kube-apiserver", kill=True)
    cluster.start("kube-apiserver")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            await client.request("GET", "/readyz")
            return
        except ApiError:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("stream_lists", [True, False], ids=["streamed", "paged"])
def test_nothing_is_missed_over_a_restart_of_the_api_server(
    cluster: Cluster, stream_lists: bool
) -> None:
    """Deleted, created again and created meanwhile: the watch ends up with exactly what exists."""

    async def main() -> None:
        mirror = Mirror()
        async with KubeClient(cluster.kubeconfig) as client:
            for pod in await client.list_all(PODS, "default"):
                await client.delete(PODS, "default", pod["metadata"]["name"], grace_seconds=0)
            source = Source(resource=PODS, namespace="default", query=UNFINISHED)
            reflector = Reflector(
                client,
                source,
                mirror.take,
                Timing(first_backoff=3, last_backoff=3),
                stream_lists=stream_lists,
            )
            task = asyncio.create_task(reflector.run())
            await create(client, "before")
            await create(client, "again")
            await until(lambda: mirror.names() == ["again", "before"])
            first = set(mirror.pods)
            await restart_api_server(cluster, client)  # the watch waits 3 s before it is back
            await client.delete(PODS, "default", "before", grace_seconds=0)
            await client.delete(PODS, "default", "again", grace_seconds=0)
            await create(client, "again")
            await create(client, "meanwhile")
            await until(lambda: mirror.names() == ["again", "meanwhile"] and task.done() is False)
            assert not first & set(mirror.pods), "the pod that was created again is another one"
            # A pod that finishes leaves the selection: it arrives as deleted.
            finished = {"status": {"phase": "Failed"}}
            await client.patch(
                PODS, finished, namespace="default", name="again", subresource="status"
            )
            await until(lambda: mirror.names() == ["meanwhile"])
            assert reflector.counters.errors > 0
            task.cancel()

    asyncio.run(main())


def election(client: KubeClient, name: str, log: list[str]) -> LeaderElection:
    """A candidate that notes when it leads and when not."""
    return LeaderElection(
        client,
        namespace="default",
        name="planner",
        identity=name,
        started=lambda: log.append(f"{name} leads"),
        stopped=lambda: log.append(f"{name} stops"),
        timing=TIMING,
    )


def test_one_leader_at_a_time(cluster: Cluster) -> None:
    """Graceful hand-over at once; a dead leader is followed after its Lease has run out, not before; a
    leader without API server stops by itself before anybody else can start."""

    async def main() -> None:
        log: list[str] = []
        async with KubeClient(cluster.kubeconfig) as client:
            one, two = election(client, "one", log), election(client, "two", log)
            first = asyncio.create_task(one.run())
            await until(lambda: one.leading)
            second = asyncio.create_task(two.run())
            await asyncio.sleep(2 * TIMING.duration)
            assert log == ["one leads"], "renewed, and respected by the other"
            assert two.holder == "one"

            first.cancel()
            await asyncio.wait([first])
            await one.release()
            await until(lambda: two.leading, 2.5)  # before the Lease runs out
            assert log == ["one leads", "one stops", "two leads"]

            second.cancel()  # as if killed: the Lease stays
            died = time.monotonic()
            await asyncio.wait([second])
            first = asyncio.create_task(one.run())
            await until(lambda: one.leading)
            assert time.monotonic() - died >= TIMING.duration - TIMING.retry * 2
            assert log[3:] == ["two stops", "one leads"]

            lost = time.monotonic()
            await asyncio.to_thread(cluster.stop, "kube-apiserver", kill=True)
            await until(lambda: not one.leading)
            assert time.monotonic() - lost < TIMING.duration
            cluster.start("kube-apiserver")
            await until(lambda: one.leading, 30)
            first.cancel()

    asyncio.run(main())


def test_a_renewal_that_got_no_answer_does_not_end_the_reign(cluster: Cluster) -> None:
    """The write arrived but its answer was lost: the Lease has another version than we know, and is ours."""

    async def main() -> None:
        log: list[str] = []
        async with KubeClient(cluster.kubeconfig) as client:
            lease = await client.find(LEASES, "default", "planner")
            if lease is not None:
                await client.delete(LEASES, "default", "planner")
            one = election(client, "one", log)
            task = asyncio.create_task(one.run())
            await until(lambda: one.leading)
            for number in range(5):
                body = {"metadata": {"annotations": {"n": str(number)}}}
                await client.patch(LEASES, body, namespace="default", name="planner")
                await asyncio.sleep(0.3)
            assert log == ["one leads"]
            task.cancel()

    asyncio.run(main())
