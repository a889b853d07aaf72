"""The service as gRPC sees it: gangs, their changes, their text, and what-if plans."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from extender.feed import Feed, GangView
from extender.rpc import InvalidManifests, Planned
from extender.service import Service
from extender.tools.documents import InputError, objects_in
from extender.tools.inputs import understand
from scheduler.advice import ScaleOut
from scheduler.cycle import Decision, decide
from scheduler.model import GangAssignment
from scheduler.scale_out import Advisor, scale_out, wanted
from scheduler.snapshot import Snapshot
from scheduler.state import ClusterState


class Views:
    """Implements ``extender.rpc.GangService`` over the running service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._feed = Feed(self._view, lambda: (gang.key for gang in service.state.gangs()))
        service.reporter.listeners.append(self._feed.changed)

    def not_ready(self) -> tuple[str, ...]:
        """What is missing before live answers can be given."""
        return self._service.not_ready()

    def gang(self, namespace: str, name: str) -> GangView | None:
        """One gang as it is now; None when there is none."""
        return self._view(f"{namespace}/{name}")

    def subscribe(self) -> AsyncIterator[GangView]:
        """Every gang as it is now, then every change; never ends."""
        return self._feed.subscribe()

    def explain(self, namespace: str, name: str) -> str | None:
        """The text of ``muster explain``: that of the Gang's status and event."""
        view = self.gang(namespace, name)
        return view.text if view is not None else None

    async def scale_out(self, namespace: str, name: str) -> tuple[ScaleOut, ...]:
        """Which nodes would start the gang now; empty when it does not wait for room."""
        engine = self._service.engine
        key = f"{namespace}/{name}"
        if not wanted(engine.latest.get(key) or GangAssignment(namespace=namespace, gang=name)):
            return ()
        snapshot = engine.snapshot()
        gangs = [gang for gang in snapshot.gangs if gang.key == key]
        advisor = await asyncio.to_thread(Advisor, snapshot, engine.config.policy)
        return await asyncio.to_thread(advisor.advise, gangs[0]) if gangs else ()

    async def plan(self, manifests: bytes, live: bool) -> Planned:
        """Decide about ``manifests``, on top of the cluster if ``live``.

        Raises ``InvalidManifests``.
        """
        engine = self._service.engine
        started = time.perf_counter()
        if live and not manifests.strip():
            snapshot = engine.snapshot()
        else:
            base = (
                self._service.state.fork()
                if live
                else ClusterState(rewrites=self._service.config.rewrites)
            )
            snapshot = await asyncio.to_thread(_read, manifests, base)
        decision: Decision = await asyncio.to_thread(
            decide, snapshot, engine.config.policy, engine.solve
        )
        if decision.violations:
            raise RuntimeError(f"the plan broke a rule: {decision.violations[0]}")
        seconds = time.perf_counter() - started
        policy = engine.config.policy
        advice = await asyncio.to_thread(scale_out, snapshot, decision.plan, policy)
        return Planned(snapshot=snapshot, plan=decision.plan, seconds=seconds, advice=advice)

    def _view(self, key: str) -> GangView | None:
        gang = self._service.state.gang(key)
        if gang is None:
            return None
        record = self._service.reporter.record(gang)
        return GangView(
            gang=gang,
            phase=record.phase.value,
            assignment=record.assignment,
            text=record.message,
            scale_out=record.scale_out,
        )


def _read(manifests: bytes, base: ClusterState) -> Snapshot:
    try:
        return understand(objects_in(manifests, "manifests"), base).snapshot
    except InputError as error:
        raise InvalidManifests(str(error)) from None
