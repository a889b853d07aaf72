"""`muster.v1.PlacementService` over a real connection on loopback."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from extender.certs import issue, serving_names
from extender.muster_v1 import placement_pb2 as pb
from extender.muster_v1.placement_pb2_grpc import PlacementServiceStub
from extender.rpc import SERVICE, RpcServer, start_rpc
from simulations.controlplane.processes import free_ports
from tests.rpc.service import ADVICE as NEEDED
from tests.rpc.service import Values, view

T = TypeVar("T")
Stub = Any
Code = grpc.StatusCode
ADVICE = {
    "flavor": "h100",
    "nodes": 1,
    "cost_per_hour": "12.5",
    "cheapest": True,
    "like": "n1",
    "level": "rack",
    "domains": {"r1": 1},
    "node_selector": {"type": "h100"},
    "resources": {"cpu": "1500m", "example.com/gpu": "8", "pods": "1"},
    "message": "1 more node like n1 would do",
}
LLAMA = pb.GangName(namespace="default", name="llama")
_SECONDS = 10


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
        async with served(service, **options) as (channel, _), asyncio.timeout(_SECONDS):
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


def test_plan_is_the_plan_document() -> None:
    """Every field of `muster plan -o json` arrives, with `null` as an unset field."""
    service = Values()
    answer = call(service, lambda stub: stub.Plan(pb.PlanRequest(manifests=b"kind: Node")))
    assert service.planned == [(b"kind: Node", False)]
    assert MessageToDict(answer, preserving_proto_field_name=True) == {
        "gangs": [
            {
                "namespace": "default",
                "name": "llama",
                "status": "STATUS_PLACED",
                "flavor": "a100",
                "flavor_rank": 1,
                "passed_over": [
                    {
                        "flavor": "h100",
                        "reason": {
                            "code": "Insufficient",
                            "message": "0 of 2 places are free",
                            "numbers": {"free": "0", "needed": "2"},
                        },
                    }
                ],
                "members": [
                    {
                        "pod": "llama-1",
                        "uid": "llama-1-uid",
                        "role": "main",
                        "rank": 1,
                        "node": "n2",
                    }
                ],
                "domains": [
                    {"level": "block", "names": ["b1"]},
                    {"level": "rack", "names": ["b1/r1", "b1/r2"]},
                ],
                "load_seconds": "41",
            },
            {
                "namespace": "default",
                "name": "qwen",
                "status": "STATUS_WAITING",
                "reason": {
                    "code": "Insufficient",
                    "message": "0 of 2 places are free",
                    "numbers": {"free": "0", "needed": "2"},
                },
                "scale_out": [ADVICE],
            },
        ],
        "solver": {
            "status": "STATUS_OPTIMAL",
            "objective": ["0", "3"],
            "bound": ["0", "2"],
            "seconds": 0.25,
        },
        "snapshot": {},
    }
    assert not answer.gangs[1].HasField("flavor")
    assert not answer.gangs[1].HasField("load_seconds")


def test_plan_of_a_live_gang_answers_for_it_alone() -> None:
    """The gang is decided beside all others, and the answer holds only its part."""
    service = Values(view("llama"), view("qwen"))
    answer = call(service, lambda stub: stub.Plan(pb.PlanRequest(gang=LLAMA)))
    assert service.planned == [(b"", True)]
    assert [gang.name for gang in answer.gangs] == ["llama"]


def test_get_gang_says_what_was_understood_and_where_members_are() -> None:
    """Request, phase, decision; running members and planned places in one list."""
    gang = call(Values(view()), lambda stub: stub.GetGang(pb.GetGangRequest(gang=LLAMA)))
    assert gang.phase == pb.PHASE_PLANNED
    assert gang.message == "planned on n1, n2"
    assert [(m.pod, m.rank, m.node, m.bound) for m in gang.members] == [
        ("llama-0", 0, "n1", True),
        ("llama-1", 1, "n2", False),
    ]
    assert list(gang.spec.flavors) == ["h100", "a100"]
    assert gang.spec.topology.required == "block"
    (podset,) = gang.spec.pod_sets
    assert dict(podset.request) == {"cpu": "1500m", "example.com/gpu": "8", "pods": "1"}
    assert [(item.level, item.size) for item in podset.slices] == [("rack", 2)]


def test_explain_is_the_text_itself() -> None:
    """Not a character is added to what `muster explain` prints."""
    service = Values(view(text="waits: h100 has 3 of 4 places"))
    answer = call(service, lambda stub: stub.Explain(pb.ExplainRequest(gang=LLAMA)))
    assert answer.text == "waits: h100 has 3 of 4 places"


def test_scale_out_names_the_nodes_that_are_missing() -> None:
    """Every field of the advice; a gang that has its places gets an empty answer."""
    service = Values(view("llama", "Waiting"), view("qwen", "Bound"))
    qwen = pb.GangName(namespace="default", name="qwen")

    def ask(gang: pb.GangName) -> dict[str, Any]:
        answer = call(service, lambda stub: stub.ScaleOut(pb.ScaleOutRequest(gang=gang)))
        return MessageToDict(answer, preserving_proto_field_name=True)

    assert ask(LLAMA) == {"flavors": [ADVICE]}
    assert ask(qwen) == {}


def test_a_watch_carries_the_advice() -> None:
    """A gang that waits is told with the nodes that would start it."""
    waits = replace(view("llama", "Waiting"), scale_out=(NEEDED,))
    gang = call(Values(waits), lambda stub: stub.GetGang(pb.GetGangRequest(gang=LLAMA)))
    assert [one.nodes for one in gang.decision.scale_out] == [1]


async def _watch(stub: Stub, request: pb.WatchGangsRequest) -> list[pb.Gang]:
    return await first(stub.WatchGangs(request), 1)


REFUSED: dict[str, tuple[Callable[[Stub], Awaitable[object]], Code, str]] = {
    "unknown gang": (
        lambda stub: stub.GetGang(
            pb.GetGangRequest(gang=pb.GangName(namespace="default", name="none"))
        ),
        Code.NOT_FOUND,
        "there is no gang default/none",
    ),
    "no gang": (
        lambda stub: stub.GetGang(pb.GetGangRequest()),
        Code.INVALID_ARGUMENT,
        "gang.namespace is empty",
    ),
    "no name": (
        lambda stub: stub.Explain(pb.ExplainRequest(gang=pb.GangName(namespace="default"))),
        Code.INVALID_ARGUMENT,
        "gang.name is empty",
    ),
    "no input": (
        lambda stub: stub.Plan(pb.PlanRequest(live=True)),
        Code.INVALID_ARGUMENT,
        "input is missing: manifests (YAML or JSON bytes) or gang",
    ),
    "bad manifests": (
        lambda stub: stub.Plan(pb.PlanRequest(manifests=b"bad")),
        Code.INVALID_ARGUMENT,
        "manifests: document 1, line 1: kind is missing",
    ),
    "name without namespace": (
        lambda stub: _watch(stub, pb.WatchGangsRequest(name="llama")),
        Code.INVALID_ARGUMENT,
        "namespace is empty: a name alone does not say which",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_requests_name_object_or_field(case: str) -> None:
    """One status code and one sentence that says what to change."""
    do, code, text = REFUSED[case]
    assert refusal(Values(view()), do) == (code, text)


LIVE: dict[str, Callable[[Stub], Awaitable[object]]] = {
    "GetGang": lambda stub: stub.GetGang(pb.GetGangRequest(gang=LLAMA)),
    "Explain": lambda stub: stub.Explain(pb.ExplainRequest(gang=LLAMA)),
    "ScaleOut": lambda stub: stub.ScaleOut(pb.ScaleOutRequest(gang=LLAMA)),
    "WatchGangs": lambda stub: _watch(stub, pb.WatchGangsRequest()),
    "Plan of a gang": lambda stub: stub.Plan(pb.PlanRequest(gang=LLAMA)),
    "Plan on the cluster": lambda stub: stub.Plan(pb.PlanRequest(manifests=b"{}", live=True)),
}


@pytest.mark.parametrize("case", LIVE)
def test_live_calls_wait_for_the_caches(case: str) -> None:
    """Before the first sync, or on a replica that does not lead, nobody gets half the truth."""
    service = Values(view())
    service.missing = ("not synced: Pod", "another replica leads")
    expected = (Code.UNAVAILABLE, "not synced: Pod; another replica leads")
    assert refusal(service, LIVE[case]) == expected


def test_offline_plan_needs_no_cluster() -> None:
    """A what-if on manifests alone is answered by any replica at any time."""
    service = Values()
    service.missing = ("not synced: Pod",)
    answer = call(service, lambda stub: stub.Plan(pb.PlanRequest(manifests=b"{}")))
    assert len(answer.gangs) == 2


def test_watch_gives_the_present_then_changes_of_the_named_gang() -> None:
    """First state, every change, deletion; other gangs are left out."""
    service = Values(view("llama", "Waiting"), view("qwen", "Waiting"))

    async def watch(stub: Stub) -> list[tuple[str, str, bool]]:
        stream = stub.WatchGangs(pb.WatchGangsRequest(namespace="default", name="llama"))
        seen = await first(stream, 1)
        service.put(view("qwen", "Bound"))
        service.put(view("llama", "Bound"))
        seen += await first(stream, 1)
        service.drop("llama")
        seen += await first(stream, 1)
        return [(gang.name, pb.Phase.Name(gang.phase), gang.deleted) for gang in seen]

    assert call(service, watch) == [
        ("llama", "PHASE_WAITING", False),
        ("llama", "PHASE_BOUND", False),
        ("llama", "PHASE_BOUND", True),
    ]


def test_health_follows_readiness_per_service() -> None:
    """NOT_SERVING before sync, SERVING after, NOT_SERVING when it stops; unknown services are not found."""
    service = Values()
    service.missing = ("not synced: Pod",)
    states = health_pb2.HealthCheckResponse

    async def watch() -> list[int]:
        async with served(service) as (channel, server), asyncio.timeout(_SECONDS):
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
        async with served(Values(view())) as (channel, server), asyncio.timeout(_SECONDS):
            stub: Stub = PlacementServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            stream = stub.WatchGangs(pb.WatchGangsRequest())
            await first(stream, 1)
            loop = asyncio.get_running_loop()
            started = loop.time()
            await server.stop(_SECONDS)
            return await stream.code(), loop.time() - started

    code, seconds = asyncio.run(watch())
    assert code is Code.UNAVAILABLE
    assert seconds < _SECONDS / 2


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
            answer = await stub.Explain(pb.ExplainRequest(gang=LLAMA), timeout=_SECONDS)
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
                    await stub.Explain(pb.ExplainRequest(gang=LLAMA), timeout=_SECONDS)
                return refused.value.code()
        finally:
            await server.stop(0)

    assert asyncio.run(run()) is Code.UNAVAILABLE


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:9444", "muster.example:9444"])
def test_plain_text_is_for_loopback_only(address: str) -> None:
    """Without TLS nothing listens where other machines could reach it."""
    with pytest.raises(ValueError, match="gRPC without TLS is for loopback only"):
        asyncio.run(start_rpc(Values(), address, None))
