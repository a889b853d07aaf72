"""The client: who it is, what it repeats, and what it says when it fails."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from extender import certs
from scheduler.kube import client as client_module
from scheduler.kube.auth import KubeConfigError
from scheduler.kube.client import UNREACHABLE, ApiError, KubeClient
from scheduler.kube.resources import NODES, PODS, TOPOLOGIES
from tests.kube.fake_api import (
    HANG,
    Answer,
    FakeApi,
    close,
    refuse,
    reply,
    serving,
    stream,
    write_kubeconfig,
)

BODY = {"metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (NODES.path(name="n"), "/api/v1/nodes/n"),
        (PODS.path(), "/api/v1/pods"),
        (PODS.path("d", "p", "status"), "/api/v1/namespaces/d/pods/p/status"),
        (TOPOLOGIES.path(version="v1"), "/apis/kueue.x-k8s.io/v1/topologies"),
        (PODS.path("d", "a/b"), "/api/v1/namespaces/d/pods/a%2Fb"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    """Core and named groups, all namespaces or one, subresources; names cannot leave their place."""
    assert path == expected


def create(folder: Path, api: FakeApi, *, retry: bool = True) -> object:
    """One POST through the fake."""

    async def main() -> object:
        async with serving(api, folder, timeout_seconds=0.5) as client:
            return await client.create(PODS, BODY, namespace="d", retry=retry)

    return asyncio.run(main())


def test_429_is_repeated_after_the_time_that_was_asked_for(tmp_path: Path) -> None:
    """The server did nothing with the first call, so even a POST is repeated."""
    api = FakeApi(refuse(429, "TooManyRequests", {"Retry-After": "0"}), reply(BODY, 201))
    assert create(tmp_path, api) == BODY
    assert len(api.requests) == 2


def test_429_is_handed_back_when_it_is_the_answer(tmp_path: Path) -> None:
    """An eviction gets 429 from a disruption budget: that is no overload."""
    api = FakeApi(refuse(429, "TooManyRequests", {"Retry-After": "7"}))
    with pytest.raises(ApiError) as caught:
        create(tmp_path, api, retry=False)
    assert (caught.value.status, caught.value.retry_after_seconds) == (429, 7)
    assert len(api.requests) == 1


@pytest.mark.parametrize("answer", [close, stream(HANG)], ids=["closed", "silent"])
def test_a_call_without_an_answer_is_not_repeated(tmp_path: Path, answer: Answer) -> None:
    """It may have had an effect; the caller knows whether it is idempotent."""
    api = FakeApi(answer)
    with pytest.raises(ApiError) as caught:
        create(tmp_path, api)
    assert (caught.value.status, caught.value.reason) == (UNREACHABLE, "Unknown")
    assert len(api.requests) == 1


def test_a_server_that_does_not_listen_was_not_asked(tmp_path: Path) -> None:
    """After some attempts the error says that the call had no effect."""

    async def main() -> None:
        write_kubeconfig(tmp_path / "config", f"http://127.0.0.1:{unused_port()}", {})
        async with KubeClient(tmp_path / "config") as client:
            await client.get(NODES, None, "n")

    with pytest.raises(ApiError) as caught:
        asyncio.run(main())
    assert caught.value.reason == "NotSent"


def test_errors_carry_the_reason_and_the_fields(tmp_path: Path) -> None:
    """So that callers need not search in texts."""
    body = {
        "reason": "Invalid",
        "message": "Pod is invalid",
        "details": {"causes": [{"field": "metadata.uid"}]},
    }
    with pytest.raises(ApiError) as caught:
        create(tmp_path, FakeApi(reply(body, 422)))
    error = caught.value
    assert (error.status, error.reason, error.message) == (
        422,
        "Invalid",
        "Pod is invalid",
    )
    assert error.fields == ("metadata.uid",)


def test_not_more_calls_at_once_than_allowed(tmp_path: Path) -> None:
    """A burst of 64 members does not open 64 connections if it is told not to."""

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return web.json_response({})

    api = FakeApi(*[slow] * 20)

    async def main() -> None:
        async with serving(api, tmp_path, max_in_flight=3) as client:
            await asyncio.gather(*(client.get(NODES, None, str(n)) for n in range(20)))

    asyncio.run(main())
    assert api.most_running == 3


def test_a_rotated_token_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of service accounts change every hour; the file is read again every minute."""
    token = tmp_path / "token"
    token.write_text("one")
    api = FakeApi()

    async def main() -> None:
        async with serving(api, tmp_path, {"tokenFile": str(token)}) as client:
            await client.get(NODES, None, "n")
            token.write_text("two")
            await client.get(NODES, None, "n")
            monkeypatch.setattr(client_module, "_RELOAD_SECONDS", 0.0)
            await client.get(NODES, None, "n")

    asyncio.run(main())
    sent = [request.headers["Authorization"] for request in api.requests]
    assert sent == ["Bearer one", "Bearer one", "Bearer two"]


def test_401_reads_the_credentials_again_and_repeats_once(tmp_path: Path) -> None:
    """A token that was revoked early does not stop us for a minute, nor are we in a loop."""
    token = tmp_path / "token"
    token.write_text("one")

    async def revoked(request: web.Request) -> web.StreamResponse:
        token.write_text("two")
        return await refuse(401, "Unauthorized")(request)

    api = FakeApi(revoked, refuse(401, "Unauthorized"))

    async def main() -> None:
        async with serving(api, tmp_path, {"tokenFile": str(token)}) as client:
            await client.get(NODES, None, "n")

    with pytest.raises(ApiError, match="401 Unauthorized"):
        asyncio.run(main())
    sent = [request.headers["Authorization"] for request in api.requests]
    assert sent == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(
    ("cluster", "trusted"),
    [("ours", True), ("other", False), ("insecure", True)],
)
def test_a_server_with_an_unknown_certificate_is_refused(
    tmp_path: Path, cluster: str, trusted: bool
) -> None:
    """Verification is off only where the kubeconfig says insecure-skip-tls-verify."""
    now = datetime.datetime.now(datetime.UTC)
    files, other = (certs.issue(("127.0.0.1",), now) for _ in range(2))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / certs.CERT, tmp_path / certs.KEY)
    ca = {"certificate-authority-data": base64.b64encode(other[certs.CA]).decode()}
    if cluster == "ours":
        ca["certificate-authority-data"] = base64.b64encode(files[certs.CA]).decode()
    settings: dict[str, object] = (
        {"insecure-skip-tls-verify": True} if cluster == "insecure" else {**ca}
    )

    async def main() -> object:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", FakeApi().handle)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            url = f"https://127.0.0.1:{runner.addresses[0][1]}"
            write_kubeconfig(tmp_path / "config", url, {}, **settings)
            async with KubeClient(tmp_path / "config") as client:
                return await client.get(NODES, None, "n")
        finally:
            await runner.cleanup()

    if trusted:
        assert asyncio.run(main()) == {}
    else:
        with pytest.raises(ApiError, match="(?i)certificate"):
            asyncio.run(main())


@pytest.mark.parametrize("text", [None, "", "{", "apiVersion: v1\nkind: Config\n"])
def test_unusable_credentials_are_one_line(tmp_path: Path, text: str | None) -> None:
    """A missing, empty or broken kubeconfig is named, without a traceback of somebody else's code."""
    if text is not None:
        (tmp_path / "config").write_text(text)

    async def main() -> None:
        KubeClient(tmp_path / "config")

    with pytest.raises(
        KubeConfigError, match=r"^cannot read Kubernetes credentials .*config\): .+$"
    ):
        asyncio.run(main())
