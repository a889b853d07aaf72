"""Where gangs come from: one file per source, one line in ``GANGS``; the first that claims a pod wins.

A source is a value with a name, the kinds that must be watched for it, ``claim`` (the gang's name of a
pod, or None) and ``read`` (the gang of some pods; total: a wrong request is a blocked gang).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from scheduler.gangs import annotated
from scheduler.gangs.context import Context
from scheduler.keys import MANAGED
from scheduler.model import Gang
from scheduler.pods import Pod


class GangSource(Protocol):
    """What a module of this folder offers."""

    NAME: str
    WATCHES: tuple[str, ...]

    def claim(self, pod: Pod) -> str | None:
        """Name of the gang that ``pod`` belongs to, unique in its namespace."""

    def read(self, namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
        """The gang of ``pods`` (at least one). Never raises."""

    def levels(self, pod: Pod) -> tuple[str, ...]:
        """Level names and label keys that the pod asks for."""


GANGS: tuple[GangSource, ...] = (annotated,)


def claim(pod: Pod, namespaces: Mapping[str, Mapping[str, str]]) -> tuple[GangSource, str] | None:
    """The source and gang name of a pod; None for a plain pod (design section 8, step 0)."""
    if namespaces.get(pod.namespace, {}).get(MANAGED) == "false":
        return None
    for source in GANGS:
        name = source.claim(pod)
        if name is not None:
            return source, name
    return None
