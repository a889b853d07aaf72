"""Record what the real managers create, for tests that have no control plane.

`python -m tests.controlplane.record` writes `tests/fixtures/workloads/<case>.json` from
`<case>.yaml`: one List with every object of the case, owners first, without managed fields. Cases
are recorded with the releases pinned in `simulations/controlplane/modules`; identifiers, times and
names of nodes differ from run to run, everything else must not.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simulations.controlplane import Cluster, Workloads, temporary_cluster
from simulations.fleet import Fleet, Pool

FOLDER = Path(__file__).parents[1] / "fixtures" / "workloads"

KINDS = (
    "openmodels.llmaz.io",
    "playgrounds.inference.llmaz.io",
    "services.inference.llmaz.io",
    "disaggregatedsets.disaggregatedset.x-k8s.io",
    "leaderworkersets.leaderworkerset.x-k8s.io",
    "controllerrevisions.apps",
    "statefulsets.apps",
    "services",
    "pods",
)
"""What kubectl is asked for, owners before what they own."""

_QUIET_SECONDS = 2.0
OTHER_LWS = bool(os.environ.get("MUSTER_LWS"))
"""Whether another release of LeaderWorkerSet than the pinned one runs: only its cases are recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file of manifests: how many pods it leads to in the end and how many of them run.

    `model` applies the model of the llmaz cases first. With `changed_at` the second document of
    the file is a change, applied when that many pods run.
    """

    name: str
    pods: int
    running: int = 0
    model: bool = False
    changed_at: int = 0


WITHOUT_NODES = (
    Case(name="playground", pods=2, model=True),
    Case(name="lws", pods=8),
    Case(name="lws-exclusive", pods=2),
    Case(name="lws-subgroups", pods=4),
    Case(name="lws-no-restart", pods=2),
    Case(name="disaggregated-set", pods=18),
)
"""Pods wait for a node."""

WITH_NODES = (
    Case(name="service", pods=2, running=2, model=True),
    Case(name="service-leader-template", pods=4, running=4, model=True),
    Case(name="service-leader-waiting", pods=1, model=True),
    Case(name="playground-parallel", pods=2, running=2),
    Case(name="lws-rolling-update", pods=6, running=4, changed_at=4),
)
"""Pods are bound."""

WITH_SLICES = (Case(name="disaggregated-slices", pods=18),)
"""Recorded with `$MUSTER_LWS` at v0.10 only: the release that is pinned knows no slices."""

NODES = Fleet(
    pools=(
        Pool(prefix="a10", count=1, device="a10"),
        Pool(prefix="h100", count=8, device="h100"),
    )
)


def record_all(workloads: Workloads) -> dict[str, dict[str, Any]]:
    """Every case of the pinned releases by its name, side by side; adds nodes to the cluster for some."""
    with ThreadPoolExecutor(len(WITHOUT_NODES)) as pool:
        lists = [*pool.map(lambda case: record(workloads, case), WITHOUT_NODES)]
        workloads.cluster.add_nodes(NODES.nodes())
        lists += pool.map(lambda case: record(workloads, case), WITH_NODES)
    cases = (*WITHOUT_NODES, *WITH_NODES)
    return {case.name: recorded for case, recorded in zip(cases, lists, strict=True)}


def record(workloads: Workloads, case: Case) -> dict[str, Any]:
    """Apply the case in a namespace of its own, wait for its pods, and read everything back."""
    api, namespace = workloads.cluster.api, f"record-{case.name}"
    apply = ("apply", "--server-side", f"--namespace={namespace}", "-f", "-")
    api.create_namespace(namespace)
    model = (FOLDER / "model.yaml").read_text() if case.model else ""
    text = (FOLDER / f"{case.name}.yaml").read_text()
    first, change = text.split("\n---\n") if case.changed_at else (text, "")
    workloads.kubectl(*apply, stdin=f"{model}\n---\n{first}")
    if change:
        _settle(workloads.cluster, namespace, case.changed_at, case.changed_at)
        workloads.kubectl(*apply, stdin=change)
    _settle(workloads.cluster, namespace, case.pods, case.running)
    shown = workloads.kubectl("get", ",".join(KINDS), f"--namespace={namespace}", "-o", "json")
    api.delete(f"/api/v1/namespaces/{namespace}")
    named = {
        (given["kind"], given["metadata"]["name"])
        for given in yaml.safe_load_all(f"{model}\n---\n{text}")
        if given
    }
    items = [
        item
        for item in json.loads(shown)["items"]
        if "namespace" in item["metadata"] or (item["kind"], item["metadata"]["name"]) in named
    ]
    for item in items:
        item["metadata"].pop("managedFields", None)
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _settle(cluster: Cluster, namespace: str, pods: int, running: int) -> None:
    """Wait until that many pods exist and run, and nothing has changed for two seconds."""
    seen: tuple[set[str], float] = (set(), 0.0)

    def quiet() -> bool:
        nonlocal seen
        found = cluster.api.list(f"/api/v1/namespaces/{namespace}/pods")
        state = {f"{pod['metadata']['uid']} {pod['metadata']['resourceVersion']}" for pod in found}
        if state != seen[0]:
            seen = (state, time.monotonic())
        run = sum(pod["status"]["phase"] == "Running" for pod in found)
        settled = time.monotonic() - seen[1] > _QUIET_SECONDS
        return (len(found), run) == (pods, running) and settled

    cluster.api.wait_for(f"{pods} pods, {running} running, in {namespace}", quiet, timeout=60)


def main() -> None:
    """Record every case on a cluster of its own."""
    with temporary_cluster() as cluster:
        workloads = Workloads(cluster)
        workloads.up()
        slices = {case.name: record(workloads, case) for case in WITH_SLICES} if OTHER_LWS else {}
        for name, recorded in (slices or record_all(workloads)).items():
            text = json.dumps(recorded, indent=1, ensure_ascii=False)
            (FOLDER / f"{name}.json").write_text(text + "\n")
            print(f"{name}: {len(recorded['items'])} objects")


if __name__ == "__main__":
    main()
