"""Reports of nodes: who may send them, and the ``NodeTopology`` objects that hold the newest of each.

Agents have no right in Kubernetes at all. Their tokens are checked with the API server, which says on which
node a token's pod runs, so that an agent can speak for its own node only; a role could not say that. The
service writes, since it knows what is on record and writes only what is new.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from scheduler.keys import API_VERSION
from scheduler.kube.client import ApiError, KubeClient
from scheduler.kube.writes import apply_node_topology
from topology.keys import TOKEN_NODE, TOKEN_NODE_UID
from topology.scan.report import essence

AUDIENCE = "muster"
"""For whom the agents' tokens are made; see manifests/agent.yaml."""
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
REFRESH_SECONDS = 600.0
"""A report that says nothing new is written again after this, so that readers see that it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """An agent whose token was accepted."""

    node: str
    node_uid: str = ""


class Refused(Exception):
    """A token that is not accepted; the text says why. ``known``: it is valid, but not an agent's."""

    def __init__(self, text: str, *, known: bool) -> None:
        super().__init__(text)
        self.known = known


class Reports(Protocol):
    """What ``TopologyService`` is answered from."""

    def not_ready(self) -> tuple[str, ...]:
        """What is missing before reports can be taken, in words; empty: nothing."""

    async def identify(self, token: str) -> Speaker:
        """Whose token it is. Raises ``Refused``, or ``ApiError`` when nobody can say."""

    async def take(self, speaker: Speaker, status: Mapping[str, Any]) -> bool:
        """Keep a report of the speaker's node; whether it says anything new. Raises ``ApiError``."""


class KubeReports:
    """``Reports`` on a real API server."""

    def __init__(
        self,
        client: KubeClient,
        account: str,
        not_ready: Callable[[], tuple[str, ...]],
        told: Callable[[str], None] = lambda _outcome: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``account`` is the user name that agents have; ``told`` gets the outcome of each report."""
        self.not_ready = not_ready
        self._client = client
        self._account = account
        self._told = told
        self._clock = clock
        self._written: dict[str, tuple[bytes, float]] = {}
        """Node -> digest of what is on record, and when it was written."""

    async def identify(self, token: str) -> Speaker:
        """See ``Reports``."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        answer = await self._client.request("POST", TOKEN_REVIEWS, body=review)
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            raise Refused(
                f"the token is not valid: {status.get('error') or 'no reason given'}", known=False
            )
        user = status.get("user") or {}
        extra = user.get("extra") or {}
        name = user.get("username")
        if name != self._account:
            raise Refused(f"reports come from {self._account}, not from {name}", known=True)
        node = (extra.get(TOKEN_NODE) or [""])[0]
        if not node:
            raise Refused("the token does not say on which node its pod runs", known=True)
        return Speaker(node=node, node_uid=(extra.get(TOKEN_NODE_UID) or [""])[0])

    async def take(self, speaker: Speaker, status: Mapping[str, Any]) -> bool:
        """See ``Reports``."""
        # A Node of the same name that is created anew has lost the object of the old one.
        said = [speaker.node_uid, essence(status)]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()
        before, since = self._written.get(speaker.node, (b"", 0.0))
        changed, now = digest != before, self._clock()
        if not changed and now - since < REFRESH_SECONDS:
            self._told("unchanged")
            return False
        try:
            await apply_node_topology(self._client, manifest(speaker, status))
        except ApiError:
            self._told("failed")
            raise
        self._written[speaker.node] = digest, now
        self._told("written")
        return changed


def manifest(speaker: Speaker, status: Mapping[str, Any]) -> dict[str, Any]:
    """The ``NodeTopology`` of a report; it goes when its Node goes."""
    metadata: dict[str, Any] = {"name": speaker.node}
    if speaker.node_uid:
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Node", "name": speaker.node, "uid": speaker.node_uid}
        ]
    return {
        "apiVersion": API_VERSION,
        "kind": "NodeTopology",
        "metadata": metadata,
        "status": dict(status),
    }
