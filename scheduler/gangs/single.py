"""Pods that ask for something but belong to no gang: each is a gang of one, with the pod's name.

A pod asks by a request annotation of ours, or by the model of llmaz that it serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.foreign import LLMAZ_SERVICE, OPEN_MODEL, PLAYGROUND, ForeignObjects
from scheduler.gangs import annotated, chain, llmaz
from scheduler.gangs.context import Context
from scheduler.gangs.request import RequestError
from scheduler.gangs.translate import Draft
from scheduler.model import Gang
from scheduler.pods import Pod
from topology.keys import LLMAZ_MODEL

NAME = "pod"
WATCHES: tuple[str, ...] = (OPEN_MODEL, LLMAZ_SERVICE, PLAYGROUND)


def claim(pod: Pod) -> str | None:
    """The pod's own name, when it carries a request annotation or names a model."""
    asks = bool(keys.REQUEST_ANNOTATIONS & pod.annotations.keys()) or pod.labels.get(LLMAZ_MODEL)
    return pod.name if asks else None


def levels(pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
    """Level names and label keys that the pod and its owners ask for."""
    asked = chain.inherited(pod, chain.owners_of(pod, objects))
    return annotated.levels(replace(pod, annotations=asked), objects)


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of one."""
    draft, model = Draft(list(pods), {}), None
    owners = chain.owners_of(pods[0], context.objects)
    try:
        chain.inherit(draft, owners)
        context, model = llmaz.translate(draft, owners, context)
        gang = chain.read(namespace, name, draft, context)
    except RequestError as error:
        gang = annotated.invalid(namespace, name, pods, str(error))
    return replace(gang, source=NAME, notes=llmaz.hints(gang, model))
