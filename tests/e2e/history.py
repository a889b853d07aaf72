"""What has happened to the pods of a namespace, event by event: who was bound in which life of its group."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulations.controlplane import Cluster
from topology import keys

Object = dict[str, Any]

_BURST_SECONDS = 3
"""Bindings of one gang are created at once; the API server's clock shows whole seconds."""


@dataclass(slots=True)
class Life:
    """One life of a group: from the creation of its leader until its first pod is told to end."""

    group: str
    leader: str
    """Uid."""
    size: int
    revision: str
    bound: dict[str, str] = field(default_factory=dict)
    """Node by pod, as they stood when the life ended; now, when it has not."""
    at: list[float] = field(default_factory=list)
    """When its members were bound, seconds since the epoch."""
    ended: bool = False

    @property
    def complete(self) -> bool:
        """Whether all of its members were bound."""
        return len(self.bound) == self.size

    @property
    def whole(self) -> bool:
        """Whether they were bound at once."""
        burst = max(self.at, default=0) - min(self.at, default=0) <= _BURST_SECONDS
        return self.complete and burst


class History:
    """Everything since it was made. The API server remembers at least the last 75 seconds."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._api = cluster.api
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        listed = self._api.get(self._path)
        self._since = str(listed["metadata"]["resourceVersion"])
        self._now = _versions(listed["items"])
        self._seen: list[tuple[str, Object]] = []

    def events(self) -> list[tuple[str, Object]]:
        """(verb, pod) in the order in which they happened, up to what is listed now."""
        query = {"watch": "1", "timeoutSeconds": "1"}
        while self._now != _versions(self._api.list(self._path)):
            query["resourceVersion"] = self._since
            for line in str(self._api.request("GET", self._path, query=query)).splitlines():
                event = json.loads(line)
                assert event["type"] != "ERROR", f"the watch has a gap: {event['object']}"
                self._take(event["type"], event["object"])
        return self._seen

    def _take(self, verb: str, pod: Object) -> None:
        metadata = pod["metadata"]
        self._since = self._now[metadata["uid"]] = metadata["resourceVersion"]
        if verb == "DELETED":
            del self._now[metadata["uid"]]
        self._seen.append((verb, pod))

    def lives(self) -> list[Life]:
        """All lives of all groups, in the order of their beginning."""
        return [life for _, life in sorted(_Reader(self.events()).lives.items())]

    def most_cards(self) -> Counter[str]:
        """The most cards that pods had on each node at any one time, those being deleted included."""
        cards: dict[str, tuple[str, int]] = {}
        most: Counter[str] = Counter()
        for verb, pod in self.events():
            uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName")
            cards.pop(uid, None)
            if node and verb != "DELETED":
                cards[uid] = (node, _cards(pod))
                most[node] = max(most[node], sum(n for at, n in cards.values() if at == node))
        return most

    def evicted(self) -> set[str]:
        """Pods that were ended through the API for evictions, as Muster does, or by preemption."""
        return {
            pod["metadata"]["name"]
            for _, pod in self.events()
            for condition in pod["status"].get("conditions", ())
            if condition.get("reason") in ("EvictionByEvictionAPI", "PreemptionByScheduler")
        }

    def nominated_beside(self, uid: str) -> Iterator[str]:
        """Pods that were nominated or bound to the node of a pod while it was being deleted."""
        node = ""
        for verb, pod in self.events():
            if pod["metadata"]["uid"] == uid:
                leaving = verb != "DELETED" and "deletionTimestamp" in pod["metadata"]
                node = pod["spec"].get("nodeName", "") if leaving else ""
            elif verb != "DELETED" and node in _places(pod):
                yield pod["metadata"]["name"]


def _versions(pods: Iterable[Object]) -> dict[str, str]:
    """Version by uid."""
    return {pod["metadata"]["uid"]: pod["metadata"]["resourceVersion"] for pod in pods}


class _Reader:
    """Puts every pod into the life of its group. Keys order lives by their beginning."""

    def __init__(self, events: list[tuple[str, Object]]) -> None:
        self.lives: dict[int, Life] = {}
        self._newest: dict[str, Life] = {}
        self._of_owner: dict[str, Life] = {}
        self._of_pod: dict[str, Life] = {}
        for verb, pod in events:
            if keys.LWS_NAME in pod["metadata"].get("labels", {}):
                self._take(verb, pod)

    def _take(self, verb: str, pod: Object) -> None:
        metadata = pod["metadata"]
        life = self._of_pod.get(metadata["uid"]) or self._begin(pod)
        if life is None or life.ended:
            return
        if verb == "DELETED" or "deletionTimestamp" in metadata:
            life.ended = True
        elif "nodeName" in pod["spec"] and metadata["name"] not in life.bound:
            life.bound[metadata["name"]] = pod["spec"]["nodeName"]
            life.at += _scheduled(pod)

    def _begin(self, pod: Object) -> Life | None:
        metadata, labels = pod["metadata"], pod["metadata"]["labels"]
        group = f"{labels[keys.LWS_NAME]}-{labels[keys.LWS_GROUP_INDEX]}"
        if labels[keys.LWS_WORKER_INDEX] == "0":
            life: Life | None = Life(
                group=group,
                leader=metadata["uid"],
                size=int(metadata["annotations"][keys.LWS_SIZE]),
                revision=labels[keys.LWS_REVISION],
            )
            assert life is not None
            self.lives[len(self.lives)] = self._newest[group] = life
        else:
            # Workers of one StatefulSet have one leader: the newest when their first was made.
            owner = metadata["ownerReferences"][0]["uid"]
            life = self._of_owner.setdefault(owner, self._newest[group])
        self._of_pod[metadata["uid"]] = life
        return life


def _scheduled(pod: Object) -> Iterator[float]:
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "True":
            yield datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()


def _places(pod: Object) -> Iterator[str]:
    """The nodes that a pod stands on or is nominated to."""
    for node in (pod["spec"].get("nodeName"), pod["status"].get("nominatedNodeName")):
        if node:
            yield node


def _cards(pod: Object) -> int:
    return sum(
        int(container.get("resources", {}).get("limits", {}).get(keys.NVIDIA_GPU, 0))
        for container in pod["spec"]["containers"]
    )
