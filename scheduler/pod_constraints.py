"""What a pod's spec demands of its node, read into ``Constraints``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.model import Constraints, NodeTerm, PodTerm, Requirement, SpreadTerm, Toleration
from topology.model import Problem
from topology.untyped import mapping, sequence, strings, text

Object = Mapping[str, Any]

ALL_NAMESPACES = "*"


def read_constraints(
    spec: Object, namespace: str, subject: str
) -> tuple[Constraints, tuple[Problem, ...]]:
    """Read selectors, required affinity, tolerations, hard spread and host ports of a pod's spec.

    A namespace selector other than the empty one cannot be resolved here; it is taken as all
    namespaces, and that is a Problem.
    """
    affinity = mapping(spec.get("affinity"))
    problems: list[Problem] = []
    constraints = Constraints(
        node_selector=strings(spec.get("nodeSelector")),
        node_affinity=_node_affinity(mapping(affinity.get("nodeAffinity"))),
        tolerations=tuple(_toleration(mapping(t)) for t in sequence(spec.get("tolerations"))),
        affinity=_pod_terms(affinity, "podAffinity", namespace, subject, problems),
        anti_affinity=_pod_terms(affinity, "podAntiAffinity", namespace, subject, problems),
        spread=tuple(
            _spread(mapping(item))
            for item in sequence(spec.get("topologySpreadConstraints"))
            if mapping(item).get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
        ),
        host_ports=_host_ports(spec),
    )
    return constraints, tuple(problems)


def _node_affinity(affinity: Object) -> tuple[NodeTerm, ...] | None:
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return None
    return tuple(
        NodeTerm(
            labels=_requirements(mapping(term).get("matchExpressions")),
            fields=_requirements(mapping(term).get("matchFields")),
        )
        for term in sequence(mapping(required).get("nodeSelectorTerms"))
    )


def _requirements(value: Any) -> tuple[Requirement, ...]:
    return tuple(
        Requirement(
            key=text(mapping(item).get("key")),
            operator=text(mapping(item).get("operator")),
            values=tuple(text(v) for v in sequence(mapping(item).get("values"))),
        )
        for item in sequence(value)
    )


def read_selector(value: Any) -> tuple[Requirement, ...] | None:
    """A ``LabelSelector`` as requirements; None (which selects nothing) when it is absent."""
    if not isinstance(value, Mapping):
        return None
    labels = tuple(
        Requirement(key=key, operator="In", values=(wanted,))
        for key, wanted in sorted(strings(value.get("matchLabels")).items())
    )
    return labels + _requirements(value.get("matchExpressions"))


def _toleration(item: Object) -> Toleration:
    return Toleration(
        key=text(item.get("key")),
        operator=text(item.get("operator")) or "Equal",
        value=text(item.get("value")),
        effect=text(item.get("effect")),
    )


def _pod_terms(
    affinity: Object, kind: str, namespace: str, subject: str, problems: list[Problem]
) -> tuple[PodTerm, ...]:
    terms = []
    required = mapping(affinity.get(kind)).get("requiredDuringSchedulingIgnoredDuringExecution")
    for item in sequence(required):
        term = mapping(item)
        names = tuple(sorted(text(name) for name in sequence(term.get("namespaces"))))
        selector = term.get("namespaceSelector")
        if isinstance(selector, Mapping):
            names = (ALL_NAMESPACES,)
            if selector:
                where = f"spec.affinity.{kind}.namespaceSelector"
                message = "labels of namespaces are not looked at; taken as all namespaces"
                problems.append(Problem(subject=subject, field=where, message=message))
        terms.append(
            PodTerm(
                topology_key=text(term.get("topologyKey")),
                selector=read_selector(term.get("labelSelector")),
                namespaces=names or (namespace,),
            )
        )
    return tuple(terms)


def _spread(item: Object) -> SpreadTerm:
    skew, domains = item.get("maxSkew"), item.get("minDomains")
    return SpreadTerm(
        topology_key=text(item.get("topologyKey")),
        max_skew=skew if isinstance(skew, int) else 1,
        selector=read_selector(item.get("labelSelector")),
        min_domains=domains if isinstance(domains, int) else 1,
    )


def _host_ports(spec: Object) -> tuple[str, ...]:
    ports = set()
    for container in sequence(spec.get("containers")):
        for item in sequence(mapping(container).get("ports")):
            port = mapping(item)
            number = port.get("hostPort")
            if isinstance(number, int) and number > 0:
                where = f"{text(port.get('protocol')) or 'TCP'}/{number}"
                host = text(port.get("hostIP"))
                ports.add(where if host in ("", "0.0.0.0", "::") else f"{host}:{where}")
    return tuple(sorted(ports))
