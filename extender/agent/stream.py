"""The stream of reports to ``muster.v1.TopologyService``: opened again for ever, each time with the token of
the moment, since tokens of service accounts live an hour."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import structlog

from extender.muster_v1 import topology_pb2 as pb
from extender.muster_v1.topology_pb2_grpc import TopologyServiceStub
from extender.rpc_topology import as_message
from topology.scan.report import essence

log = structlog.get_logger("muster.agent")

_OPTIONS = (("grpc.keepalive_time_ms", 60_000),)
_LONGEST_WAIT = 60.0

Status = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where reports go."""

    address: str
    """``host:port``."""
    ca: Path | None = None
    """Authority of the server's certificate; None is plain text, for loopback only."""
    token: Path | None = None
    """File with the token; read again for every stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds."""

    scan: float = 30.0
    """Between two scans."""
    refresh: float = 300.0
    """A report that says nothing new is sent after this."""
    stream: float = 1800.0
    """Life of a stream: shorter than that of a token."""
    first_wait: float = 1.0
    """After a stream that failed; twice as long after every further one."""


class Reporter:
    """Scans and reports until it is cancelled."""

    def __init__(
        self,
        node: str,
        collect: Callable[[], Awaitable[Status]],
        target: Target,
        timing: Timing = Timing(),
    ) -> None:
        self._node = node
        self._collect = collect
        self._target = target
        self._timing = timing
        self._accepted: Status = {}
        self._accepted_at = float("-inf")

    async def run(self) -> None:
        """One stream after the other; waits longer after each one that failed."""
        wait = self._timing.first_wait
        while True:
            try:
                await self._stream()
                wait = self._timing.first_wait
                continue
            except grpc.aio.AioRpcError as error:
                log.warning("report not taken", code=error.code().name, details=error.details())
            except OSError as error:  # the token or the authority is not mounted yet
                log.warning("report not taken", details=str(error))
            # Agents of a whole fleet must not come back in step.
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _stream(self) -> None:
        async with await self._channel() as channel:
            stub: Any = TopologyServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            requests: asyncio.Queue[pb.ReportRequest | None] = asyncio.Queue()
            answers = stub.Report(_drain(requests), metadata=await self._metadata())
            end = _now() + self._timing.stream
            while _now() < end:
                status = await self._collect()
                if self._due(status):
                    await requests.put(as_message(self._node, status))
                    answer = await answers.read()  # raises when the server ended the stream
                    if answer is grpc.aio.EOF:
                        return
                    self._accepted, self._accepted_at = status, _now()
                    log.info("reported", changed=answer.changed)
                await asyncio.sleep(self._timing.scan)
            await requests.put(None)
            await answers.read()

    def _due(self, status: Status) -> bool:
        old = _now() - self._accepted_at >= self._timing.refresh
        return old or essence(status) != essence(self._accepted)

    async def _channel(self) -> grpc.aio.Channel:
        address, ca = self._target.address, self._target.ca
        if ca is None:
            return grpc.aio.insecure_channel(address, options=_OPTIONS)
        pem = await asyncio.to_thread(ca.read_bytes)
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(pem), options=_OPTIONS)

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self._target.token is None:
            return ()
        token = await asyncio.to_thread(self._target.token.read_text)
        return (("authorization", f"Bearer {token.strip()}"),)


async def _drain(
    requests: asyncio.Queue[pb.ReportRequest | None],
) -> AsyncIterator[pb.ReportRequest]:
    while (request := await requests.get()) is not None:
        yield request


def _now() -> float:
    return asyncio.get_running_loop().time()
