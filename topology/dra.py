"""Devices of dynamic resource allocation: ResourceSlices, DeviceClasses and claims as numbers of cards.

Source: k8s.io/api resource/v1 types.go; KEP-5004 (a DeviceClass gives its devices the name of an extended
resource, which is not in the node's status then); k8s-dra-driver-gpu cmd/gpu-kubelet-plugin/deviceinfo.go
(``productName``, ``memory``). A number is promised only where it holds in any case: of slices of one node
whose pool is whole, devices that nobody shares, classes whose selectors are comparisons, claims of one
request. Everything else counts nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topology.keys import (
    DEVICE_CLASS_RESOURCE,
    DRA_NVIDIA,
    NVIDIA_MEMORY_MIB,
    NVIDIA_PRODUCT,
)
from topology.resources import amount
from topology.untyped import mapping, seconds, sequence, text

Value = str | int | bool
_CLAUSE = re.compile(
    r"device\.(?:(driver)|attributes\[(?P<q>['\"])([^'\"]+)(?P=q)\]\.(\w+)) *== *"
    r"(?:'([^']*)'|\"([^\"]*)\"|(true|false|\d+))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of a node. ``attributes``: by ``domain/name``, with ``driver`` among them."""

    attributes: Mapping[str, Value]
    memory_bytes: int = 0
    usable: bool = True
    """Whether a claim may have it alone: not shared, cut from counters, or tainted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSlice:
    """A ResourceSlice of one node."""

    node: str
    pool: str
    """Driver and pool."""
    generation: int
    of: int
    """So many slices make the pool."""
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClass:
    """A DeviceClass. ``tests``: attributes and the values that they must have; None: cannot be read."""

    name: str
    resource: str
    """The extended resource that its devices count as."""
    created_seconds: int
    tests: tuple[tuple[str, Value], ...] | None


def read_slice(obj: Mapping[str, Any]) -> DeviceSlice | None:
    """A ResourceSlice; None for devices that are not those of one named node."""
    spec = mapping(obj.get("spec"))
    node, driver, pool = (
        text(spec.get("nodeName")),
        text(spec.get("driver")),
        mapping(spec.get("pool")),
    )
    if not node or not driver:
        return None
    devices = (mapping(item) for item in sequence(spec.get("devices")))
    return DeviceSlice(
        node=node,
        pool=f"{driver}/{text(pool.get('name'))}",
        generation=_whole(pool.get("generation")),
        of=_whole(pool.get("resourceSliceCount")),
        devices=tuple(_device(driver, device) for device in devices),
    )


def _device(driver: str, device: Mapping[str, Any]) -> Device:
    attributes: dict[str, Value] = {"driver": driver}
    for name, holder in mapping(device.get("attributes")).items():
        value = next(iter(mapping(holder).values()), None)
        if isinstance(value, (str, int)):
            attributes[_full(driver, str(name))] = value
    memory = 0
    for name, holder in mapping(device.get("capacity")).items():
        if _full(driver, str(name)) == f"{driver}/memory":
            memory = _bytes(mapping(holder).get("value"))
    effects = {mapping(taint).get("effect") for taint in sequence(device.get("taints"))}
    shared = device.get("allowMultipleAllocations") is True or device.get("consumesCounters")
    return Device(
        attributes=attributes,
        memory_bytes=memory,
        usable=not shared and not effects & {"NoSchedule", "NoExecute"},
    )


def _full(driver: str, name: str) -> str:
    return name if "/" in name else f"{driver}/{name}"


def _bytes(value: object) -> int:
    try:
        return amount("memory", value)
    except ValueError:
        return 0


def _whole(value: object) -> int:
    return value if type(value) is int else 0


def read_class(obj: Mapping[str, Any]) -> DeviceClass:
    """A DeviceClass; selectors other than comparisons joined by ``&&`` cannot be read."""
    metadata, spec = mapping(obj.get("metadata")), mapping(obj.get("spec"))
    name = text(metadata.get("name"))
    tests: list[tuple[str, Value]] | None = []
    for item in sequence(spec.get("selectors")):
        found = _tests(text(mapping(mapping(item).get("cel")).get("expression")))
        tests = None if tests is None or found is None else [*tests, *found]
    return DeviceClass(
        name=name,
        resource=text(spec.get("extendedResourceName")) or DEVICE_CLASS_RESOURCE + name,
        created_seconds=seconds(metadata.get("creationTimestamp")),
        tests=None if tests is None else tuple(tests),
    )


def _tests(expression: str) -> list[tuple[str, Value]] | None:
    found: list[tuple[str, Value]] = []
    for part in expression.split("&&"):
        clause = _CLAUSE.fullmatch(part.strip())
        if clause is None:
            return None
        driver, _, domain, name, one, other, bare = clause.groups()
        wanted: Value = one if one is not None else other if other is not None else _literal(bare)
        found.append(("driver" if driver else f"{domain}/{name}", wanted))
    return found


def _literal(word: str) -> Value:
    return word == "true" if word in ("true", "false") else int(word)


def matches(device_class: DeviceClass, device: Device) -> bool:
    """Whether the device is one of the class that a claim may have alone."""
    if device_class.tests is None or not device.usable:
        return False
    values = ((device.attributes.get(key), wanted) for key, wanted in device_class.tests)
    return all(type(found) is type(wanted) and found == wanted for found, wanted in values)


def whole_pools(slices: Iterable[DeviceSlice]) -> list[Device]:
    """The devices of a node's pools, each in its newest generation and only if all its slices are there."""
    pools: dict[str, list[DeviceSlice]] = {}
    for each in slices:
        pools.setdefault(each.pool, []).append(each)
    found: list[Device] = []
    for pool in pools.values():
        newest = max(each.generation for each in pool)
        parts = [each for each in pool if each.generation == newest]
        if len(parts) >= parts[0].of:
            found += [device for part in parts for device in part.devices]
    return found


def counts(devices: Sequence[Device], classes: Iterable[DeviceClass]) -> dict[str, int]:
    """How many cards the devices are, by extended resource; of classes with one name the newest counts."""
    newest: dict[str, DeviceClass] = {}
    for each in sorted(classes, key=lambda c: (c.created_seconds, c.name)):
        newest[each.resource] = each
    found = Counter(
        resource for resource, each in newest.items() for device in devices if matches(each, device)
    )
    return dict(sorted(found.items()))


def labels(devices: Sequence[Device]) -> dict[str, str]:
    """What feature discovery would say of NVIDIA's devices; nothing where they are not all alike."""
    cards = {
        (str(device.attributes.get(f"{DRA_NVIDIA}/productName", "")), device.memory_bytes)
        for device in devices
        if device.attributes["driver"] == DRA_NVIDIA
        and device.attributes.get(f"{DRA_NVIDIA}/type", "gpu") == "gpu"
    }
    if len(cards) != 1:
        return {}
    ((product, memory),) = cards
    found = {NVIDIA_PRODUCT: product.replace(" ", "-"), NVIDIA_MEMORY_MIB: str(memory >> 20)}
    return {key: value for key, value in found.items() if value not in ("", "0")}


def read_template(obj: Mapping[str, Any]) -> tuple[str, int] | str:
    """DeviceClass and number of devices of a ResourceClaimTemplate; why it cannot be planned otherwise."""
    devices = mapping(mapping(mapping(obj.get("spec")).get("spec")).get("devices"))
    requests = sequence(devices.get("requests"))
    if len(requests) != 1:
        return f"has {len(requests)} requests"
    request = mapping(mapping(requests[0]).get("exactly"))
    count, mode = request.get("count", 1), request.get("allocationMode", "ExactCount")
    wrong = (
        ("firstAvailable" in mapping(requests[0]), "has alternatives (firstAvailable)"),
        (not text(request.get("deviceClassName")), "names no DeviceClass"),
        (mode != "ExactCount", f"has allocationMode {mode}"),
        (type(count) is not int or not 0 < count < 2**31, f"has count {count}"),
        (bool(request.get("adminAccess")), "has adminAccess"),
        (bool(request.get("selectors")), "has selectors of its own"),
        (bool(request.get("capacity")), "asks for a part of a device"),
        (bool(devices.get("constraints")), "has constraints between devices"),
    )
    why = next((text for found, text in wrong if found), "")
    return why or (str(request["deviceClassName"]), int(count))
