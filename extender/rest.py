"""HTTP routes: the verbs, admission, health, metrics and /debug. Converts only; decides nothing."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from extender import wire
from scheduler.snapshot_json import dump

if TYPE_CHECKING:
    from extender.service import Service

_JSON = "application/json"
_MAX_BODY = 16 * 2**20
_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/mutate"})
VERBS = ("filter", "prioritize", "preempt", "bind")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(service: Service) -> web.Application:
    """The application with every route of design section 8.

    With a client CA the verbs and /debug need a client certificate; probes, metrics and the webhook
    cannot present one.
    """
    middlewares = [_errors, _needs_certificate] if service.config.client_ca else [_errors]
    app = web.Application(client_max_size=_MAX_BODY, middlewares=middlewares)
    routes = Routes(service)
    for verb in VERBS:
        app.router.add_post(f"/{verb}", getattr(routes, verb))
    app.router.add_post("/mutate", routes.mutate)
    for path, handler in (
        ("/healthz", routes.healthz),
        ("/readyz", routes.readyz),
        ("/metrics", routes.metrics),
        ("/debug/snapshot", routes.debug_snapshot),
        ("/", routes.index),
    ):
        app.router.add_get(path, handler)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal is one JSON object with one sentence; kube-scheduler logs it as it is."""
    try:
        return await handler(request)
    except wire.WireError as error:
        return _answer(wire.write_error(str(error)), 400)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        text = f"{request.path}: {request.method} is not served here; use {allowed}"
        return _answer(wire.write_error(text), 405)
    except web.HTTPNotFound:
        text = f"{request.path}: unknown path; the verbs are {', '.join('/' + v for v in VERBS)}"
        return _answer(wire.write_error(text), 404)
    except web.HTTPRequestEntityTooLarge:
        return _answer(wire.write_error(f"the body is larger than {_MAX_BODY} bytes"), 413)


@web.middleware
async def _needs_certificate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """TLS leaves the client certificate optional, since kubelet probes have none."""
    if request.path not in _OPEN_PATHS:
        transport = request.transport
        if transport is None or not transport.get_extra_info("peercert"):
            text = f"{request.path}: a client certificate of the configured CA is needed"
            return _answer(wire.write_error(text), 403)
    return await handler(request)


def _answer(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=_JSON)


def _judged(wrong: tuple[str, ...]) -> web.Response:
    text = "\n".join(wrong) if wrong else "ok"
    return web.Response(text=text + "\n", status=503 if wrong else 200)


class Routes:
    """One method a route."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def _standby(self) -> web.Response | None:
        """A replica that does not lead answers 503: kube-scheduler backs off and asks again."""
        if self._service.active:
            return None
        return _answer(wire.write_error("muster: this replica does not lead or is not synced"), 503)

    async def filter(self, request: web.Request) -> web.Response:
        """``POST /filter``."""
        started = time.perf_counter()
        args = wire.read_filter(await request.read())
        standby = self._standby()
        if standby is not None:
            return standby
        answer = self._service.filter(args)
        self._service.metrics.verb("filter", time.perf_counter() - started)
        return _answer(wire.write_filter(answer, args))

    async def prioritize(self, request: web.Request) -> web.Response:
        """``POST /prioritize``."""
        started = time.perf_counter()
        args = wire.read_filter(await request.read(), "prioritize")
        scores = self._service.prioritize(args)
        self._service.metrics.verb("prioritize", time.perf_counter() - started)
        return _answer(wire.write_priorities(scores))

    async def preempt(self, request: web.Request) -> web.Response:
        """``POST /preempt``."""
        started = time.perf_counter()
        args = wire.read_preempt(await request.read())
        standby = self._standby()
        if standby is not None:
            return standby
        kept = self._service.preempt(args)
        self._service.metrics.verb("preempt", time.perf_counter() - started)
        return _answer(wire.write_preempt(args, kept))

    async def bind(self, request: web.Request) -> web.Response:
        """``POST /bind``: held at the barrier until all members of the gang are there."""
        started = time.perf_counter()
        args = wire.read_bind(await request.read())
        standby = self._standby()
        if standby is not None:
            return standby
        error = await self._service.bind(args)
        self._service.metrics.verb("bind", time.perf_counter() - started)
        return _answer(wire.write_error(error))

    async def mutate(self, request: web.Request) -> web.Response:
        """``POST /mutate``: AdmissionReview v1; only the leader knows which flavor a gang is to have."""
        started = time.perf_counter()
        body = await request.read()
        standby = self._standby() if self._service.config.rewrites else None
        if standby is not None:
            return standby
        answer = await self._service.admission.review(body)
        self._service.metrics.verb("mutate", time.perf_counter() - started)
        return _answer(msgspec.json.encode(answer))

    async def healthz(self, _: web.Request) -> web.Response:
        """``GET /healthz``: the process answers and its planner is not stuck."""
        return _judged(self._service.health.not_live)

    async def readyz(self, _: web.Request) -> web.Response:
        """``GET /readyz``: synced and leading, so that the Service sends verbs to one replica only."""
        return _judged(self._service.health.not_ready)

    async def metrics(self, _: web.Request) -> web.Response:
        """``GET /metrics`` in Prometheus text format."""
        return web.Response(
            body=self._service.metrics.render(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def debug_snapshot(self, request: web.Request) -> web.Response:
        """``GET /debug/snapshot[?plan=ID]``: the present snapshot, or the one a plan was made on."""
        plan_id = request.query.get("plan")
        engine = self._service.engine
        if plan_id is None:
            snapshot = engine.snapshot()
        elif plan_id in engine.decisions:
            snapshot = engine.decisions[plan_id].snapshot
        else:
            kept = ", ".join(engine.decisions) or "none"
            text = f"plan {plan_id} is not kept any more; kept: {kept}"
            return _answer(wire.write_error(text), 404)
        document: dict[str, Any] = dump(snapshot, engine.config.policy)
        return _answer(msgspec.json.encode(document))

    async def index(self, _: web.Request) -> web.Response:
        """``GET /``: gangs, phases and reasons as plain text."""
        return web.Response(text=self._service.page())
