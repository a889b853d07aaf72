"""The pods that LeaderWorkerSet makes of one of its objects: an emulation of its controllers and webhook.

Only what matters for grouping and placement is made: names, labels, annotations, owners, and the pod
templates with the selectors and affinity that LeaderWorkerSet adds; environment variables are left out.
Source: kubernetes-sigs/lws pkg/controllers and pkg/webhooks/pod_webhook.go of v0.9 and v0.10. The tests in
``tests/workloads`` compare these pods with those of the real manager.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from topology import keys
from topology.untyped import mapping, sequence, text

Object = Mapping[str, Any]

LEADER_EXCLUDED = "LeaderExcluded"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """What the pods of workers take from the pod of their leader."""

    namespace: str
    name: str
    labels: Mapping[str, str]


def template_of(lws: Object) -> Object:
    """``spec.leaderWorkerTemplate``."""
    return mapping(mapping(lws.get("spec")).get("leaderWorkerTemplate"))


def leader_template(template: Object) -> Object:
    """The pod template of leaders in a ``leaderWorkerTemplate``: that of workers when it has no other."""
    return mapping(template.get("leaderTemplate") or template.get("workerTemplate"))


def annotation(lws: Object, key: str) -> str:
    """An annotation of the object's own metadata; empty when it is absent."""
    return text(mapping(mapping(lws.get("metadata")).get("annotations")).get(key))


def number(value: Any, default: int) -> int | None:
    """A number of groups or pods: ``default`` when it is absent, None when it is no number from 0 up."""
    if value is None:
        return default
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def unique_key(first: str, second: str) -> str:
    """``group-key`` of a namespace and a leader's name, ``subgroup-key`` of that name and an index."""
    return hashlib.sha1(f"{first}/{second}".encode(), usedforsecurity=False).hexdigest()


def subgroup(size: int, of: int, worker: int) -> int:
    """The subgroup of a worker in a group of ``size`` pods with subgroups of ``of``.

    A leader that is one too many for equal subgroups is an additional member of the first.
    """
    extra = (size - 1) % of == 0 and size % of != 0
    return (worker - 1) // of if extra else worker // of


def group(lws: Object, index: int) -> Iterator[Object]:
    """All pods of group ``index``, the leader first."""
    template = template_of(lws)
    first = leader(lws, index)
    metadata = first["metadata"]
    of = Leader(namespace=metadata["namespace"], name=metadata["name"], labels=metadata["labels"])
    yield first
    for one in range(1, number(template.get("size"), 1) or 1):
        yield worker(lws, template, of, one)


def leader(lws: Object, index: int) -> Object:
    """The leader pod of group ``index``."""
    metadata, template = mapping(lws.get("metadata")), template_of(lws)
    namespace, owner = text(metadata.get("namespace")) or "default", text(metadata.get("name"))
    name = f"{owner}-{index}"
    labels = {
        keys.LWS_NAME: owner,
        keys.LWS_WORKER_INDEX: "0",
        keys.LWS_GROUP_INDEX: str(index),
        keys.LWS_GROUP_KEY: unique_key(namespace, name),
        keys.POD_INDEX: str(index),
    }
    annotations = _annotations(lws, template)
    policy = mapping(template.get("subGroupPolicy"))
    if policy:
        kind = text(policy.get("subGroupPolicyType")) or "LeaderWorker"
        annotations[keys.LWS_SUBGROUP_TYPE] = kind
    network = mapping(mapping(lws.get("spec")).get("networkConfig"))
    if network.get("subdomainPolicy") == "UniquePerReplica":
        annotations[keys.LWS_SUBDOMAIN] = "UniquePerReplica"
    pod = _pod(leader_template(template), namespace, name, owner, labels, annotations)
    if annotations.get(keys.LWS_EXCLUSIVE):
        pod = _alone(pod, keys.LWS_GROUP_KEY, annotations[keys.LWS_EXCLUSIVE])
    if policy and annotations[keys.LWS_SUBGROUP_TYPE] != LEADER_EXCLUDED:
        pod = _in_subgroup(pod, name, 0)
    return pod


def worker(
    lws: Object,
    template: Object,
    of: Leader,
    index: int,
    selector: Mapping[str, str] = {},
) -> Object:
    """Worker ``index`` (from 1) of a leader, by the ``leaderWorkerTemplate`` of the leader's revision.

    ``selector``: what the controller adds to the node selector once the leader of an exclusive topology
    has a node.
    """
    copied = (keys.LWS_GROUP_INDEX, keys.LWS_GROUP_KEY, keys.LWS_REVISION)
    labels = {key: of.labels[key] for key in copied if key in of.labels}
    labels[keys.LWS_NAME] = text(mapping(lws.get("metadata")).get("name"))
    labels[keys.LWS_WORKER_INDEX] = labels[keys.POD_INDEX] = str(index)
    annotations = {**_annotations(lws, template), keys.LWS_LEADER_NAME: of.name}
    made = mapping(template.get("workerTemplate"))
    pod = _pod(made, of.namespace, f"{of.name}-{index}", of.name, labels, annotations)
    if selector:
        own = mapping(pod["spec"].get("nodeSelector"))
        pod = {**pod, "spec": {**pod["spec"], "nodeSelector": {**own, **selector}}}
    part = annotations.get(keys.LWS_SUBGROUP_SIZE)
    if part is not None:
        size = number(template.get("size"), 1) or 1
        pod = _in_subgroup(pod, of.name, subgroup(size, int(part), index))
    return pod


def _annotations(lws: Object, template: Object) -> dict[str, str]:
    """What the controller writes on leaders and workers alike."""
    found = {keys.LWS_SIZE: str(number(template.get("size"), 1) or 1)}
    if annotation(lws, keys.LWS_EXCLUSIVE):
        found[keys.LWS_EXCLUSIVE] = annotation(lws, keys.LWS_EXCLUSIVE)
    part = number(mapping(template.get("subGroupPolicy")).get("subGroupSize"), 0)
    if part:
        found[keys.LWS_SUBGROUP_SIZE] = str(part)
        if annotation(lws, keys.LWS_SUBGROUP_EXCLUSIVE):
            found[keys.LWS_SUBGROUP_EXCLUSIVE] = annotation(lws, keys.LWS_SUBGROUP_EXCLUSIVE)
    return found


def _pod(
    template: Object,
    namespace: str,
    name: str,
    owner: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    """A pod of the StatefulSet ``owner``."""
    metadata = mapping(template.get("metadata"))
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner, "uid": ""}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                **mapping(metadata.get("labels")),
                **labels,
                keys.STATEFUL_SET_POD_NAME: name,
            },
            "annotations": {**mapping(metadata.get("annotations")), **annotations},
            "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": dict(mapping(template.get("spec"))),
        "status": {"phase": "Pending"},
    }


def _in_subgroup(pod: dict[str, Any], leader_name: str, index: int) -> dict[str, Any]:
    key = unique_key(leader_name, str(index))
    metadata = pod["metadata"]
    labels = {
        **metadata["labels"],
        keys.LWS_SUBGROUP_INDEX: str(index),
        keys.LWS_SUBGROUP_KEY: key,
    }
    pod = {**pod, "metadata": {**metadata, "labels": labels}}
    level = metadata["annotations"].get(keys.LWS_SUBGROUP_EXCLUSIVE)
    return _alone(pod, keys.LWS_SUBGROUP_KEY, level) if level else pod


def _alone(pod: dict[str, Any], label: str, level: str) -> dict[str, Any]:
    """The pod with the terms that keep those of one ``label`` together in a domain, and all others out."""
    value = pod["metadata"]["labels"][label]
    own = {"key": label, "operator": "In", "values": [value]}
    others = [
        {"key": label, "operator": "Exists"},
        {"key": label, "operator": "NotIn", "values": [value]},
    ]
    affinity = dict(mapping(pod["spec"].get("affinity")))
    if all(_has(affinity, kind, level) for kind in ("podAffinity", "podAntiAffinity")):
        return pod
    for kind, expressions in (("podAffinity", [own]), ("podAntiAffinity", others)):
        rules = mapping(affinity.get(kind))
        term = {"labelSelector": {"matchExpressions": expressions}, "topologyKey": level}
        affinity[kind] = {**rules, _REQUIRED: [*sequence(rules.get(_REQUIRED)), term]}
    return {**pod, "spec": {**pod["spec"], "affinity": affinity}}


def _has(affinity: Object, kind: str, level: str) -> bool:
    terms = sequence(mapping(affinity.get(kind)).get(_REQUIRED))
    return any(mapping(term).get("topologyKey") == level for term in terms)
