"""A small asynchronous Kubernetes client over one aiohttp session: JSON in, JSON out."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from scheduler.kube.auth import Connection, KubeConfigError, load
from scheduler.kube.resources import Resource

Object = dict[str, Any]

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

UNREACHABLE = 0
"""``ApiError.status`` when there was no answer: refused, reset or timed out."""

_ATTEMPTS = 4
_RELOAD_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 5.0
# kube-apiserver closes idle connections after 90 s; a POST on such a connection would be lost.
_KEEP_ALIVE_SECONDS = 60.0


class ApiError(Exception):
    """An answer other than 2xx, or none.

    ``status`` is the HTTP status or ``UNREACHABLE``, ``reason`` the Kubernetes reason (``NotFound``,
    ``Conflict``, ...) or, when there was no answer, ``NotSent`` (the call had no effect) or ``Unknown``
    (it may have had one); ``retry_after_seconds`` is what the server asked for; ``fields`` are the
    fields that it refused.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after_seconds: float | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{status or 'no answer'} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.fields = fields


class KubeClient:
    """One identity at one API server. Create it inside the loop and close it: ``async with``.

    At most ``max_in_flight`` calls run at once, watches apart. A call is repeated only when it cannot
    have had an effect: connection refused, 429, 401 after new credentials were read.
    """

    def __init__(
        self,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        *,
        max_in_flight: int = 64,
        timeout_seconds: float = 10.0,
    ) -> None:
        self._source = (Path(kubeconfig) if kubeconfig else None, context)
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(max_in_flight)
        self._reload_lock = asyncio.Lock()
        self._connection: Connection = load(*self._source)
        self._loaded = time.monotonic()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=5.0),
            headers={"Accept": JSON, "User-Agent": "muster"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self._connection.server

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        retry: bool = True,
        timeout_seconds: float | None = None,
    ) -> Any:
        """One call; the decoded answer. Raises ``ApiError`` on any status but 2xx and on no answer.

        ``retry=False`` gives the first answer back, also 429 (evictions use it to say "not now").
        """
        data = None if body is None else msgspec.json.encode(body)
        seconds = timeout_seconds or self._timeout_seconds
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._slots:
                    return await self._once(method, path, data, query, content_type, seconds)
            except ApiError as error:
                wait = await self._wait_before_retry(error, attempt)
                if not retry or wait is None or attempt == _ATTEMPTS:
                    raise
            await asyncio.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """One object. Raises ``ApiError`` 404 when it does not exist."""
        return _object(await self.request("GET", resource.path(namespace, name)))

    async def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """One object, or None when it does not exist."""
        try:
            return await self.get(resource, namespace, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list_all(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> list[Object]:
        """All objects of a small collection (large ones are watched); ``query`` as ``labelSelector``."""
        answer = await self.request("GET", resource.path(namespace), query=query)
        return [dict(item) for item in answer["items"] or ()]

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
        retry: bool = True,
    ) -> Object:
        """POST an object, or with ``name`` and ``subresource`` e.g. a ``binding`` or ``eviction``."""
        path = resource.path(namespace, name, subresource)
        return _object(await self.request("POST", path, body=body, retry=retry))

    async def replace(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str | None = None,
        name: str,
        subresource: str | None = None,
    ) -> Object:
        """PUT an object; its ``metadata.resourceVersion`` is the precondition."""
        path = resource.path(namespace, name, subresource)
        return _object(await self.request("PUT", path, body=body))

    async def patch(
        self,
        resource: Resource,
        body: object,
        *,
        namespace: str | None = None,
        name: str,
        subresource: str | None = None,
        content_type: str = MERGE,
    ) -> Object:
        """PATCH an object: merge patch, or ``STRATEGIC``, ``JSON_PATCH``."""
        path = resource.path(namespace, name, subresource)
        return _object(await self.request("PATCH", path, body=body, content_type=content_type))

    async def apply(self, path: str, body: Mapping[str, Any], field_manager: str) -> Object:
        """Server-side apply of one object at its path; takes fields over from other managers."""
        query = {"fieldManager": field_manager, "force": "true"}
        answer = await self.request("PATCH", path, body=body, query=query, content_type=APPLY)
        return _object(answer)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """DELETE an object, only if it has ``uid`` when that is given (else ``ApiError`` 409)."""
        body: Object = {}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        await self.request("DELETE", resource.path(namespace, name), body=body)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], idle_seconds: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The body of a watch; ``ApiError`` when it is refused, or silent for ``idle_seconds``."""
        await self._refresh(force=False)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=idle_seconds)
        try:
            async with self._send("GET", path, None, query, JSON, timeout) as answer:
                if answer.status == 401:
                    await self._refresh(force=True)
                if answer.status >= 300:
                    raise _error(answer, await answer.read())
                yield answer.content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _no_answer(error) from error

    async def _once(
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: Mapping[str, str] | None,
        content_type: str,
        seconds: float,
    ) -> Any:
        await self._refresh(force=False)
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, 5.0))
        try:
            async with self._send(method, path, data, query, content_type, timeout) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _no_answer(error) from error
        if answer.status >= 300:
            raise _error(answer, content)
        if not answer.content_type.endswith("json"):
            return content.decode(errors="replace")
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError as error:
            raise ApiError(answer.status, "BadAnswer", f"{method} {path}: {error}") from error

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: Mapping[str, str] | None,
        content_type: str,
        timeout: aiohttp.ClientTimeout,
    ) -> Any:
        connection = self._connection
        headers = {"Content-Type": content_type} if data is not None else {}
        if connection.authorization:
            headers["Authorization"] = connection.authorization
        return self._session.request(
            method,
            connection.server + path,
            data=data,
            params=query,
            headers=headers,
            ssl=connection.tls or True,
            server_hostname=connection.server_name,
            proxy=connection.proxy,
            timeout=timeout,
            allow_redirects=False,
        )

    async def _wait_before_retry(self, error: ApiError, attempt: int) -> float | None:
        """Seconds until the call may be repeated; None when it must not be."""
        if error.status == 401 and attempt == 1:
            await self._refresh(force=True)
            return 0.0
        if error.status == 429:
            asked = error.retry_after_seconds or 0.1 * 2.0**attempt
            return min(asked, _LONGEST_WAIT_SECONDS) * random.uniform(1.0, 1.25)
        if error.reason == "NotSent":
            return 0.05 * 2.0**attempt * random.uniform(0.5, 1.5)
        return None

    async def _refresh(self, *, force: bool) -> None:
        """Read credentials again every minute: service account tokens and certificates rotate."""
        asked = time.monotonic()
        if not force and asked - self._loaded < _RELOAD_SECONDS:
            return
        async with self._reload_lock:
            if self._loaded > asked or (not force and asked - self._loaded < _RELOAD_SECONDS):
                return
            try:
                self._connection = await asyncio.to_thread(load, *self._source, self._connection)
            except KubeConfigError as error:
                if force:
                    raise ApiError(401, "Unauthorized", str(error)) from error
            self._loaded = time.monotonic()


def _object(answer: Any) -> Object:
    return answer if isinstance(answer, dict) else {}


class _Cause(msgspec.Struct, frozen=True):
    field: str = ""


class _Details(msgspec.Struct, frozen=True):
    causes: tuple[_Cause, ...] = ()


class _Status(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""
    details: _Details = _Details()


_STATUS = msgspec.json.Decoder(_Status)


def _error(answer: aiohttp.ClientResponse, content: bytes) -> ApiError:
    asked = answer.headers.get("Retry-After", "")
    retry_after = float(asked) if asked.isdecimal() else None
    try:
        status = _STATUS.decode(content)
    except msgspec.DecodeError:  # a proxy or an overloaded server answers plain text
        text = content.decode(errors="replace")[:500]
        return ApiError(answer.status, answer.reason or "", text, retry_after)
    fields = tuple(cause.field for cause in status.details.causes)
    return ApiError(answer.status, status.reason, status.message, retry_after, fields)


def _no_answer(error: Exception) -> ApiError:
    """Only a connection that was never made is sure to have had no effect."""
    sent = not isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    text = str(error) or type(error).__name__
    return ApiError(UNREACHABLE, "Unknown" if sent else "NotSent", text)
