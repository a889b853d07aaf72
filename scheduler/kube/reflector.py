"""A robust list and watch of one resource: nested generators, each with one reason to stop.

``_connection``: one watch request, ends with its connection. ``_resumed``: watches one after another,
ends when the server has forgotten the version to resume from (410). ``_session``: a whole list, then
``_resumed``. ``run``: sessions for ever; compares every new list with what is known, so that nothing
that happened in between is missed, deletions included.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from scheduler.kube.client import ApiError, KubeClient, Object
from scheduler.kube.resources import Resource
from topology.keys import INITIAL_EVENTS_END

_PAGE = 500
# A connection that ends sooner is a failure in disguise: do not reconnect at once.
_SHORT_LIVED_SECONDS = 1.0


class Verb(StrEnum):
    """What happened to an object. ``SYNCED``: everything that existed at one moment was reported."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    SYNCED = "SYNCED"


Emit = Callable[[str, Verb, Mapping[str, Any]], None]
"""Takes kind, verb and object. A deletion that was noticed by comparison brings only ``metadata`` with
namespace, name and uid; ``SYNCED`` brings an empty object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What to watch. ``query``: field or label selector as the API spells them. ``optional``: the
    resource may be absent or appear later (a CRD of somebody else)."""

    resource: Resource
    namespace: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds. A watch lasts ``shortest`` to ``longest``; silence of ``idle`` (bookmarks come every
    minute) means a dead connection; failures are retried after ``first`` doubling to ``last`` backoff;
    an absent resource is looked for every ``poll``."""

    shortest_watch: int = 300
    longest_watch: int = 600
    idle: float = 150.0
    first_backoff: float = 0.1
    last_backoff: float = 10.0
    poll: float = 10.0


DEFAULT_TIMING = Timing()


@dataclass(slots=True, kw_only=True)
class Counters:
    """What happened so far, for the metrics."""

    lists: int = 0
    reconnects: int = 0
    errors: int = 0
    events: int = 0


class _Event(msgspec.Struct):
    type: str
    object: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of a session: ``LISTED`` objects, then ``END`` of the list, then watch events."""

    verb: str
    obj: Object


_LISTED = "LISTED"
_END = "END"
_DECODER = msgspec.json.Decoder(_Event)


class _NoWatchListError(Exception):
    """The server cannot stream a list: API servers before 1.34, or the feature is off."""


class Reflector:
    """Reports every object of one resource and every change to it, until cancelled.

    ``stream_lists=False`` reads lists in pages, which it does by itself where the server cannot stream.
    """

    def __init__(
        self,
        client: KubeClient,
        source: Source,
        emit: Emit,
        timing: Timing = DEFAULT_TIMING,
        *,
        stream_lists: bool = True,
    ) -> None:
        self.source = source
        self.synced = asyncio.Event()
        self.counters = Counters()
        self.last_error = ""
        """For the log: why it reconnected or listed again."""
        self._client = client
        self._emit = emit
        self._timing = timing
        self._backoff = timing.first_backoff
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._path = source.resource.path(source.namespace)
        self._version = ""
        self._stream_lists = stream_lists

    async def run(self) -> None:
        """Watch for ever; only cancelling, or an exception of ``emit``, ends it."""
        while True:
            try:
                if not self.source.optional or await self._discover():
                    await self._reflect()
                    await self._pause()
                else:
                    self._forget_all()
                    await asyncio.sleep(self._timing.poll * random.uniform(0.8, 1.2))
            except ApiError as error:
                await self._failed(error)

    async def _discover(self) -> bool:
        """Find the first version of the resource that is served."""
        resource = self.source.resource
        for version in resource.versions:
            try:
                path = f"/apis/{resource.group}/{version}"
                served = await self._client.request("GET", path)
            except ApiError as error:
                if error.status != 404:
                    raise
                continue
            if any(item["name"] == resource.plural for item in served["resources"]):
                self._path = resource.path(self.source.namespace, version=version)
                return True
        return False

    def _forget_all(self) -> None:
        if self.synced.is_set() and not self._known:
            return
        for key in tuple(self._known):
            self._remove(key)
        self._report(Verb.SYNCED, {})
        self.synced.set()

    async def _reflect(self) -> None:
        """One session, compared with what is known from earlier ones."""
        unseen = set(self._known)
        async with aclosing(self._session()) as steps:
            async for step in steps:
                if step.verb == _END:
                    for key in unseen & self._known.keys():
                        self._remove(key)
                    self._report(Verb.SYNCED, {})
                    self.synced.set()
                elif step.verb == _LISTED:
                    unseen.discard(_key(step.obj))
                    self._put(step.obj)
                else:
                    self._backoff = self._timing.first_backoff
                    self._change(step)

    def _change(self, step: _Step) -> None:
        if step.verb == Verb.DELETED:
            if self._known.pop(_key(step.obj), None) is not None:
                self._report(Verb.DELETED, step.obj)
        elif step.verb in (Verb.ADDED, Verb.MODIFIED):
            self._put(step.obj)

    def _put(self, obj: Object) -> None:
        key, metadata = _key(obj), obj["metadata"]
        now = (str(metadata.get("uid", "")), str(metadata.get("resourceVersion", "")))
        before = self._known.get(key)
        if before == now:
            return
        if before is not None and before[0] != now[0]:  # deleted and created again meanwhile
            self._remove(key)
            before = None
        self._known[key] = now
        self._report(Verb.ADDED if before is None else Verb.MODIFIED, obj)

    def _remove(self, key: tuple[str, str]) -> None:
        uid, _ = self._known.pop(key)
        namespace = {"namespace": key[0]} if key[0] else {}
        self._report(Verb.DELETED, {"metadata": {**namespace, "name": key[1], "uid": uid}})

    def _report(self, verb: Verb, obj: Mapping[str, Any]) -> None:
        self.counters.events += 1
        self._emit(self.source.resource.name, verb, obj)

    async def _session(self) -> AsyncGenerator[_Step]:
        """All objects, ``END``, then changes; ends when the version to resume from is too old."""
        self.counters.lists += 1
        listed = False
        if self._stream_lists:
            try:
                async with aclosing(self._streamed_list()) as steps:
                    async for step in steps:
                        listed = listed or step.verb == _END
                        yield step
            except _NoWatchListError:
                self._stream_lists = False
            except ApiError as error:
                if not listed:
                    raise
                await self._failed(error)
        if not self._stream_lists:
            async with aclosing(self._paged_list()) as steps:
                async for step in steps:
                    yield step
        async with aclosing(self._resumed()) as steps:
            async for step in steps:
                yield step

    async def _streamed_list(self) -> AsyncGenerator[_Step]:
        """A watch that begins with everything that exists; ends with its connection.

        Raises ``ApiError`` also when the connection ended before the list did.
        """
        query = {
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "resourceVersion": "",
        }
        listing = True
        try:
            async with aclosing(self._connection(query)) as events:
                async for event in events:
                    if not listing:
                        yield event
                    elif event.verb == "BOOKMARK":
                        if INITIAL_EVENTS_END in event.obj["metadata"].get("annotations", {}):
                            listing = False
                            yield _Step(_END, {})
                    else:
                        yield _Step(_LISTED, event.obj)
        except ApiError as error:
            if listing and error.status in (400, 422):
                raise _NoWatchListError from error
            raise
        if listing:
            raise ApiError(200, "Incomplete", f"{self._path}: the list ended before its end mark")

    async def _paged_list(self) -> AsyncGenerator[_Step]:
        """A list in pages; begins again when a page's token expires. Raises ``ApiError``."""
        token = ""
        while True:
            query = {**self.source.query, "limit": str(_PAGE)}
            if token:
                query["continue"] = token
            try:
                page = await self._client.request("GET", self._path, query=query)
            except ApiError as error:
                if error.status != 410 or not token:
                    raise
                token = ""
                continue
            for obj in page.get("items") or ():
                yield _Step(_LISTED, obj)
            token = page["metadata"].get("continue", "")
            if not token:
                self._version = page["metadata"]["resourceVersion"]
                yield _Step(_END, {})
                return

    async def _resumed(self) -> AsyncGenerator[_Step]:
        """Watches from the last version seen, one after another; ends when that version is too old.

        Raises ``ApiError`` 404 when the resource is no longer served.
        """
        while True:
            self.counters.reconnects += 1
            started = time.monotonic()
            try:
                async with aclosing(self._connection({"resourceVersion": self._version})) as events:
                    async for event in events:
                        yield event
            except ApiError as error:
                if error.status == 410:
                    return
                if error.status == 404:
                    raise
                await self._failed(error)
            else:
                if time.monotonic() - started < _SHORT_LIVED_SECONDS:
                    await self._pause()

    async def _connection(self, query: Mapping[str, str]) -> AsyncGenerator[_Step]:
        """The events of one watch request, ends when the server ends it. Raises ``ApiError``."""
        timing = self._timing
        seconds = random.randint(timing.shortest_watch, timing.longest_watch)
        everything = {
            **self.source.query,
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        tail = b""
        async with self._client.stream(self._path, everything, timing.idle) as content:
            async for chunk in content.iter_any():
                *lines, tail = (tail + chunk).split(b"\n")
                for line in filter(None, lines):
                    yield self._event(line)
                await asyncio.sleep(0)  # buffered chunks come without a pause: let others run

    def _event(self, line: bytes) -> _Step:
        try:
            event = _DECODER.decode(line)
        except msgspec.DecodeError as error:
            raise ApiError(200, "BadAnswer", f"{self._path}: {error}") from error
        if event.type == "ERROR":
            status = event.object
            raise ApiError(
                int(status.get("code") or 500),
                str(status.get("reason", "")),
                str(status.get("message", "")),
            )
        self._version = event.object["metadata"]["resourceVersion"]
        return _Step(event.type, event.object)

    async def _failed(self, error: ApiError) -> None:
        self.counters.errors += 1
        self.last_error = str(error)
        await self._pause()

    async def _pause(self) -> None:
        """Jittered exponential backoff; a watch event that arrives resets it."""
        delay = self._backoff * random.uniform(0.5, 1.5)
        self._backoff = min(self._backoff * 2, self._timing.last_backoff)
        await asyncio.sleep(delay)


def _key(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])
