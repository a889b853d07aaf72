"""Events that users see with ``kubectl describe``; repeats are counted, not written again and again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scheduler.keys import GROUP
from scheduler.kube.client import ApiError, KubeClient, Object
from scheduler.kube.resources import EVENTS
from scheduler.kube.writes import PodRef

_NOTE_BYTES = 1024
_REASON_BYTES = 128
_REMEMBERED = 20_000


@dataclass(slots=True)
class _Series:
    count: int
    written: float


class EventRecorder:
    """Writes ``events.k8s.io/v1`` events. Best effort: a failure is counted, never raised.

    The same words about the same object are one event: its name is derived from them, so that a
    restarted service continues the series. A repeat within ``repeat_seconds`` is only counted; the
    next later one writes the count.
    """

    def __init__(
        self,
        client: KubeClient,
        instance: str,
        *,
        repeat_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = 0
        self._client = client
        self._instance = instance[:_REASON_BYTES]
        self._repeat_seconds = repeat_seconds
        self._clock = clock
        self._sent: dict[str, _Series] = {}

    async def record(
        self,
        pod: PodRef | None,
        obj: Mapping[str, Any],
        kind: str,
        reason: str,
        text: str,
    ) -> None:
        """One event of type ``kind`` (Normal or Warning) about the pod, else about ``obj``.

        ``obj`` needs ``apiVersion``, ``kind`` and ``metadata``; ``text`` is cut at 1,024 bytes.
        """
        regarding = _pod_reference(pod) if pod is not None else _reference(obj)
        note = text.encode()[:_NOTE_BYTES].decode(errors="ignore")
        name = _event_name(regarding, kind, reason, note)
        series = self._sent.get(name)
        if series is not None:
            series.count += 1
            if self._clock() - series.written < self._repeat_seconds:
                return
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {
                "namespace": regarding.get("namespace") or "default",
                "name": name,
            },
            "eventTime": _now(),
            "reportingController": f"{GROUP}/muster",
            "reportingInstance": self._instance,
            "action": "Planning",
            "type": kind,
            "reason": reason[:_REASON_BYTES],
            "regarding": regarding,
            "note": note,
        }
        try:
            count = await self._write(body, series)
        except ApiError:
            self.failures += 1
            return
        self._remember(name, count)

    async def _write(self, body: Object, series: _Series | None) -> int:
        """Create the event, or bump its series; returns how often it has happened."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        count = series.count if series else 1
        if series is None:
            try:
                await self._client.create(EVENTS, body, namespace=namespace)
                return 1
            except ApiError as error:
                if error.status != 409:
                    raise
            written = await self._client.find(EVENTS, namespace, name) or {}
            count = int((written.get("series") or {}).get("count") or 1) + 1
        bumped = {"series": {"count": max(count, 2), "lastObservedTime": _now()}}
        try:
            await self._client.patch(EVENTS, bumped, namespace=namespace, name=name)
        except ApiError as error:
            if error.status != 404:  # the API server forgets events after an hour
                raise
            await self._client.create(EVENTS, body, namespace=namespace)
            return 1
        return count

    def _remember(self, name: str, count: int) -> None:
        self._sent.pop(name, None)
        self._sent[name] = _Series(count, self._clock())
        if len(self._sent) > _REMEMBERED:
            del self._sent[next(iter(self._sent))]


def _reference(obj: Mapping[str, Any]) -> Object:
    metadata = obj["metadata"]
    found = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    found |= {key: metadata[key] for key in ("namespace", "name", "uid") if key in metadata}
    return found


def _pod_reference(pod: PodRef) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": pod.namespace,
        "name": pod.name,
        "uid": pod.uid,
    }


def _event_name(regarding: Mapping[str, Any], kind: str, reason: str, note: str) -> str:
    words = "\0".join((str(regarding.get("uid", "")), kind, reason, note))
    return f"{regarding['name'][:230]}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
