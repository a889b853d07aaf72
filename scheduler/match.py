"""Which nodes a pod may use, as kube-scheduler's in-tree filters mean it. Pure.

Sources of the rules: ``k8s.io/component-helpers/scheduling/corev1`` (node selectors, tolerations) and
the plugins NodeUnschedulable, TaintToleration, NodeAffinity, NodePorts and InterPodAffinity of
``k8s.io/kubernetes/pkg/scheduler/framework/plugins``. Preferred (soft) rules never exclude a node and
are left out, ``PreferNoSchedule`` among them.

``Fleet`` answers for all nodes at once: a rule is evaluated once per *distinct* label value or taint
list and spread over the nodes with numpy, so 5,000 nodes cost a few milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from scheduler.model import Constraints, NodeTerm, PodTerm, Requirement, Toleration
from scheduler.snapshot import NodeState
from topology.keys import MATCH_FIELD_NAME
from topology.model import Node, Taint

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
CauseArray = npt.NDArray[np.int8]
"""Values of ``Cause``."""
_T = TypeVar("_T")

_HARD_EFFECTS = frozenset({"NoSchedule", "NoExecute"})


class Cause(IntEnum):
    """Why a node is excluded, in the order in which the reasons are tried."""

    NONE = 0
    NOT_READY = 1
    CORDONED = 2
    UNTRUSTED = 3
    """Its accelerators cannot be trusted (``Node.quarantined``)."""
    REFUSED = 4
    """kube-scheduler refused it for this gang lately."""
    TAINT = 5
    SELECTOR = 6
    AFFINITY = 7
    PORTS = 8
    POD_AFFINITY = 9
    POD_ANTI_AFFINITY = 10
    SPREAD = 11
    CARD_COUNT = 12
    """The vendor's allocation rule has no place for a pod with that number of cards."""
    FLAVOR = 13
    DEVICE = 14
    """Another class of accelerators than the one looked at."""
    TOO_SMALL = 15
    """Could not hold one member even if nothing ran there."""


def holds(requirement: Requirement, value: str | None) -> bool:
    """Whether one requirement holds for a label that has ``value`` (None: the label is absent).

    An operator or a number that cannot be read holds for nothing, as a selector that fails to parse.
    """
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(requirement, value)
    return False


def _compares(requirement: Requirement, value: str | None) -> bool:
    try:
        have, bound = int(value or ""), int(requirement.values[0])
    except (ValueError, IndexError):
        return False
    return have > bound if requirement.operator == "Gt" else have < bound


def selects(selector: Sequence[Requirement] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; None takes nothing, an empty one everything."""
    return selector is not None and all(holds(item, labels.get(item.key)) for item in selector)


def covers(term: PodTerm, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether an affinity term is about a pod of ``namespace`` with ``labels``."""
    inside = namespace in term.namespaces or "*" in term.namespaces
    return inside and selects(term.selector, labels)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether one toleration covers one taint; empty key (with Exists) and empty effect cover all."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return (
        bool(toleration.key)
        and toleration.operator in ("", "Equal")
        and (toleration.value == taint.value)
    )


def untolerated(taints: Iterable[Taint], tolerations: Sequence[Toleration]) -> Taint | None:
    """The first taint that keeps the pod away (NoSchedule or NoExecute), or None."""
    for taint in taints:
        if taint.effect in _HARD_EFFECTS and not any(tolerates(t, taint) for t in tolerations):
            return taint
    return None


_PORT = re.compile(r"(?:(?P<ip>.*)[/:])?(?P<port>[A-Za-z]+/\d+)")


@lru_cache(maxsize=4096)
def _port(text: str) -> tuple[str, str]:
    found = _PORT.fullmatch(text)
    return (found["ip"] or "", found["port"]) if found else ("", text)


def ports_clash(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two pods cannot share a node: same protocol and port, and same or wildcard address."""
    theirs = [_port(text) for text in other]
    return any(
        port == their_port and (not ip or not their_ip or ip == their_ip)
        for ip, port in map(_port, one)
        for their_ip, their_port in theirs
    )


def cause(constraints: Constraints, state: NodeState) -> Cause:
    """The first node rule that keeps a pod with ``constraints`` off this node (pods there apart)."""
    return Cause(int(Fleet((state,)).causes(constraints)[0]))


class Fleet:
    """The nodes of a snapshot, in its order, with what was already worked out about them."""

    def __init__(self, states: Sequence[NodeState]) -> None:
        self._nodes: tuple[Node, ...] = tuple(state.node for state in states)
        self._columns: dict[str, tuple[IntArray, tuple[str | None, ...]]] = {}
        self._taints: tuple[IntArray, tuple[tuple[Taint, ...], ...]] | None = None
        self._names: dict[str, int] = {node.name: i for i, node in enumerate(self._nodes)}
        self._unusable = _unusable(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def index(self, name: str) -> int | None:
        """Position of a node, None when the snapshot has no such node."""
        return self._names.get(name)

    def column(self, key: str) -> tuple[IntArray, tuple[str | None, ...]]:
        """For every node the index of its value of label ``key``; the values, None for "absent"."""
        if key not in self._columns:
            self._columns[key] = _factorize([node.labels.get(key) for node in self._nodes])
        return self._columns[key]

    def zones(self, key: str) -> IntArray:
        """Number of each node's ``topologyKey`` domain; -1 where the node lacks the label."""
        codes, values = self.column(key)
        absent = values.index(None) if None in values else -2
        return np.where(codes == absent, -1, codes)

    def where(self, requirement: Requirement) -> BoolArray:
        """The nodes whose labels meet one requirement."""
        codes, values = self.column(requirement.key)
        return _spread(codes, [holds(requirement, value) for value in values])

    def labelled(self, selector: Mapping[str, str]) -> BoolArray:
        """The nodes that carry all these labels."""
        matching = np.ones(len(self._nodes), dtype=bool)
        for key, value in selector.items():
            matching &= self.where(Requirement(key=key, operator="In", values=(value,)))
        return matching

    def affine(self, terms: Sequence[NodeTerm] | None) -> BoolArray:
        """The nodes that one of the alternative terms takes; None takes all nodes."""
        if terms is None:
            return np.ones(len(self._nodes), dtype=bool)
        matching = np.zeros(len(self._nodes), dtype=bool)
        for term in terms:
            if term.labels or term.fields:
                matching |= self._term(term)
        return matching

    def _term(self, term: NodeTerm) -> BoolArray:
        matching = np.ones(len(self._nodes), dtype=bool)
        for requirement in term.labels:
            matching &= self.where(requirement)
        for requirement in term.fields:
            if requirement.key == MATCH_FIELD_NAME:
                names = (holds(requirement, node.name) for node in self._nodes)
                matching &= np.fromiter(names, dtype=bool, count=len(self._nodes))
            else:
                matching[:] = False
        return matching

    def blocking_taints(
        self, tolerations: Sequence[Toleration]
    ) -> tuple[IntArray, tuple[Taint | None, ...]]:
        """For every node the index of the taint that keeps the pod away; the taints, None for "none"."""
        if self._taints is None:
            self._taints = _factorize([node.taints for node in self._nodes])
        codes, lists = self._taints
        return codes, tuple(untolerated(taints, tolerations) for taints in lists)

    def causes(self, constraints: Constraints) -> CauseArray:
        """For every node the first ``Cause`` of NOT_READY .. AFFINITY that excludes it, else NONE."""
        codes, taints = self.blocking_taints(constraints.tolerations)
        checks = (
            (Cause.TAINT, _spread(codes, [taint is not None for taint in taints])),
            (Cause.SELECTOR, ~self.labelled(constraints.node_selector)),
            (Cause.AFFINITY, ~self.affine(constraints.node_affinity)),
        )
        found = self._unusable.copy()
        for why, excluded in checks:
            found[(found == 0) & excluded] = why
        return found


def _unusable(nodes: Sequence[Node]) -> CauseArray:
    found = np.zeros(len(nodes), dtype=np.int8)
    for i, node in enumerate(nodes):
        if not node.ready:
            found[i] = Cause.NOT_READY
        elif node.unschedulable:
            found[i] = Cause.CORDONED
        elif node.quarantined:
            found[i] = Cause.UNTRUSTED
    return found


def _factorize(items: Sequence[_T]) -> tuple[IntArray, tuple[_T, ...]]:
    numbers: dict[_T, int] = {}
    codes = np.fromiter(
        (numbers.setdefault(item, len(numbers)) for item in items), dtype=np.int64, count=len(items)
    )
    return codes, tuple(numbers)


def _spread(codes: IntArray, verdicts: Sequence[bool]) -> BoolArray:
    return np.asarray(verdicts, dtype=bool)[codes] if verdicts else np.zeros(len(codes), dtype=bool)
