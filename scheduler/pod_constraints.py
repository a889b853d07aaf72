"""What a pod's spec demands of its node, read into ``Constraints``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scheduler.match import selects
from scheduler.model import Constraints, NodeTerm, PodTerm, Requirement, SpreadTerm, Toleration
from topology.untyped import mapping, remembered, sequence, strings, text

Object = Mapping[str, Any]
Selector = tuple[Requirement, ...]
NamespaceSelectors = tuple[Selector | None, ...]
"""For each term of affinity, then of anti-affinity: its namespace selector, None when it has none. Empty
when no term has one."""

ALL_NAMESPACES = "*"

_READ = (
    "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "hostNetwork",
)  # fmt: skip


def read_constraints(
    spec: Object, namespace: str, labels: Mapping[str, str]
) -> tuple[Constraints, NamespaceSelectors, tuple[tuple[str, str], ...]]:
    """Read selectors, required affinity, tolerations, hard spread and host ports of a pod's spec.

    Also gives the namespace selectors that ``resolved`` needs, and (field, message) of what is wrong.
    """
    parts: dict[str, Any] = {key: spec[key] for key in _READ if key in spec}
    parts["ports"] = [mapping(item).get("ports") for item in sequence(spec.get("containers"))] + [
        mapping(item).get("ports")
        for item in sequence(spec.get("initContainers"))
        if mapping(item).get("restartPolicy") == "Always"
    ]
    terms = _terms_with_selectors(parts)
    if terms:
        named = {str(key) for term in terms for f in _LABEL_KEYS for key in sequence(term.get(f))}
        own = {key: value for key, value in labels.items() if key in named}
        parts |= {"namespace": namespace, "labels": own}
    return remembered(_read, parts)


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_LABEL_KEYS = {"matchLabelKeys": "In", "mismatchLabelKeys": "NotIn"}


def _terms_with_selectors(spec: Object) -> list[Object]:
    affinity = mapping(spec.get("affinity"))
    terms = list(sequence(spec.get("topologySpreadConstraints")))
    for kind in ("podAffinity", "podAntiAffinity"):
        terms += sequence(mapping(affinity.get(kind)).get(_REQUIRED))
    return [mapping(term) for term in terms]


def resolved(
    constraints: Constraints,
    selectors: NamespaceSelectors,
    namespaces: Mapping[str, Mapping[str, str]],
) -> Constraints:
    """``constraints`` with the namespaces that the selectors take now put into the terms."""
    if not selectors:
        return constraints

    def opened(term: PodTerm, selector: Selector | None) -> PodTerm:
        if selector is None:
            return term
        taken = {name for name, labels in namespaces.items() if selects(selector, labels)}
        return replace(term, namespaces=tuple(sorted({*term.namespaces, *taken})))

    terms = (*constraints.affinity, *constraints.anti_affinity)
    done = tuple(opened(term, selector) for term, selector in zip(terms, selectors, strict=True))
    count = len(constraints.affinity)
    return replace(constraints, affinity=done[:count], anti_affinity=done[count:])


def _read(parts: Any) -> tuple[Constraints, NamespaceSelectors, tuple[tuple[str, str], ...]]:
    affinity = mapping(parts.get("affinity"))
    namespace, labels = text(parts.get("namespace")), strings(parts.get("labels"))
    wrong: list[tuple[str, str]] = []
    together = _pod_terms(affinity, "podAffinity", namespace, labels, wrong)
    apart = _pod_terms(affinity, "podAntiAffinity", namespace, labels, wrong)
    selectors = tuple(selector for _, selector in (*together, *apart))
    constraints = Constraints(
        node_selector=strings(parts.get("nodeSelector")),
        node_affinity=_node_affinity(mapping(affinity.get("nodeAffinity"))),
        tolerations=tuple(_toleration(mapping(t)) for t in sequence(parts.get("tolerations"))),
        affinity=tuple(term for term, _ in together),
        anti_affinity=tuple(term for term, _ in apart),
        spread=tuple(
            _spread(mapping(item), labels)
            for item in sequence(parts.get("topologySpreadConstraints"))
            if mapping(item).get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
        ),
        host_ports=_host_ports(parts["ports"], parts.get("hostNetwork") is True),
    )
    return constraints, selectors if any(s is not None for s in selectors) else (), tuple(wrong)


def _node_affinity(affinity: Object) -> tuple[NodeTerm, ...] | None:
    required = affinity.get(_REQUIRED)
    if required is None:
        return None
    return tuple(
        NodeTerm(
            labels=_requirements(mapping(term).get("matchExpressions")),
            fields=_requirements(mapping(term).get("matchFields")),
        )
        for term in sequence(mapping(required).get("nodeSelectorTerms"))
    )


def _requirements(value: Any) -> Selector:
    return tuple(
        Requirement(
            key=text(mapping(item).get("key")),
            operator=text(mapping(item).get("operator")),
            values=tuple(text(v) for v in sequence(mapping(item).get("values"))),
        )
        for item in sequence(value)
    )


def read_selector(value: Any) -> Selector | None:
    """A ``LabelSelector`` as requirements; None (which selects nothing) when it is absent."""
    if not isinstance(value, Mapping):
        return None
    labels = tuple(
        Requirement(key=key, operator="In", values=(wanted,))
        for key, wanted in sorted(strings(value.get("matchLabels")).items())
    )
    return labels + _requirements(value.get("matchExpressions"))


def _own_selector(item: Object, labels: Mapping[str, str]) -> Selector | None:
    """The term's selector with what ``matchLabelKeys`` take from the pod's own labels.

    The API server merges them into the selector; a manifest has not been there yet.
    """
    selector = read_selector(item.get("labelSelector"))
    if selector is None:
        return None
    for field, operator in _LABEL_KEYS.items():
        for key in sequence(item.get(field)):
            if isinstance(key, str) and key in labels:
                own = Requirement(key=key, operator=operator, values=(labels[key],))
                selector = selector if own in selector else (*selector, own)
    return selector


def _toleration(item: Object) -> Toleration:
    return Toleration(
        key=text(item.get("key")),
        operator=text(item.get("operator")) or "Equal",
        value=text(item.get("value")),
        effect=text(item.get("effect")),
    )


def _pod_terms(
    affinity: Object,
    kind: str,
    namespace: str,
    labels: Mapping[str, str],
    wrong: list[tuple[str, str]],
) -> list[tuple[PodTerm, Selector | None]]:
    """Required terms, each with its namespace selector when that does not simply take all namespaces."""
    terms = []
    required = mapping(affinity.get(kind)).get(_REQUIRED)
    for index, item in enumerate(sequence(required)):
        term = mapping(item)
        names = tuple(sorted({text(name) for name in sequence(term.get("namespaces"))}))
        selector = read_selector(term.get("namespaceSelector"))
        if selector == ():
            names, selector = (ALL_NAMESPACES,), None
        elif selector is None and not names:
            names = (namespace,)
        key = text(term.get("topologyKey"))
        if not key:
            where = f"spec.affinity.{kind}.{_REQUIRED}[{index}]"
            wrong.append((f"{where}.topologyKey", "is missing; expected the key of a node label"))
        chosen = PodTerm(topology_key=key, selector=_own_selector(term, labels), namespaces=names)
        terms.append((chosen, selector))
    return terms


def _spread(item: Object, labels: Mapping[str, str]) -> SpreadTerm:
    return SpreadTerm(
        topology_key=text(item.get("topologyKey")),
        max_skew=_count(item.get("maxSkew")),
        selector=_own_selector(item, labels),
        min_domains=_count(item.get("minDomains")),
    )


def _count(value: Any) -> int:
    """A whole number from 1 up; Kubernetes' default of both fields is 1."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 1


def _host_ports(containers: Any, host_network: bool) -> tuple[str, ...]:
    found = set()
    for ports in containers:
        for item in sequence(ports):
            port = mapping(item)
            # With the host's network every container port is a port of the host.
            number = port.get("hostPort") or (port.get("containerPort") if host_network else 0)
            if isinstance(number, int) and number > 0:
                where = f"{text(port.get('protocol')) or 'TCP'}/{number}"
                host = text(port.get("hostIP"))
                found.add(where if host in ("", "0.0.0.0", "::") else f"{host}:{where}")
    return tuple(sorted(found))
