"""Has groups restart whole where their owner demands it and has missed why: see ``scheduler.restarts``.

Level-triggered. What is remembered is only when a loss was first seen and when an eviction was asked for; a
restart of Muster gives the owner its time anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import structlog

from extender.executor import Executor
from scheduler.model import Reason
from scheduler.progress import Limits
from scheduler.restarts import losses, reason
from scheduler.state import ClusterState

log = structlog.get_logger("muster.restarts")

_RETRY_SECONDS = 5.0
"""An eviction that was refused (a PodDisruptionBudget), or got no answer, is asked for again after this."""


class Restarts:
    """Evicts the roots of groups of which a member was lost and came back alone."""

    def __init__(self, limits: Limits, state: ClusterState, executor: Executor) -> None:
        self._limits = limits
        self._state = state
        self._executor = executor
        self._since: dict[str, float] = {}
        """When a member was first seen to have come back alone, by uid of the root."""
        self._asked: dict[str, float] = {}
        """When the root was last asked to be evicted."""

    def reasons(self) -> Mapping[str, Reason]:
        """Why gangs are not planned until they have restarted, by key."""
        found: dict[str, Reason] = {}
        for gang in self._state.gangs():
            if gang.restarts_with:
                for loss in losses(gang, self._executor.started(gang)):
                    found.setdefault(gang.key, reason(gang, loss, self._limits))
        return found

    def act(self, now: float) -> None:
        """Evict the roots whose owner has had its time."""
        alone = set()
        for gang in self._state.gangs():
            for loss in losses(gang, self._executor.started(gang)) if gang.restarts_with else ():
                uid = loss.root.uid
                if not loss.back:
                    continue  # it may still end, and the owner sees that
                alone.add(uid)
                waited = now - self._since.setdefault(uid, now)
                asked = now - self._asked.get(uid, -math.inf)
                if waited > self._limits.restart_seconds and asked > _RETRY_SECONDS:
                    self._asked[uid] = now
                    log.info("restarting what came back alone", gang=gang.key, root=loss.root.pod)
                    self._executor.restart(gang, loss)
        for memory in (self._since, self._asked):
            for uid in memory.keys() - alone:
                del memory[uid]
