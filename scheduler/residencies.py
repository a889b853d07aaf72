"""What cache sources said of all objects, kept by object, and asked by model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scheduler.foreign import identity
from scheduler.fork import Forkable
from scheduler.model import Gang
from topology import caches
from topology.caches.claims import Copy, Entry, Residency, join
from topology.caches.identity import names_of
from topology.model import Problem

Key = tuple[str, str, str]
"""Kind, namespace and name of an object; the namespace is empty where the object gives none."""


class Residencies(Forkable):
    """The claims about models and nodes.

    An object costs its own work; a model is joined when it is asked for.
    """

    def __init__(self) -> None:
        self._said: dict[Key, caches.Said] = {}
        self._copies: dict[tuple[str, str], dict[Key, tuple[Copy, ...]]] = {}
        """(Source, model key) -> copies by object."""
        self._entries: dict[tuple[str, str], dict[Key, tuple[Entry, ...]]] = {}
        self._models: dict[str, dict[tuple[str, str], None]] = {}
        """Name of a model -> (source, model key) of its entries."""
        self._joined: dict[str, tuple[Residency, ...]] = {}

    def take(self, kind: str, obj: Mapping[str, Any], deleted: bool) -> bool:
        """Take or forget one object; whether that changes anything."""
        key = (kind, *identity(kind, obj))
        before = self._said.get(key, ())
        said = () if deleted else caches.read(kind, obj)
        if said == before:
            return False
        self._forget(key, before)
        self._keep(key, said)
        return True

    def _forget(self, key: Key, said: caches.Said) -> None:
        self._said.pop(key, None)
        for source, claims in said:
            for model in claims.models:
                self._changed(source, model)
                for kept in (self._copies, self._entries):
                    _drop(kept, (source, model), key)
            for entry in claims.entries:
                if (source, entry.model) not in self._entries:
                    for name, _ in entry.names:
                        _drop(self._models, name, (source, entry.model))

    def _keep(self, key: Key, said: caches.Said) -> None:
        if said:
            self._said[key] = said
        for source, claims in said:
            for model in claims.models:
                copies = tuple(copy for copy in claims.copies if copy.model == model)
                entries = tuple(entry for entry in claims.entries if entry.model == model)
                if copies:
                    self._copies.setdefault((source, model), {})[key] = copies
                if entries:
                    self._entries.setdefault((source, model), {})[key] = entries
                for entry in entries:
                    for name, _ in entry.names:
                        self._models.setdefault(name, {})[source, model] = None
                self._changed(source, model)

    def _changed(self, source: str, model: str) -> None:
        for entries in self._entries.get((source, model), {}).values():
            for entry in entries:
                for name, _ in entry.names:
                    self._joined.pop(name, None)

    def names(self, kind: str) -> list[tuple[str, str]]:
        """(namespace, name) of the objects of a kind that said anything."""
        return [(namespace, name) for of, namespace, name in self._said if of == kind]

    def problems(self) -> Iterator[Problem]:
        """What was wrong with the objects."""
        for said in self._said.values():
            for _, claims in said:
                yield from claims.problems

    def of(self, gangs: Iterable[Gang]) -> tuple[Residency, ...]:
        """Where the models are that gangs with pending members load, by model, node and source."""
        asked = {
            (gang.model, gang.namespace)
            for gang in gangs
            if gang.model and any(podset.pending for podset in gang.podsets)
        }
        names = {name for model, namespace in asked for name in names_of(model, namespace)[0]}
        return tuple(found for name in sorted(names) for found in self._named(name))

    def _named(self, name: str) -> tuple[Residency, ...]:
        if name in self._models and name not in self._joined:
            self._joined[name] = tuple(sorted(self._join(name), key=_order))
        return self._joined.get(name, ())

    def _join(self, name: str) -> Iterator[Residency]:
        for source, model in sorted(self._models.get(name, ())):
            kept = self._copies.get((source, model), {}).values()
            entries = self._entries.get((source, model), {}).values()
            yield from join(
                source,
                name,
                (copy for copies in kept for copy in copies),
                (entry for many in entries for entry in many),
            )


def _drop(kept: dict[Any, dict[Any, Any]], first: object, second: object) -> None:
    """Forget ``kept[first][second]``, and ``kept[first]`` with its last entry."""
    if first in kept:
        kept[first].pop(second, None)
        if not kept[first]:
            del kept[first]


def _order(found: Residency) -> tuple[str, str, str, str]:
    return found.node, found.source, found.revision or "", repr(found)
