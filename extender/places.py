"""Placeholder pods: they hold the places of members that do not exist yet (default configuration).

kube-scheduler knows nothing of pods that are to come. For every vacant place of a committed plan there is a
gated pod of ours, with the member's requests and priority, that is nominated to the place: kube-scheduler
holds it against pods of equal and lower priority. It never runs, since nobody removes its gate. When the
member exists it is nominated itself, its placeholder is deleted, and only then it may enter the queue.

Which placeholders there must be follows from the ledger alone: ``reconcile`` makes it so, also after a crash.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from extender.ports import ClusterWrites
from scheduler.gang_object import label_value, quantity
from scheduler.keys import PLACE, PLACE_OF, PLAN
from scheduler.kube.writes import PodRef
from scheduler.ledger import Ledger
from scheduler.model import Slot
from scheduler.pod_requests import is_extended
from scheduler.pods import Pod
from scheduler.reservation import Reservation, State
from topology.resources import PODS

log = structlog.get_logger("muster.places")

Object = dict[str, Any]
Like = Callable[[Reservation], Pod | None]
"""A member that exists, for its priority and its scheduler."""

_HOLDING = frozenset(
    {State.RESERVED, State.BINDING, State.AWAITING, State.DEGRADED, State.RESTARTING}
)
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A placeholder as the watch shows it."""

    uid: str
    node: str | None
    leaving: bool


class Places:
    """The placeholders of all reservations. ``spawn`` runs a coroutine in the service's loop."""

    def __init__(
        self,
        *,
        namespace: str,
        enabled: bool,
        ledger: Ledger,
        writes: ClusterWrites,
        like: Like,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._namespace = namespace
        self._enabled = enabled
        self._ledger = ledger
        self._writes = writes
        self._like = like
        self._spawn = spawn
        self._seen: dict[str, _Seen] = {}
        self._busy: dict[str, float] = {}
        """Until when nothing more is asked for a placeholder, by name."""
        self._holding: dict[str, asyncio.Task[None]] = {}
        """Requests that have not been answered: whoever wants the same waits for the same answer."""
        self._changed = asyncio.Event()

    def take(self, verb: str, obj: Mapping[str, Any]) -> None:
        """A watch event of a pod."""
        metadata = obj.get("metadata") or {}
        if metadata.get("namespace") != self._namespace:
            return
        name = str(metadata.get("name"))
        ours = PLACE in (metadata.get("labels") or {})
        before = self._seen.pop(name, None)
        if verb != "DELETED" and ours:
            self._seen[name] = _Seen(
                uid=str(metadata.get("uid")),
                node=(obj.get("status") or {}).get("nominatedNodeName"),
                leaving=bool(metadata.get("deletionTimestamp")),
            )
        elif before is None:
            return
        if name not in self._seen or (before and before.node and not self._seen[name].node):
            self._busy.pop(
                name, None
            )  # what was asked for is undone: no need to wait for the answer
        self._changed.set()

    def wanted(self) -> dict[str, tuple[Reservation, Slot]]:
        """Every placeholder that there must be, by name."""
        if not self._enabled:
            return {}
        return {
            place_name(reservation, index): (reservation, slot)
            for reservation in self._ledger
            if reservation.state in _HOLDING
            for index, slot in reservation.vacant.items()
        }

    def reconcile(self) -> None:
        """Start what is missing: create, nominate again, delete what nobody wants any more."""
        now, wanted = time.monotonic(), self.wanted()
        for name, (reservation, slot) in wanted.items():
            seen = self._seen.get(name)
            if (seen is None or seen.node != slot.node) and self._may(name, now):
                self._spawn(self._held(name, reservation, slot))
        for name in self._seen.keys() - wanted.keys():
            if not self._seen[name].leaving and self._may(name, now):
                self._spawn(self._drop(name))

    async def ensure(self, reservation: Reservation) -> None:
        """Return when every vacant place of ``reservation`` is held by a nominated placeholder.

        Raises when the API server refuses one.
        """
        if self._enabled:
            places = reservation.vacant.items()
            await asyncio.gather(
                *(self._held(place_name(reservation, i), reservation, slot) for i, slot in places)
            )

    async def give_way(self, reservation: Reservation, index: int) -> None:
        """Delete the placeholder of a place and return when the watch shows that it is gone.

        kube-scheduler sees pods in the same order, so that what is written afterwards finds the place free.
        """
        name = place_name(reservation, index)
        if name in self._seen:
            await self._drop(name)
        while name in self._seen:
            self._changed.clear()
            await self._changed.wait()

    def in_the_way(self, nodes: Collection[str]) -> bool:
        """Whether a placeholder that nobody wants any more is still nominated to one of ``nodes``."""
        old = self._seen.keys() - self.wanted().keys()
        return any(self._seen[name].node in nodes for name in old)

    def touch(self, token: str) -> None:
        """kube-scheduler was restarted: have it read all nominations again."""
        for name, seen in self._seen.items():
            self._spawn(self._touch(self._ref(name, seen.uid), token))

    def _may(self, name: str, now: float) -> bool:
        """Whether the last request for the placeholder has been answered, or has taken too long."""
        if self._busy.get(name, 0.0) > now:
            return False
        self._busy[name] = now + _RETRY_SECONDS
        return True

    async def _held(self, name: str, reservation: Reservation, slot: Slot) -> None:
        if name not in self._holding:
            task = asyncio.create_task(self._hold(name, reservation, slot))
            self._holding[name] = task
            task.add_done_callback(lambda _: self._holding.pop(name))
        await asyncio.shield(self._holding[name])

    async def _hold(self, name: str, reservation: Reservation, slot: Slot) -> None:
        self._busy[name] = time.monotonic() + _RETRY_SECONDS
        seen = self._seen.get(name)
        if seen is None:
            like = self._like(reservation)
            manifest = placeholder(self._namespace, name, reservation, slot, like)
            uid = await self._writes.create_place(manifest)
        else:
            uid = seen.uid
        await self._writes.nominate(self._ref(name, uid), slot.node)

    async def _drop(self, name: str) -> None:
        self._busy[name] = time.monotonic() + _RETRY_SECONDS
        await self._writes.delete_place(self._ref(name, self._seen[name].uid))

    async def _touch(self, ref: PodRef, token: str) -> None:
        await self._writes.touch(ref, token)

    def _ref(self, name: str, uid: str) -> PodRef:
        return PodRef(namespace=self._namespace, name=name, uid=uid)


def place_name(reservation: Reservation, index: int) -> str:
    """Name of the placeholder for one slot of one plan."""
    return f"place-{reservation.plan_id}-{index}"


def placeholder(
    namespace: str, name: str, reservation: Reservation, slot: Slot, like: Pod | None
) -> Object:
    """The pod: it passes the restricted Pod Security Standard and carries no request annotation."""
    amounts = {
        resource: quantity(resource, slot.request[resource])
        for resource in slot.request
        if resource != PODS
    }
    limits = {resource: amounts[resource] for resource in amounts if is_extended(resource)}
    spec: Object = {
        "schedulingGates": [{"name": PLACE}],
        "schedulerName": like.scheduler_name if like else "default-scheduler",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "place",
                "image": "place",  # nobody ever pulls it
                "resources": {"requests": amounts, "limits": limits},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
    if like is not None and like.priority_class_name:
        spec["priorityClassName"] = like.priority_class_name
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {PLACE: label_value(reservation.assignment.gang)},
            "annotations": {PLACE_OF: reservation.key, PLAN: reservation.plan_id},
        },
        "spec": spec,
    }
