"""Rules about other pods: affinity, anti-affinity, topology spread and host ports.

What running pods (and the pods of reservations) already decide becomes an excluded node; what depends on
where other new members go becomes an ``Apart``, ``Near`` or ``Skew`` rule of the problem. A ``topologyKey``
is a node label: nodes with equal values are one zone, whatever the topology tree says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.match import BoolArray, Cause, CauseArray, Fleet, covers, ports_clash, selects
from scheduler.model import Gang, PodSet, PodTerm
from scheduler.snapshot import Snapshot
from scheduler.solve.problem import Apart, Near, Skew
from scheduler.solve.variants import as_on


@dataclass(frozen=True, slots=True)
class Standing:
    """A pod that other pods must respect: it runs on a node, or a reservation holds its place."""

    node: int
    namespace: str
    labels: Mapping[str, str]
    anti_affinity: tuple[PodTerm, ...]
    host_ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A role that is to be planned: its namespace, its PodSet and whose it is."""

    namespace: str
    podset: PodSet
    gang: int
    """Index of its gang, and of the form of the gang that it belongs to."""
    form: int

    @property
    def demanding(self) -> bool:
        """Whether its own spec has a rule about other pods."""
        c = self.podset.constraints
        return bool(c.affinity or c.anti_affinity or c.spread or c.host_ports)

    def meets(self, other: Newcomer) -> bool:
        """Whether both can be there at once: two forms of one gang cannot."""
        return self.gang != other.gang or self.form == other.form


def standing_pods(
    snapshot: Snapshot, fleet: Fleet, newcomers: Sequence[Newcomer]
) -> list[Standing]:
    """The pods that can matter: all of them when a newcomer has rules, else those with rules."""
    everyone = any(newcomer.demanding for newcomer in newcomers)
    found = [
        Standing(index, pod.namespace, pod.labels, pod.anti_affinity, pod.host_ports)
        for index, state in enumerate(snapshot.nodes)
        for pod in state.pods
        if everyone or pod.anti_affinity
    ]
    gangs: dict[str, Gang] = {}
    if snapshot.reservations:
        gangs = {gang.key: gang for gang in snapshot.gangs}
    for assignment in snapshot.reservations:
        gang = gangs.get(assignment.key)
        sets = as_on(gang, assignment.flavor).podsets if gang else ()
        podsets = {podset.role: podset for podset in sets}
        for slot in assignment.slots:
            node, podset = fleet.index(slot.node), podsets.get(slot.role)
            if node is not None and podset is not None:
                c = podset.constraints
                found.append(
                    Standing(
                        node, assignment.namespace, podset.labels, c.anti_affinity, c.host_ports
                    )
                )
    return found


def exclude(newcomer: Newcomer, pods: Sequence[Standing], fleet: Fleet, causes: CauseArray) -> None:
    """Enter into ``causes`` (shape (nodes,)) the nodes that standing pods deny to ``newcomer``."""
    c = newcomer.podset.constraints
    mark(causes, Cause.PORTS, _port_nodes(c.host_ports, pods, len(fleet)))
    for term in c.affinity:
        mark(causes, Cause.POD_AFFINITY, fleet.zones(term.topology_key) < 0)
    mark(causes, Cause.POD_ANTI_AFFINITY, _repelled(newcomer, pods, fleet))
    for spread in c.spread:
        mark(causes, Cause.SPREAD, fleet.zones(spread.topology_key) < 0)


def mark(causes: CauseArray, why: Cause, excluded: BoolArray) -> None:
    """Enter ``why`` for the nodes that nothing has excluded yet."""
    causes[(causes == 0) & excluded] = why


def _port_nodes(ports: tuple[str, ...], pods: Sequence[Standing], nodes: int) -> BoolArray:
    taken = np.zeros(nodes, dtype=bool)
    if ports:
        for pod in pods:
            if pod.host_ports and ports_clash(ports, pod.host_ports):
                taken[pod.node] = True
    return taken


def _repelled(newcomer: Newcomer, pods: Sequence[Standing], fleet: Fleet) -> BoolArray:
    """Zones of pods that the newcomer avoids, and of pods that avoid the newcomer."""
    hits: dict[str, set[int]] = {}
    for pod in pods:
        for term in newcomer.podset.constraints.anti_affinity:
            if covers(term, pod.namespace, pod.labels):
                hits.setdefault(term.topology_key, set()).add(pod.node)
        for term in pod.anti_affinity:
            if covers(term, newcomer.namespace, newcomer.podset.labels):
                hits.setdefault(term.topology_key, set()).add(pod.node)
    repelled = np.zeros(len(fleet), dtype=bool)
    for key, nodes in hits.items():
        zones = fleet.zones(key)
        repelled |= np.isin(zones, zones[sorted(nodes)]) & (zones >= 0)
    return repelled


def apart_rules(newcomers: Sequence[Newcomer], fleet: Fleet) -> tuple[Apart, ...]:
    """Pairs of planned roles that may not share a zone or a node."""
    rules: list[Apart] = []
    demanding = [i for i, newcomer in enumerate(newcomers) if newcomer.demanding]
    seen: set[tuple[int, int, str]] = set()
    for left in demanding:
        for right, other in enumerate(newcomers):
            if not newcomers[left].meets(other):
                continue
            pair = (min(left, right), max(left, right))
            keys = {
                term.topology_key
                for term in newcomers[left].podset.constraints.anti_affinity
                if covers(term, other.namespace, other.podset.labels)
            }
            for key in sorted(keys):
                if (*pair, key) not in seen:
                    seen.add((*pair, key))
                    rules.append(Apart(left=pair[0], right=pair[1], zones=fleet.zones(key)))
            ports = newcomers[left].podset.constraints.host_ports
            clash = ports_clash(ports, other.podset.constraints.host_ports)
            if clash and (*pair, "") not in seen:
                seen.add((*pair, ""))
                rules.append(Apart(left=pair[0], right=pair[1], zones=np.arange(len(fleet))))
    return tuple(rules)


def near_rules(
    newcomers: Sequence[Newcomer], pods: Sequence[Standing], fleet: Fleet
) -> tuple[Near, ...]:
    """The affinity rules. As in InterPodAffinity, only pods that meet *all* terms of a pod count."""
    rules: list[Near] = []
    for number, newcomer in enumerate(newcomers):
        terms = newcomer.podset.constraints.affinity
        if not terms:
            continue
        here = [pod.node for pod in pods if _meets(terms, pod.namespace, pod.labels)]
        matching = [
            i
            for i, other in enumerate(newcomers)
            if _met_by(terms, other) and newcomer.meets(other)
        ]
        zones_of = [fleet.zones(term.topology_key) for term in terms]
        alone = number in matching and not any((zones[here] >= 0).any() for zones in zones_of)
        if alone:
            # Mates that want to be near each other settle in one zone; who comes first is open.
            helpers = [
                i for i in matching if _met_by(newcomers[i].podset.constraints.affinity, newcomer)
            ]
        else:
            # A helper that itself waits for company could wait for us: only independent ones count.
            helpers = [i for i in matching if not newcomers[i].podset.constraints.affinity]
        for zones in zones_of:
            ok = np.zeros(int(zones.max(initial=-1)) + 1, dtype=bool)
            ok[[zone for zone in zones[here].tolist() if zone >= 0]] = True
            mates = tuple(i for i in helpers if i != number)
            rules.append(Near(role=number, zones=zones, ok=ok, helpers=mates, alone=alone))
    return tuple(rules)


def _meets(terms: Iterable[PodTerm], namespace: str, labels: Mapping[str, str]) -> bool:
    return all(covers(term, namespace, labels) for term in terms)


def _met_by(terms: tuple[PodTerm, ...], other: Newcomer) -> bool:
    return bool(terms) and _meets(terms, other.namespace, other.podset.labels)


def skew_rules(
    newcomers: Sequence[Newcomer], pods: Sequence[Standing], fleet: Fleet
) -> tuple[Skew, ...]:
    """Topology spread: zones are those of nodes that the pod's selector and node affinity take and that
    have all its spread keys; taints do not matter (``nodeTaintsPolicy: Ignore``)."""
    rules: list[Skew] = []
    for number, newcomer in enumerate(newcomers):
        c = newcomer.podset.constraints
        if not c.spread:
            continue
        eligible = fleet.labelled(c.node_selector) & fleet.affine(c.node_affinity)
        for term in c.spread:
            eligible &= fleet.zones(term.topology_key) >= 0
        for term in c.spread:
            zones = fleet.zones(term.topology_key)
            base = np.zeros(int(zones.max(initial=-1)) + 1, dtype=np.int64)
            for pod in pods:
                same = eligible[pod.node] and pod.namespace == newcomer.namespace
                if same and selects(term.selector, pod.labels):
                    base[zones[pod.node]] += 1
            domains = tuple(int(zone) for zone in np.unique(zones[eligible]))
            counted = tuple(
                i
                for i, other in enumerate(newcomers)
                if other.namespace == newcomer.namespace
                and newcomer.meets(other)
                and selects(term.selector, other.podset.labels)
            )
            rules.append(
                Skew(
                    role=number,
                    zones=zones,
                    base=base,
                    domains=domains if len(domains) >= term.min_domains else (),
                    counted=counted,
                    limit=term.max_skew,
                )
            )
    return tuple(rules)
