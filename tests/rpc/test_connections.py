"""The server of `muster.v1.PlacementService`: its health, end, reflection and certificates."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from extender.certs import issue, serving_names
from extender.muster_v1 import placement_pb2 as pb
from extender.muster_v1.placement_pb2_grpc import PlacementServiceStub
from extender.rpc import SERVICE, start_rpc
from simulations.controlplane.processes import free_ports
from tests.rpc.client import LLAMA, SECONDS, Code, Stub, first, served
from tests.rpc.service import Values, view


def test_health_follows_readiness_per_service() -> None:
    """NOT_SERVING before sync, SERVING after, NOT_SERVING when it stops; unknown services are not found."""
    service = Values()
    service.missing = ("not synced: Pod",)
    states = health_pb2.HealthCheckResponse

    async def watch() -> list[int]:
        async with served(service) as (channel, server), asyncio.timeout(SECONDS):
            stub: Any = health_pb2_grpc.HealthStub(channel)
            stream = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            seen = [(await stream.read()).status]
            service.missing = ()
            seen.append((await stream.read()).status)
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await stub.Check(health_pb2.HealthCheckRequest(service="muster.v1.Other"))
            assert unknown.value.code() is Code.NOT_FOUND
            stopping = asyncio.create_task(server.stop(1))
            seen.append((await stream.read()).status)
            stream.cancel()
            await stopping
            return seen

    assert asyncio.run(watch()) == [states.NOT_SERVING, states.SERVING, states.NOT_SERVING]


def test_stop_ends_watches_at_once() -> None:
    """A stream that would never end by itself does not use up the grace period."""

    async def watch() -> tuple[Code, float]:
        async with served(Values(view())) as (channel, server), asyncio.timeout(SECONDS):
            stub: Stub = PlacementServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            stream = stub.WatchGangs(pb.WatchGangsRequest())
            await first(stream, 1)
            loop = asyncio.get_running_loop()
            started = loop.time()
            await server.stop(SECONDS)
            return await stream.code(), loop.time() - started

    code, seconds = asyncio.run(watch())
    assert code is Code.UNAVAILABLE
    assert seconds < SECONDS / 2


@pytest.mark.parametrize("reflection", [True, False])
def test_reflection_only_when_asked_for(reflection: bool) -> None:
    """Strangers learn the API only where the operator allows it."""

    async def services() -> list[str]:
        async with served(Values(), reflection=reflection) as (channel, _):
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            async for answer in stub.ServerReflectionInfo(iter([request])):
                return [found.name for found in answer.list_services_response.service]
            return []

    if reflection:
        assert SERVICE in asyncio.run(services())
    else:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            asyncio.run(services())
        assert refused.value.code() is Code.UNIMPLEMENTED


class Files:
    """Certificates of one moment."""

    def __init__(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        self.files = issue(serving_names("muster-system"), now)

    def renew(self) -> None:
        """A new certificate of a new authority."""
        self.__init__()  # type: ignore[misc]  # all its state is made there


def test_tls_uses_a_renewed_certificate_for_the_next_connection() -> None:
    """Clients that trust the new authority only get through after a renewal, without a restart."""
    tls = Files()
    address = f"127.0.0.1:{free_ports(1)[0]}"

    async def ask() -> str:
        trust = grpc.ssl_channel_credentials(tls.files["ca.crt"])
        async with grpc.aio.secure_channel(address, trust) as channel:
            stub: Stub = PlacementServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            answer = await stub.Explain(pb.ExplainRequest(gang=LLAMA), timeout=SECONDS)
            return str(answer.text)

    async def run() -> list[str]:
        server = await start_rpc(Values(view()), address, tls)
        texts = [await ask()]
        tls.renew()
        texts.append(await ask())
        await server.stop(0)
        return texts

    assert asyncio.run(run()) == ["planned on n1, n2"] * 2


def test_clients_need_a_certificate_when_an_authority_is_given() -> None:
    """With `client_ca` a client without certificate does not get through the handshake."""
    tls = Files()
    address = f"127.0.0.1:{free_ports(1)[0]}"
    trust = grpc.ssl_channel_credentials(tls.files["ca.crt"])

    async def run() -> Code:
        server = await start_rpc(Values(view()), address, tls, client_ca=tls.files["ca.crt"])
        try:
            async with grpc.aio.secure_channel(address, trust) as channel:
                stub: Stub = PlacementServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.Explain(pb.ExplainRequest(gang=LLAMA), timeout=SECONDS)
                return refused.value.code()
        finally:
            await server.stop(0)

    assert asyncio.run(run()) is Code.UNAVAILABLE


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:9444", "muster.example:9444"])
def test_plain_text_is_for_loopback_only(address: str) -> None:
    """Without TLS nothing listens where other machines could reach it."""
    with pytest.raises(ValueError, match="gRPC without TLS is for loopback only"):
        asyncio.run(start_rpc(Values(), address, None))
