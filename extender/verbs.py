"""The extender's verbs as look-ups: (ledger, request) -> (answer, what was noticed). No I/O, no solving.

A call of ``filter`` is no commitment: kube-scheduler may ask twice in one cycle. Texts of vetoes are
constant, since a changed condition message makes kube-scheduler patch the pod and try it again at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from extender.wire import FilterAnswer, FilterRequest, PreemptRequest
from scheduler.ledger import InFlight, Ledger
from scheduler.reservation import HOLDING, State
from scheduler.snapshot import NodeState
from topology.resources import Resources

NOT_PLANNED = "muster: the gang of this pod has no plan yet"
OTHER_NODE = "muster: the gang of this pod is planned on other nodes"
RESERVED = "muster: the room on this node is reserved for a gang"
# The veto goes to a few nodes only: a map of 5,000 equal reasons costs the scheduler time and says no more.
_VETO_SAMPLE = 3


ADMITTING = frozenset({State.RESERVED, State.BINDING, State.AWAITING})
"""States in which members are on their way to their nodes."""


class Notice(StrEnum):
    """What a ``filter`` call tells about a member's way through kube-scheduler."""

    GRANTED = "granted"
    REFUSED_IN_TREE = "in-tree filters refused the nominated node"
    NOT_NOMINATED = "the nomination is missing"
    PLAIN = "plain pod"
    NOT_PLANNED = "no plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRequest:
    """A pod that is not ours, as the guard sees it."""

    uid: str
    request: Resources


def filter_member(ledger: Ledger, request: FilterRequest) -> tuple[FilterAnswer, Notice]:
    """The planned node when it is offered, else a veto of every node.

    A list without the planned node means two different things: with our nomination on the pod
    kube-scheduler asked for exactly that node and an in-tree filter refused it; without, the list is
    only a sample of the cluster.
    """
    found = ledger.of_pod(request.uid)
    if found is None or found[0].state not in ADMITTING:
        return _veto(request, NOT_PLANNED), Notice.NOT_PLANNED
    slot = found[1]
    if slot.node in request.node_names:
        return FilterAnswer(nodes=(slot.node,)), Notice.GRANTED
    notice = Notice.REFUSED_IN_TREE if request.nominated == slot.node else Notice.NOT_NOMINATED
    return _veto(request, OTHER_NODE), notice


def filter_plain(
    ledger: Ledger,
    nodes: Mapping[str, NodeState],
    plain: PlainRequest,
    request: FilterRequest,
    now_seconds: float,
) -> FilterAnswer:
    """Guarded configuration: the nodes where the pod fits beside all reservations and pods on their way.

    The pod is remembered as on its way to every node it is let onto, until its binding or refusal is seen.
    """
    reserved = ledger.reserved_nodes()
    allowed = tuple(
        name
        for name in request.node_names
        if name not in reserved or _room(ledger, nodes, name, plain).fits(plain.request)
    )
    if allowed:
        ledger.let_through(
            plain.uid,
            InFlight(request=plain.request, nodes=frozenset(allowed), since_seconds=now_seconds),
        )
    allowed_set = frozenset(allowed)
    refused = [name for name in request.node_names if name not in allowed_set]
    return FilterAnswer(nodes=allowed, refused=dict.fromkeys(refused, RESERVED))


def preempt_plain(
    ledger: Ledger, nodes: Mapping[str, NodeState], plain: PlainRequest, request: PreemptRequest
) -> tuple[str, ...]:
    """Guarded configuration: the candidates whose victims free enough without touching a reservation."""
    reserved = ledger.reserved_nodes()
    kept = []
    for name, victims in request.victims.items():
        state = nodes.get(name)
        if name in reserved and state is not None:
            freed = Resources.sum(pod.request for pod in state.pods if pod.uid in victims)
            if not (_room(ledger, nodes, name, plain) + freed).fits(plain.request):
                continue
        kept.append(name)
    return tuple(kept)


def prioritize(ledger: Ledger, request: FilterRequest) -> tuple[tuple[str, int], ...]:
    """10 for the planned node of a member, 0 for everything else."""
    found = ledger.of_pod(request.uid)
    planned = found[1].node if found and found[0].state in HOLDING else None
    return tuple((name, 10 if name == planned else 0) for name in request.node_names)


def _room(
    ledger: Ledger, nodes: Mapping[str, NodeState], name: str, plain: PlainRequest
) -> Resources:
    free = nodes[name].free if name in nodes else Resources()
    return free - ledger.reserved_on(name) - ledger.in_flight_on(name, besides=plain.uid)


def _veto(request: FilterRequest, text: str) -> FilterAnswer:
    return FilterAnswer(refused=dict.fromkeys(request.node_names[:_VETO_SAMPLE], text))
