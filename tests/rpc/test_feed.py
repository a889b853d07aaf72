"""The feed of gang changes: complete for quick readers, bounded for slow ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from extender.feed import GangView
from tests.rpc.service import Values, view


async def _take(stream: AsyncIterator[GangView], count: int) -> list[tuple[str, str, bool]]:
    found = []
    async with asyncio.timeout(5):
        for _ in range(count):
            item = await anext(stream)
            found.append((item.gang.name, item.phase, item.deleted))
    return found


def test_a_slow_reader_gets_the_latest_state_of_each_gang() -> None:
    """A thousand changes of two gangs while nobody reads are two messages."""

    async def run() -> list[tuple[str, str, bool]]:
        service = Values(view("a", "Waiting"), view("b", "Waiting"))
        stream = service.subscribe()
        seen = await _take(stream, 2)
        for _ in range(500):
            service.put(view("a", "Planned"))
            service.put(view("b", "Binding"))
        service.put(view("b", "Bound"))
        seen += await _take(stream, 2)
        service.put(view("a", "Bound"))
        return seen + await _take(stream, 1)

    assert asyncio.run(run()) == [
        ("a", "Waiting", False),
        ("b", "Waiting", False),
        ("a", "Planned", False),
        ("b", "Bound", False),
        ("a", "Bound", False),
    ]


def test_a_deletion_is_told_once_and_only_to_who_knew_the_gang() -> None:
    """A gang that came and went between two readings never existed for the reader."""

    async def run() -> list[tuple[str, str, bool]]:
        service = Values(view("a", "Waiting"))
        stream = service.subscribe()
        seen = await _take(stream, 1)
        service.put(view("short"))
        service.drop("short")
        service.drop("a")
        service.feed.changed("default/a")
        service.put(view("b"))
        return seen + await _take(stream, 2)

    assert asyncio.run(run()) == [
        ("a", "Waiting", False),
        ("a", "Waiting", True),
        ("b", "Planned", False),
    ]


def test_equal_states_are_told_once() -> None:
    """A change that leaves a gang as it was is no news."""

    async def run() -> list[tuple[str, str, bool]]:
        service = Values(view("a", "Waiting"))
        stream = service.subscribe()
        seen = await _take(stream, 1)
        service.put(view("a", "Waiting"))
        service.put(view("b", "Waiting"))
        return seen + await _take(stream, 1)

    assert [name for name, _, _ in asyncio.run(run())] == ["a", "b"]
