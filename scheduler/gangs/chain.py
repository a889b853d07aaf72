"""What members take from the objects above them: request annotations on the metadata of their owners.

An owner is the controller of a pod and whatever controls that: a LeaderWorkerSet, the llmaz Service that
made it, the Playground of the user. What is written on the pod itself always wins, then the nearest owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.foreign import ForeignObjects, Object, controller_of
from scheduler.gangs import annotated
from scheduler.gangs.context import Context
from scheduler.gangs.request import RequestError, show
from scheduler.gangs.translate import Draft
from scheduler.model import Gang
from scheduler.pods import Pod
from topology.untyped import mapping, text

INHERITED = (keys.REQUEST_ANNOTATIONS | {keys.ROLLBACK, keys.PARALLELISM}) - {
    keys.GANG, keys.GANG_SIZE, keys.ROLE, keys.ROLES,
}  # fmt: skip
"""What is taken from owners. Which gang and role a pod is in, and how many there are, says its source."""


def where(obj: Object) -> str:
    """``Kind namespace/name`` of an object, for texts."""
    metadata = mapping(obj.get("metadata"))
    names = (text(metadata.get("namespace")), text(metadata.get("name")))
    return f"{text(obj.get('kind'))} {'/'.join(name for name in names if name)}"


def owners_of(pod: Pod, objects: ForeignObjects) -> tuple[Object, ...]:
    """The known controllers above a pod, nearest first."""
    return () if pod.owner is None else tuple(objects.chain(pod.namespace, pod.owner.reference))


def with_owners(obj: Object, objects: ForeignObjects) -> tuple[Object, ...]:
    """An object and the known controllers above it, nearest first; nothing of an empty one."""
    namespace = text(mapping(obj.get("metadata")).get("namespace")) or "default"
    return (obj, *objects.chain(namespace, controller_of(obj))) if obj else ()


def inherit(draft: Draft, owners: Sequence[Object]) -> None:
    """Write the request annotations of ``owners``, nearest first, on the members that lack them.

    One that concerns the gang is written when no member has it, any other for the roles of which no
    member has it. Raises ``RequestError``.
    """
    for key, value, origin in _asked_by(owners):
        if not isinstance(value, str):
            message = f"{show(str(value))} is not text; put it in quotes"
            raise RequestError(draft.pods, key, message, origin)
        have = {_role(pod) for pod in draft.pods if key in pod.annotations}
        if not have or key not in annotated.GANG_KEYS:
            lacking = [pod for pod in draft.pods if _role(pod) not in have]
            draft.write(lacking, key, origin, value)


def inherited(pod: Pod, owners: Sequence[Object]) -> Mapping[str, str]:
    """The annotations of a pod with those that its owners add."""
    found = dict(pod.annotations)
    for key, value, _ in _asked_by(owners):
        if isinstance(value, str):
            found.setdefault(key, value)
    return found


def _asked_by(owners: Sequence[Object]) -> Iterator[tuple[str, object, str]]:
    """(key, value, "object: key") of what owners ask for."""
    for owner in owners:
        values = mapping(mapping(owner.get("metadata")).get("annotations"))
        for key in sorted(INHERITED & values.keys()):
            yield key, values[key], f"{where(owner)}: {key}"


def _role(pod: Pod) -> str:
    return pod.annotations.get(keys.ROLE, "").strip()


def read(namespace: str, name: str, draft: Draft, context: Context) -> Gang:
    """The gang that a draft makes. Never raises."""
    draft.fill({keys.GANG: ("", name)})
    context = replace(context, origins={**context.origins, **draft.origins})
    return annotated.read(namespace, name, draft.pods, context)
