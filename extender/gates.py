"""Gates of members that have no place, where they would hold back those that have one.

With PodGroups of Kubernetes itself kube-scheduler tries none of a group's pods while one of them is gated. So
the gates of the others go as well when a gang starts; ``filter`` refuses them every node until they are
planned.

Source: kubernetes v1.37, pkg/scheduler/backend/queue/scheduling_queue.go, with the feature gate
GenericWorkload.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from extender.ports import ClusterWrites
from scheduler.keys import GATE
from scheduler.kube.writes import PodRef
from scheduler.model import Gang
from scheduler.reservation import Reservation, State
from scheduler.state import ClusterState


class Gates:
    """Removes them. ``spawn`` runs a coroutine in the service's loop."""

    def __init__(
        self,
        state: ClusterState,
        writes: ClusterWrites,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._state = state
        self._writes = writes
        self._spawn = spawn
        self._asked: set[str] = set()
        """Uids of pods whose gates were removed, until the watch shows it."""

    def open_others(self, reservation: Reservation, gang: Gang) -> None:
        """Once the members with a place are ungated, so are the others of a native group."""
        released = reservation.state is State.RESERVED and reservation.ungated_seconds is not None
        if not (gang.gated_together and released):
            return
        self._asked = set(filter(self._gated, self._asked))
        known = self._asked | {slot.uid for slot in reservation.assignment.slots}
        for member in (m for podset in gang.podsets for m in podset.pending):
            if member.uid not in known and self._gated(member.uid):
                self._asked.add(member.uid)
                ref = PodRef(namespace=gang.namespace, name=member.pod, uid=member.uid)
                self._spawn(self._open(ref))

    def _gated(self, uid: str) -> bool:
        pod = self._state.pods.get(uid)
        return pod is not None and GATE in pod.gates

    async def _open(self, ref: PodRef) -> None:
        try:
            await self._writes.ungate(ref, {})
        except Exception:
            self._asked.discard(ref.uid)  # the next observation asks again
            raise
