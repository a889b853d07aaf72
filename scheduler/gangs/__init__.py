"""Where gangs come from: one file per source, one line in ``GANGS``; the first that claims a pod wins.

A source is a value with a name, the kinds of foreign objects that it looks up, ``claim`` (the gang's name of
a pod, or None) and ``read`` (the gang of some pods; total: a wrong request is a blocked gang).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from scheduler.foreign import ForeignObjects
from scheduler.gangs import annotated, kueue, podgroups, serving, single
from scheduler.gangs.context import Context
from scheduler.keys import MANAGED
from scheduler.model import Gang
from scheduler.pods import Pod


class GangSource(Protocol):
    """What a module of this folder offers."""

    NAME: str
    WATCHES: tuple[str, ...]
    """Kinds of ``scheduler.foreign``: when such an object changes, gangs of its namespace are read again."""

    def claim(self, pod: Pod) -> str | None:
        """Name of the gang that ``pod`` belongs to, unique in its namespace."""

    def read(self, namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
        """The gang of ``pods`` (at least one). Never raises."""

    def levels(self, pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
        """Level names and label keys that the pod, or an owner of it, asks for."""


GANGS: tuple[GangSource, ...] = (annotated, podgroups, serving, kueue, single)
"""An explicit ``muster.dev/gang`` is first, a pod by itself last."""


def claim(pod: Pod, namespaces: Mapping[str, Mapping[str, str]]) -> tuple[GangSource, str] | None:
    """The source and gang name of a pod; None for a plain pod (design section 8, step 0)."""
    if namespaces.get(pod.namespace, {}).get(MANAGED) == "false":
        return None
    for source in GANGS:
        name = source.claim(pod)
        if name is not None:
            return source, name
    return None
