"""The live picture of the cluster: watch events in, snapshots out. One of the two mutable objects.

An event costs the work of its own object, a snapshot the work of what changed since the last one: nodes
and gangs that did not change are shared. The tree is rebuilt only when nodes, their labels or the
topology objects change.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scheduler.flavors import FlavorObject, read_flavor_object
from scheduler.gangs import GangSource, claim
from scheduler.gangs.context import Context
from scheduler.model import Constraints, Gang, GangAssignment
from scheduler.pods import Pod, read_pod
from scheduler.snapshot import NodeState, RunningPod, Snapshot
from topology.model import Node, Problem
from topology.nodes import read_node
from topology.resources import Resources
from topology.sources import Hierarchies
from topology.tree import TopologyTree
from topology.untyped import mapping, strings, text

Object = Mapping[str, Any]

_NOTHING = Constraints()


class ClusterState:
    """Nodes, pods, gangs and what they refer to. Not thread-safe: one task owns it."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        """Pods that are not finished, by uid."""
        self.namespaces: dict[str, Mapping[str, str]] = {}
        """Labels of namespaces."""
        self.gang_objects: dict[str, Object] = {}
        """``Gang`` objects as they are, by ``namespace/name``."""
        self.generation = 0
        """Counts effective changes; ``Gang`` objects, which we write ourselves, do not count."""
        self._nodes: dict[str, Node] = {}
        self._on_node: dict[str, dict[str, RunningPod]] = {}
        self._states: dict[str, NodeState] = {}
        self._topologies: dict[str, Object] = {}
        self._flavors: dict[str, FlavorObject] = {}
        self._priorities: dict[str, int] = {}
        self._members: dict[str, dict[str, tuple[GangSource, Pod]]] = {}
        self._gang_of: dict[str, str] = {}
        self._gangs: dict[str, Gang] = {}
        self._asked: Counter[str] = Counter()
        self._hierarchies = Hierarchies()
        self._tree = TopologyTree.build((), ())
        self._tree_stale = True
        self._gangs_stale: set[str] | None = None
        """Keys to read again; None means all."""

    # -- events ----------------------------------------------------------------------------------

    def apply(self, kind: str, verb: str, obj: Object) -> None:
        """Take one object: ``verb`` is ADDED, MODIFIED or DELETED. Kinds that are not ours are ignored."""
        take = {
            "Pod": self._take_pod,
            "Node": self._take_node,
            "Namespace": self._take_namespace,
            "Flavor": self._take_flavor,
            "Topology": self._take_topology,
            "PriorityClass": self._take_priority,
            "Gang": self._take_gang_object,
        }.get(kind)
        if take is not None:
            take(obj, verb == "DELETED")

    def _take_pod(self, obj: Object, deleted: bool) -> None:
        pod = read_pod(obj, self._priorities)
        before = self.pods.get(pod.uid)
        ours = claim(pod, self.namespaces)
        if deleted or pod.finished:
            if before is not None:
                self._drop_pod(before)
                self.generation += 1
            return
        if ours is None and pod.node is not None:
            # A plain pod that runs: only what it takes and whom it keeps away is of interest.
            few = replace(
                _NOTHING,
                anti_affinity=pod.constraints.anti_affinity,
                host_ports=pod.constraints.host_ports,
            )
            pod = replace(pod, constraints=few if few != _NOTHING else _NOTHING)
        if pod == before:
            return
        if before is not None:
            self._drop_pod(before)
        self._add_pod(pod, ours)
        self.generation += 1

    def _add_pod(self, pod: Pod, ours: tuple[GangSource, str] | None) -> None:
        self.pods[pod.uid] = pod
        if pod.node is not None:
            self._on_node.setdefault(pod.node, {})[pod.uid] = RunningPod(
                namespace=pod.namespace,
                name=pod.name,
                uid=pod.uid,
                request=pod.request,
                priority=pod.priority,
                labels=pod.labels,
                anti_affinity=pod.constraints.anti_affinity,
                host_ports=pod.constraints.host_ports,
            )
            self._states.pop(pod.node, None)
        if ours is not None:
            source, name = ours
            key = f"{pod.namespace}/{name}"
            self._gang_of[pod.uid] = key
            self._members.setdefault(key, {})[pod.uid] = (source, pod)
            self._ask(source, pod, 1)
            self._mark_gang(key)

    def _drop_pod(self, pod: Pod) -> None:
        del self.pods[pod.uid]
        if pod.node is not None:
            self._on_node[pod.node].pop(pod.uid, None)
            self._states.pop(pod.node, None)
        key = self._gang_of.pop(pod.uid, None)
        if key is not None:
            source, _ = self._members[key].pop(pod.uid)
            self._ask(source, pod, -1)
            if not self._members[key]:
                del self._members[key]
            self._mark_gang(key)

    def _ask(self, source: GangSource, pod: Pod, sign: int) -> None:
        for name in source.levels(pod):
            known = self._asked[name] > 0
            self._asked[name] += sign
            if known != (self._asked[name] > 0):
                self._tree_stale = True

    def _mark_gang(self, key: str) -> None:
        if self._gangs_stale is not None:
            self._gangs_stale.add(key)

    def _take_node(self, obj: Object, deleted: bool) -> None:
        node = read_node(obj, self._hierarchies)
        before = self._nodes.get(node.name)
        if deleted:
            if self._nodes.pop(node.name, None) is None:
                return
            self._tree_stale = True
        elif node == before:
            return
        else:
            self._nodes[node.name] = node
            self._tree_stale |= before is None or before.labels != node.labels
        self._states.pop(node.name, None)
        self.generation += 1

    def _take_namespace(self, obj: Object, deleted: bool) -> None:
        metadata = mapping(obj.get("metadata"))
        name, labels = text(metadata.get("name")), strings(metadata.get("labels"))
        if deleted:
            self.namespaces.pop(name, None)
        elif self.namespaces.get(name) != labels:
            self.namespaces[name] = labels
        else:
            return
        # Whether its pods are ours may have changed.
        for pod in [pod for pod in self.pods.values() if pod.namespace == name]:
            self._drop_pod(pod)
            self._add_pod(pod, claim(pod, self.namespaces))
        self.generation += 1

    def _take_flavor(self, obj: Object, deleted: bool) -> None:
        name = _name(obj)
        if deleted:
            self._flavors.pop(name, None)
        else:
            self._flavors[name] = read_flavor_object(obj)
        self._gangs_stale = None
        self.generation += 1

    def _take_topology(self, obj: Object, deleted: bool) -> None:
        if deleted:
            self._topologies.pop(_name(obj), None)
        else:
            self._topologies[_name(obj)] = obj
        self._tree_stale = True
        self.generation += 1

    def _take_priority(self, obj: Object, deleted: bool) -> None:
        """PriorityClasses matter for manifests only: the API server resolves the priority of its pods."""
        value = obj.get("value")
        names = [_name(obj), ""] if obj.get("globalDefault") is True else [_name(obj)]
        for name in names:
            self._priorities.pop(name, None)
            if not deleted and isinstance(value, int):
                self._priorities[name] = value

    def _take_gang_object(self, obj: Object, deleted: bool) -> None:
        key = f"{text(mapping(obj.get('metadata')).get('namespace'))}/{_name(obj)}"
        if deleted:
            self.gang_objects.pop(key, None)
        else:
            self.gang_objects[key] = obj

    def fork(self) -> ClusterState:
        """A copy that can be changed without changing this one; the values in it are shared."""
        copied = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (dict, set)):
                setattr(copied, name, copy.copy(value))
        copied._on_node = {node: dict(pods) for node, pods in self._on_node.items()}
        copied._members = {gang: dict(pods) for gang, pods in self._members.items()}
        return copied

    # -- views -----------------------------------------------------------------------------------

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        """The present state of every node, by name."""
        self._refresh()
        return self._states

    def gang_of(self, uid: str) -> str | None:
        """``namespace/name`` of the gang that the pod is a member of."""
        return self._gang_of.get(uid)

    def gang(self, key: str) -> Gang | None:
        """The gang ``namespace/name`` as it is now; None when it has no members."""
        self._refresh()
        return self._gangs.get(key)

    def gangs(self) -> tuple[Gang, ...]:
        """All gangs, in the order of namespace and name."""
        self._refresh()
        return tuple(
            sorted(self._gangs.values(), key=lambda gang: (gang.namespace, gang.name))
        )

    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with nodes, topologies, flavors and members of gangs."""
        self._refresh()
        found = list(self._hierarchies.problems)
        for name in sorted(self._nodes):
            found.extend(self._nodes[name].problems)
        for name, flavor in sorted(self._flavors.items()):
            if flavor.flavor is None:
                found.append(Problem(subject=f"Flavor {name}", field="spec", message=flavor.error))
        for key in sorted(self._members):
            for _, pod in self._members[key].values():
                found.extend(pod.problems)
        return tuple(found)

    def snapshot(
        self,
        reservations: Sequence[GangAssignment] = (),
        excluded: Mapping[str, tuple[str, ...]] = {},
    ) -> Snapshot:
        """The picture now.

        ``reservations`` are what the ledger holds; slots whose pod runs already are dropped, since the pod
        itself counts. ``excluded`` gives nodes to avoid by gang key.
        """
        self._refresh()
        states = self._states
        gangs = self.gangs()
        if excluded:
            gangs = tuple(
                replace(gang, excluded_nodes=excluded[gang.key]) if gang.key in excluded else gang
                for gang in gangs
            )
        return Snapshot(
            levels=self._tree.levels,
            nodes=tuple(states[name] for name in self._tree.nodes),
            tree=self._tree,
            gangs=gangs,
            reservations=tuple(
                replace(assignment, slots=slots)
                for assignment in reservations
                if (slots := tuple(s for s in assignment.slots if not self._runs(s.uid)))
            ),
            namespaces=dict(self.namespaces),
            problems=self.problems(),
            generation=self.generation,
        )

    def _runs(self, uid: str) -> bool:
        pod = self.pods.get(uid)
        return pod is not None and pod.node is not None

    # -- keeping derived values current ----------------------------------------------------------

    def _refresh(self) -> None:
        if self._tree_stale:
            self._rebuild_tree()
        for name in self._nodes.keys() - self._states.keys():
            self._states[name] = self._state(self._nodes[name])
        if self._gangs_stale is None or self._gangs_stale:
            self._read_gangs()

    def _rebuild_tree(self) -> None:
        labels = [node.labels for node in self._nodes.values()]
        asked = [name for name, count in self._asked.items() if count > 0]
        self._hierarchies = Hierarchies.build(labels, self._topologies.values(), asked)
        for name, node in self._nodes.items():
            path = self._hierarchies.path(node.labels)
            if path != node.path:
                self._nodes[name] = replace(node, path=path)
                self._states.pop(name, None)
        for name in self._states.keys() - self._nodes.keys():
            del self._states[name]
        self._tree = TopologyTree.build(self._nodes.values(), self._hierarchies.levels)
        self._tree_stale = False
        self._gangs_stale = None

    def _state(self, node: Node) -> NodeState:
        pods = sorted(
            self._on_node.get(node.name, {}).values(), key=lambda pod: (pod.namespace, pod.name)
        )
        used = Resources.sum(pod.request for pod in pods)
        return NodeState(node=node, free=node.allocatable - used, pods=tuple(pods))

    def _read_gangs(self) -> None:
        if self._gangs_stale is None:
            self._gangs.clear()
            stale = set(self._members)
        else:
            stale = self._gangs_stale
        context = Context(
            flavors=self._flavors,
            levels=self._hierarchies.levels,
            resolve=self._hierarchies.resolve,
        )
        for key in stale:
            members = self._members.get(key, {}).values()
            pods = [pod for _, pod in members if not pod.terminating]
            if not pods:
                self._gangs.pop(key, None)
                continue
            source = next(source for source, _ in members)
            namespace, _, name = key.partition("/")
            self._gangs[key] = source.read(namespace, name, pods, context)
        self._gangs_stale = set()


def _name(obj: Object) -> str:
    return text(mapping(obj.get("metadata")).get("name"))
