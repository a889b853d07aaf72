"""How long it takes to learn which models 5,000 nodes have, to follow one node, and to decide by it.

Each node has ten models, of which KServe, OME's labels and the scanner tell, and ten images. Seconds are
those of the processor, as in ``topology``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from scheduler.policy import Policy
from scheduler.residencies import Residencies
from scheduler.solve import solve
from simulations.bench import Line
from simulations.bench.plan import TARGET_SECONDS, fleet, pending, snapshot_of
from topology.caches import agent, kserve
from topology.caches.claims import Residency
from topology.keys import OME_CLUSTER_MODEL, OME_LABELS

NODES, MODELS, IMAGES = 5_000, 10, 50
TARGET_READ_SECONDS = 5.0
TARGET_UPDATE_SECONDS = 0.005

Object = dict[str, Any]


def node(index: int, state: str = "Ready") -> Object:
    """A node with OME's labels among fifty, and images of which ten are large."""
    labels = {f"{OME_LABELS}{OME_CLUSTER_MODEL}.m{model}": state for model in range(MODELS)}
    images = [
        {
            "names": [f"repo/image-{number}:v1", f"repo/image-{number}@sha256:{number:064}"],
            "sizeBytes": 2 * 10**9 if number < 10 else 10**8,
        }
        for number in range(IMAGES)
    ]
    others = {f"label-{number}": "x" for number in range(40)}
    return {
        "metadata": {"name": f"n{index}", "labels": {**labels, **others}},
        "status": {"images": images},
    }


def local_models(index: int, state: str = "ModelDownloaded") -> Object:
    """KServe's word about the node."""
    names = [f"m{model}" for model in range(MODELS)]
    listed = [{"modelName": name, "sourceModelUri": f"hf://org/{name}"} for name in names]
    return {
        "metadata": {"name": f"n{index}"},
        "spec": {"localModels": listed},
        "status": {"modelStatus": dict.fromkeys(names, state)},
    }


def report(index: int, state: str = "Complete") -> Object:
    """The scanner's word about the node."""
    caches = [
        {
            "model": f"hf://org/m{model}",
            "path": f"/models/m{model}",
            "bytesPresent": 10**9,
            "state": state,
            "tier": "nvme",
        }
        for model in range(MODELS)
    ]
    return {"metadata": {"name": f"n{index}"}, "status": {"caches": caches}}


KINDS: dict[str, Callable[..., Object]] = {
    "Node": node,
    kserve.NODE: local_models,
    agent.NODE: report,
}


def run() -> Iterator[Line]:
    """Read everything once; then one node at a time; then decide."""
    objects = [(kind, make(index)) for kind, make in KINDS.items() for index in range(NODES)]
    asked = replace(pending(1)[0], model="hf://org/m0")
    known = Residencies()
    start = time.process_time()
    for kind, obj in objects:
        known.take(kind, obj, deleted=False)
    found = known.of([asked])
    seconds = time.process_time() - start
    yield Line(
        text=f"{MODELS} models on each of {NODES:,} nodes from {len(KINDS)} kinds of objects in"
        f" {seconds:.2f} s (target < {TARGET_READ_SECONDS:.0f} s)",
        passed=seconds < TARGET_READ_SECONDS and len(found) == 2 * NODES,
    )
    for kind, make in KINDS.items():
        times = []
        for index in range(1_000, 1_021):
            obj = make(index, "Other")
            start = time.process_time()
            known.take(kind, obj, deleted=False)
            known.of([asked])
            times.append(time.process_time() - start)
        yield Line(
            text=f"one {kind.partition('.')[0]} that changes: {min(times) * 1000:.1f} ms"
            f" (target < {TARGET_UPDATE_SECONDS * 1000:.0f} ms)",
            passed=min(times) < TARGET_UPDATE_SECONDS,
        )
    yield from _decisions()


def _decisions() -> Iterator[Line]:
    states, dice = fleet(5_120), random.Random(1)
    (gang,) = pending(1, size=16)
    wish = replace(gang, model="hf://org/m0", model_bytes=30 * 10**9)
    copies = tuple(
        Residency(
            model="hf://org/m0",
            node=state.node.name,
            source=kserve.NAME,
            tier=dice.choice(("nvme", "memory", "hdd")),
            complete=True,
        )
        for state in states
        if dice.random() < 0.9
    )
    rows = {
        "no model": (gang, ()),
        "a model, no copy": (wish, ()),
        "copies on 90 %": (wish, copies),
    }
    for name, (each, residency) in rows.items():
        snapshot = replace(snapshot_of(states, (each,)), residency=residency)
        times = []
        for _ in range(5):
            start = time.process_time()
            plan = solve(snapshot, Policy())
            times.append(time.process_time() - start)
        yield Line(
            text=f"one gang of 16 pods on 5,120 nodes, {name}: {min(times) * 1000:.0f} ms"
            f" (target < {TARGET_SECONDS * 1000:.0f} ms), {plan.status.value}",
            passed=min(times) < TARGET_SECONDS and plan.assignments[0].placed,
        )
