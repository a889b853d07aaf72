"""The pods that owners (Deployment, StatefulSet, Job, ...) are going to make, before they exist.

Offline planning reads manifests in which only the owner is written down. ``expand`` adds the missing pods
of owners whose pod template carries one of our request annotations, or what makes its pods a gang to another
source, and hands the template's request annotations down to pods that lack them. A new kind of owner is one
function and one line in ``_OWNERS``. LeaderWorkerSets, and what makes them, are in ``sets``: their pods are
always ours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler import keys
from scheduler.gangs import sets
from topology.keys import GANG_ANNOTATIONS, GANG_LABELS, LWS_LEADER_NAME, LWS_NAME
from topology.model import Problem

Object = Mapping[str, Any]

MAX_PODS = 100_000
"""Pods of one owner; more than any cluster holds (Kubernetes' own limit is 150,000 in all)."""

_FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Pods as they are or will be, and what was wrong with their owners."""

    pods: tuple[Object, ...]
    """Given pods in their order (with inherited annotations), then those that owners will make."""
    objects: tuple[Object, ...] = ()
    """Owners between the given ones and these pods, which controllers will make as well."""
    problems: tuple[Problem, ...] = ()


def expand(objects: Iterable[Object]) -> Expansion:
    """The pods among ``objects`` together with those that the annotated owners among them lack.

    Pods that will be made are named ``<owner>-0`` to ``<owner>-<n-1>``. An owner that is itself
    controlled by another given owner (the ReplicaSets of a Deployment) is left to that one.
    """
    objects = list(objects)
    owners = _Owners.of(obj for obj in objects if _is_owner(obj))
    pods = [owners.inherit(obj) for obj in objects if kind_of(obj) == ("", "Pod")]
    alive, taken = _count_alive(owners, pods), {identity(pod) for pod in pods}
    problems: list[Problem] = []
    made: list[Object] = []
    for owner in owners.roots():
        namespace = identity(owner)[0]
        try:
            names = _OWNERS[kind_of(owner)](owner)
        except _BadCountError as error:
            problems.append(error.problem(owner))
            continue
        free = [name for name in names if (namespace, name) not in taken]
        made += [_pod(owner, name) for name in free[: max(len(names) - alive[id(owner)], 0)]]
    derived = sets.derive(objects)
    made += [pod for pod in derived.pods if identity(pod) not in taken]
    return Expansion(
        pods=(*pods, *made), objects=derived.objects, problems=(*problems, *derived.problems)
    )


def _is_owner(obj: Object) -> bool:
    """Whether it is an owner of pods of gangs, and they are made here."""
    of_a_set = LWS_NAME in _map(_map(obj, "metadata"), "labels")
    return kind_of(obj) in _OWNERS and not of_a_set and _is_ours(_template(obj))


def _is_ours(template: Object) -> bool:
    """Whether a source of gangs claims the pods of a template."""
    metadata = _map(template, "metadata")
    named = GANG_LABELS & _map(metadata, "labels").keys()
    named |= GANG_ANNOTATIONS & _map(metadata, "annotations").keys()
    return bool(_requests(template) or named or _map(_map(template, "spec"), "schedulingGroup"))


def kind_of(obj: Object) -> tuple[str, str]:
    """(API group, kind) of an object, whatever the version; the core group is the empty text."""
    group, slash, _ = str(obj.get("apiVersion")).rpartition("/")
    return (group if slash else ""), str(obj.get("kind"))


def identity(obj: Object) -> tuple[str, str]:
    """(namespace, name) of an object; a namespace that is not given is ``default``."""
    metadata = _map(obj, "metadata")
    return str(metadata.get("namespace") or "default"), str(metadata.get("name") or "")


def stands_for(pod: Object) -> set[tuple[str, str]]:
    """(namespace, name) of the pods in whose presence this manifest says nothing new: itself, its leader."""
    namespace, name = identity(pod)
    leader = _map(_map(pod, "metadata"), "annotations").get(LWS_LEADER_NAME, name)
    return {(namespace, name), (namespace, str(leader))}


def _count_alive(owners: _Owners, pods: Iterable[Object]) -> Counter[int]:
    """Pods that an owner need not make again, by the ``id`` of the outermost owner."""
    return Counter(id(owners.root_of(pod)) for pod in pods if not _ended(pod))


def _pod(owner: Object, name: str) -> Object:
    template = _template(owner)
    metadata = _map(template, "metadata")
    about = _map(owner, "metadata")
    made = {
        "name": name,
        "namespace": identity(owner)[0],
        "labels": _map(metadata, "labels"),
        "annotations": _map(metadata, "annotations"),
        "ownerReferences": [
            {
                "apiVersion": owner.get("apiVersion"),
                "kind": owner.get("kind"),
                "name": about.get("name"),
                "uid": about.get("uid", ""),
                "controller": True,
            }
        ],
    }
    if "creationTimestamp" in about:
        made["creationTimestamp"] = about["creationTimestamp"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": made,
        "spec": _map(template, "spec"),
        "status": {"phase": "Pending"},
    }


@dataclass(frozen=True, slots=True)
class _Owners:
    """The annotated owners of the input, by (namespace, kind, name) and by namespace."""

    by_name: Mapping[tuple[str, str, str], Object]
    by_namespace: Mapping[str, Sequence[Object]]

    @classmethod
    def of(cls, owners: Iterable[Object]) -> _Owners:
        by_name = {(identity(o)[0], kind_of(o)[1], identity(o)[1]): o for o in owners}
        by_namespace = defaultdict(list)
        for (namespace, _, _), owner in by_name.items():
            by_namespace[namespace].append(owner)
        return cls(by_name, by_namespace)

    def roots(self) -> Iterator[Object]:
        """Owners that no other given owner controls."""
        return (owner for owner in self.by_name.values() if self._controller(owner) is None)

    def root_of(self, pod: Object) -> Object | None:
        """The outermost given owner of ``pod``."""
        chain = list(self._chain(pod))
        return chain[-1] if chain else None

    def inherit(self, pod: Object) -> Object:
        """``pod`` with the request annotations of its owners' templates that it lacks."""
        inherited: dict[str, Any] = {}
        for owner in self._chain(pod):
            inherited = {**_requests(_template(owner)), **inherited}
        metadata = _map(pod, "metadata")
        own = _map(metadata, "annotations")
        if not inherited.keys() - own.keys():
            return pod
        return {**pod, "metadata": {**metadata, "annotations": {**inherited, **own}}}

    def _chain(self, pod: Object) -> Iterator[Object]:
        owner = self._controller(pod) or self._selecting(pod)
        seen: list[Object] = []
        while owner is not None and not any(owner is other for other in seen):
            seen.append(owner)
            yield owner
            owner = self._controller(owner)

    def _controller(self, obj: Object) -> Object | None:
        reference = _controller_reference(obj)
        name = str(reference.get("name")), str(reference.get("kind"))
        found = self.by_name.get((identity(obj)[0], name[1], name[0]))
        if found is None or found is obj:
            return None
        uids = _map(found, "metadata").get("uid"), reference.get("uid")
        return found if not all(uids) or uids[0] == uids[1] else None

    def _selecting(self, pod: Object) -> Object | None:
        """An owner whose selector takes ``pod``, when its controller is not among the input.

        A dump without ReplicaSets shows a Deployment's pods under a controller it does not hold.
        """
        controller = _controller_reference(pod).get("kind")
        labels = _map(_map(pod, "metadata"), "labels")
        for owner in self.by_namespace.get(identity(pod)[0], ()):
            if controller not in (None, _CHILD_KINDS.get(kind_of(owner)[1])):
                continue
            selector = _selector(owner)
            if selector and all(labels.get(key) == value for key, value in selector.items()):
                return owner
        return None


class _BadCountError(Exception):
    """A number of pods that is no number."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(field)
        self.field = field
        self.value = value

    def problem(self, owner: Object) -> Problem:
        """In words for the user."""
        namespace, name = identity(owner)
        return Problem(
            subject=f"{owner.get('kind')} {namespace}/{name}",
            field=f"spec.{self.field}",
            message=f"{str(self.value)[:40]!r} is not a whole number from 0 to {MAX_PODS}",
        )


def _replicas(owner: Object) -> list[str]:
    return _names(owner, _count(owner, "replicas"))


def _job(owner: Object) -> list[str]:
    spec = _map(owner, "spec")
    count = _count(owner, "parallelism")
    if spec.get("completions") is not None:
        done = _map(owner, "status").get("succeeded")
        count = min(count, _count(owner, "completions") - (done if isinstance(done, int) else 0))
    return _names(owner, 0 if spec.get("suspend") is True else count)


_OWNERS: Mapping[tuple[str, str], Callable[[Object], list[str]]] = {
    ("", "ReplicationController"): _replicas,
    ("apps", "Deployment"): _replicas,
    ("apps", "ReplicaSet"): _replicas,
    ("apps", "StatefulSet"): _replicas,
    ("batch", "Job"): _job,
}
"""(API group, kind) -> names of the pods it is to have. May raise ``_BadCountError``."""

KINDS = frozenset({*_OWNERS, *sets.KINDS})
"""The owners that are understood: (API group, kind)."""

_CHILD_KINDS = {"Deployment": "ReplicaSet"}
"""Owners that make pods through another kind."""


def _names(owner: Object, count: int) -> list[str]:
    return [f"{identity(owner)[1]}-{index}" for index in range(count)]


def _count(owner: Object, field: str) -> int:
    value = _map(owner, "spec").get(field)
    if value is None:
        return 1  # the API server's default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PODS:
        raise _BadCountError(field, value)
    return value


def _map(obj: Object, key: str) -> Mapping[str, Any]:
    value = obj.get(key)
    return value if isinstance(value, Mapping) else {}


def _template(owner: Object) -> Mapping[str, Any]:
    return _map(_map(owner, "spec"), "template")


def _requests(template: Object) -> dict[str, Any]:
    """Our request annotations on a pod template."""
    annotations = _map(_map(template, "metadata"), "annotations")
    return {key: annotations[key] for key in annotations if key in keys.REQUEST_ANNOTATIONS}


def _selector(owner: Object) -> Mapping[str, Any]:
    selector = _map(_map(owner, "spec"), "selector")
    return selector if kind_of(owner)[0] == "" else _map(selector, "matchLabels")


def _controller_reference(obj: Object) -> Mapping[str, Any]:
    references = _map(obj, "metadata").get("ownerReferences")
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, Mapping) and reference.get("controller") is True:
            return reference
    return {}


def _ended(pod: Object) -> bool:
    """Finished or being deleted: its owner makes another one."""
    return (
        str(_map(pod, "status").get("phase")) in _FINISHED
        or _map(pod, "metadata").get("deletionTimestamp") is not None
    )
