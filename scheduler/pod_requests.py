"""What a pod requests, exactly as kube-scheduler counts it.

Source: k8s.io/component-helpers/resource ``PodRequests``, with the defaults that the API server fills in
(k8s.io/kubernetes pkg/apis/core/v1/defaults.go) for manifests that it has not seen. Sums are kept in
thousandths, the API server's smallest unit, and rounded up once at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from scheduler.keys import SYNTHETIC_RESOURCES
from topology.resources import CPU, MAX_AMOUNT, MEMORY, PODS, Resources, parse_quantity
from topology.untyped import mapping, remembered, sequence, text

Object = Mapping[str, Any]
Wrong = tuple[tuple[str, str], ...]
"""(field, what is wrong with it) of each quantity that cannot be read; it counts as 0."""

_Thousandths = dict[str, int]


def is_extended(resource: str) -> bool:
    """Whether the resource is an extended one, of somebody's own domain, such as accelerator cards."""
    return "/" in resource and "kubernetes.io/" not in resource


def read_request(spec: Object, status: Object) -> tuple[Resources, Wrong]:
    """The request with ``pods: 1`` and without the synthetic membership resources.

    The larger of: all containers with the restartable init containers; each plain init container with
    the restartable ones before it. Pod-level resources replace what they name; overhead is added.
    """
    running = {
        text(mapping(item).get("name")): [
            mapping(mapping(item).get("resources")).get("requests"),
            mapping(item).get("allocatedResources"),
        ]
        for item in sequence(status.get("containerStatuses"))
        if mapping(item).get("resources") is not None
    }
    parts = [
        [_part(item, running) for item in sequence(spec.get("containers"))],
        [_part(item, {}) for item in sequence(spec.get("initContainers"))],
        spec.get("resources"),
        spec.get("overhead"),
    ]
    return remembered(_total, parts)


def _part(item: Any, running: Mapping[str, list[Any]]) -> list[Any]:
    container = mapping(item)
    sidecar = container.get("restartPolicy") == "Always"
    return [container.get("resources"), sidecar, running.get(text(container.get("name")), [])]


def _total(parts: Any) -> tuple[Resources, Wrong]:
    containers, inits, level, overhead = parts
    wrong: list[tuple[str, str]] = []
    total = _sum(
        _container(part, f"spec.containers[{index}]", wrong)
        for index, part in enumerate(containers)
    )
    sidecars: _Thousandths = {}
    peak: _Thousandths = {}
    for index, part in enumerate(inits):
        one = _container(part, f"spec.initContainers[{index}]", wrong)
        if part[1]:
            sidecars = _sum((sidecars, one))
            peak = _maximum(peak, sidecars)
        else:
            peak = _maximum(peak, _sum((sidecars, one)))
    total = _maximum(_sum((total, sidecars)), peak)
    total |= _pod_level(level, total, wrong)
    total = _sum((total, _quantities(overhead, "spec.overhead", wrong)))
    amounts = {
        name: min(value if name == CPU else -(-value // 1000), MAX_AMOUNT)
        for name, value in sorted(total.items())
        if name not in SYNTHETIC_RESOURCES
    }
    return Resources({**amounts, PODS: 1}), tuple(wrong)


def _container(part: Any, where: str, wrong: list[tuple[str, str]]) -> _Thousandths:
    resources, _, running = part
    limits = _quantities(mapping(resources).get("limits"), f"{where}.resources.limits", wrong)
    asked = _quantities(mapping(resources).get("requests"), f"{where}.resources.requests", wrong)
    # The API server sets a request that is absent to the limit.
    total = {**limits, **asked}
    for held in running:
        # While a container is resized in place it counts with the larger of both.
        total = _maximum(total, _quantities(held, f"{where} in status", wrong))
    return total


def _pod_level(level: Any, total: Mapping[str, int], wrong: list[tuple[str, str]]) -> _Thousandths:
    """What ``spec.resources`` sets: a limit alone counts only where no container requests anything."""
    asked = _quantities(mapping(level).get("requests"), "spec.resources.requests", wrong)
    limits = _quantities(mapping(level).get("limits"), "spec.resources.limits", wrong)
    return {
        name: value
        for name, value in {**{n: v for n, v in limits.items() if n not in total}, **asked}.items()
        if name in (CPU, MEMORY) or name.startswith("hugepages-")
    }


def _quantities(value: Any, where: str, wrong: list[tuple[str, str]]) -> _Thousandths:
    found: _Thousandths = {}
    for name, quantity in mapping(value).items():
        try:
            found[str(name)] = _thousandths(quantity)
        except ValueError as error:
            wrong.append((f"{where}.{name}", str(error)))
    return found


def _thousandths(quantity: object) -> int:
    """``quantity`` in thousandths, rounded up. Raises ``ValueError``."""
    return _parsed(quantity) if isinstance(quantity, str) else _parsed.__wrapped__(quantity)


@lru_cache(maxsize=4096)
def _parsed(quantity: object) -> int:
    value = parse_quantity(quantity) * 1000
    if value < 0:
        raise ValueError(f"{quantity!r} is negative")
    return -((-value.numerator) // value.denominator)


def _sum(vectors: Iterable[Mapping[str, int]]) -> _Thousandths:
    total: _Thousandths = {}
    for vector in vectors:
        for name, value in vector.items():
            total[name] = total.get(name, 0) + value
    return total


def _maximum(one: Mapping[str, int], other: Mapping[str, int]) -> _Thousandths:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in (*one, *other)}
