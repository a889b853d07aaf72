"""The service's writes on a real API server: ``ClusterWrites`` over ``scheduler.kube``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.kube import writes
from scheduler.kube.client import ApiError, KubeClient
from scheduler.kube.events import EventRecorder
from scheduler.kube.writes import BindResult, Outcome, PodRef, Result
from scheduler.model import Resize

Object = Mapping[str, Any]


class KubeWrites:
    """One identity's writes. A call that got no clear answer raises ``ApiError`` and is tried again by
    the next observation."""

    def __init__(self, client: KubeClient, recorder: EventRecorder) -> None:
        self._client = client
        self._recorder = recorder

    async def nominate(self, pod: PodRef, node: str | None) -> bool:
        """Set (or with None clear) ``status.nominatedNodeName``; False when the pod is gone."""
        if node is None:
            return _there(await writes.clear_nomination(self._client, pod))
        return _there(await writes.nominate(self._client, pod, node))

    async def ungate(self, pod: PodRef, annotations: Mapping[str, str]) -> bool:
        """Remove the scheduling gate ``muster.dev/gang`` and set annotations; False when the pod is gone."""
        return _there(await writes.remove_gate(self._client, pod, annotations))

    async def touch(self, pod: PodRef, token: str) -> bool:
        """Change an annotation, so that kube-scheduler reads the pod's nomination again."""
        return _there(await writes.touch(self._client, pod, token))

    async def bind(self, pod: PodRef, node: str, annotations: Mapping[str, str]) -> BindResult:
        """Create the Binding with a uid precondition."""
        return await writes.bind(self._client, pod, node, annotations)

    async def evict(self, pod: PodRef) -> None:
        """Evict through the Eviction API, with a uid precondition."""
        _there(await writes.evict(self._client, pod))

    async def create_place(self, manifest: Object) -> str:
        """Create a placeholder pod; its uid, also when it existed already."""
        result = await writes.create_pod(self._client, manifest)
        if result.obj is None:
            raise ApiError(0, result.outcome.value, result.message)
        return str(result.obj["metadata"]["uid"])

    async def delete_place(self, pod: PodRef) -> None:
        """Delete a placeholder pod."""
        _there(await writes.delete_pod(self._client, pod))

    async def resize(self, namespace: str, change: Resize) -> None:
        """Set the number of members on the object that makes them."""
        _there(await writes.resize(self._client, namespace, change))

    async def write_gang(
        self, manifest: Object, status: Object, known: Object | None
    ) -> Object | None:
        """Create or update a Gang object and its status; None when somebody else wrote it meanwhile."""
        if known is None:
            result = await writes.create_gang(self._client, manifest)
        elif known.get("spec") != manifest["spec"]:
            result = await writes.replace_gang(self._client, manifest, _version(known))
        else:
            result = Result(outcome=Outcome.DONE, obj=dict(known))
        if result.done and result.obj is not None:
            result = await writes.replace_gang_status(
                self._client, manifest, status, _version(result.obj)
            )
        if result.outcome in (Outcome.CONFLICT, Outcome.GONE):
            return None
        if not result.done:
            raise ApiError(0, result.outcome.value, result.message)
        return result.obj

    async def delete_gang(self, obj: Object) -> None:
        """Delete a Gang object; it is no error when it is gone or was created anew."""
        metadata = obj["metadata"]
        await writes.delete_gang(
            self._client, metadata["namespace"], metadata["name"], metadata["uid"]
        )

    async def event(
        self, pod: PodRef | None, gang: Object, kind: str, reason: str, text: str
    ) -> None:
        """Record an event on a pod, or on the Gang object."""
        await self._recorder.record(pod, gang, kind, reason, text)


def _there(result: Result) -> bool:
    """Whether the pod is there and as asked. Raises ``ApiError`` when the answer was no or none."""
    if result.done:
        return True
    if result.outcome is Outcome.GONE:
        return False
    raise ApiError(0, result.outcome.value, result.message)


def _version(obj: Object) -> str:
    return str(obj["metadata"]["resourceVersion"])
