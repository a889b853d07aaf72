"""Advice for the gangs that wait for room, worked out beside planning and never in its way.

A night with hundreds of waiting gangs costs a tenth of one core: after each round it rests nine times as
long as the round took. Gangs that have no advice yet come first, then those whose advice is oldest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog

from scheduler.advice import ScaleOut
from scheduler.model import Gang, GangAssignment
from scheduler.policy import Policy
from scheduler.scale_out import Advisor, wanted
from scheduler.snapshot import Snapshot

if TYPE_CHECKING:
    from extender.engine import Engine
    from extender.reporter import Reporter

log = structlog.get_logger("muster.advisory")

_PERIOD_SECONDS = 1.0
_ROUND_SECONDS = 0.1
"""A round begins no gang after this."""
_REST = 9

Advice = dict[str, tuple[ScaleOut, ...]]


class Advisory:
    """The newest advice for each gang that waits for room."""

    def __init__(self, engine: Engine, reporter: Reporter) -> None:
        self._engine, self._reporter = engine, reporter
        self._found: Advice = {}
        self._round_of: dict[str, int] = {}
        """Gang -> the state of the cluster that its advice is about."""
        self._round = 0
        self._seen: tuple[int, tuple[GangAssignment, ...]] = (-1, ())

    def of(self, key: str) -> tuple[ScaleOut, ...] | None:
        """The advice for a gang; None while there is none."""
        return self._found.get(key)

    async def run(self) -> None:
        """Keep the advice up to date until cancelled."""
        while True:
            started = time.monotonic()
            if self._engine.leading:
                try:
                    await self.round()
                except Exception:  # a bug met by one gang must not end the service
                    log.exception("advice failed")
            took = time.monotonic() - started
            await asyncio.sleep(max(_PERIOD_SECONDS, _REST * took))

    async def round(self, seconds: float = _ROUND_SECONDS) -> None:
        """Work out what is missing or may have changed, for about ``seconds``."""
        waiting = {key for key, one in self._engine.latest.items() if wanted(one)}
        for key in self._found.keys() - waiting:
            del self._found[key], self._round_of[key]
        if not waiting:
            return
        snapshot = self._engine.snapshot()
        seen = snapshot.generation, snapshot.reservations
        if seen != self._seen:
            self._seen, self._round = seen, self._round + 1
        at = {key: self._round_of.get(key, 0) for key in waiting}
        due = [gang for gang in snapshot.gangs if at.get(gang.key, self._round) < self._round]
        due.sort(key=lambda gang: at[gang.key])
        if due:
            policy = self._engine.config.policy
            self._take(await asyncio.to_thread(_advise, snapshot, policy, due, seconds))

    def _take(self, fresh: Advice) -> None:
        changed = any(self._found.get(key) != advice for key, advice in fresh.items())
        self._found.update(fresh)
        self._round_of.update(dict.fromkeys(fresh, self._round))
        if changed:
            self._reporter.wake()


def _advise(snapshot: Snapshot, policy: Policy, gangs: Iterable[Gang], seconds: float) -> Advice:
    """The advice for the first of ``gangs``, one at least."""
    end = time.monotonic() + seconds
    advisor = Advisor(snapshot, policy)
    found: Advice = {}
    for gang in gangs:
        found[gang.key] = advisor.advise(gang)
        if time.monotonic() > end:
            break
    return found
