"""Record what the real managers create, for tests that have no control plane.

`python -m tests.controlplane.record` writes `tests/fixtures/workloads/<case>.json` from
`<case>.yaml`: one List with every object of the case, owners first, without managed fields. Cases
are recorded with the releases pinned in `simulations/controlplane/modules`; identifiers, times and
names of nodes differ from run to run, everything else must not.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.controlplane import Cluster, temporary_cluster
from simulations.controlplane.workloads import Workloads
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file of manifests: how many pods it leads to in the end and how many of them run.

    Documents after `---` that name the same object are changes, applied when the pods before
    them run. `model` applies the model of the llmaz cases first.
    """

    name: str
    pods: int
    running: int = 0
    model: bool = False
    first_running: int | None = None


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
    Case(name="lws-rolling-update", pods=6, running=4, first_running=4),
)
"""Pods are bound."""

NODES = Fleet(
    pools=(
        Pool(prefix="a10", count=1, device="a10"),
        Pool(prefix="h100", count=8, device="h100"),
    )
)


def record(workloads: Workloads, case: Case) -> dict[str, Any]:
    """Apply the case in a namespace of its own, wait for its pods, and read everything back."""
    api, namespace = workloads.cluster.api, f"record-{case.name}"
    api.create_namespace(namespace)
    if case.model:
        workloads.kubectl("apply", "--server-side", "-f", str(FOLDER / "model.yaml"))
    text = (FOLDER / f"{case.name}.yaml").read_text()
    first, *changes = [text] if case.first_running is None else text.split("\n---\n")
    apply = ("apply", "--server-side", f"--namespace={namespace}", "-f", "-")
    workloads.kubectl(*apply, stdin=first)
    for change in changes:
        _settle(workloads.cluster, namespace, case.first_running or 0, case.first_running or 0)
        workloads.kubectl(*apply, stdin=change)
    _settle(workloads.cluster, namespace, case.pods, case.running)
    kinds = ",".join(KINDS if case.model else KINDS[1:])  # models belong to no namespace
    shown = workloads.kubectl("get", kinds, f"--namespace={namespace}", "-o", "json")
    api.delete(f"/api/v1/namespaces/{namespace}")
    items = json.loads(shown)["items"]
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
        for case in (*WITHOUT_NODES, *WITH_NODES):
            if case is WITH_NODES[0]:
                cluster.add_nodes(NODES.nodes())
            recorded = record(workloads, case)
            text = json.dumps(recorded, indent=1, ensure_ascii=False)
            (FOLDER / f"{case.name}.json").write_text(text + "\n")
            print(f"{case.name}: {len(recorded['items'])} objects")


if __name__ == "__main__":
    main()
