"""One active planner: leader election by a ``coordination.k8s.io`` Lease.

Clocks of other machines are never trusted: a foreign Lease has expired when *we* have seen it unchanged
for its whole duration, and ours is kept only as long as renewals that *we* began have succeeded.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scheduler.keys import LEADER
from scheduler.kube.client import ApiError, KubeClient, Object
from scheduler.kube.resources import LEASES
from scheduler.kube.writes import PodRef, label


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """Seconds. A dead leader is replaced after ``duration``; a leader that could not renew for
    ``renew_deadline`` stops by itself, well before; both look at the Lease every ``retry``."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError("lease timing: needs 0 < retry < renew_deadline < duration")


class LeaderElection:
    """Calls ``started`` when we lead and ``stopped`` as soon as we might no longer.

    ``pod``, when given, carries the label ``muster.dev/leader: "true"`` while we lead.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        started: Callable[[], None],
        stopped: Callable[[], None],
        timing: LeaseTiming = LeaseTiming(),
        pod: PodRef | None = None,
    ) -> None:
        self.leading = False
        self.holder = ""
        """Who leads as far as we know; empty for nobody."""
        self._client = client
        self._place = (namespace, name)
        self._identity = identity
        self._started = started
        self._stopped = stopped
        self._timing = timing
        self._pod = pod
        self._labelled: bool | None = None
        self._lease: Object | None = None
        self._seen_version = ""
        self._seen_at = 0.0
        self._renewed_at = 0.0

    async def run(self) -> None:
        """Take part in the election until cancelled; then call ``release``."""
        try:
            while True:
                await self._step()
                await asyncio.sleep(self._timing.retry * random.uniform(0.8, 1.2))
        finally:
            self._stop()

    async def release(self) -> None:
        """Stop leading and give the Lease back, so that a successor need not wait for its end.

        Reads it first: a renewal that was cancelled half-way may have changed it. Raises ``ApiError``.
        """
        self._stop()
        await self._mark(False)
        lease = await self._client.find(LEASES, *self._place)
        spec = dict((lease or {}).get("spec") or {})
        if lease is None or spec.get("holderIdentity") != self._identity:
            return
        self.holder, self._lease = "", None
        spec |= {"holderIdentity": "", "renewTime": _now()}
        await self._write({**lease, "spec": spec})

    async def _step(self) -> None:
        """Read the Lease, take or renew it when it is ours to take, and tell what changed."""
        remaining = self._timing.renew_deadline
        if self.leading:
            remaining -= time.monotonic() - self._renewed_at
        try:
            async with asyncio.timeout(max(remaining, 0.0)):
                held = await self._try()
        except (ApiError, TimeoutError):
            held = self.leading and self._valid()
        if held and not self.leading:
            self.leading = True
            self._started()
        elif not held:
            self._stop()
        await self._mark(self.leading)

    def _valid(self) -> bool:
        return time.monotonic() - self._renewed_at < self._timing.renew_deadline

    def _stop(self) -> None:
        if self.leading:
            self.leading = False
            self._stopped()

    async def _try(self) -> bool:
        """Whether we hold the Lease now. Raises ``ApiError`` when that is unknown."""
        asked_at = time.monotonic()
        for _ in range(2):  # a renewal that got no answer may have changed the version
            if self._lease is None or not self.leading:
                self._lease = await self._client.find(LEASES, *self._place)
                self._observe(asked_at)
                if self._lease is not None and not self._free():
                    return False
            try:
                self._lease = await self._write(self._ours())
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
                self._lease = None  # written by somebody else, or by us unheard: look again
                continue
            self._renewed_at = asked_at
            self.holder = self._identity
            return True
        return False

    def _observe(self, now: float) -> None:
        metadata = self._lease["metadata"] if self._lease else {}
        version = str(metadata.get("resourceVersion", ""))
        if version != self._seen_version:
            self._seen_version, self._seen_at = version, now
        self.holder = str(self._spec().get("holderIdentity") or "")

    def _spec(self) -> dict[str, Any]:
        return dict((self._lease or {}).get("spec") or {})

    def _free(self) -> bool:
        if self.holder in ("", self._identity):
            return True
        duration = float(self._spec().get("leaseDurationSeconds") or self._timing.duration)
        return time.monotonic() - self._seen_at > duration

    def _ours(self) -> Object:
        namespace, name = self._place
        spec, now = self._spec(), _now()
        taken = spec.get("holderIdentity") != self._identity
        if taken:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            "renewTime": now,
        }
        metadata = (self._lease or {}).get("metadata") or {
            "namespace": namespace,
            "name": name,
        }
        return {
            "apiVersion": LEASES.api_version,
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    async def _write(self, body: Object) -> Object:
        namespace, name = self._place
        if "resourceVersion" in body["metadata"]:
            return await self._client.replace(LEASES, body, namespace=namespace, name=name)
        return await self._client.create(LEASES, body, namespace=namespace)

    async def _mark(self, leading: bool) -> None:
        """Keep the label of our own pod true; tried again at the next step."""
        if self._pod is None or self._labelled is leading:
            return
        try:
            result = await label(self._client, self._pod, {LEADER: "true" if leading else None})
        except ApiError:
            return
        if result.done:
            self._labelled = leading


def own_pod() -> PodRef | None:
    """The pod we run in, from ``POD_NAMESPACE``, ``POD_NAME`` and ``POD_UID``; None outside a cluster."""
    values = [os.environ.get(key, "") for key in ("POD_NAMESPACE", "POD_NAME", "POD_UID")]
    if not all(values):
        return None
    return PodRef(namespace=values[0], name=values[1], uid=values[2])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
