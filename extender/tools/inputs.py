"""From manifests to a snapshot: what ``muster serve`` learns by watching, read from files."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extender.tools.documents import InputError, read_objects
from scheduler import keys, snapshot_json
from scheduler.device_claims import KINDS as CLAIM_KINDS
from scheduler.flavors import read_flavor_object
from scheduler.fleet import CONFIG_MAP, HYPER_NODE, KAI_TOPOLOGY, TOPOLOGY
from scheduler.foreign import KINDS as FOREIGN_KINDS
from scheduler.gangs import owners
from scheduler.ledger import Ledger
from scheduler.model import GangAssignment
from scheduler.policy import Policy
from scheduler.recovery import restored
from scheduler.snapshot import Snapshot
from scheduler.state import ClusterState
from topology.caches import KINDS as CACHE_KINDS
from topology.keys import KAI_TOPOLOGY_GROUP, KUEUE_GROUP, VOLCANO_TOPOLOGY_GROUP
from topology.model import Flavor, Problem

Object = Mapping[str, Any]

READ_KINDS: Mapping[tuple[str, str], str] = {
    ("", "Node"): "Node",
    ("", "Namespace"): "Namespace",
    ("", "Pod"): "Pod",
    ("scheduling.k8s.io", "PriorityClass"): "PriorityClass",
    ("", CONFIG_MAP): CONFIG_MAP,
    (KUEUE_GROUP, TOPOLOGY): TOPOLOGY,
    (KAI_TOPOLOGY_GROUP, TOPOLOGY): KAI_TOPOLOGY,
    (VOLCANO_TOPOLOGY_GROUP, HYPER_NODE): HYPER_NODE,
    (keys.GROUP, "Flavor"): "Flavor",
    (keys.GROUP, "Gang"): "Gang",
    (keys.GROUP, "NodeTopology"): "NodeTopology",
    **{
        (name.partition(".")[2], name.partition(".")[0]): name
        for name in (*FOREIGN_KINDS, *CACHE_KINDS, *CLAIM_KINDS)
        if "." in name
    },
}
"""(API group, kind) -> the name under which ``ClusterState`` knows it."""

_DEFAULT = Policy()
_WEBHOOKS = ("admissionregistration.k8s.io", "MutatingWebhookConfiguration")
_KNOWN = frozenset({*READ_KINDS, *owners.KINDS, _WEBHOOKS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the input says."""

    snapshot: Snapshot
    policy: Policy = _DEFAULT
    problems: tuple[Problem, ...] = ()
    """What was wrong with owners; problems of nodes and other objects are in the snapshot."""
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Kinds that mean nothing to the planner -> how many of them were given."""
    flavors: tuple[Flavor, ...] = ()
    """The ``Flavor`` objects that can be read, by name."""
    gang_objects: Mapping[str, Object] = field(default_factory=dict)
    """``Gang`` objects of the input by ``namespace/name`` of the gang."""


def add_files(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The option ``-f``, the same in every command."""
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        default=[],
        required=required,
        metavar="FILE",
        help="Kubernetes manifests, YAML or JSON; - is standard input; may be repeated",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say what was ignored")


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """The options that say which cluster is meant when no file is given."""
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="default: $KUBECONFIG, ~/.kube/config",
    )
    parser.add_argument("--context", help="context of the kubeconfig")


def load_or_ask(args: argparse.Namespace) -> Inputs:
    """The files of ``-f``, or the cluster when there are none. Raises ``InputError``."""
    if args.filename:
        return load(args.filename)
    from extender.tools import live

    return understand(live.objects(args))


def load(paths: Sequence[str]) -> Inputs:
    """Read ``paths`` and take the snapshot. Raises ``InputError``."""
    return understand(read_objects(paths))


def understand(objects: Sequence[Object], base: ClusterState | None = None) -> Inputs:
    """The snapshot of ``objects``, or the one that a ``Snapshot`` document among them holds.

    ``base`` is a state that the objects are added to; it is changed.
    """
    snapshots = [obj for obj in objects if owners.kind_of(obj) == (keys.GROUP, "Snapshot")]
    if snapshots:
        if len(objects) > 1:
            raise InputError("a Snapshot is planned by itself: give no other objects with it")
        try:
            snapshot, policy = snapshot_json.load(snapshots[0])
        except snapshot_json.SnapshotError as error:
            raise InputError(f"the Snapshot cannot be read: {error}") from None
        return Inputs(snapshot=snapshot, policy=policy)
    state = ClusterState(rewrites=_has_webhook(objects)) if base is None else base
    problems = _add(state, objects)
    ignored = Counter(str(obj["kind"]) for obj in objects if owners.kind_of(obj) not in _KNOWN)
    return Inputs(
        snapshot=state.snapshot(kept_reservations(state), now_seconds=int(time.time())),
        problems=problems,
        ignored=dict(sorted(ignored.items())),
        flavors=tuple(sorted(_flavors(objects), key=lambda flavor: flavor.name)),
        gang_objects=state.gang_objects,
    )


def _has_webhook(objects: Sequence[Object]) -> bool:
    """Whether Muster's webhook is among them: then pods are written for the flavor that their gang gets."""
    return any(
        owners.kind_of(obj) == _WEBHOOKS and owners.identity(obj)[1] == keys.WEBHOOK
        for obj in objects
    )


def _flavors(objects: Sequence[Object]) -> Iterator[Flavor]:
    for obj in objects:
        if owners.kind_of(obj) == (keys.GROUP, "Flavor"):
            flavor = read_flavor_object(obj).flavor
            if flavor is not None:
                yield flavor


def _add(state: ClusterState, objects: Sequence[Object]) -> tuple[Problem, ...]:
    """Put ``objects`` into ``state``, with the pods that their owners are going to make."""
    expansion = owners.expand(objects)
    for obj in (*objects, *expansion.objects):
        kind = READ_KINDS.get(owners.kind_of(obj))
        if kind is not None and kind != "Pod":
            state.apply(kind, "ADDED", obj)
    if all(owners.kind_of(obj) != ("", "Node") for obj in objects):
        # A fabric map or a report alone: its hosts are the fleet.
        for host in state.hosts():
            state.apply("Node", "ADDED", host)
    for pod in _distinct(state, expansion.pods):
        state.apply("Pod", "ADDED", pod)
    return expansion.problems


def _distinct(state: ClusterState, pods: Sequence[Object]) -> Iterator[Object]:
    """``pods`` without manifests of pods that a dump or ``state`` shows as they really are, and without
    workers to come of a leader that is real: its gang knows of them."""
    real = {(pod.namespace, pod.name) for pod in state.pods.values()}
    real |= {owners.identity(pod) for pod in pods if _uid(pod)}
    return (pod for pod in pods if _uid(pod) or real.isdisjoint(owners.stands_for(pod)))


def _uid(pod: Object) -> object:
    metadata = pod.get("metadata")
    return metadata.get("uid") if isinstance(metadata, Mapping) else None


def kept_reservations(state: ClusterState) -> tuple[GangAssignment, ...]:
    """What the Gang objects reserve: a Muster that starts on this cluster keeps exactly these."""
    gangs = {gang.key for gang in state.gangs()}
    ledger = Ledger()
    for obj in state.gang_objects.values():
        reservation = restored(obj, state.pods, 0)
        if reservation is not None and reservation.key in gangs:
            ledger.restore(reservation)
    return ledger.held()
