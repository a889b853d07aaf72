"""How long it takes to learn where 5,000 nodes stand from all sources at once, and to follow one node.

The fleet: 5,000 hosts of eight rails, 32 to a leaf group, 8 groups to a pod with spines. It is described by
Topograph's labels, HyperNodes (625 racks, 20 pods), ``ibnetdiscover`` (40,000 adapters), Hermes, and LLDP
output of 1,000 hosts. Seconds are those of the processor: the work is done in one thread and waits for
nothing, and the machine that measures may be shared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from scheduler.keys import GANG, GANG_SIZE, GANG_TOPOLOGY_REQUIRED, TOPOLOGY_SOURCE
from scheduler.state import ClusterState
from simulations.bench import Line
from topology.keys import HOSTNAME, NVIDIA_GPU, NVIDIA_PRODUCT, TOPOGRAPH_TIER, ZONE

NODES, RAILS = 5_000, 8
PER_GROUP, PER_RACK, GROUPS_PER_POD = 32, 8, 8
WITH_LLDP = 1_000
TARGET_READ_SECONDS = 5.0
TARGET_UPDATE_SECONDS = 0.005

Object = dict[str, Any]


def _name(index: int) -> str:
    return f"gpu-{index:04}"


def node(index: int, group: int | None = None, **labels: str) -> Object:
    """A Node with Topograph's labels; ``group`` moves it to another leaf group."""
    leaf = index // PER_GROUP if group is None else group
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": _name(index),
            "labels": {
                HOSTNAME: _name(index),
                ZONE: "z1",
                NVIDIA_PRODUCT: "NVIDIA-H100-80GB-HBM3",
                f"{TOPOGRAPH_TIER}0": f"group-{leaf}",
                f"{TOPOGRAPH_TIER}1": f"pod-{leaf // GROUPS_PER_POD}",
                "rack": f"rack-{index // PER_RACK}",
                **labels,
            },
        },
        "status": {"allocatable": {"cpu": "128", "memory": "2Ti", "pods": "110", NVIDIA_GPU: "8"}},
    }


def hypernodes() -> Iterator[Object]:
    """Racks by label, pods by name."""
    for rack in range(-(-NODES // PER_RACK)):
        match = {"labelMatch": {"matchLabels": {"rack": f"rack-{rack}"}}}
        yield _hypernode(f"rack-{rack}", 1, "rack", [{"type": "Node", "selector": match}])
    racks = range(PER_GROUP * GROUPS_PER_POD // PER_RACK)
    for pod in range(-(-NODES // PER_GROUP // GROUPS_PER_POD)):
        names = [f"rack-{pod * len(racks) + rack}" for rack in racks]
        yield _hypernode(f"pod-{pod}", 2, "spine", list(map(_member, names)))


def _member(name: str) -> Object:
    return {"type": "HyperNode", "selector": {"exactMatch": {"name": name}}}


def _hypernode(name: str, tier: int, level: str, members: list[Object]) -> Object:
    return {
        "apiVersion": "topology.volcano.sh/v1alpha1",
        "kind": "HyperNode",
        "metadata": {"name": name},
        "spec": {"tier": tier, "tierName": level, "members": members},
    }


def ibnetdiscover() -> str:
    """Each group has a leaf for every rail, each pod a spine for every rail."""
    lines = []
    for index in range(NODES):
        group = index // PER_GROUP
        for rail in range(RAILS):
            leaf = f"{0x2000000 + group * RAILS + rail:016x}"
            card = f"{0x1000000 + index * RAILS + rail:016x}"
            lines += [
                f'Ca\t1 "H-{card}"\t\t# "{_name(index)} mlx5_{rail}"',
                f'[1]({card}) \t"S-{leaf}"[{index % PER_GROUP + 1}]\t\t# lid 1 lmc 0 "LEAF" lid 2 4xNDR',
            ]
    for group in range(-(-NODES // PER_GROUP)):
        for rail in range(RAILS):
            leaf = f"{0x2000000 + group * RAILS + rail:016x}"
            spine = f"{0x3000000 + group // GROUPS_PER_POD * RAILS + rail:016x}"
            lines += [
                f'Switch\t64 "S-{leaf}"\t\t# "MF0;LEAF-{group}-{rail}:MQM9700/U1" enhanced port 0 lid 3',
                f'[33]\t"S-{spine}"[{group % GROUPS_PER_POD + 1}]\t\t# "SPINE" lid 4 4xNDR',
            ]
    return "\n".join(lines)


def hermes() -> str:
    """A scan of all nodes."""
    nodes = [
        {
            "name": _name(index),
            "topology_block": f"group-{index // PER_GROUP}",
            "node_labels": {ZONE: "z1", f"{TOPOGRAPH_TIER}0": f"group-{index // PER_GROUP}"},
            "rdma_resource": 'rdma/ib: Quantity("1k")',
        }
        for index in range(NODES)
    ]
    return json.dumps({"total_nodes": NODES, "rdma_nodes": NODES, "nodes": nodes})


def lldp(index: int) -> str:
    """What the host sees on its rails."""
    interfaces = [
        {
            "name": f"eth{rail}",
            "chassis": [{"name": [{"value": f"leaf-{index // PER_GROUP}-{rail}"}]}],
            "port": [{"id": [{"type": "ifname", "value": f"Ethernet{index % PER_GROUP}"}]}],
        }
        for rail in range(RAILS)
    ]
    return json.dumps({"lldp": [{"interface": interfaces}]})


def _config_map(name: str, data: dict[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "m", "name": name, "labels": {TOPOLOGY_SOURCE: name}},
        "data": data,
    }


def everything() -> list[Object]:
    """All objects of the fleet."""
    return [
        *(node(index) for index in range(NODES)),
        *hypernodes(),
        _config_map("fabric", {"fabric.txt": ibnetdiscover()}),
        _config_map("hermes", {"scan.json": hermes()}),
        _config_map("lldp", {f"{_name(i)}.json": lldp(i) for i in range(WITH_LLDP)}),
    ]


def _asking(level: str) -> Object:
    """A pod of a gang that asks for a level."""
    asked = {GANG: "g", GANG_SIZE: "1", GANG_TOPOLOGY_REQUIRED: level}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "m", "name": "g-0", "uid": "g-0", "annotations": asked},
        "spec": {},
    }


def run() -> Iterator[Line]:
    """Read everything once; then one node at a time."""
    objects = everything()
    seconds = float("inf")
    for _ in range(3):
        state = ClusterState()
        start = time.process_time()
        for obj in objects:
            state.apply(obj["kind"], "ADDED", obj)
        snapshot = state.snapshot()
        seconds = min(seconds, time.process_time() - start)
    levels = " > ".join(snapshot.levels)
    yield Line(
        text=f"{NODES:,} nodes from labels, HyperNodes, ibnetdiscover, Hermes and LLDP in {seconds:.2f} s"
        f" (target < {TARGET_READ_SECONDS:.0f} s); levels {levels}",
        passed=seconds < TARGET_READ_SECONDS and len(snapshot.nodes) == NODES,
    )
    yield from _updates(state, "all sources")
    labelled = ClusterState()
    for obj in objects[:NODES]:
        labelled.apply("Node", "ADDED", obj)
    labelled.snapshot()
    yield from _updates(labelled, "labels only")
    labelled.apply("Pod", "ADDED", _asking("rack"))
    labelled.snapshot()
    yield from _updates(labelled, "labels, and a gang that asks for one that is no level")


def _updates(state: ClusterState, fleet: str) -> Iterator[Line]:
    """Each kind of update of one node, with the snapshot after it: the best of several."""
    spare = NODES + 7
    kinds: dict[str, Callable[[int], tuple[str, Object]]] = {
        "a label that says nothing": lambda i: ("MODIFIED", node(i, feature=f"x{i}")),
        "another leaf group": lambda i: ("MODIFIED", node(i, group=i % 3, rack=f"rack-{i % 3}")),
        "a new node": lambda i: ("ADDED", node(spare + i)),
        "a node that goes": lambda i: ("DELETED", node(spare + i)),
    }
    for kind, change in kinds.items():
        times = []
        for index in range(1_000, 1_021):
            verb, obj = change(index)
            start = time.process_time()
            state.apply("Node", verb, obj)
            state.snapshot()
            times.append(time.process_time() - start)
        best = min(times)
        yield Line(
            text=f"{kind} ({fleet}): node and snapshot current in {best * 1000:.1f} ms"
            f" (target < {TARGET_UPDATE_SECONDS * 1000:.0f} ms)",
            passed=best < TARGET_UPDATE_SECONDS,
        )
