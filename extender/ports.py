"""What the service asks of the API server, as one protocol: the real client or an in-memory one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRef:
    """A pod by identity; the uid is a precondition of every write."""

    namespace: str
    name: str
    uid: str


class BindResult(StrEnum):
    """Outcome of one Binding write."""

    BOUND = "bound"
    """The pod runs on the node asked for, by this write or an earlier one."""
    ELSEWHERE = "bound to another node"
    GONE = "the pod is gone or was replaced"
    REFUSED = "refused by the API server"
    RETRY = "the API server did not answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindOutcome:
    """Result of one Binding write with the API server's words."""

    result: BindResult
    message: str = ""


class ClusterWrites(Protocol):
    """Every write of the service. Each is idempotent; a pod that is gone is not an error."""

    async def nominate(self, pod: PodRef, node: str | None) -> bool:
        """Set (or with None clear) ``status.nominatedNodeName``; False when the pod is gone."""

    async def ungate(self, pod: PodRef) -> bool:
        """Remove the scheduling gate ``muster.dev/gang``; False when the pod is gone."""

    async def touch(self, pod: PodRef, token: str) -> bool:
        """Change an annotation, so that kube-scheduler reads the pod's nomination again."""

    async def bind(self, pod: PodRef, node: str, annotations: Mapping[str, str]) -> BindOutcome:
        """Create the Binding with a uid precondition; annotations are merged into the pod by it."""

    async def evict(self, pod: PodRef) -> None:
        """Evict through the Eviction API, with a uid precondition."""

    async def write_gang(
        self, manifest: Mapping[str, Any], status: Mapping[str, Any], known: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """Create or update a Gang object and its status.

        ``known`` is the object as last seen; its resourceVersion is the precondition. Returns the new
        object, or None when somebody else wrote it meanwhile.
        """

    async def delete_gang(self, namespace: str, name: str) -> None:
        """Delete a Gang object; it is no error when it is gone."""

    async def event(self, pod: PodRef | None, gang: Mapping[str, Any], kind: str, reason: str, text: str) -> None:
        """Record an event of type ``kind`` (Normal or Warning) on a pod, or on the Gang object."""
