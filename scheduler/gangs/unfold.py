"""The LeaderWorkerSets that a DisaggregatedSet is going to make, for planning before it is applied.

An emulation of LeaderWorkerSet's disaggregatedset controller v0.10 at the first rollout. The revision in
the names is a hash of ours: that of the controller is over the object as Go writes it, with defaults.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from scheduler.gangs.lws_pods import number
from topology import keys
from topology.untyped import mapping, sequence, strings, text

Object = Mapping[str, Any]

_MAX_SLICES = 100
"""Of the CustomResourceDefinition."""
EXCLUSIVE = frozenset({"ExclusiveSlice", "ExclusiveTopology"})
"""Values of ``placementPolicy.type`` that keep a slice in one domain."""
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def unfold(whole_set: Object, known: Iterable[Object] = ()) -> list[Object]:
    """A LeaderWorkerSet for each slice and role that none of the ``known`` ones stands for. Never raises."""
    spec = mapping(whole_set.get("spec"))
    roles = [
        role for item in sequence(spec.get("roles")) if text((role := mapping(item)).get("name"))
    ]
    about = mapping(whole_set.get("metadata"))
    here = text(about.get("name")), text(about.get("namespace")) or "default"
    own = [labels for obj in known if (labels := _labels_of(obj, *here))]
    have = {
        (labels.get(keys.DISAGGREGATED_SLICE) or "0", labels.get(keys.DISAGGREGATED_ROLE))
        for labels in own
    }
    revision = max((text(labels.get(keys.DISAGGREGATED_REVISION)) for labels in own), default="")
    slices = min(number(spec.get("slices"), 1) or 0, _MAX_SLICES)
    return [
        _made(whole_set, role, part, revision or _revision(roles))
        for part in range(slices)
        for role in roles
        if (str(part), role.get("name")) not in have
    ]


def _labels_of(lws: Object, name: str, namespace: str) -> Mapping[str, str]:
    """The labels of a LeaderWorkerSet that belongs to the set; nothing of any other."""
    metadata = mapping(lws.get("metadata"))
    labels = strings(metadata.get("labels"))
    mine = labels.get(keys.DISAGGREGATED_NAME) == name
    return labels if mine and (text(metadata.get("namespace")) or "default") == namespace else {}


def _revision(roles: Sequence[Object]) -> str:
    templates = [
        [role.get("name"), mapping(role.get("spec")).get("leaderWorkerTemplate")] for role in roles
    ]
    document = json.dumps(templates, default=str, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()[:8]


def _made(whole_set: Object, role: Object, part: int, revision: str) -> Object:
    about, metadata = mapping(whole_set.get("metadata")), mapping(role.get("metadata"))
    owner, name = text(about.get("name")), text(role.get("name"))
    labels = {
        "app": f"{owner}-{part}-{name}",
        keys.DISAGGREGATED_NAME: owner,
        keys.DISAGGREGATED_ROLE: name,
        keys.DISAGGREGATED_SLICE: str(part),
        keys.DISAGGREGATED_REVISION: revision,
    }
    reference = {
        "apiVersion": whole_set.get("apiVersion"),
        "kind": "DisaggregatedSet",
        "name": owner,
        "uid": about.get("uid", ""),
        "controller": True,
    }
    made = {
        "name": f"{owner}-{part}-{revision}-{name}",
        "namespace": text(about.get("namespace")) or "default",
        "labels": {**mapping(metadata.get("labels")), **labels},
        "annotations": mapping(metadata.get("annotations")),
        "ownerReferences": [reference],
    }
    if "creationTimestamp" in about:
        made["creationTimestamp"] = about["creationTimestamp"]
    policy = mapping(mapping(whole_set.get("spec")).get("placementPolicy"))
    return {
        "apiVersion": f"{keys.LWS_GROUP}/v1",
        "kind": "LeaderWorkerSet",
        "metadata": made,
        "spec": _spec(role, labels, policy),
    }


def _spec(role: Object, labels: Mapping[str, str], policy: Object) -> Object:
    spec = mapping(role.get("spec"))
    template = mapping(spec.get("leaderWorkerTemplate"))
    external = mapping(role.get("scaling")).get("mode") == "External"
    terms = dict(_terms(labels, policy))
    labelled = {
        kind: _labelled(mapping(template[kind]), labels, terms)
        for kind in ("leaderTemplate", "workerTemplate")
        if mapping(template.get(kind))
    }
    # An autoscaler's first word is one replica.
    replicas = 1 if external else spec.get("replicas", 1)
    return {**spec, "replicas": replicas, "leaderWorkerTemplate": {**template, **labelled}}


def _labelled(
    template: Object, labels: Mapping[str, str], terms: Mapping[str, list[Any]]
) -> Object:
    metadata, spec = mapping(template.get("metadata")), mapping(template.get("spec"))
    affinity = dict(mapping(spec.get("affinity")))
    for kind, added in terms.items():
        rules = mapping(affinity.get(kind))
        affinity[kind] = {**rules, _REQUIRED: [*sequence(rules.get(_REQUIRED)), *added]}
    return {
        **template,
        "metadata": {**metadata, "labels": {**mapping(metadata.get("labels")), **labels}},
        "spec": {**spec, "affinity": affinity} if terms else spec,
    }


def _terms(labels: Mapping[str, str], policy: Object) -> Iterator[tuple[str, list[Any]]]:
    """The affinity that keeps a slice in one domain and others of its set, or of all sets, out."""
    level = text(policy.get("topology"))
    if text(policy.get("type")) not in EXCLUSIVE or not level:
        return
    name, part = keys.DISAGGREGATED_NAME, keys.DISAGGREGATED_SLICE
    own, mine = [labels[name]], [labels[part]]
    same: Object = {"key": name, "operator": "In", "values": own}
    other_slice: list[Object] = [{"key": part, "operator": "NotIn", "values": mine}]
    if mine == ["0"]:
        other_slice.insert(0, {"key": part, "operator": "Exists"})
    apart = [[same, *other_slice]]
    if policy.get("type") == "ExclusiveTopology":
        managed = [{"key": name, "operator": "Exists"}, {"key": part, "operator": "Exists"}]
        apart.append([*managed, {"key": name, "operator": "NotIn", "values": own}])
    near = [[same, {"key": part, "operator": "In", "values": mine}]]
    for kind, selectors in (("podAffinity", near), ("podAntiAffinity", apart)):
        yield (
            kind,
            [
                {"labelSelector": {"matchExpressions": selector}, "topologyKey": level}
                for selector in selectors
            ],
        )
