"""Fleets as data: pools of equal nodes over racks, blocks and zones, turned into Node objects.

The same Node objects serve KWOK (they carry its annotation) and in-memory simulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from topology import keys

Object = dict[str, Any]

_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a node with these cards looks like: resources (quantities as text) and what the vendor writes."""

    resources: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)


def _nvidia(product: str, memory_mib: int, count: int, cpu: int, memory: str) -> Device:
    return Device(
        resources={keys.NVIDIA_GPU: str(count), "cpu": str(cpu), "memory": memory},
        labels={
            keys.NVIDIA_PRODUCT: product,
            keys.NVIDIA_MEMORY_MIB: str(memory_mib),
            keys.NVIDIA_COUNT: str(count),
        },
    )


DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        "h100": _nvidia("NVIDIA-H100-80GB-HBM3", 81559, 8, 192, "2Ti"),
        "a100": _nvidia("NVIDIA-A100-SXM4-80GB", 81920, 8, 128, "1Ti"),
        "l40s": _nvidia("NVIDIA-L40S", 46068, 8, 128, "1Ti"),
        "a10": _nvidia("NVIDIA-A10", 23028, 4, 64, "256Gi"),
        "ascend-910b": Device(
            resources={keys.ASCEND_910: "8", "cpu": "192", "memory": "1536Gi"},
            labels={
                keys.ASCEND_CHIP: "910B3",
                keys.ASCEND_MEMORY: "64G",
                keys.ASCEND_ACCELERATOR: "huawei-Ascend910",
                keys.ASCEND_ACCELERATOR_TYPE: "module-910b-8",
            },
        ),
    }
)
"""Labels as NVIDIA's feature discovery and Ascend's device plugin write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """`count` equal nodes named `<prefix>-<number>`, filled rack by rack, block by block.

    `device` is one, or names an entry of `DEVICES`; `resources` and `labels` add to it or replace parts of
    it. `taints` are Kubernetes taints: key, effect and, if wanted, value.
    """

    prefix: str
    count: int
    device: str | Device | None = None
    resources: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    nodes_per_rack: int = 4
    racks_per_block: int = 4
    zone: str = "zone-a"

    def __post_init__(self) -> None:
        for name in ("count", "nodes_per_rack", "racks_per_block"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"pool {self.prefix!r}: {name} is {value!r}, must be 1 or more")
        if isinstance(self.device, str) and self.device not in DEVICES:
            known = ", ".join(DEVICES)
            raise ValueError(f"pool {self.prefix!r}: device {self.device!r} is not one of {known}")
        for taint in self.taints:
            if "key" not in taint or taint.get("effect") not in _TAINT_EFFECTS:
                effects = ", ".join(_TAINT_EFFECTS)
                raise ValueError(
                    f"pool {self.prefix!r}: taint {dict(taint)} needs a key and one of {effects}"
                )

    def nodes(self) -> Iterator[Object]:
        """v1.Node objects in order."""
        for index in range(self.count):
            yield self._node(index)

    def _node(self, index: int) -> Object:
        name = f"{self.prefix}-{index:0{len(str(self.count - 1))}d}"
        rack = index // self.nodes_per_rack
        device = DEVICES[self.device] if isinstance(self.device, str) else self.device
        device = device or Device(resources={}, labels={})
        resources = {"cpu": "64", "memory": "256Gi", "pods": "110"}
        resources |= {**device.resources, **self.resources}
        labels = {
            keys.HOSTNAME: name,
            keys.ZONE: self.zone,
            keys.BLOCK: f"{self.prefix}-block-{rack // self.racks_per_block}",
            keys.RACK: f"{self.prefix}-rack-{rack}",
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": labels | {**device.labels, **self.labels},
                "annotations": {**device.annotations, keys.KWOK_NODE: "fake"},
            },
            "spec": {"taints": [dict(taint) for taint in self.taints]} if self.taints else {},
            "status": {
                "capacity": resources,
                "allocatable": dict(resources),
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                "phase": "Running",
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Pools side by side; their prefixes must differ."""

    pools: tuple[Pool, ...]

    def __post_init__(self) -> None:
        prefixes = [pool.prefix for pool in self.pools]
        for prefix in prefixes:
            if prefixes.count(prefix) > 1:
                raise ValueError(f"pool {prefix!r}: prefix is used twice, must be unique")

    def nodes(self) -> tuple[Object, ...]:
        """v1.Node objects of all pools, in order."""
        return tuple(node for pool in self.pools for node in pool.nodes())


def parse_fleet(document: Mapping[str, Any]) -> Fleet:
    """A fleet from a TOML document: `[[pools]]` tables with the fields of `Pool`.

    Raises `ValueError` that names the pool and the field.
    """
    known = {item.name for item in fields(Pool)}
    pools = []
    for number, table in enumerate(document.get("pools", ())):
        name = table.get("prefix", f"number {number}")
        for key in table:
            if key not in known:
                raise ValueError(f"pool {name!r}: {key} is not one of {', '.join(sorted(known))}")
        for key in ("prefix", "count"):
            if key not in table:
                raise ValueError(f"pool {name!r}: {key} is missing")
        pools.append(Pool(**{**table, "taints": tuple(table.get("taints", ()))}))
    if not pools:
        raise ValueError("fleet: pools is missing, must be one [[pools]] table or more")
    return Fleet(pools=tuple(pools))


def default_fleet() -> Fleet:
    """The demo's fleet: 40 nodes, three NVIDIA types and one Ascend type, racks of four nodes."""
    return Fleet(
        pools=(
            Pool(prefix="h100", count=12, device="h100", racks_per_block=3),
            Pool(prefix="a100", count=12, device="a100", racks_per_block=3),
            Pool(prefix="l40s", count=8, device="l40s", racks_per_block=2, zone="zone-b"),
            Pool(prefix="ascend", count=8, device="ascend-910b", racks_per_block=2, zone="zone-b"),
        )
    )
