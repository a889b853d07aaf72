"""What documents and objects about the network say, by node; kept while they come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scheduler.fork import Forkable
from topology.fabric import Fabric, told_apart
from topology.keys import HOSTNAME
from topology.model import Node, PathStep, Problem
from topology.sources import documents
from topology.sources.mapped import surveyed
from topology.sources.survey import Document, Position, Survey

_Switch = tuple[str, str, str]
"""Source, name and id."""


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
        self._switches: dict[str, frozenset[_Switch]] = {}
        """By object."""
        self._shared: frozenset[tuple[str, str]] = frozenset()
        """(source, name) of switches that two documents call by one name and by different ids."""
        self._guids: dict[str, str] = {}
        self._doubtful: tuple[Problem, ...] = ()
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
        yield from (p for found in self._read.values() for each in found for p in each.problems)
        yield from self._doubtful

    def strange(self, nodes: Mapping[str, Collection[str]]) -> Iterator[Problem]:
        """A Problem for each document of which no host is a node: the names do not fit.

        ``nodes``: those that have each of the names of ``names_of``.
        """
        for subject in sorted(self._read):
            for document, survey in zip(self._documents[subject], self._read[subject], strict=True):
                if survey.positions and not any(map(nodes.get, _spellings(survey))):
                    message = (
                        f"none of its {len(survey.positions)} hosts, such as {min(survey.positions)}, is the "
                        "name or host name of a node: it says of no node where it stands"
                    )
                    where = f"{survey.source} {document.name}"
                    yield Problem(subject=where, field="hosts", message=message)

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
        read = tuple(documents.read(document, subject, self._guids) for document in given)
        now = tuple(_distinct(survey, self._shared) for survey in read)
        self._switches.pop(subject, None)
        if now:
            self._read[subject] = now
            self._switches[subject] = frozenset(
                (survey.source, switch.name, switch.id)
                for survey in read
                if survey.fabric is not None
                for switch in survey.fabric.switches
            )
        for index, survey in enumerate(before):
            for name in _spelled(survey):
                self._forget(name, (subject, index))
        for index, survey in enumerate(now):
            for name, position in _spelled(survey).items():
                self._put(name, (subject, index), position)
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
        if self._others:
            self._find_adapters()
        changed, self._changed = self._changed, False
        if changed:
            self._find_shared()
            self._fabrics = tuple(
                survey.fabric
                for subject in sorted(self._read)
                for survey in self._read[subject]
                if survey.fabric is not None
            )
        return changed

    def _find_shared(self) -> None:
        """Which names of switches several documents use for different ones; these are told apart by id."""
        ids: dict[tuple[str, str], set[str]] = {}
        for switches in self._switches.values():
            for source, name, switch in switches:
                ids.setdefault((source, name), set()).add(switch)
        shared = frozenset(each for each, found in ids.items() if len(found) > 1)
        if shared != self._shared:
            self._shared = shared
            for subject in list(self._read):
                if any(survey.fabric is not None for survey in self._read[subject]):
                    self._survey(subject)

    def _find_adapters(self) -> None:
        self._others = False
        owners: dict[str, list[str]] = {}
        for node in sorted(self._scanned):
            for guid in self._scanned[node]:
                owners.setdefault(guid, []).append(node)
        scanned = {guid: nodes[0] for guid, nodes in owners.items() if len(nodes) == 1}
        doubtful = {guid: nodes for guid, nodes in owners.items() if len(nodes) > 1}
        self._doubtful = tuple(
            Problem(
                subject=f"Node {node}",
                field="nodeGuid",
                message=f"{guid} is an adapter of {', '.join(nodes)} as well by their reports; "
                "fabric maps do not go by it",
            )
            for guid, owning in sorted(doubtful.items())
            for node in owning
            for nodes in ([other for other in owning if other != node],)
        )
        named = {
            guid: name
            for subject in sorted(self._read, reverse=True)
            for survey in self._read[subject]
            for guid, name in survey.guids.items()
        }
        guids = {guid: node for guid, node in named.items() if guid not in doubtful} | scanned
        if guids != self._guids:
            self._guids = guids
            self._changed = True
            for subject in list(self._read):
                if any(survey.fabric is not None for survey in self._read[subject]):
                    self._survey(subject)


def _distinct(survey: Survey, shared: Collection[tuple[str, str]]) -> Survey:
    """The survey, its switches with their ids where documents call others by the same name (two subnets)."""
    fabric = survey.fabric
    if fabric is None or not any((survey.source, each.name) in shared for each in fabric.switches):
        return survey
    switches = tuple(
        replace(each, name=told_apart(each.name, each.id))
        if (survey.source, each.name) in shared
        else each
        for each in fabric.switches
    )
    domains = {name: each.scale_up for name, each in survey.positions.items() if each.scale_up}
    return surveyed(replace(fabric, switches=switches), survey.problems, domains, survey.aliases)


def _spellings(survey: Survey) -> Iterator[str]:
    """Every name by which nodes are looked for among the hosts, in lower case."""
    yield from map(str.lower, (*survey.positions, *survey.aliases))
    yield from filter(None, map(_bare, survey.positions))


def _bare(name: str) -> str:
    """``n1.`` for ``n1.example.com``: the node ``n1``, but no ``n1`` of another domain."""
    first, dot, _ = name.lower().partition(".")
    return f"{first}." if dot and not first.isdigit() else ""


def _spelled(survey: Survey) -> dict[str, Position]:
    """What is said of each host under every name by which nodes are looked for, its own before others."""
    named = [(name.lower(), name) for name in survey.positions]
    named += [(alias.lower(), name) for alias, name in survey.aliases.items()]
    times = Counter(map(_bare, survey.positions))
    named += [(bare, name) for name in survey.positions if times[bare := _bare(name)] == 1 and bare]
    found: dict[str, Position] = {}
    for spelling, name in named:
        if name in survey.positions:
            found.setdefault(spelling, survey.positions[name])
    return found


def names_of(node: Node) -> tuple[str, ...]:
    """Names under which sources may know a node, in lower case: its own, its host name, its short name.

    A name without a domain also with a dot behind it: that name in any domain (``_spelled``).
    """
    own = node.name.lower()
    host = node.labels.get(HOSTNAME, own).lower()
    short = (name.partition(".")[0] for name in (own, host))
    bare = (f"{name}." for name in (own, host) if "." not in name)
    return tuple(dict.fromkeys((own, host, *(name for name in short if not name.isdigit()), *bare)))
