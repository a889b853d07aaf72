"""What Muster watches, and all its reflectors together."""

from __future__ import annotations

import asyncio
from dataclasses import fields

from scheduler import keys
from scheduler.foreign import CONTROLLER_REVISION, STATEFUL_SET
from scheduler.kube.client import KubeClient
from scheduler.kube.reflector import (
    DEFAULT_TIMING,
    Counters,
    Emit,
    Reflector,
    Source,
    Timing,
)
from scheduler.kube.resources import (
    CACHES,
    CONFIG_MAPS,
    DEVICES,
    FLAVORS,
    FOREIGN,
    GANGS,
    HYPER_NODES,
    KAI_TOPOLOGIES,
    LEASES,
    NAMESPACES,
    NODE_TOPOLOGIES,
    NODES,
    PODS,
    SCHEDULER_LEASE,
    SYSTEM_NAMESPACE,
    TOPOLOGIES,
)
from topology.keys import LWS_NAME

_ONLY_OF_LWS = frozenset({STATEFUL_SET, CONTROLLER_REVISION})
"""Kinds that everybody uses: only those that a LeaderWorkerSet made are read."""


def standard_sources(
    namespace: str = keys.NAMESPACE, *, card_lists: bool = False
) -> tuple[Source, ...]:
    """Everything that ``ClusterState`` is made of, and kube-scheduler's Lease to see its restarts.

    ``namespace`` is Muster's own: only there ConfigMaps are read, and with ``card_lists`` those in which
    device plugins list the cards of their nodes.

    Finished pods are among them, unlike in kube-scheduler: a selector by phase would show a pod that
    finishes as ``DELETED``, with the object from before, so that nobody could tell how it ended.
    """
    return (
        Source(resource=NODES),
        Source(resource=NAMESPACES),
        Source(resource=PODS),
        Source(resource=FLAVORS),
        Source(resource=GANGS),
        Source(resource=TOPOLOGIES, optional=True),
        Source(resource=NODE_TOPOLOGIES, optional=True),
        *(Source(resource=resource, optional=True) for resource in (*CACHES, *DEVICES)),
        Source(resource=KAI_TOPOLOGIES, optional=True),
        Source(resource=HYPER_NODES, optional=True),
        Source(
            resource=CONFIG_MAPS,
            namespace=namespace,
            query={"labelSelector": keys.TOPOLOGY_SOURCE},
        ),
        *([Source(resource=CONFIG_MAPS, namespace=SYSTEM_NAMESPACE)] if card_lists else ()),
        *(
            Source(
                resource=resource,
                optional=True,
                query={"labelSelector": LWS_NAME} if resource.name in _ONLY_OF_LWS else {},
            )
            for resource in FOREIGN
        ),
        Source(
            resource=LEASES,
            namespace=SYSTEM_NAMESPACE,
            query={"fieldSelector": f"metadata.name={SCHEDULER_LEASE}"},
        ),
    )


class Watches:
    """Reflectors of several sources that report to one ``emit``, all in the loop they run in."""

    def __init__(
        self,
        client: KubeClient,
        emit: Emit,
        sources: tuple[Source, ...] | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        chosen = standard_sources() if sources is None else sources
        self.reflectors = tuple(Reflector(client, source, emit, timing) for source in chosen)

    async def run(self) -> None:
        """Watch everything until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self.reflectors:
                tasks.create_task(reflector.run(), name=f"watch {reflector.source.resource.name}")

    async def synced(self) -> None:
        """Return when every source has reported all that existed."""
        for reflector in self.reflectors:
            await reflector.synced.wait()

    def unsynced(self) -> tuple[str, ...]:
        """Kinds that have not been reported completely yet."""
        return tuple(r.source.resource.name for r in self.reflectors if not r.synced.is_set())

    def counters(self) -> dict[str, Counters]:
        """Counters by kind, those of several sources of a kind together."""
        found: dict[str, Counters] = {}
        for reflector in self.reflectors:
            total = found.setdefault(reflector.source.resource.name, Counters())
            for item in fields(Counters):
                more = getattr(reflector.counters, item.name)
                setattr(total, item.name, getattr(total, item.name) + more)
        return found
