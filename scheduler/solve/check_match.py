"""kube-scheduler's in-tree filters, read once more and independently for the checker.

Source of the rules: Kubernetes ``pkg/scheduler/framework/plugins`` (nodeaffinity, tainttoleration,
interpodaffinity, podtopologyspread, nodeports), as the specification of a decision names them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scheduler.model import (
    Constraints,
    NodeTerm,
    PodTerm,
    Requirement,
    SpreadTerm,
    Toleration,
)
from scheduler.solve.check_facts import Crowd, Facts, Standing
from topology import keys
from topology.model import Node, Taint

_PORT = re.compile(r"(?:(.*)[/:])?([A-Za-z]+/\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pod:
    """A pod that runs or is planned, as other pods' terms see it."""

    owner: str
    name: str
    namespace: str
    labels: Mapping[str, str]
    node: int
    constraints: Constraints
    new: bool


def admits(constraints: Constraints, node: Node) -> bool:
    """Whether selectors, required node affinity and taints let a pod onto the node."""
    return chooses(constraints, node) and all(
        any(_tolerates(toleration, taint) for toleration in constraints.tolerations)
        for taint in node.taints
        if taint.effect in ("NoSchedule", "NoExecute")
    )


def chooses(constraints: Constraints, node: Node) -> bool:
    """Whether the node selector and the required node affinity match the node."""
    if any(node.labels.get(key) != value for key, value in constraints.node_selector.items()):
        return False
    affinity = constraints.node_affinity
    return affinity is None or any(_term_chooses(term, node) for term in affinity)


def pod_rules(facts: Facts) -> Iterator[str]:
    """Violations of anti-affinity, affinity, topology spread and host ports by new members."""
    new = [
        _new_pod(standing, crowd, node)
        for standing in facts.placed
        for crowd in standing.crowds
        for node in crowd.new
    ]
    yield from _ports(facts, new)
    fixed = _fixed(facts, new)
    if fixed is not None:
        yield from _anti_affinity(facts, new, fixed)
        yield from _affinity(facts, new, fixed)
        yield from _spread(facts, new, fixed)


def _term_chooses(term: NodeTerm, node: Node) -> bool:
    fields = {keys.MATCH_FIELD_NAME: node.name}
    return (
        bool(term.labels or term.fields)
        and all(_holds(requirement, node.labels) for requirement in term.labels)
        and all(_holds(requirement, fields) for requirement in term.fields)
    )


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
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


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in ("", taint.effect) or toleration.key not in (
        "",
        taint.key,
    ):
        return False
    if toleration.operator == "Exists":
        return True
    return (
        bool(toleration.key)
        and toleration.operator in ("", "Equal")
        and toleration.value == taint.value
    )


def _sees(term: PodTerm, pod: _Pod) -> bool:
    inside = pod.namespace in term.namespaces or "*" in term.namespaces
    return inside and _selects(term.selector, pod.labels)


def _selects(selector: Sequence[Requirement] | None, labels: Mapping[str, str]) -> bool:
    return selector is not None and all(_holds(requirement, labels) for requirement in selector)


def _new_pod(standing: Standing, crowd: Crowd, node: int) -> _Pod:
    return _Pod(
        owner=standing.gang.key,
        name=f"role {crowd.podset.role}",
        namespace=standing.gang.namespace,
        labels=crowd.podset.labels,
        node=node,
        constraints=crowd.podset.constraints,
        new=True,
    )


def _fixed(facts: Facts, new: Sequence[_Pod]) -> list[_Pod] | None:
    """The pods that already run, or None when no term anywhere concerns a new member."""
    demanding = any(
        pod.constraints.affinity or pod.constraints.anti_affinity or pod.constraints.spread
        for pod in new
    )
    pods = []
    for node, state in enumerate(facts.snapshot.nodes if new else ()):
        for pod in state.pods:
            if demanding or pod.anti_affinity:
                held = Constraints(anti_affinity=pod.anti_affinity)
                pods.append(
                    _Pod(
                        owner="", name=f"pod {pod.namespace}/{pod.name}", namespace=pod.namespace,
                        labels=pod.labels, node=node, constraints=held, new=False,
                    )
                )  # fmt: skip
    return pods if pods or demanding else None


def _place(facts: Facts, node: int, key: str) -> str | None:
    return facts.state(node).node.labels.get(key)


def _anti_affinity(facts: Facts, new: Sequence[_Pod], fixed: Sequence[_Pod]) -> Iterator[str]:
    everybody = [*fixed, *new]
    for holder in everybody:
        for term in holder.constraints.anti_affinity:
            place = _place(facts, holder.node, term.topology_key)
            if place is None:
                continue
            for other in everybody if holder.new else new:
                if (
                    other is not holder
                    and _place(facts, other.node, term.topology_key) == place
                    and _sees(term, other)
                ):
                    named = holder if holder.new else other
                    yield (
                        f"{named.owner}: anti-affinity of {holder.owner} {holder.name} forbids "
                        f"{other.owner} {other.name} in {term.topology_key}={place}"
                    )


def _affinity(facts: Facts, new: Sequence[_Pod], fixed: Sequence[_Pod]) -> Iterator[str]:
    """Whether an order exists in which each member finds the pods it must stand near.

    The first of a series with affinity to its own labels may start alone, when nothing it could join
    runs anywhere; the others then follow it into its domain.
    """
    settled = [*fixed, *(pod for pod in new if not pod.constraints.affinity)]
    open_ = [pod for pod in new if pod.constraints.affinity]
    running = [pod for pod in fixed if not pod.new]
    while open_:
        fine = [pod for pod in open_ if _joins(facts, pod, settled)]
        if not fine:
            first = next((pod for pod in open_ if _may_start(facts, pod, running, settled)), None)
            if first is None:
                break
            fine = [first]
        settled += fine
        open_ = [pod for pod in open_ if not any(pod is one for one in fine)]
    for pod in open_:
        wanted = ", ".join(term.topology_key for term in pod.constraints.affinity)
        node = facts.snapshot.tree.nodes[pod.node]
        yield f"{pod.owner}: affinity of {pod.name} by {wanted} is not satisfied on node {node}"


def _joins(facts: Facts, pod: _Pod, settled: Sequence[_Pod]) -> bool:
    terms = pod.constraints.affinity
    mates = [other for other in settled if all(_sees(term, other) for term in terms)]
    return all(
        (place := _place(facts, pod.node, term.topology_key)) is not None
        and any(_place(facts, mate.node, term.topology_key) == place for mate in mates)
        for term in terms
    )


def _may_start(facts: Facts, pod: _Pod, running: Sequence[_Pod], settled: Sequence[_Pod]) -> bool:
    terms = pod.constraints.affinity

    def matches(other: _Pod) -> bool:
        return all(_sees(term, other) for term in terms) and any(
            _place(facts, other.node, term.topology_key) is not None for term in terms
        )

    series = (one for one in settled if one.new and one.constraints.affinity)
    return (
        all(_place(facts, pod.node, term.topology_key) is not None for term in terms)
        and all(_sees(term, pod) for term in terms)
        and not any(matches(other) for other in running)
        and not any(matches(other) for other in series)
    )


def _spread(facts: Facts, new: Sequence[_Pod], fixed: Sequence[_Pod]) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for pod in new:
        if not pod.constraints.spread or (pod.owner, pod.name) in seen:
            continue
        seen.add((pod.owner, pod.name))
        mine = [other for other in new if (other.owner, other.name) == (pod.owner, pod.name)]
        for term in pod.constraints.spread:
            skew = _skew(facts, term, mine, [*fixed, *new])
            if skew is None:
                yield f"{pod.owner}: {pod.name} stands on a node without label {term.topology_key}"
            elif skew > term.max_skew:
                yield (
                    f"{pod.owner}: topology spread of {pod.name} over {term.topology_key} has skew "
                    f"{skew}, at most {term.max_skew} is allowed"
                )


def _skew(
    facts: Facts, term: SpreadTerm, mine: Sequence[_Pod], everybody: Iterable[_Pod]
) -> int | None:
    """The largest skew of a domain that gets a member; None when a member's node has no domain."""
    constraints = mine[0].constraints
    wanted = [one.topology_key for one in constraints.spread]
    eligible = {
        i
        for i, state in enumerate(facts.snapshot.nodes)
        if all(key in state.node.labels for key in wanted) and chooses(constraints, state.node)
    }
    if any(pod.node not in eligible for pod in mine):
        return None
    counts: Counter[str | None] = Counter(
        {_place(facts, node, term.topology_key): 0 for node in eligible}
    )
    for pod in everybody:
        same = pod.namespace == mine[0].namespace
        if pod.node in eligible and same and _selects(term.selector, pod.labels):
            counts[_place(facts, pod.node, term.topology_key)] += 1
    fewest = min(counts.values()) if len(counts) >= term.min_domains else 0
    return max(counts[_place(facts, pod.node, term.topology_key)] for pod in mine) - fewest


def _ports(facts: Facts, new: Sequence[_Pod]) -> Iterator[str]:
    used: dict[int, list[str]] = {}
    for pod in new:
        if not pod.constraints.host_ports:
            continue
        if pod.node not in used:
            used[pod.node] = [p for one in facts.state(pod.node).pods for p in one.host_ports]
        for port in pod.constraints.host_ports:
            if any(_collide(port, other) for other in used[pod.node]):
                node = facts.snapshot.tree.nodes[pod.node]
                yield f"{pod.owner}: host port {port} of {pod.name} is taken on node {node}"
        used[pod.node] += pod.constraints.host_ports


def _collide(one: str, other: str) -> bool:
    mine, theirs = _PORT.fullmatch(one), _PORT.fullmatch(other)
    if mine is None or theirs is None:
        return one == other
    same = mine[2] == theirs[2]
    return same and (not mine[1] or not theirs[1] or mine[1] == theirs[1])
