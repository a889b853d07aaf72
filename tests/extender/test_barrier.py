"""The barrier: one answer for every held call, and nobody is remembered for ever."""

from __future__ import annotations

import asyncio

import pytest

from extender.barrier import Barrier


def test_every_call_of_a_pod_gets_the_same_answer() -> None:
    """kube-scheduler may repeat a call: both are answered, and the pod is forgotten."""

    async def scenario() -> None:
        barrier = Barrier()
        calls = [barrier.wait("u", barrier.join("u"), 1) for _ in range(2)]
        waiting = asyncio.gather(*calls)
        await asyncio.sleep(0)
        barrier.answer("u", "no room")
        assert await waiting == ["no room", "no room"]
        assert not barrier.holds("u")

    asyncio.run(scenario())


def test_an_answer_before_the_wait_is_not_missed() -> None:
    """The last member's own call is answered while it is still on its way to the barrier."""

    async def scenario() -> None:
        barrier = Barrier()
        call = barrier.join("u")
        barrier.answer("u")
        assert await barrier.wait("u", call, 1) == ""

    asyncio.run(scenario())


def test_a_call_that_is_not_answered_in_time_is_forgotten() -> None:
    """It raises, the other call of the pod stays held, and a later answer meets only that one."""

    async def scenario() -> None:
        barrier = Barrier()
        other = barrier.join("u")
        with pytest.raises(TimeoutError):
            await barrier.wait("u", barrier.join("u"), 0.01)
        assert barrier.holds("u")
        barrier.answer("u")
        assert await barrier.wait("u", other, 1) == ""
        assert not barrier.holds("u")

    asyncio.run(scenario())


def test_a_caller_that_goes_away_is_forgotten() -> None:
    """A cancelled call holds nothing; answering the pod afterwards is no error."""

    async def scenario() -> None:
        barrier = Barrier()
        task = asyncio.create_task(barrier.wait("u", barrier.join("u"), 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not barrier.holds("u")
        barrier.fail(["u", "never seen"], "gone")

    asyncio.run(scenario())
