"""A server of `muster.v1.PlacementService` on loopback, and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import pytest

from extender.muster_v1 import placement_pb2 as pb
from extender.muster_v1.placement_pb2_grpc import PlacementServiceStub
from extender.rpc import RpcServer, start_rpc
from simulations.controlplane.processes import free_ports
from tests.rpc.service import Values

T = TypeVar("T")
Stub = Any
Code = grpc.StatusCode
LLAMA = pb.GangName(namespace="default", name="llama")
SECONDS = 10
"""What an answer may take on a busy machine."""


@asynccontextmanager
async def served(
    service: Values, **options: Any
) -> AsyncIterator[tuple[grpc.aio.Channel, RpcServer]]:
    """A server of `service` and a channel to it."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    server = await start_rpc(service, address, None, **options)
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel, server
    finally:
        await server.stop(0)


def call(service: Values, do: Callable[[Stub], Awaitable[T]], **options: Any) -> T:
    """The answer to one call."""

    async def run() -> T:
        async with served(service, **options) as (channel, _), asyncio.timeout(SECONDS):
            return await do(PlacementServiceStub(channel))  # type: ignore[no-untyped-call]  # generated

    return asyncio.run(run())


def refusal(service: Values, do: Callable[[Stub], Awaitable[object]]) -> tuple[Code, str]:
    """Status and text of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        call(service, do)
    return refused.value.code(), refused.value.details() or ""


async def first(stream: Any, count: int) -> list[pb.Gang]:
    """The first messages of a stream."""
    found = []
    async for message in stream:
        found.append(message)
        if len(found) == count:
            break
    return found
