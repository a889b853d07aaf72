"""What the service asks of the API server, as one protocol: the real client or an in-memory one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from scheduler.kube.writes import BindResult, PodRef
from scheduler.model import Resize


class ClusterWrites(Protocol):
    """Every write of the service. Each is idempotent; a pod that is gone is not an error."""

    async def nominate(self, pod: PodRef, node: str | None) -> bool:
        """Set (or with None clear) ``status.nominatedNodeName``; False when the pod is gone."""

    async def ungate(self, pod: PodRef, annotations: Mapping[str, str]) -> bool:
        """Remove the scheduling gate ``muster.dev/gang`` and set annotations; False when the pod is gone."""

    async def touch(self, pod: PodRef, token: str) -> bool:
        """Change an annotation, so that kube-scheduler reads the pod's nomination again."""

    async def bind(self, pod: PodRef, node: str, annotations: Mapping[str, str]) -> BindResult:
        """Create the Binding with a uid precondition; annotations are merged into the pod by it."""

    async def evict(self, pod: PodRef) -> None:
        """Evict through the Eviction API, with a uid precondition."""

    async def create_place(self, manifest: Mapping[str, Any]) -> str:
        """Create a placeholder pod; its uid, also when it existed already."""

    async def delete_place(self, pod: PodRef) -> None:
        """Delete a placeholder pod."""

    async def resize(self, namespace: str, change: Resize) -> None:
        """Set the number of members on the object that makes them."""

    async def write_gang(
        self,
        manifest: Mapping[str, Any],
        status: Mapping[str, Any],
        known: Mapping[str, Any] | None,
    ) -> Mapping[str, Any] | None:
        """Create or update a Gang object and its status.

        ``known`` is the object as last seen; its resourceVersion is the precondition. Returns the new
        object, or None when somebody else wrote it meanwhile.
        """

    async def delete_gang(self, obj: Mapping[str, Any]) -> None:
        """Delete a Gang object; it is no error when it is gone or was created anew."""

    async def event(
        self, pod: PodRef | None, gang: Mapping[str, Any], kind: str, reason: str, text: str
    ) -> None:
        """Record an event of type ``kind`` (Normal or Warning) on a pod, or on the Gang object."""
