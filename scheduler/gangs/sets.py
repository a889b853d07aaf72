"""Pods of LeaderWorkerSets, and of what makes LeaderWorkerSets, before their controllers have seen them.

A Playground makes a Service of llmaz, that one a LeaderWorkerSet, a DisaggregatedSet one for each slice and
role, and a LeaderWorkerSet makes pods. What a dump shows already is not made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.foreign import (
    CLUSTER_SCOPED,
    DISAGGREGATED_SET,
    LEADER_WORKER_SET,
    LLMAZ_SERVICE,
    OPEN_MODEL,
    PLAYGROUND,
    kind_of,
)
from scheduler.gangs import llmaz_objects, lws_pods
from scheduler.gangs.chain import where
from scheduler.gangs.llmaz import main_model
from scheduler.gangs.request import MAX_MEMBERS
from scheduler.gangs.unfold import unfold
from topology.keys import LLMAZ_INFERENCE_GROUP
from topology.model import Problem
from topology.untyped import mapping, text

Object = Mapping[str, Any]

RUNTIME = f"BackendRuntime.{LLMAZ_INFERENCE_GROUP}"
KINDS = frozenset({(LLMAZ_INFERENCE_GROUP, "BackendRuntime")})
"""What is read here and by no source of gangs: (API group, kind)."""

_GLOBAL = CLUSTER_SCOPED | {RUNTIME}
_COUNTS: Mapping[str, tuple[str, ...]] = {
    PLAYGROUND: ("spec.replicas",),
    LLMAZ_SERVICE: (
        "spec.replicas",
        "spec.workloadTemplate.replicas",
        "spec.workloadTemplate.size",
        "spec.workloadTemplate.leaderWorkerTemplate.size",
    ),
    LEADER_WORKER_SET: ("spec.replicas", "spec.leaderWorkerTemplate.size"),
    DISAGGREGATED_SET: ("spec.slices",),
}
"""Kind -> the fields that count copies, groups, or the pods of one."""

_Known = Mapping[tuple[str, str, str], Object]
"""Objects by kind, namespace and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What controllers will make of some objects, and what is wrong with these."""

    objects: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    """Of all LeaderWorkerSets, also those that exist."""
    problems: tuple[Problem, ...] = ()


def derive(objects: Sequence[Object]) -> Derived:
    """Everything that will be made of ``objects``. Never raises."""
    named = [obj for obj in objects if _key(obj)[2]]
    known = {_key(obj): obj for obj in named}
    made: list[Object] = []
    pods: list[Object] = []
    problems: list[Problem] = []
    queue = [obj for obj in named if kind_of(obj) in _COUNTS]
    for obj in queue:  # grows while it is read
        if "deletionTimestamp" in mapping(obj.get("metadata")):
            continue
        wrong = list(_wrong(obj))
        problems += wrong
        if wrong:
            continue
        children = [child for child in _children(obj, known) if _key(child) not in known]
        made += children
        queue += children
        if kind_of(obj) == LEADER_WORKER_SET:
            pods += _pods(obj)
    return Derived(objects=tuple(made), pods=tuple(pods), problems=tuple(problems))


def _key(obj: Object) -> tuple[str, str, str]:
    kind, metadata = kind_of(obj), mapping(obj.get("metadata"))
    namespace = "" if kind in _GLOBAL else text(metadata.get("namespace")) or "default"
    return kind, namespace, text(metadata.get("name"))


def _children(obj: Object, known: _Known) -> Iterator[Object]:
    kind = kind_of(obj)
    if kind == DISAGGREGATED_SET:
        yield from unfold(obj, (lws for (of, *_), lws in known.items() if of == LEADER_WORKER_SET))
    claims = llmaz_objects.claims_of(mapping(obj.get("spec")))
    model = known.get((OPEN_MODEL, "", main_model(claims)), {})
    if kind == PLAYGROUND:
        runtime = known.get((RUNTIME, "", llmaz_objects.runtime_name(obj)), {})
        yield llmaz_objects.service(obj, model, runtime)
    elif kind == LLMAZ_SERVICE:
        yield llmaz_objects.lws(obj, model)


def _wrong(obj: Object) -> Iterator[Problem]:
    """Why nothing can be made of an object."""
    kind, spec = kind_of(obj), mapping(obj.get("spec"))
    subject = where(obj)
    for path in _COUNTS[kind]:
        value = _at(obj, path)
        count = lws_pods.number(value, 0)
        if count is None or count > MAX_MEMBERS:
            message = f"{str(value)[:40]!r} is not a whole number from 0 to {MAX_MEMBERS}"
            yield Problem(subject=subject, field=path, message=message)
            return
    if kind in (PLAYGROUND, LLMAZ_SERVICE) and not main_model(llmaz_objects.claims_of(spec)):
        message = "names no model; expected modelName, or models with a name each"
        yield Problem(subject=subject, field="spec.modelClaims", message=message)
    elif kind == LEADER_WORKER_SET and _groups(obj) * _size(obj) > MAX_MEMBERS:
        message = f"{_groups(obj)} groups of {_size(obj)} are more than {MAX_MEMBERS} pods"
        yield Problem(subject=subject, field="spec.replicas", message=message)


def _at(obj: Object, path: str) -> Any:
    *way, last = path.split(".")
    inner = obj
    for key in way:
        inner = mapping(inner.get(key))
    return inner.get(last)


def _groups(lws: Object) -> int:
    return lws_pods.number(_at(lws, "spec.replicas"), 1) or 0


def _size(lws: Object) -> int:
    return lws_pods.number(lws_pods.template_of(lws).get("size"), 1) or 1


def _pods(lws: Object) -> Iterator[Object]:
    created = mapping(lws.get("metadata")).get("creationTimestamp")
    for index in range(_groups(lws)):
        for pod in lws_pods.group(lws, index):
            if created is None:
                yield pod
            else:
                yield {**pod, "metadata": {**pod["metadata"], "creationTimestamp": created}}
