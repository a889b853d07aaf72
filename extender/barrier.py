"""Bind calls that wait for their siblings. One answer per call; success is given only for a Binding."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Barrier:
    """Held bind calls by pod uid. A second call for one uid gets the same answer as the first."""

    def __init__(self) -> None:
        self._held: dict[str, list[asyncio.Future[str]]] = {}

    def join(self, uid: str) -> asyncio.Future[str]:
        """Register a call; hand the future to ``wait``. From here on an answer cannot be missed."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._held.setdefault(uid, []).append(future)
        return future

    async def wait(self, uid: str, future: asyncio.Future[str], timeout_seconds: float) -> str:
        """Hold the call until ``answer`` or ``fail``; the empty text means bound.

        Raises ``TimeoutError`` when neither came in time. A caller that goes away is forgotten.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        finally:
            calls = self._held.get(uid, [])
            if future in calls:
                calls.remove(future)
            if not calls:
                self._held.pop(uid, None)

    def answer(self, uid: str, error: str = "") -> None:
        """Answer every held call of the pod; empty ``error`` says that its Binding exists."""
        for future in self._held.pop(uid, []):
            if not future.done():
                future.set_result(error)

    def fail(self, uids: Iterable[str], error: str) -> None:
        """Answer the held calls of several pods with an error."""
        for uid in uids:
            self.answer(uid, error)

    def holds(self, uid: str) -> bool:
        """Whether a call of this pod is held."""
        return uid in self._held
