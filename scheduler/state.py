"""The live picture of the cluster: watch events in, snapshots out. One of the two mutable objects.

An event costs the work of its own object, a snapshot the work of what changed since the last one: nodes
and gangs that did not change are shared. Nodes and the network are in ``scheduler.fleet``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scheduler.card_index import CardIndex
from scheduler.device_claims import KINDS as CLAIM_KINDS
from scheduler.device_claims import DeviceClaims
from scheduler.flavors import FlavorObject, read_flavor_object
from scheduler.fleet import CONFIG_MAP, NODE_TOPOLOGY, OF_THE_NETWORK, Fleet
from scheduler.foreign import KINDS as FOREIGN_KINDS
from scheduler.foreign import OPEN_MODEL, ForeignObjects, identity
from scheduler.fork import Forkable
from scheduler.gang_index import GangIndex
from scheduler.gangs.context import Context
from scheduler.gangs.llmaz import read_model
from scheduler.model import Gang, GangAssignment, Reason
from scheduler.node_states import node_state, running_pod
from scheduler.pods import Pod, read_pod
from scheduler.priorities import Priorities
from scheduler.residencies import Residencies
from scheduler.snapshot import NodeState, RunningPod, Snapshot
from topology.caches import KINDS as CACHE_KINDS
from topology.model import Problem
from topology.occupancy import CardList, card_list
from topology.sources.hierarchy import Hierarchy
from topology.sources.node_labels import PRESETS
from topology.untyped import mapping, strings, text

Object = Mapping[str, Any]


class ClusterState(Forkable):
    """Nodes, pods, gangs and what they refer to. Not thread-safe: one task owns it."""

    def __init__(
        self,
        presets: Sequence[Hierarchy] = PRESETS,
        *,
        rewrites: bool = False,
        compatibility: bool = False,
        schedulers: Collection[str] = (),
    ) -> None:
        """``presets``: node labels that are understood as levels; for the others see ``gangs``."""
        self.pods: dict[str, Pod] = {}
        """Pods that are not finished, by uid."""
        self.namespaces: dict[str, Mapping[str, str]] = {}
        """Labels of namespaces."""
        self.gang_objects: dict[str, Object] = {}
        """``Gang`` objects as they are, by ``namespace/name``."""
        self.generation = 0
        """Counts effective changes; ``Gang`` objects, which we write ourselves, do not count."""
        self.objects = ForeignObjects()
        """Owners of pods, models and PodGroups."""
        self._fleet = Fleet(presets)
        self._settings = Context(rewrites=rewrites, compatibility=compatibility)
        self._on_node: dict[str, dict[str, RunningPod]] = {}
        self._lists: dict[str, CardList] = {}
        self._states: dict[str, NodeState] = {}
        self._flavors: dict[str, FlavorObject] = {}
        self._cards = CardIndex()
        self._devices = DeviceClaims()
        self._priorities = Priorities()
        self._residencies = Residencies()
        self._uid_of: dict[tuple[str, str], str] = {}
        self._wrong: dict[str, tuple[Problem, ...]] = {}
        """What is wrong, by uid of a pod, or kind and name of a flavor or model."""
        self._gangs = GangIndex(schedulers)

    # -- events ----------------------------------------------------------------------------------

    def apply(self, kind: str, verb: str, obj: Object) -> None:
        """Take one object: ``verb`` is ADDED, MODIFIED or DELETED.

        Kinds that are not ours are ignored, and so are objects without a name.
        """
        take = {
            "Pod": self._take_pod,
            "Node": self._take_node,
            "Namespace": self._take_namespace,
            "Flavor": self._take_flavor,
            "PriorityClass": self._take_priority,
            "Gang": self._take_gang_object,
        }.get(kind)
        if kind in CACHE_KINDS and _name(obj):
            self.generation += self._residencies.take(kind, obj, verb == "DELETED")
        if take is not None and _name(obj):
            take(obj, verb == "DELETED")
        elif kind == CONFIG_MAP and (found := card_list(obj)) is not None:
            self._take_list(found[0], None if verb == "DELETED" else found[1])
        elif kind in OF_THE_NETWORK and _name(obj):
            self.generation += self._fleet.take(kind, obj, verb == "DELETED")
        elif kind in FOREIGN_KINDS and _name(obj):
            self._take_foreign(kind, obj, verb == "DELETED")
        elif kind in CLAIM_KINDS and _name(obj):
            self._take_devices(kind, obj, verb == "DELETED")

    def replace(self, kind: str, objects: Iterable[Object]) -> None:
        """Take all objects of a kind, after a relist: those that are not among them are gone."""
        objects = list(objects)
        kept = {identity(kind, obj) for obj in objects}
        for namespace, name in [known for known in self._known(kind) if known not in kept]:
            metadata: dict[str, Any] = {"namespace": namespace, "name": name}
            if kind == "Pod":
                metadata["uid"] = self._uid_of[namespace, name]
            self.apply(kind, "DELETED", {"metadata": metadata})
        for obj in objects:
            self.apply(kind, "MODIFIED", obj)

    def _known(self, kind: str) -> list[tuple[str, str]]:
        """(namespace, name) of the objects of a kind; the namespace is empty where there is none."""
        if kind == "Pod":
            return list(self._uid_of)
        if kind == "Gang":
            return [(key.partition("/")[0], key.partition("/")[2]) for key in self.gang_objects]
        if kind in FOREIGN_KINDS:
            return self.objects.names(kind)
        if kind == "Node" or kind in OF_THE_NETWORK:
            return self._fleet.known(kind)
        if kind in CACHE_KINDS:
            return self._residencies.names(kind)
        if kind in CLAIM_KINDS:
            return self._devices.names(kind)
        names: Iterable[str] = {
            "Namespace": self.namespaces.keys(),
            "Flavor": self._flavors.keys(),
            "PriorityClass": self._priorities.names,
        }.get(kind, ())
        return [("", name) for name in names]

    def _take_pod(self, obj: Object, deleted: bool) -> None:
        pod = read_pod(obj)
        stored = self._uid_of.get((pod.namespace, pod.name))
        if deleted or pod.finished:
            if known := pod.uid in self.pods:
                self._drop_pod(self.pods[pod.uid])
            done = not deleted and pod.succeeded
            changed = self._gangs.finish(pod) if done else self._gangs.forget(pod)
            self.generation += known or changed
            return
        pod = self._valued(pod)
        if pod == self.pods.get(pod.uid):
            return
        if stored is not None:  # maybe of another uid: that pod was deleted, and we did not see it
            self._drop_pod(self.pods[stored])
        self._add_pod(pod)
        self.generation += 1

    def _valued(self, pod: Pod) -> Pod:
        """The pod with the value of its PriorityClass and the cards of its claims."""
        pod = self._devices.pod(pod)
        if pod.priority_class is None:
            return pod
        return replace(pod, priority=self._priorities.value(pod.priority_class))

    def _add_pod(self, pod: Pod) -> None:
        self.pods[pod.uid] = pod
        self._uid_of[pod.namespace, pod.name] = pod.uid
        self._note(pod.uid, pod.problems)
        if pod.node is not None:
            self._on_node.setdefault(pod.node, {})[pod.uid] = running_pod(pod, self.namespaces)
            self._states.pop(pod.node, None)
        for level in self._gangs.add(pod, self.namespaces, self.objects):
            # Only a level that no hierarchy names exists by being asked for.
            if self._fleet.hierarchies.resolve(level) is None:
                self._fleet.place_anew()

    def _drop_pod(self, pod: Pod) -> None:
        del self.pods[pod.uid], self._uid_of[pod.namespace, pod.name]
        self._wrong.pop(pod.uid, None)
        if pod.node is not None:
            del self._on_node[pod.node][pod.uid]
            if not self._on_node[pod.node]:
                del self._on_node[pod.node]
            self._states.pop(pod.node, None)
        for _ in self._gangs.drop(pod):
            if self._fleet.hierarchies.extra:
                self._fleet.place_anew()

    def _read_pods_again(self, pods: Iterable[Pod]) -> None:
        """Something that pods refer to has changed."""
        for pod in list(pods):
            self._drop_pod(pod)
            self._add_pod(self._valued(pod))

    def _take_node(self, obj: Object, deleted: bool) -> None:
        self.generation += self._fleet.take_node(self._devices.node(obj, deleted), deleted)

    def _take_devices(self, kind: str, obj: Object, deleted: bool) -> None:
        found = self._devices.take(kind, obj, deleted)
        if found is not None:
            for node in found[0]:
                self._take_node(node, deleted=False)
            if found[1]:
                pods = self.pods.values()
                self._read_pods_again(pod for pod in pods if pod.claims or pod.node is None)
            self.generation += 1

    def _note(self, subject: str, problems: tuple[Problem, ...]) -> None:
        self._wrong.pop(subject, None)
        if problems:
            self._wrong[subject] = problems

    def _take_namespace(self, obj: Object, deleted: bool) -> None:
        name, labels = _name(obj), strings(mapping(obj.get("metadata")).get("labels"))
        if deleted:
            self.namespaces.pop(name, None)
        elif self.namespaces.get(name) != labels:
            self.namespaces[name] = labels
        else:
            return
        # Whether its pods are ours may have changed, and whose namespace selectors take it.
        self._read_pods_again(
            pod for pod in self.pods.values() if pod.namespace_selectors or pod.namespace == name
        )
        self.generation += 1

    def _take_flavor(self, obj: Object, deleted: bool) -> None:
        name = _name(obj)
        flavor = None if deleted else read_flavor_object(obj)
        if flavor == self._flavors.get(name):
            return
        if flavor is None:
            del self._flavors[name]
        else:
            self._flavors[name] = flavor
        self._note(f"Flavor {name}", flavor.problems(name) if flavor else ())
        self._gangs.mark_all()
        self.generation += 1

    def _take_foreign(self, kind: str, obj: Object, deleted: bool) -> None:
        if self.objects.take(kind, obj, deleted):
            if kind == OPEN_MODEL:
                self._note(f"OpenModel {_name(obj)}", () if deleted else read_model(obj).problems)
            namespace = text(mapping(obj.get("metadata")).get("namespace")) or "default"
            self._read_pods_again(self._gangs.looking_at(kind, namespace, obj))
            self.generation += 1

    def _take_priority(self, obj: Object, deleted: bool) -> None:
        """PriorityClasses matter for manifests only: the API server resolves the priority of its pods."""
        if self._priorities.take(_name(obj), obj, deleted):
            self._read_pods_again(p for p in self.pods.values() if p.priority_class is not None)
            self.generation += 1

    def _take_list(self, node: str, listed: CardList | None) -> None:
        """What a plugin lists of the cards of its node."""
        if listed != self._lists.get(node):
            self._lists.pop(node, None)
            self._lists |= {node: listed} if listed is not None else {}
            self._states.pop(node, None)
            self.generation += 1

    def _take_gang_object(self, obj: Object, deleted: bool) -> None:
        key = f"{text(mapping(obj.get('metadata')).get('namespace'))}/{_name(obj)}"
        if deleted:
            self.gang_objects.pop(key, None)
        else:
            self.gang_objects[key] = obj

    # -- views -----------------------------------------------------------------------------------

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        """The present state of every node, by name."""
        self._refresh()
        return self._states

    def gang_of(self, uid: str) -> str | None:
        """``namespace/name`` of the gang that the pod belongs to."""
        return self._gangs.key_of(uid)

    def gang(self, key: str) -> Gang | None:
        """The gang ``namespace/name`` as it is now; None when it has no members."""
        self._refresh()
        return self._gangs.gang(key)

    def imagined(self, pod: Pod) -> Gang | None:
        """The gang that a pod would belong to if it existed, with it; None for a plain pod."""
        self._refresh()
        return self._gangs.imagined(pod, self._context())

    def gangs(self) -> tuple[Gang, ...]:
        """All gangs, in the order of namespace and name."""
        self._refresh()
        return self._gangs.sorted

    def hosts(self) -> Iterator[Object]:
        """Nodes as documents about the network know them, with what these say of labels and capacity."""
        return self._fleet.hosts()

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels of the fleet, outermost first."""
        self._refresh()
        return self._fleet.tree.levels

    @property
    def reported(self) -> int:
        """Nodes of which a scanner has reported."""
        return len(self._fleet.known(NODE_TOPOLOGY))

    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with nodes, topologies, flavors and pods."""
        self._refresh()
        fleet = self._fleet.problems()
        others = {p for found in self._wrong.values() for p in found}
        others.update(self._residencies.problems())
        return tuple(sorted({*fleet, *others}, key=str)) if others else fleet

    def snapshot(
        self,
        reservations: Sequence[GangAssignment] = (),
        excluded: Mapping[str, tuple[str, ...]] = {},
        given_up: Mapping[str, Reason] = {},
        now_seconds: int = 0,
    ) -> Snapshot:
        """The picture at ``now_seconds`` since the epoch (see ``Snapshot.taken_seconds``).

        ``reservations`` are what the ledger holds; slots whose pod runs already are dropped, since the pod
        itself counts. ``excluded`` gives nodes to avoid, and ``given_up`` why it is not planned, by gang key.
        """
        self._refresh()
        states, tree = self._states, self._fleet.tree
        gangs = self._gangs.sorted
        if excluded or given_up:
            gangs = tuple(
                replace(
                    gang,
                    excluded_nodes=excluded.get(gang.key, ()),
                    blocked=given_up.get(gang.key, gang.blocked),
                )
                for gang in gangs
            )
        return Snapshot(
            levels=tree.levels,
            nodes=tuple(states[name] for name in tree.nodes),
            tree=tree,
            fabrics=self._fleet.fabrics(),
            gangs=gangs,
            reservations=tuple(
                replace(assignment, slots=slots)
                for assignment in reservations
                if (slots := tuple(s for s in assignment.slots if not self._runs(s.uid)))
            ),
            namespaces=dict(sorted(self.namespaces.items())),
            residency=self._residencies.of(gangs),
            taken_seconds=now_seconds,
            problems=self.problems(),
            generation=self.generation,
        )

    def _runs(self, uid: str) -> bool:
        pod = self.pods.get(uid)
        return pod is not None and pod.node is not None

    # -- keeping derived values current ----------------------------------------------------------

    def _refresh(self) -> None:
        changes = self._fleet.refresh(self._gangs.asked)
        nodes = self._fleet.nodes
        for name in changes.nodes:
            self._states.pop(name, None)
            self._cards.take(name, nodes.get(name))
        for name in nodes.keys() - self._states.keys():
            here = self._on_node.get(name, {}).values()
            self._states[name] = node_state(nodes[name], here, self._lists.get(name))
        kinds = self._cards.kinds
        if changes.levels or kinds != self._settings.kinds:
            self._settings = replace(self._settings, kinds=kinds)
            self._gangs.mark_all()
        if self._gangs.stale:
            self._gangs.read(self._context())

    def _context(self) -> Context:
        return replace(
            self._settings,
            flavors=self._flavors,
            levels=self._fleet.hierarchies.levels,
            resolve=self._fleet.hierarchies.resolve,
            namespaces=self.namespaces,
            objects=self.objects,
        )


def _name(obj: Object) -> str:
    return text(mapping(obj.get("metadata")).get("name"))
