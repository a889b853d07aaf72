"""Pods that ask for something but belong to no gang: each is a gang of one, with the pod's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.foreign import ForeignObjects
from scheduler.gangs import annotated
from scheduler.gangs.context import Context
from scheduler.model import Gang
from scheduler.pods import Pod

NAME = "pod"
WATCHES: tuple[str, ...] = ()


def claim(pod: Pod) -> str | None:
    """The pod's own name, when it carries a request annotation."""
    return pod.name if keys.REQUEST_ANNOTATIONS & pod.annotations.keys() else None


def levels(pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
    """Level names and label keys that the pod asks for."""
    return annotated.levels(pod, objects)


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of one."""
    return replace(annotated.read(namespace, name, pods, context), source=NAME)
