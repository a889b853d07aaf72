"""An in-memory cluster for whole lives of gangs: the API server's part, kube-scheduler's part, and Muster.

Writes change the stored objects and come back as watch events in a later turn of the event loop, as from a
real API server. Knobs make it refuse, answer late, or conflict.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping
from typing import Any

from scheduler.keys import GATE
from scheduler.kube.writes import BindOutcome, BindResult, PodRef
from scheduler.model import Resize

Object = dict[str, Any]


class Down(Exception):
    """The API server gave no answer."""


class Cluster:
    """Objects of an API server and every write of ``extender.ports.ClusterWrites``."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        """By kind and name; everything stands in one namespace."""
        self.sink: Callable[[str, str, Object], None] | None = None
        self.calls: list[tuple[str, str]] = []
        """(write, pod or Gang) in order."""
        self.events: list[tuple[str | None, str, str]] = []
        """(pod, reason, text)."""
        self.bind_answers: dict[str, list[BindResult | Exception]] = {}
        """Answers to Bindings of a pod, used up one by one, instead of doing them."""
        self.seconds: dict[tuple[str, str], float] = {}
        """How long a write of a pod takes before it is done."""
        self.failing: dict[str, int] = {}
        """How often the next calls of a write raise ``Down``."""
        self.conflicts = 0
        """How many of the next writes of Gang objects find them changed by somebody else."""
        self.silent = False
        """Watch events are held back."""
        self._late: list[tuple[str, str, Object]] = []
        self._version = 0

    # -- the API server --------------------------------------------------------------------------

    def put(self, kind: str, obj: Object) -> Object:
        """Create or change an object."""
        name = obj["metadata"]["name"]
        verb = "MODIFIED" if (kind, name) in self.objects else "ADDED"
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.objects[kind, name] = obj
        self._tell(kind, verb, obj)
        return copy.deepcopy(obj)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object if it is there."""
        obj = self.objects.pop((kind, name), None)
        if obj is not None:
            self._tell(kind, "DELETED", obj)

    def get(self, kind: str, name: str) -> Object:
        """An object as it is stored."""
        return self.objects[kind, name]

    def all(self, kind: str) -> list[Object]:
        """Every object of a kind."""
        return [obj for (found, _), obj in self.objects.items() if found == kind]

    def hear(self) -> None:
        """Deliver the watch events that were held back."""
        self.silent = False
        late, self._late = self._late, []
        for kind, verb, obj in late:
            self._tell(kind, verb, obj)

    def _tell(self, kind: str, verb: str, obj: Object) -> None:
        event = (kind, verb, copy.deepcopy(obj))
        if self.silent:
            self._late.append(event)
        elif self.sink is not None:
            asyncio.get_running_loop().call_soon(self.sink, *event)

    def _pod(self, write: str, ref: PodRef) -> Object | None:
        """The pod that a write is about; counts the write, and raises as the knob says."""
        self._count(write, ref.name)
        pod = self.objects.get(("Pod", ref.name))
        return pod if pod is not None and pod["metadata"]["uid"] == ref.uid else None

    def _count(self, write: str, name: str) -> None:
        self.calls.append((write, name))
        if self.failing.get(write, 0) > 0:
            self.failing[write] -= 1
            raise Down(write)

    # -- ClusterWrites ---------------------------------------------------------------------------

    async def nominate(self, pod: PodRef, node: str | None) -> bool:
        """Set or clear the nomination."""
        await asyncio.sleep(self.seconds.get(("nominate", pod.name), 0))
        obj = self._pod("nominate" if node else "unnominate", pod)
        if obj is None:
            return False
        obj["status"]["nominatedNodeName"] = node
        self.put("Pod", obj)
        return True

    async def ungate(self, pod: PodRef, annotations: Mapping[str, str]) -> bool:
        """Remove our gate."""
        await asyncio.sleep(self.seconds.get(("ungate", pod.name), 0))
        obj = self._pod("ungate", pod)
        if obj is None:
            return False
        gates = obj["spec"]["schedulingGates"]
        obj["spec"]["schedulingGates"] = [gate for gate in gates if gate["name"] != GATE]
        obj["metadata"]["annotations"].update(annotations)
        self.put("Pod", obj)
        return True

    async def touch(self, pod: PodRef, token: str) -> bool:
        """Any change of the pod."""
        await asyncio.sleep(0)
        return self._pod("touch", pod) is not None

    async def bind(self, pod: PodRef, node: str, annotations: Mapping[str, str]) -> BindResult:
        """Create the Binding, or answer as the knobs say."""
        await asyncio.sleep(self.seconds.get(("bind", pod.name), 0))
        obj = self._pod("bind", pod)
        answers = self.bind_answers.get(pod.name)
        if answers:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if obj is None:
            return BindResult(outcome=BindOutcome.GONE)
        there = obj["spec"].get("nodeName")
        if there:
            here = BindOutcome.ALREADY_BOUND_HERE
            elsewhere = BindOutcome.ALREADY_BOUND_ELSEWHERE
            return BindResult(outcome=here if there == node else elsewhere, node=there)
        obj["spec"]["nodeName"] = node
        obj["metadata"]["annotations"].update(annotations)
        self.put("Pod", obj)
        return BindResult(outcome=BindOutcome.BOUND, node=node)

    async def evict(self, pod: PodRef) -> None:
        """Delete the pod at once."""
        await asyncio.sleep(0)
        if self._pod("evict", pod) is not None:
            self.delete("Pod", pod.name)

    async def create_place(self, manifest: Mapping[str, Any]) -> str:
        """Create the pod, or find it."""
        await asyncio.sleep(0)
        name = manifest["metadata"]["name"]
        self._count("create_place", name)
        if ("Pod", name) not in self.objects:
            obj = copy.deepcopy({**manifest, "status": {}})
            obj["metadata"]["uid"] = f"{name}-uid"
            self.put("Pod", obj)
        return str(self.objects["Pod", name]["metadata"]["uid"])

    async def delete_place(self, pod: PodRef) -> None:
        """Delete the pod."""
        await asyncio.sleep(self.seconds.get(("delete_place", pod.name), 0))
        if self._pod("delete_place", pod) is not None:
            self.delete("Pod", pod.name)

    async def resize(self, namespace: str, change: Resize) -> None:
        """Remember it: there are no controllers here."""
        await asyncio.sleep(0)
        self._count("resize", f"{change.name}={change.size}")

    async def write_gang(
        self,
        manifest: Mapping[str, Any],
        status: Mapping[str, Any],
        known: Mapping[str, Any] | None,
    ) -> Mapping[str, Any] | None:
        """Create or update with the resourceVersion as precondition."""
        await asyncio.sleep(0)
        name = manifest["metadata"]["name"]
        self._count("write_gang", name)
        there = self.objects.get(("Gang", name))
        if self.conflicts:
            self.conflicts -= 1
            return None
        version = there["metadata"]["resourceVersion"] if there else None
        if version != (known["metadata"]["resourceVersion"] if known else None):
            return None
        obj = copy.deepcopy({**manifest, "status": dict(status)})
        obj["metadata"]["uid"] = there["metadata"]["uid"] if there else f"gang-{self._version}"
        return self.put("Gang", obj)

    async def delete_gang(self, obj: Mapping[str, Any]) -> None:
        """Delete, unless it was created anew."""
        await asyncio.sleep(0)
        name = obj["metadata"]["name"]
        self._count("delete_gang", name)
        there = self.objects.get(("Gang", name))
        if there is not None and there["metadata"]["uid"] == obj["metadata"]["uid"]:
            self.delete("Gang", name)

    async def event(
        self, pod: PodRef | None, gang: Mapping[str, Any], kind: str, reason: str, text: str
    ) -> None:
        """Remember it."""
        self.events.append((pod.name if pod else None, reason, text))
