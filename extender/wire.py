"""Scheduler-extender v1 JSON <-> our types; the only file that knows Go's field names.

Go decodes JSON names without regard to letter case and so do we. What comes in is total: anything that is
not an extender request raises ``WireError`` with one sentence that says what was expected.
Source: k8s.io/kube-scheduler/extender/v1 types.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec


class WireError(Exception):
    """A request that is not what the verb expects; the text names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRequest:
    """``ExtenderArgs``: a pod and the nodes that passed so far."""

    pod: Mapping[str, Any]
    namespace: str
    name: str
    uid: str
    nominated: str | None
    node_names: tuple[str, ...]
    nodes: Mapping[str, Mapping[str, Any]] | None
    """Whole Node objects by name when the scheduler is not configured as nodeCacheCapable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterAnswer:
    """``ExtenderFilterResult``. ``refused`` maps nodes to the reason; preemption cannot help there."""

    nodes: tuple[str, ...] = ()
    refused: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BindRequest:
    """``ExtenderBindingArgs``."""

    namespace: str
    name: str
    uid: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreemptRequest:
    """``ExtenderPreemptionArgs``: the pod and, per node, the uids of the victims."""

    pod: Mapping[str, Any]
    uid: str
    victims: Mapping[str, tuple[str, ...]]
    pdb_violations: Mapping[str, int]


def _decode(body: bytes, verb: str) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{verb}: the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise WireError(f"{verb}: the body is {type(value).__name__}, expected a JSON object")
    return value


def _get(obj: object, name: str) -> Any:
    """A field of a JSON object in any letter case; None when it is absent or ``obj`` is no object."""
    if not isinstance(obj, Mapping):
        return None
    if name in obj:
        return obj[name]
    wanted = name.lower()
    return next((value for key, value in obj.items() if key.lower() == wanted), None)


def _text(obj: object, name: str) -> str:
    value = _get(obj, name)
    return value if isinstance(value, str) else ""


def _pod(args: Mapping[str, Any], verb: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    pod = _get(args, "Pod")
    metadata = _get(pod, "metadata")
    if not isinstance(pod, Mapping) or not isinstance(metadata, Mapping):
        raise WireError(f"{verb}: Pod.metadata is missing; expected ExtenderArgs of extender/v1")
    if not _text(metadata, "uid"):
        raise WireError(f"{verb}: Pod.metadata.uid is missing; expected a pod of the API server")
    return pod, metadata


def _names(args: Mapping[str, Any], verb: str) -> tuple[str, ...] | None:
    names = _get(args, "NodeNames")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise WireError(f"{verb}: NodeNames is not a list of strings")
    return tuple(names)


def _node_objects(args: Mapping[str, Any], verb: str) -> dict[str, Mapping[str, Any]] | None:
    items = _get(_get(args, "Nodes"), "items")
    if items is None:
        return None
    if not isinstance(items, list):
        raise WireError(f"{verb}: Nodes.items is not a list of nodes")
    return {_text(_get(item, "metadata"), "name"): item for item in items}


def read_filter(body: bytes, verb: str = "filter") -> FilterRequest:
    """Read ``ExtenderArgs`` (also the request of ``prioritize``). Raises ``WireError``."""
    args = _decode(body, verb)
    pod, metadata = _pod(args, verb)
    names = _names(args, verb)
    nodes = _node_objects(args, verb) if names is None else None
    if names is None and nodes is None:
        raise WireError(f"{verb}: neither NodeNames nor Nodes is given; expected ExtenderArgs")
    return FilterRequest(
        pod=pod,
        namespace=_text(metadata, "namespace"),
        name=_text(metadata, "name"),
        uid=_text(metadata, "uid"),
        nominated=_text(_get(pod, "status"), "nominatedNodeName") or None,
        node_names=names if names is not None else tuple(nodes or ()),
        nodes=nodes,
    )


def write_filter(answer: FilterAnswer, request: FilterRequest) -> bytes:
    """``ExtenderFilterResult`` in the form (names or whole nodes) of the request."""
    result: dict[str, Any] = {
        "FailedNodes": {},
        "FailedAndUnresolvableNodes": answer.refused or {},
        "Error": "",
    }
    if request.nodes is None:
        result["NodeNames"] = answer.nodes
    else:
        result["Nodes"] = {"metadata": {}, "items": [request.nodes[name] for name in answer.nodes]}
    return msgspec.json.encode(result)


def write_priorities(scores: Sequence[tuple[str, int]]) -> bytes:
    """``HostPriorityList``; scores are integers, a float would make Go drop the whole answer."""
    return msgspec.json.encode([{"Host": host, "Score": score} for host, score in scores])


def read_bind(body: bytes) -> BindRequest:
    """Read ``ExtenderBindingArgs``. Raises ``WireError`` when a field is missing."""
    args = _decode(body, "bind")
    fields = {name: _text(args, name) for name in ("PodNamespace", "PodName", "PodUID", "Node")}
    missing = [name for name, value in fields.items() if not value]
    if missing:
        raise WireError(
            f"bind: {', '.join(missing)} missing or not text; expected ExtenderBindingArgs"
        )
    return BindRequest(
        namespace=fields["PodNamespace"],
        name=fields["PodName"],
        uid=fields["PodUID"],
        node=fields["Node"],
    )


def write_error(message: str) -> bytes:
    """``{"Error": ...}``: the bind result, and the body of every refusal."""
    return msgspec.json.encode({"Error": message})


def read_preempt(body: bytes) -> PreemptRequest:
    """Read ``ExtenderPreemptionArgs`` in both of its forms. Raises ``WireError``."""
    args = _decode(body, "preempt")
    pod, metadata = _pod(args, "preempt")
    if not {"nodenametometavictims", "nodenametovictims"} & {key.lower() for key in args}:
        raise WireError(
            "preempt: neither NodeNameToMetaVictims nor NodeNameToVictims is given; "
            "expected ExtenderPreemptionArgs"
        )
    by_node = _get(args, "NodeNameToMetaVictims") or _get(args, "NodeNameToVictims") or {}
    if not isinstance(by_node, Mapping):
        raise WireError("preempt: NodeNameToMetaVictims is not an object of node -> victims")
    victims, violations = {}, {}
    for node, entry in by_node.items():
        pods = _get(entry, "Pods") or []
        if not isinstance(pods, list):
            raise WireError(f"preempt: victims of node {node}: Pods is not a list")
        victims[node] = tuple(
            _text(item, "UID") or _text(_get(item, "metadata"), "uid") for item in pods
        )
        count = _get(entry, "NumPDBViolations")
        violations[node] = count if isinstance(count, int) else 0
    return PreemptRequest(
        pod=pod, uid=_text(metadata, "uid"), victims=victims, pdb_violations=violations
    )


def write_preempt(request: PreemptRequest, kept: Sequence[str]) -> bytes:
    """``ExtenderPreemptionResult`` with the candidates of ``kept``; none of them means no eviction."""
    return msgspec.json.encode(
        {
            "NodeNameToMetaVictims": {
                node: {
                    "Pods": [{"UID": uid} for uid in request.victims[node]],
                    "NumPDBViolations": request.pdb_violations[node],
                }
                for node in kept
            }
        }
    )
