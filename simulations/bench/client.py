"""HTTPS requests at a fixed rate, or as fast as answers come, from a process of its own.

At a fixed rate the time of a request counts from the moment at which it was *due*, so that a server that
stalls cannot hide the requests which it kept from being sent.

    python -m simulations.bench.client < job.json > times.json
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

_OK = 200
_CONNECTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send. `rate` in requests a second; 0: `parallel` senders, each as fast as it is answered."""

    url: str
    ca: str
    """File with the authority's certificate."""
    body: str = ""
    """Empty: GET, else POST."""
    expect: str = ""
    """Text that every answer must contain."""
    rate: float = 0
    parallel: int = 4
    seconds: float = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What came of a job."""

    milliseconds: tuple[float, ...]
    """Of every request that was answered as expected."""
    failed: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Answers as expected per second."""
        return len(self.milliseconds) / self.seconds


def load(job: Job) -> Times:
    """Run the job in a process of its own. Raises `CalledProcessError` when that fails."""
    done = subprocess.run(
        [sys.executable, "-m", "simulations.bench.client"],
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        check=True,
    )
    return Times(**json.loads(done.stdout))


async def _run(job: Job) -> Times:
    trust = ssl.create_default_context(cafile=job.ca)
    trust.check_hostname = False  # the address is loopback; the authority is the cluster's own
    found: list[float] = []
    failed = 0
    body = job.body.encode()

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust, limit=_CONNECTIONS)
    ) as session:

        async def send(due: float) -> None:
            nonlocal failed
            ask = session.post(job.url, data=body, headers=_JSON) if body else session.get(job.url)
            try:
                async with ask as answer:
                    text = await answer.text()
            except (aiohttp.ClientError, TimeoutError):
                failed += 1
                return
            if answer.status == _OK and job.expect in text:
                found.append((time.perf_counter() - due) * 1e3)
            else:
                failed += 1

        await asyncio.gather(*(send(time.perf_counter()) for _ in range(job.parallel)))  # connect
        found.clear()
        started = time.perf_counter()
        await (_at_rate if job.rate else _in_turn)(job, started, send)
        seconds = time.perf_counter() - started
    return Times(milliseconds=tuple(found), failed=failed, seconds=seconds)


_JSON = {"Content-Type": "application/json"}
_Send = Callable[[float], Awaitable[None]]


async def _at_rate(job: Job, started: float, send: _Send) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(int(job.rate * job.seconds)):
            due = started + number / job.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(_wrapped(send(due)))


async def _in_turn(job: Job, started: float, send: _Send) -> None:
    async def one_sender() -> None:
        while time.perf_counter() - started < job.seconds:
            await send(time.perf_counter())

    await asyncio.gather(*(one_sender() for _ in range(job.parallel)))


async def _wrapped(work: Awaitable[None]) -> None:
    await work


def ca_file(folder: Path) -> str:
    """The authority of a local cluster in `folder`."""
    return str(folder / "pki" / "ca.crt")


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(_run(Job(**json.load(sys.stdin))))), sys.stdout)
