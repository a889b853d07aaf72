"""gRPC: ``muster.v1.PlacementService``, health and reflection. Converts only; decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection as grpc_reflection

from extender import rpc_topology
from extender.feed import GangView
from extender.muster_v1 import placement_pb2 as pb
from extender.muster_v1 import placement_pb2_grpc as pb_grpc
from extender.muster_v1 import topology_pb2_grpc as pb_topology_grpc
from extender.reports import Reports
from extender.rpc_convert import gang_message, plan_response, scale_out
from extender.rpc_topology import Topology
from scheduler.advice import ScaleOut
from scheduler.model import Plan
from scheduler.plan_json import Advice
from scheduler.snapshot import Snapshot

log = structlog.get_logger("muster.rpc")

SERVICE: str = pb.DESCRIPTOR.services_by_name["PlacementService"].full_name
"""``muster.v1.PlacementService``: also its name in ``grpc.health.v1``."""

_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 2**20),  # the manifests of 5,000 nodes
    ("grpc.keepalive_time_ms", 60_000),  # a watch of a quiet cluster must not be cut by a proxy
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server behind it
)
_HEALTH_SECONDS = 0.25

Context = grpc.aio.ServicerContext[Any, Any]


class InvalidManifests(Exception):
    """Manifests that cannot be planned; the text names the object and the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The answer to a what-if question."""

    snapshot: Snapshot
    plan: Plan
    seconds: float
    """That the decision took."""
    advice: Advice
    """For gangs that wait for room, by key."""


class GangService(Protocol):
    """What the calls are answered from: the live service, or a few values in a test."""

    def not_ready(self) -> tuple[str, ...]:
        """What is missing before live answers can be given, in words; empty: nothing."""

    def gang(self, namespace: str, name: str) -> GangView | None:
        """One gang as it is now; None when there is none."""

    def subscribe(self) -> AsyncIterator[GangView]:
        """Every gang as it is now, then every change; never ends (``extender.feed``)."""

    def explain(self, namespace: str, name: str) -> str | None:
        """The text of ``muster explain``; None when there is no such gang."""

    async def scale_out(self, namespace: str, name: str) -> tuple[ScaleOut, ...]:
        """Which nodes would start the gang now; empty when it does not wait for room.

        Must not hold up the event loop.
        """

    async def plan(self, manifests: bytes, live: bool) -> Planned:
        """Decide about ``manifests``, on top of the cluster if ``live``.

        Raises ``InvalidManifests``. Must not hold up the event loop.
        """


class Certificates(Protocol):
    """PEM files by name, renewed in place (``extender.certs.Serving``)."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """``tls.crt`` and ``tls.key``, as last loaded."""


class Placement(pb_grpc.PlacementServiceServicer):
    """The servicer. Every call validates, asks ``service``, converts."""

    def __init__(self, service: GangService) -> None:
        self._service = service
        self.closing = asyncio.Event()
        """Set when the server stops: ends the watches."""

    async def Plan(self, request: pb.PlanRequest, context: Context) -> pb.PlanResponse:
        """What would be decided; see the proto."""
        key = ""
        kind = request.WhichOneof("input")
        if kind is None:
            await _abort(
                context, _INVALID, "input is missing: manifests (YAML or JSON bytes) or gang"
            )
        if kind == "gang":
            await self._known(request.gang, context)
            key = f"{request.gang.namespace}/{request.gang.name}"
        elif request.live:
            await self._ready(context)
        try:
            planned = await self._service.plan(request.manifests, bool(key) or request.live)
        except InvalidManifests as error:
            await _abort(context, _INVALID, f"manifests: {error}")
        return plan_response(planned.snapshot, planned.plan, planned.seconds, planned.advice, key)

    async def GetGang(self, request: pb.GetGangRequest, context: Context) -> pb.Gang:
        """One gang; see the proto."""
        return gang_message(await self._known(request.gang, context))

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        """The text of ``muster explain``."""
        view = await self._known(request.gang, context)
        text = self._service.explain(view.gang.namespace, view.gang.name)
        return pb.ExplainResponse(text=view.text if text is None else text)

    async def ScaleOut(self, request: pb.ScaleOutRequest, context: Context) -> pb.ScaleOutResponse:
        """Which nodes would start a gang; see the proto."""
        gang = (await self._known(request.gang, context)).gang
        advice = await self._service.scale_out(gang.namespace, gang.name)
        return pb.ScaleOutResponse(flavors=[scale_out(one) for one in advice])

    async def WatchGangs(
        self, request: pb.WatchGangsRequest, context: Context
    ) -> AsyncIterator[pb.Gang]:
        """All gangs, then their changes; see the proto."""
        if request.name and not request.namespace:
            await _abort(context, _INVALID, "namespace is empty: a name alone does not say which")
        await self._ready(context)
        async with contextlib.aclosing(_until(self.closing, self._service.subscribe())) as views:
            async for view in views:
                gang = view.gang
                if request.namespace in ("", gang.namespace) and request.name in ("", gang.name):
                    yield gang_message(view)
        await _abort(context, _UNAVAILABLE, "this replica is stopping: watch again")

    async def _known(self, name: pb.GangName, context: Context) -> GangView:
        for field in ("namespace", "name"):
            if not getattr(name, field):
                await _abort(context, _INVALID, f"gang.{field} is empty")
        await self._ready(context)
        view = self._service.gang(name.namespace, name.name)
        if view is None:
            await _abort(
                context, grpc.StatusCode.NOT_FOUND, f"there is no gang {name.namespace}/{name.name}"
            )
        return view

    async def _ready(self, context: Context) -> None:
        missing = self._service.not_ready()
        if missing:
            await _abort(context, _UNAVAILABLE, "; ".join(missing))


_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def _abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("abort returned")


async def _until(
    closing: asyncio.Event, views: AsyncIterator[GangView]
) -> AsyncGenerator[GangView, None]:
    """``views`` until ``closing`` is set."""
    stop = asyncio.ensure_future(closing.wait())
    pull: asyncio.Future[GangView] | None = None
    try:
        while True:
            pull = asyncio.ensure_future(anext(views))
            await asyncio.wait({pull, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                return
            yield pull.result()
    finally:
        for task in (stop, pull):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


class RpcServer:
    """A running server; made by ``start_rpc``."""

    def __init__(
        self,
        server: grpc.aio.Server,
        placement: Placement,
        service: GangService,
        names: Sequence[str],
    ) -> None:
        self._names = tuple(names)
        """Of the services, for their health."""
        self._server = server
        self._placement = placement
        self._service = service
        self._health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; health follows ``GangService.not_ready`` from here on."""
        await self._report()
        await self._server.start()
        self._follower = asyncio.create_task(self._follow())

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, end the watches, let the others finish within ``grace_seconds``."""
        if self._follower is not None:
            self._follower.cancel()
        await self._health.enter_graceful_shutdown()
        self._placement.closing.set()
        await self._server.stop(grace_seconds)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_HEALTH_SECONDS)
            await self._report()

    async def _report(self) -> None:
        states = health_pb2.HealthCheckResponse
        state = states.NOT_SERVING if self._service.not_ready() else states.SERVING
        for name in ("", *self._names):
            await self._health.set(name, state)


async def start_rpc(
    service: GangService,
    address: str,
    tls: Certificates | None,
    *,
    reflection: bool = False,
    client_ca: bytes = b"",
    reports: Reports | None = None,
) -> RpcServer:
    """Serve on ``address`` (``host:port``); with ``client_ca`` (PEM) clients need a certificate of it.
    ``reports``: what takes the reports of nodes; without it they are not served.

    ``tls`` None is plain text, for loopback only. Raises ``ValueError`` for plain text elsewhere and
    ``RuntimeError`` when the port is taken.
    """
    if tls is None and not _loopback(address):
        raise ValueError(f"gRPC without TLS is for loopback only, not for {address}")
    server = grpc.aio.server(options=_OPTIONS)
    placement = Placement(service)
    pb_grpc.add_PlacementServiceServicer_to_server(placement, server)  # type: ignore[no-untyped-call]  # generated
    names = [SERVICE]
    if reports is not None:
        pb_topology_grpc.add_TopologyServiceServicer_to_server(Topology(reports), server)  # type: ignore[no-untyped-call]  # generated
        names.append(rpc_topology.SERVICE)
    rpc = RpcServer(server, placement, service, names)
    if reflection:
        exposed = (*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        grpc_reflection.enable_server_reflection((*exposed, grpc_reflection.SERVICE_NAME), server)
    if tls is None:
        server.add_insecure_port(address)
    else:
        server.add_secure_port(address, _credentials(tls, client_ca))
    await rpc.start()
    return rpc


def _credentials(tls: Certificates, client_ca: bytes) -> grpc.ServerCredentials:
    """Looked up at every handshake, so that a renewed certificate is used at once."""

    def present() -> grpc.ServerCertificateConfiguration:
        pair = (tls.files["tls.key"], tls.files["tls.crt"])
        return grpc.ssl_server_certificate_configuration([pair], client_ca or None)

    return grpc.dynamic_ssl_server_credentials(
        present(), present, require_client_authentication=bool(client_ca)
    )


def _loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
