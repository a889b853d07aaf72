"""Objects of other controllers that gang sources look up: owners of pods, models, PodGroups.

A kind is named ``Kind.group``, since kinds of different groups share names (``Service``, ``PodGroup``). Of
each object only identity, labels, annotations, owner and specification are kept: a new status is no news.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.fork import Forkable
from topology import keys
from topology.untyped import mapping, sequence, text

Object = Mapping[str, Any]

LEADER_WORKER_SET = f"LeaderWorkerSet.{keys.LWS_GROUP}"
STATEFUL_SET = "StatefulSet.apps"
CONTROLLER_REVISION = "ControllerRevision.apps"
DISAGGREGATED_SET = f"DisaggregatedSet.{keys.DISAGGREGATED_GROUP}"
OPEN_MODEL = f"OpenModel.{keys.LLMAZ_GROUP}"
PLAYGROUND = f"Playground.{keys.LLMAZ_INFERENCE_GROUP}"
LLMAZ_SERVICE = f"Service.{keys.LLMAZ_INFERENCE_GROUP}"
POD_GROUP = f"PodGroup.{keys.SCHEDULING_GROUP}"
POD_GROUP_PLUGINS = f"PodGroup.{keys.SCHEDULER_PLUGINS_GROUP}"
POD_GROUP_VOLCANO = f"PodGroup.{keys.VOLCANO_GROUP}"
POD_GROUP_KAI = f"PodGroup.{keys.KAI_GROUP}"

CLUSTER_SCOPED = frozenset({OPEN_MODEL})
KINDS = frozenset(
    {
        LEADER_WORKER_SET, STATEFUL_SET, CONTROLLER_REVISION, DISAGGREGATED_SET, OPEN_MODEL, PLAYGROUND,
        LLMAZ_SERVICE, POD_GROUP, POD_GROUP_PLUGINS, POD_GROUP_VOLCANO, POD_GROUP_KAI,
    }
)  # fmt: skip

_METADATA = (
    "name", "namespace", "uid", "labels", "annotations", "ownerReferences", "creationTimestamp",
    "deletionTimestamp",
)  # fmt: skip


def kind_of(obj: Object) -> str:
    """``Kind.group`` of an object; the kind alone in the core group."""
    group, slash, _ = text(obj.get("apiVersion")).rpartition("/")
    return f"{text(obj.get('kind'))}.{group}" if slash else text(obj.get("kind"))


def controller_of(obj: Object) -> Object:
    """The controlling ``ownerReference`` of an object; empty when it has none."""
    for item in sequence(mapping(obj.get("metadata")).get("ownerReferences")):
        if mapping(item).get("controller") is True:
            return mapping(item)
    return {}


class ForeignObjects(Forkable):
    """The objects by kind, namespace (empty for cluster-scoped kinds) and name."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}

    def take(self, kind: str, obj: Object, deleted: bool) -> bool:
        """Keep or forget one object; whether anything that is kept of it has changed."""
        key = _key(kind, obj)
        known = self._objects.setdefault(kind, {})
        if deleted:
            return known.pop(key, None) is not None
        trimmed = _trimmed(kind, obj)
        if known.get(key) == trimmed:
            return False
        known[key] = trimmed
        return True

    def names(self, kind: str) -> list[tuple[str, str]]:
        """(namespace, name) of all objects of a kind."""
        return list(self._objects.get(kind, {}))

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object; the namespace of a cluster-scoped kind is ignored."""
        where = "" if kind in CLUSTER_SCOPED else namespace
        return self._objects.get(kind, {}).get((where, name))

    def in_namespace(self, kind: str, namespace: str) -> Iterator[Object]:
        """All objects of a kind in one namespace, by name."""
        for where, name in sorted(self._objects.get(kind, {})):
            if where == namespace:
                yield self._objects[kind][where, name]

    def owner(self, namespace: str, reference: Object) -> Object | None:
        """The object that an ``ownerReference`` means; None when it is not known or another of its name."""
        kind = kind_of(reference)
        found = self.get(kind, namespace, text(reference.get("name")))
        if found is None:
            return None
        uids = text(mapping(found.get("metadata")).get("uid")), text(reference.get("uid"))
        return found if not all(uids) or uids[0] == uids[1] else None

    def chain(self, namespace: str, reference: Object) -> Iterator[Object]:
        """The known controllers above an ``ownerReference``, nearest first."""
        seen: list[Object] = []
        found = self.owner(namespace, reference)
        while found is not None and not any(found is other for other in seen):
            seen.append(found)
            yield found
            found = self.owner(namespace, controller_of(found))


def identity(kind: str, obj: Object) -> tuple[str, str]:
    """(namespace, name) by which an object of any kind is kept; the namespace is empty where none counts."""
    if kind in KINDS:
        return _key(kind, obj)
    metadata = mapping(obj.get("metadata"))
    namespace = text(metadata.get("namespace"))
    if "." in kind:  # of others, where nobody knows which kinds have namespaces: as the object says
        return namespace, text(metadata.get("name"))
    where = {"Pod": namespace or "default", "Gang": namespace}
    return where.get(kind, ""), text(metadata.get("name"))


def _key(kind: str, obj: Object) -> tuple[str, str]:
    metadata = mapping(obj.get("metadata"))
    namespace = "" if kind in CLUSTER_SCOPED else text(metadata.get("namespace")) or "default"
    return namespace, text(metadata.get("name"))


def _trimmed(kind: str, obj: Object) -> Object:
    metadata = mapping(obj.get("metadata"))
    name, _, group = kind.partition(".")
    return {
        "apiVersion": text(obj.get("apiVersion")) or f"{group}/v1",
        "kind": name,
        "metadata": {key: metadata[key] for key in _METADATA if key in metadata},
        **{key: obj[key] for key in ("spec", "data", "revision") if key in obj},
    }
