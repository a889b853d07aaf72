"""What cache sources said of all objects, kept by object, and asked by model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from scheduler.foreign import identity
from scheduler.fork import Forkable
from scheduler.model import Gang
from topology import caches
from topology.caches.claims import Copy, Entry, Residency, frame, joined
from topology.caches.identity import names_of
from topology.model import Problem

Key = tuple[str, str, str]
"""Kind, namespace and name of an object; the namespace is empty where the object gives none."""
Model = tuple[str, str]
"""Source, and its key of a model."""


class Residencies(Forkable):
    """The claims about models and nodes.

    An object costs its own work. A model is joined when it is asked for, and then only on the nodes that
    something new was said about.
    """

    def __init__(self) -> None:
        self._said: dict[Key, caches.Said] = {}
        self._copies: dict[Model, dict[str, tuple[tuple[Key, Copy], ...]]] = {}
        """By node, each with the object that says so."""
        self._entries: dict[Model, dict[Entry, int]] = {}
        """How many objects say so: thousands of nodes say the same."""
        self._models: dict[str, dict[Model, None]] = {}
        """By name."""
        self._joined: dict[str, dict[str, tuple[Residency, ...]]] = {}
        """By name and node; nodes of ``_stale`` are to be joined again."""
        self._stale: dict[str, set[str]] = {}
        self._found: dict[str, tuple[Residency, ...]] = {}
        self._wrong: dict[Key, tuple[Problem, ...]] = {}

    def take(self, kind: str, obj: Mapping[str, Any], deleted: bool) -> bool:
        """Take or forget one object; whether that changes anything but when it was seen.

        Reports of thousands of nodes come again and again: that they still hold makes no new decision.
        """
        key = (kind, *identity(kind, obj))
        before = self._said.pop(key, ())
        said = () if deleted else caches.read(kind, obj)
        if said:
            self._said[key] = said
        if said == before:
            return False
        self._wrong.pop(key, None)
        if wrong := tuple(problem for _, claims in said for problem in claims.problems):
            self._wrong[key] = wrong
        for source, claims in before:
            for copy in claims.copies:
                self._say((source, copy.model), copy.node, key, ())
            for entry in claims.entries:
                self._count((source, entry.model), entry, -1)
        for source, claims in said:
            for entry in claims.entries:
                self._count((source, entry.model), entry, 1)
            for copy in claims.copies:
                self._say((source, copy.model), copy.node, key, ((key, copy),))
        return _timeless(said) != _timeless(before)

    def _say(self, model: Model, node: str, key: Key, said: tuple[tuple[Key, Copy], ...]) -> None:
        """``said`` instead of what the object said before about the model on the node."""
        nodes = self._copies.setdefault(model, {})
        others = (item for item in nodes.pop(node, ()) if item[0] != key)
        if kept := (*others, *said):
            nodes[node] = kept
        if not nodes:
            del self._copies[model]
        self._touch(model, {node})

    def _count(self, model: Model, entry: Entry, change: int) -> None:
        entries = self._entries.setdefault(model, {})
        before = entries.get(entry, 0)
        if before and before + change:
            entries[entry] = before + change
            return  # others say the same
        self._touch(model, self._copies.get(model, {}))
        if change > 0:
            entries[entry] = change
            for name in entry.names:
                self._models.setdefault(name, {})[model] = None
            self._touch(model, self._copies.get(model, {}))
            return
        del entries[entry]
        for name in {*entry.names} - {name for other in entries for name in other.names}:
            _drop(self._models, name, model)
        if not entries:
            del self._entries[model]

    def _touch(self, model: Model, nodes: Collection[str]) -> None:
        """What is known of the model on these nodes is to be joined again."""
        for entry in self._entries.get(model, ()):
            for name in entry.names:
                if name in self._joined:
                    self._stale.setdefault(name, set()).update(nodes)
                    self._found.pop(name, None)

    def names(self, kind: str) -> list[tuple[str, str]]:
        """(namespace, name) of the objects of a kind that said anything."""
        return [(namespace, name) for of, namespace, name in self._said if of == kind]

    def problems(self) -> Iterator[Problem]:
        """What was wrong with the objects."""
        for problems in self._wrong.values():
            yield from problems

    def of(self, gangs: Iterable[Gang]) -> tuple[Residency, ...]:
        """Where the models are that gangs with pending members load, by name, node and source."""
        asked = {
            (gang.model, gang.namespace)
            for gang in gangs
            if gang.model and any(podset.pending for podset in gang.podsets)
        }
        names = {name for model, namespace in asked for name in names_of(model, namespace)[0]}
        return tuple(found for name in sorted(names) for found in self._named(name))

    def _named(self, name: str) -> tuple[Residency, ...]:
        models = self._models.get(name)
        if models is None:
            for known in (self._joined, self._stale, self._found):
                known.pop(name, None)
            return ()
        if name not in self._found:
            here = self._joined.setdefault(name, {})
            stale = self._stale.pop(name, ())
            if not here:
                stale = {node for model in models for node in self._copies.get(model, ())}
            frames = [
                (model, framed)
                for model in sorted(models)
                if (framed := frame(model[0], name, self._entries[model])) is not None
            ]
            for node in stale:
                here[node] = tuple(
                    joined(framed, [copy for _, copy in there])
                    for model, framed in frames
                    if (there := self._copies.get(model, {}).get(node))
                )
            self._found[name] = tuple(found for node in sorted(here) for found in here[node])
        return self._found[name]


def _timeless(said: caches.Said) -> caches.Said:
    return tuple(
        (source, replace(c, copies=tuple(replace(x, observed_seconds=None) for x in c.copies)))
        for source, c in said
    )


def _drop(kept: dict[Any, dict[Any, Any]], first: object, second: object) -> None:
    """Forget ``kept[first][second]``, and ``kept[first]`` with its last entry."""
    if first in kept:
        kept[first].pop(second, None)
        if not kept[first]:
            del kept[first]
