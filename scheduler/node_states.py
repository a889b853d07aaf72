"""Nodes with the pods on them, as a snapshot holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from scheduler.pod_constraints import resolved
from scheduler.pods import Pod
from scheduler.snapshot import NodeState, RunningPod
from topology.model import Node
from topology.occupancy import CardList
from topology.resources import Resources


def running_pod(pod: Pod, namespaces: Mapping[str, Mapping[str, str]]) -> RunningPod:
    """The pod as one that holds capacity of its node."""
    constraints = resolved(pod.constraints, pod.namespace_selectors, namespaces)
    return RunningPod(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        request=pod.request,
        priority=pod.priority,
        labels=pod.labels,
        anti_affinity=constraints.anti_affinity,
        host_ports=constraints.host_ports,
        cards=pod.cards,
        card_ids=pod.card_ids,
    )


def node_state(node: Node, here: Iterable[RunningPod], listed: CardList | None = None) -> NodeState:
    """The node with the pods that are ``here``, in whatever order, and what its plugin lists."""
    known = node.card_numbers
    if listed is not None and listed.ids:
        known = {name: number for number, name in enumerate(listed.ids)}
    numbered = (_numbered(pod, known) for pod in here)
    pods = sorted(numbered, key=lambda pod: (pod.namespace, pod.name))
    used = Resources.sum(pod.request for pod in pods)
    return NodeState(node=node, free=node.allocatable - used, pods=tuple(pods), listed=listed)


def _numbered(pod: RunningPod, cards: Mapping[str, int]) -> RunningPod:
    """The pod with the numbers of its cards, where it has identifiers that are numbered."""
    if pod.cards or not pod.card_ids:
        return pod
    numbers = [cards.get(name) for name in pod.card_ids]
    known = sorted(number for number in numbers if number is not None)
    return replace(pod, cards=tuple(known)) if len(known) == len(numbers) else pod
