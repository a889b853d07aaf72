"""CP-SAT in a process of its own: building a model holds the interpreter lock, which HTTP verbs need.

The process is spawned (never forked) before gRPC starts. Only the integer problem travels. A decision
about a single gang is counted in some milliseconds and stays here.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self

import structlog

from scheduler.model import Plan
from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from scheduler.solve import plan_of
from scheduler.solve.build import build
from scheduler.solve.decide import decide

log = structlog.get_logger("muster.solver")


class SolverProcess:
    """``solve`` with the hard part elsewhere. Call it from a thread: it waits for the answer."""

    def __init__(self) -> None:
        self._pool = self._started()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def solve(self, snapshot: Snapshot, policy: Policy) -> Plan:
        """Decide about every gang of the snapshot, as ``scheduler.solve.solve`` does."""
        problem = build(snapshot, policy)
        if len(problem.gangs) <= 1:
            return plan_of(snapshot, problem, decide(problem, policy))
        try:
            decision = self._pool.submit(decide, problem, policy).result()
        except BrokenProcessPool:
            # It was killed, perhaps for memory: a new one answers the next cycle.
            log.warning("the solver process ended; solving here")
            self._pool = self._started()
            decision = decide(problem, policy)
        return plan_of(snapshot, problem, decision)

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_warm)
        pool.submit(int)  # spawn it now, before any thread of gRPC exists
        return pool


def _warm() -> None:
    """Import the solver, leave Ctrl-C to the parent, and end with it however it ends."""
    from scheduler.solve import cpsat  # noqa: F401 - imported for its cost only

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed closes no pipe that we read: without this we would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
