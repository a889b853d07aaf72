"""A scripted API server, for what a real one does too rarely: each request gets the next answer."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from scheduler.kube.client import KubeClient
from topology.keys import INITIAL_EVENTS_END

Object = dict[str, Any]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

RESET = "reset"
HANG = "hang"


def pod(name: str, version: int, uid: str = "") -> Object:
    """A pod as small as it gets."""
    metadata = {"namespace": "d", "name": name, "uid": uid or f"uid-{name}"}
    return {"metadata": {**metadata, "resourceVersion": str(version)}}


def event(verb: str, obj: Object) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": verb, "object": obj}).encode() + b"\n"


def bookmark(version: int, *, end: bool = False) -> bytes:
    """A bookmark; with ``end`` the one that ends a streamed list."""
    annotations = {INITIAL_EVENTS_END: "true"} if end else {}
    return event(
        "BOOKMARK",
        {"metadata": {"resourceVersion": str(version), "annotations": annotations}},
    )


def expired() -> bytes:
    """The error that a watch gets for a version that the server has forgotten."""
    return event("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})


def stream(*chunks: bytes | str) -> Answer:
    """A watch: the chunks as they are, then the end, unless the last one is RESET or HANG."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for chunk in chunks:
            if chunk == HANG:
                await asyncio.sleep(3600)
            elif chunk == RESET:
                assert request.transport is not None
                request.transport.abort()
                return response
            else:
                assert isinstance(chunk, bytes)
                await response.write(chunk)
                await asyncio.sleep(0.01)  # so that chunks arrive as they were cut
        return response

    return answer


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """One JSON answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def refuse(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer as the API server refuses."""
    body = {
        "kind": "Status",
        "code": status,
        "reason": reason,
        "message": f"no: {reason}",
    }
    return reply(body, status, headers)


def page(version: int, *objects: Object, token: str = "") -> Answer:
    """One page of a list."""
    return reply(
        {
            "metadata": {"resourceVersion": str(version), "continue": token},
            "items": objects,
        }
    )


async def close(request: web.Request) -> web.StreamResponse:
    """Read the request and close the connection without an answer."""
    await request.read()
    assert request.transport is not None
    request.transport.close()
    return web.Response()


class FakeApi:
    """Answers with ``script`` in order; after its end a watch is silent and other calls get ``{}``."""

    def __init__(self, *script: Answer) -> None:
        self.script = deque(script)
        self.requests: list[web.Request] = []
        self.running = 0
        self.most_running = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.script:
                answer = self.script.popleft()
            else:
                answer = stream(HANG) if "watch" in request.query else reply({})
            return await answer(request)
        finally:
            self.running -= 1

    def queries(self, name: str) -> list[str | None]:
        """The query parameter of every request so far."""
        return [request.query.get(name) for request in self.requests]


def write_kubeconfig(
    path: Path, server: str, user: Mapping[str, object], **cluster: object
) -> None:
    """A kubeconfig with one context."""
    path.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
                "users": [{"name": "u", "user": dict(user)}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )


@asynccontextmanager
async def serving(
    api: FakeApi, folder: Path, user: Mapping[str, object] | None = None, **options: Any
) -> AsyncIterator[KubeClient]:
    """The fake on loopback with a client for it; ``options`` go to the client."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    async with TestServer(app) as server:
        write_kubeconfig(folder / "config", str(server.make_url("")), user or {})
        async with KubeClient(folder / "config", **options) as client:
            yield client
