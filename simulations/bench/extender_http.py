"""`muster serve` with 5,000 nodes and 20,000 pods of a real API server: filter over HTTPS, and memory.

Nodes and pods are real objects of a realistic size. The pods are bound, but no kubelet reports on them; once
everything exists only etcd and kube-apiserver go on, since the other components would run elsewhere.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from scheduler import keys
from simulations.bench import Line, percentile
from simulations.bench.client import Job, Times, ca_file, load
from simulations.controlplane import Cluster, temporary_cluster
from simulations.fleet import Fleet, Pool
from simulations.local import LocalMuster, MusterDidNotStart
from topology.keys import NVIDIA_GPU

NODE_COUNT, POD_COUNT = 5_000, 20_000
MEMBERS = 16
RATE, SECONDS, ROUNDS = 200, 10, 3
FILTER_P99_MS = 10
MEMORY_MIB = 500

Object = dict[str, Any]

_NAMESPACE = "bench"
_GANG = "gang"
_QUIET_SECONDS = 3600.0
_SETTINGS = {
    # The gang stays between nomination and ungating, which is where filter is asked about it.
    "ungate_delay_seconds": _QUIET_SECONDS,
    "limits.reserve_seconds": _QUIET_SECONDS,
    "log_level": "warning",
}


def run() -> Iterator[Line]:
    """The lines of this part; about five minutes on two cores, nearly all of it for creating objects."""
    with temporary_cluster(node_lease_seconds=int(_QUIET_SECONDS)) as cluster:
        muster = LocalMuster(cluster, settings=_SETTINGS)
        muster.install()
        started = time.monotonic()
        names = fill(cluster)
        yield Line(text=f"created {NODE_COUNT:,} nodes, {POD_COUNT:,} pods in {_since(started)}")
        started = time.monotonic()
        _start(muster)
        seen = muster.metrics()
        yield Line(
            text=f"ready {_since(started)} after the start, with {seen['muster_nodes']:,.0f} nodes "
            f"and {seen['muster_pods']:,.0f} pods"
        )
        yield from memory(muster, "at rest")
        started = time.monotonic()
        pod = planned_member(cluster)
        yield Line(text=f"a gang of {MEMBERS} planned {_since(started)} after its creation")
        yield from filter_lines(muster, ca_file(cluster.folder), pod, names)
        yield from memory(muster, "after the load")
        muster.stop()


def _start(muster: LocalMuster) -> None:
    """Start it, with more patience than for a small cluster."""
    muster.start(ready=False)
    for _ in range(3):
        with suppress(MusterDidNotStart):
            return muster.wait_ready()
    return muster.wait_ready()


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"


# -- objects ---------------------------------------------------------------------------------------


def fill(cluster: Cluster) -> list[str]:
    """Create nodes and pods; the names of the nodes."""
    cluster.stop("kwok")
    nodes = [_padded(node) for node in Fleet(pools=_POOLS).nodes()]
    names = [str(node["metadata"]["name"]) for node in nodes]
    cluster.api.create_namespace(_NAMESPACE)
    _create(cluster, "/api/v1/nodes", nodes)
    cluster.api.wait_for(
        "taints of new nodes to go", lambda: _untainted(cluster), timeout=300.0, every=3.0
    )
    for component in ("kube-scheduler", "kube-controller-manager"):
        cluster.stop(component)
    _create(cluster, _POD_PATH, (_pod(number, names) for number in range(POD_COUNT)))
    return names


def _create(cluster: Cluster, path: str, bodies: Iterable[Object]) -> None:
    """In batches, since the answers are kept until the end of each."""
    rest = iter(bodies)
    while batch := list(islice(rest, 500)):
        cluster.api.create_all(path, batch)


_POD_PATH = f"/api/v1/namespaces/{_NAMESPACE}/pods"
_POOLS = (
    Pool(prefix="h100", count=NODE_COUNT // 2, device="h100"),
    Pool(prefix="a100", count=NODE_COUNT // 2, device="a100"),
)


def _padded(node: Object) -> Object:
    """With what feature discovery and the kubelet add to a Node: 60 labels, 40 images."""
    node["metadata"]["labels"] |= {f"feature-cpu-cpuid-{i}": "true" for i in range(60)}
    node["status"]["images"] = [
        {"names": [f"registry.example/team/image-{i}:v1.{i}"], "sizeBytes": i * 10**8}
        for i in range(1, 41)
    ]
    return node


def _untainted(cluster: Cluster) -> bool:
    return not any(node["spec"].get("taints") for node in cluster.api.list("/api/v1/nodes"))


def _pod(number: int, names: list[str]) -> Object:
    """A bound pod of a workload; six of ten nodes are busy with one pod that holds all cards."""
    node = number % NODE_COUNT
    cards = "8" if number < NODE_COUNT and number % 10 < 6 else "0"
    return {
        "metadata": {
            "name": f"worker-{number}",
            "labels": {"app": f"app-{number % 200}", "revision": f"{number % 7}"},
            "annotations": {"checksum": "0123456789abcdef" * 4, "note": "x" * 400},
        },
        "spec": {
            "nodeName": names[node],
            "containers": [
                {
                    "name": f"container-{i}",
                    "image": f"registry.example/team/image-{i}:v1.{i}",
                    "env": [{"name": f"SETTING_{j}", "value": "y" * 60} for j in range(12)],
                    "resources": {
                        "requests": {"cpu": "100m", "memory": "256Mi"},
                        "limits": {NVIDIA_GPU: cards} if i == 0 else {},
                    },
                }
                for i in range(2)
            ],
        },
    }


def planned_member(cluster: Cluster) -> Object:
    """Create a gang and wait until it has its places; one of its pods, nominated."""
    asked = {keys.GANG: _GANG, keys.GANG_SIZE: str(MEMBERS)}
    limits = {NVIDIA_GPU: "8"}
    cluster.api.create_all(
        _POD_PATH,
        (
            {
                "metadata": {"name": f"{_GANG}-{index}", "annotations": asked},
                "spec": {
                    "containers": [
                        {
                            "name": "vllm",
                            "image": "vllm/vllm-openai",
                            "resources": {"limits": limits},
                        }
                    ]
                },
            }
            for index in range(MEMBERS)
        ),
    )

    def nominated() -> Object | None:
        pod = cluster.api.get(f"{_POD_PATH}/{_GANG}-0")
        return pod if pod["status"].get("nominatedNodeName") else None

    return cluster.api.wait_for("a member to be nominated", nominated, timeout=30.0)


# -- measurements ----------------------------------------------------------------------------------


def filter_lines(muster: LocalMuster, ca: str, pod: Object, names: list[str]) -> Iterator[Line]:
    """Latency at a fixed rate beside that of an empty answer, then the most that gets through.

    Of some rounds that counts in which the empty answer was fastest: there the machine was quietest.
    """
    body = json.dumps({"Pod": pod, "Nodes": None, "NodeNames": names})
    planned = str(pod["status"]["nominatedNodeName"])
    nothing = Job(url=f"{muster.url}/healthz", ca=ca, rate=RATE, seconds=SECONDS / 2)
    job = Job(
        url=f"{muster.url}/filter", ca=ca, body=body, expect=planned, rate=RATE, seconds=SECONDS
    )
    rounds = [(load(nothing), load(job)) for _ in range(ROUNDS)]
    empty, loaded = min(rounds, key=lambda times: percentile(times[0].milliseconds, 99))
    p50, p99 = (percentile(loaded.milliseconds, percent) for percent in (50, 99))
    floor = percentile(empty.milliseconds, 99)
    yield Line(
        text=f"filter, {len(names):,} names ({len(body) // 1024} KiB) at {RATE}/s: p50 {p50:.1f} ms, "
        f"p99 {p99:.1f} ms (target < {FILTER_P99_MS} ms); {p99 / floor:.1f} x the p99 of an empty "
        f"answer, {floor:.1f} ms{_failures(loaded)}",
        passed=p99 < FILTER_P99_MS and not loaded.failed,
    )
    before = _cpu_seconds(muster)
    most = load(replace(job, rate=0))
    calls = len(most.milliseconds) or 1
    each = (_cpu_seconds(muster) - before) / calls * 1e3
    yield Line(
        text=f"filter throughput: {most.per_second:.0f}/s{_failures(most)}; {each:.2f} ms of CPU a call"
    )


def _failures(times: Times) -> str:
    return f", {times.failed} failed" if times.failed else ""


def _cpu_seconds(muster: LocalMuster) -> float:
    """Of the service's main process so far; unlike latency it does not depend on the machine's load."""
    fields = Path(f"/proc/{muster.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(muster: LocalMuster, moment: str) -> Iterator[Line]:
    """Resident memory of the service and the processes it started."""
    assert muster.pid is not None
    sizes = [_resident_mib(pid) for pid in _family(muster.pid)]
    now, peak = (sum(values) for values in zip(*sizes, strict=True))
    each = " + ".join(f"{size:.0f}" for size, _ in sizes)
    yield Line(
        text=f"memory {moment}: {now:.0f} MiB in {len(sizes)} processes ({each}), peak {peak:.0f} MiB "
        f"(target < {MEMORY_MIB} MiB)",
        passed=now < MEMORY_MIB,
    )


def _family(pid: int) -> list[int]:
    """The process and its descendants."""
    family = [pid]
    for parent in family:
        for task in Path(f"/proc/{parent}/task").iterdir():
            family += [int(child) for child in (task / "children").read_text().split()]
    return family


def _resident_mib(pid: int) -> tuple[float, float]:
    """Now and at most so far."""
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    now, peak = (float(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak
