"""Certificates: made when there are none, renewed in time, shared by replicas, never taken from others."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientConnectorCertificateError, ClientError, ClientSession, web

from extender import certs
from extender.certs import CA, CA_KEY, CERT, KEY, CertificateError, FolderStore, Serving
from simulations.controlplane import pki

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
NAMES = ("muster.test.svc", "127.0.0.1")


def days(count: float) -> datetime.datetime:
    """So many days after NOW."""
    return NOW + datetime.timedelta(days=count)


class MemoryStore:
    """A Secret in memory; ``lost`` makes that many writes come too late."""

    def __init__(self, files: Mapping[str, bytes] | None = None, lost: int = 0) -> None:
        self.files = dict(files or {})
        self.writes = 0
        self.lost = lost

    async def read(self) -> tuple[Mapping[str, bytes], str]:
        """The files and how often they were written."""
        return dict(self.files), str(self.writes)

    async def write(self, files: Mapping[str, bytes], version: str) -> bool:
        """Only if nobody else wrote since ``version``."""
        if self.lost:
            self.lost -= 1
            self.writes += 1
            self.files = dict(certs.issue(NAMES, NOW))
        if version != str(self.writes):
            return False
        self.writes += 1
        self.files = dict(files)
        return True


def test_a_certificate_is_renewed_after_two_thirds_of_its_life() -> None:
    """90 days of life: kept on day 59, made anew on day 61, by the same authority."""
    store = MemoryStore()
    serving = Serving(store, NAMES)

    async def main() -> None:
        assert await serving.refresh(NOW)
        first = serving.files
        assert not await serving.refresh(days(59))
        assert serving.files == first
        assert await serving.refresh(days(61))
        assert serving.files[CERT] != first[CERT]
        assert serving.files[CA] == first[CA], "clients need not be told"

    asyncio.run(main())


def test_a_new_authority_is_published_beside_the_old_one() -> None:
    """When the authority itself ages, the bundle holds both, so that clients can be moved over."""
    first = certs.issue(NAMES, NOW)
    second = certs.issue(NAMES, days(2500), first)
    assert second[CA].endswith(first[CA])
    assert second[CA].count(b"BEGIN CERTIFICATE") == 2
    assert not certs.due(second, NAMES, days(2500))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({CERT: b"garbage"}, True),
        ({KEY: b""}, True),
        ({CA: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, True),
        ({CA_KEY: b"garbage"}, True),
        ({CA_KEY: None}, False),
        ({CERT: None}, True),
    ],
    ids=["good", "bad cert", "empty key", "bad ca", "bad ca key", "foreign", "no cert"],
)
def test_what_is_made_anew(change: Mapping[str, bytes | None], expected: bool) -> None:
    """What cannot be used; never a certificate whose authority is not ours."""
    merged = {**certs.issue(NAMES, NOW), **change}
    files = {name: content for name, content in merged.items() if content is not None}
    assert certs.due(files, NAMES, NOW) is expected


def test_a_new_name_needs_a_new_certificate() -> None:
    """Another address in the settings is in the certificate after the restart."""
    files = certs.issue(NAMES, NOW)
    assert certs.due(files, (*NAMES, "10.1.2.3"), NOW)
    assert not certs.due(certs.issue((*NAMES, "10.1.2.3"), NOW, files), (*NAMES, "10.1.2.3"), NOW)


def test_replicas_that_start_together_share_one_certificate() -> None:
    """The one that is late takes what the other wrote."""
    store = MemoryStore(lost=1)
    serving = Serving(store, NAMES)
    asyncio.run(serving.refresh(NOW))
    assert serving.files == store.files
    assert store.writes == 1


def test_given_certificates_are_read_again_but_never_replaced(tmp_path: Path) -> None:
    """A certificate without ``ca.key`` is somebody else's, also when it has expired; a pair that does not
    fit together is an error and the old one stays in use."""
    given, renewed = (dict(certs.issue(NAMES, NOW)) for _ in range(2))
    store = MemoryStore({CERT: given[CERT], KEY: given[KEY]})
    serving = Serving(store, NAMES)

    async def main() -> None:
        assert await serving.refresh(days(1000))
        store.files |= {CERT: renewed[CERT]}
        with pytest.raises(ssl.SSLError):
            await serving.refresh(days(1000))
        assert serving.files[CERT] == given[CERT]
        store.files |= {KEY: renewed[KEY]}
        assert await serving.refresh(days(1000))
        assert store.writes == 0

    asyncio.run(main())


def test_half_a_certificate_is_an_error() -> None:
    """The message names what is missing."""
    given = certs.issue(NAMES, NOW)
    with pytest.raises(CertificateError, match=r"lacks tls\.key"):
        asyncio.run(Serving(MemoryStore({CERT: given[CERT]}), NAMES).refresh(NOW))


def test_files_are_made_in_a_folder(tmp_path: Path) -> None:
    """Outside a cluster; nobody else can read the keys, and the next start uses the same ones."""
    folder = tmp_path / "tls"

    async def main() -> None:
        first = Serving(FolderStore(folder), NAMES)
        await first.refresh(NOW)
        second = Serving(FolderStore(folder), NAMES)
        await second.refresh(NOW)
        assert first.files == second.files

    asyncio.run(main())
    assert {file.name for file in folder.iterdir()} == {CA, CA_KEY, CERT, KEY}
    for name in (CA_KEY, KEY):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_a_renewal_reaches_new_connections_without_a_restart(tmp_path: Path) -> None:
    """The listening server keeps its context; a client that trusts only the new authority gets through."""
    store = MemoryStore()
    serving = Serving(store, NAMES)

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def main() -> None:
        real_now = datetime.datetime.now(datetime.UTC)
        await serving.refresh(real_now)
        fresh = certs.issue(NAMES, real_now)
        trust = ssl.create_default_context(cadata=fresh[CA].decode())
        async with listening(serving, hello) as port:
            with pytest.raises(ClientConnectorCertificateError):
                await get(port, trust)
            store.files = dict(fresh)
            assert await serving.refresh(real_now)
            assert await get(port, trust) == "hello"

    asyncio.run(main())


@asynccontextmanager
async def listening(
    serving: Serving, handler: Callable[[web.Request], Awaitable[web.Response]]
) -> AsyncIterator[int]:
    """A server on loopback with the certificate; gives its port."""
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving.context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def get(port: int, trust: ssl.SSLContext) -> str:
    """One request on a connection of its own."""
    async with (
        ClientSession() as session,
        session.get(f"https://127.0.0.1:{port}/", ssl=trust) as r,
    ):
        return await r.text()


def test_client_certificates_are_checked_when_asked_for(tmp_path: Path) -> None:
    """With a client CA a foreign client certificate ends the connection; none is left to the verbs."""
    for folder in ("ours", "other"):
        pki.issue(tmp_path / folder)
    serving = Serving(MemoryStore(), NAMES, str(tmp_path / "ours" / "ca.crt"))

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.Response(text=str(bool(request.transport.get_extra_info("peercert"))))

    def trust(client: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=serving.files[CA].decode())
        if client:
            certificate = tmp_path / client / "kube-scheduler.crt"
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        return context

    async def main() -> None:
        await serving.refresh(datetime.datetime.now(datetime.UTC))
        async with listening(serving, who) as port:
            assert await get(port, trust("")) == "False"
            assert await get(port, trust("ours")) == "True"
            with pytest.raises((ClientError, ssl.SSLError)):
                await get(port, trust("other"))

    asyncio.run(main())
