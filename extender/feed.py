"""Changes of gangs for any number of readers, each at its own pace.

A reader holds the *keys* of the gangs that changed since it last asked, never a queue of states: a slow
one skips states in between, and what is waiting for it is bounded by the number of gangs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace

from scheduler.advice import ScaleOut
from scheduler.model import Gang, GangAssignment


@dataclass(frozen=True, slots=True, kw_only=True)
class GangView:
    """One gang as outsiders see it."""

    gang: Gang
    phase: str
    """A value of ``scheduler.gang_object.Phase``."""
    assignment: GangAssignment | None = None
    """The present decision, or that of its last reservation; None before the first one."""
    text: str = ""
    """Why it waits or sits where it sits: the text of ``muster explain``."""
    scale_out: tuple[ScaleOut, ...] = ()
    """Which nodes would start it while it waits for room."""
    deleted: bool = False


@dataclass(slots=True)
class _Reader:
    changed: dict[str, None]
    """Keys, oldest change first."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    sent: dict[str, GangView] = field(default_factory=dict)

    def news(self, key: str, view: GangView | None) -> GangView | None:
        """What to tell about ``key``, if anything: a gang that is gone is told once, and only if known."""
        before = self.sent.pop(key, None)
        if view is None:
            return before and replace(before, deleted=True)
        self.sent[key] = view
        return None if view == before else view


class Feed:
    """``changed`` is cheap and may be called on every event; ``view`` is called when a reader asks."""

    def __init__(
        self, view: Callable[[str], GangView | None], keys: Callable[[], Iterable[str]]
    ) -> None:
        """``view`` gives the gang of a key (None: it is gone), ``keys`` those of all present gangs."""
        self._view = view
        self._keys = keys
        self._readers: list[_Reader] = []

    def changed(self, key: str) -> None:
        """The gang ``namespace/name`` may have changed, appeared or gone."""
        for reader in self._readers:
            reader.changed[key] = None
            reader.wake.set()

    async def subscribe(self) -> AsyncIterator[GangView]:
        """Every gang as it is now, then every change; never ends. Close it to be forgotten."""
        reader = _Reader(dict.fromkeys(self._keys()))
        self._readers.append(reader)
        try:
            while True:
                while reader.changed:
                    key = next(iter(reader.changed))
                    del reader.changed[key]
                    news = reader.news(key, self._view(key))
                    if news is not None:
                        yield news
                reader.wake.clear()
                await reader.wake.wait()
        finally:
            self._readers.remove(reader)
