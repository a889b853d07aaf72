"""What documents and objects about the network say, by node; kept while they come and go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scheduler.fork import Forkable
from topology.fabric import Fabric
from topology.keys import HOSTNAME
from topology.model import Node, PathStep, Problem
from topology.sources import documents
from topology.sources.survey import Document, Position, Survey


class Surveys(Forkable):
    """Documents by the object that brings them, such as ``ConfigMap muster-system/fabric``."""

    def __init__(self) -> None:
        self.touched: set[str] = set()
        """Names about which something else is said now, as sources spell them in lower case."""
        self.above: Mapping[tuple[str, str], tuple[PathStep, ...]] = {}
        """(source, leaf switch) -> the levels around it."""
        self._documents: dict[str, tuple[Document, ...]] = {}
        self._read: dict[str, tuple[Survey, ...]] = {}
        self._said: dict[str, dict[tuple[str, int], Position]] = {}
        self._guids: dict[str, str] = {}
        self._scanned: dict[str, frozenset[str]] = {}
        self._others = False
        self._changed = False
        self._fabrics: tuple[Fabric, ...] = ()

    @property
    def subjects(self) -> list[str]:
        """The objects that brought documents."""
        return list(self._documents)

    def take(self, subject: str, given: Iterable[Document] = ()) -> bool:
        """The object has these documents now, or is gone. Whether that changes anything."""
        given = tuple(given)
        if given == self._documents.get(subject, ()):
            return False
        self._documents.pop(subject, None)
        if given:
            self._documents[subject] = given
        guids = [survey.guids for survey in self._read.get(subject, ())]
        self._survey(subject)
        self._changed = True
        self._others |= guids != [survey.guids for survey in self._read.get(subject, ())]
        return True

    def take_guids(self, node: str, guids: frozenset[str]) -> None:
        """Node GUIDs of the adapters that were seen on the node itself."""
        if self._scanned.get(node, frozenset()) != guids:
            self._scanned[node] = guids
            self._others = True

    def said(self, names: Sequence[str]) -> list[Position]:
        """What each document says of the node with one of these names, the first that it knows."""
        found: dict[tuple[str, int], Position] = {}
        for name in names:
            for document, position in self._said.get(name.lower(), {}).items():
                found.setdefault(document, position)
        return [found[document] for document in sorted(found)]

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the documents."""
        return (p for surveys in self._read.values() for survey in surveys for p in survey.problems)

    def fabrics(self) -> tuple[Fabric, ...]:
        """The networks that are known, in the order of the objects that brought them."""
        return self._fabrics

    def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        """Nodes that documents know, with labels and allocatable amounts where one has them."""
        found: dict[str, Mapping[str, Any]] = {}
        for subject in sorted(self._read):
            for survey in self._read[subject]:
                for name in survey.positions:
                    if not found.get(name):
                        found[name] = survey.nodes.get(name, {})
        return found

    def _survey(self, subject: str) -> None:
        """Read the documents of the object (again)."""
        before = self._read.pop(subject, ())
        given = self._documents.get(subject, ())
        now = tuple(documents.read(document, subject, self._guids) for document in given)
        if now:
            self._read[subject] = now
        for index, survey in enumerate(before):
            for name in (*survey.positions, *survey.aliases):
                self._forget(name.lower(), (subject, index))
        for index, survey in enumerate(now):
            for name, position in survey.positions.items():
                self._put(name.lower(), (subject, index), position)
            for alias, name in survey.aliases.items():
                if name in survey.positions:
                    self._put(alias.lower(), (subject, index), survey.positions[name])
        if any(survey.above for survey in (*before, *now)):
            self._find_above()

    def _put(self, name: str, document: tuple[str, int], position: Position) -> None:
        self.touched.add(name)
        self._said.setdefault(name, {})[document] = position

    def _forget(self, name: str, document: tuple[str, int]) -> None:
        self.touched.add(name)
        there = self._said.get(name, {})
        there.pop(document, None)
        if not there:
            self._said.pop(name, None)

    def _find_above(self) -> None:
        above: dict[tuple[str, str], tuple[PathStep, ...]] = {}
        for subject in sorted(self._read):
            for survey in self._read[subject]:
                for leaf, steps in survey.above.items():
                    above.setdefault((survey.source, leaf), steps)
        self.above = above
        self.touched.update(self._said)

    def settle(self) -> bool:
        """Where other node GUIDs are known now, let fabric maps name more of their adapters.

        Whether anything is said differently since the last time.
        """
        changed, self._changed = self._changed, False
        if self._others:
            self._find_adapters()
        if changed:
            self._fabrics = tuple(
                survey.fabric
                for subject in sorted(self._read)
                for survey in self._read[subject]
                if survey.fabric is not None
            )
        return changed

    def _find_adapters(self) -> None:
        self._others = False
        scanned = {guid: node for node in sorted(self._scanned) for guid in self._scanned[node]}
        named = {
            guid: name
            for subject in sorted(self._read, reverse=True)
            for survey in self._read[subject]
            for guid, name in survey.guids.items()
        }
        guids = {**named, **scanned}
        if guids != self._guids:
            self._guids = guids
            for subject in list(self._read):
                if any(survey.fabric is not None for survey in self._read[subject]):
                    self._survey(subject)


def names_of(node: Node) -> tuple[str, ...]:
    """Names under which sources may know a node, in lower case: its own, its host name, its short name."""
    own = node.name.lower()
    host = node.labels.get(HOSTNAME, own).lower()
    short = (name.partition(".")[0] for name in (own, host))
    return tuple(dict.fromkeys((own, host, *(name for name in short if not name.isdigit()))))
