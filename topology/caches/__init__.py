"""Which model is already where: one file a source, all of them read into ``Residency`` values.

To add a source: one file here with ``NAME``, ``KINDS`` and ``read``, one line in ``CACHES``, one folder of
fixtures in ``tests/fixtures/caches``. A source reads one object at a time; what its objects say
together follows from ``claims.join``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from topology.caches import agent, fluid, images, kserve, manta, ome
from topology.caches.claims import Claims

CACHES: tuple[ModuleType, ...] = (agent, kserve, ome, fluid, manta, images)

KINDS = frozenset(kind for source in CACHES for kind in source.KINDS)
"""Kinds of objects that sources read: ``Kind.group``, the kind alone of the core group and of our own."""

Said = tuple[tuple[str, Claims], ...]
"""(``NAME`` of the source, what it read), of the sources that read anything."""


def read(kind: str, obj: Mapping[str, Any]) -> Said:
    """What every source reads from one object. Total: any JSON gives claims and problems."""
    return tuple(_said(kind, obj))


def _said(kind: str, obj: Mapping[str, Any]) -> Iterable[tuple[str, Claims]]:
    nothing = Claims()
    for source in CACHES:
        if kind in source.KINDS:
            claims: Claims = source.read(kind, obj)
            if claims != nothing:
                yield source.NAME, claims
