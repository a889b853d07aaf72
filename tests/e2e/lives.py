"""What happens to groups of LeaderWorkerSets, and what is seen of them: for the tests of their lives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from scheduler import keys
from simulations.controlplane.api import PATIENCE_SECONDS
from tests.e2e.history import History
from tests.e2e.rig import GANGS, Object
from tests.e2e.workload_rig import WorkloadRig
from topology.keys import KWOK_NODE, RACK

CARDS = 8
"""Of a node."""


def image(lws: Object, name: str) -> Object:
    """The set with another image: a new revision."""
    lws["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]["image"] = name
    return lws


def rolling(surge: int, unavailable: int = 1) -> dict[str, Any]:
    """`spec.rolloutStrategy`."""
    allowed = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"type": "RollingUpdate", "rollingUpdateConfiguration": allowed}


def delete(work: WorkloadRig, pod: str) -> None:
    """Delete a pod as a user does."""
    work.cluster.api.delete(f"/api/v1/namespaces/{work.name}/pods/{pod}")


def hold(work: WorkloadRig, pod: str) -> str:
    """The pod will not end before `let_go`, as one whose process does not stop; its uid."""
    path = f"/api/v1/namespaces/{work.name}/pods/{pod}"
    body = {"metadata": {"finalizers": [f"{keys.GROUP}/test"]}}
    return str(work.cluster.api.patch(path, body)["metadata"]["uid"])


def let_go(work: WorkloadRig, pod: str) -> None:
    """The pod has ended now."""
    path = f"/api/v1/namespaces/{work.name}/pods/{pod}"
    work.cluster.api.patch(path, {"metadata": {"finalizers": None}})


def silence(work: WorkloadRig, *nodes: str) -> None:
    """The kubelets of nodes are heard of no more: they are not ready, and KWOK leaves them alone."""
    paths = [f"/api/v1/nodes/{node}" for node in nodes]
    for path in paths:
        work.cluster.api.patch(path, {"metadata": {"annotations": {KWOK_NODE: None}}})
    time.sleep(1)  # until KWOK knows that the nodes are not its own any more
    for path in paths:
        conditions = work.cluster.api.get(path)["status"]["conditions"]
        for condition in conditions:
            if condition["type"] == "Ready":
                condition["status"] = "Unknown"
        work.cluster.api.patch(f"{path}/status", {"status": {"conditions": conditions}})


# -- what is seen ------------------------------------------------------------------------------------


def uids(work: WorkloadRig) -> dict[str, str]:
    """Uid by pod, of pods that are not being deleted."""
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"]
        for pod in work.pods()
        if "deletionTimestamp" not in pod["metadata"]
    }


def rack_of(work: WorkloadRig, node: str) -> str:
    """The rack of a node."""
    return str(work.cluster.api.get(f"/api/v1/nodes/{node}")["metadata"]["labels"][RACK])


def wait_other(work: WorkloadRig, pod: str, uid: str) -> None:
    """Wait for the pod of this name that comes after one."""

    def other() -> bool:
        return uids(work).get(pod, uid) != uid

    work.cluster.api.wait_for(f"another {pod}", other)


def wait_groups(
    work: WorkloadRig,
    sizes: Mapping[str, int],
    other_than: Mapping[str, str] = {},
    timeout: float = PATIENCE_SECONDS,
) -> dict[str, dict[str, str]]:
    """Places of groups once they are whole and Bound and nobody else is left, these pods least of all."""

    def whole() -> bool:
        now, pods = uids(work), work.pods()
        if len(now) != len(pods) or any(now.get(pod) == uid for pod, uid in other_than.items()):
            return False
        return len(work.places()) == len(pods) == sum(sizes.values())

    try:
        work.cluster.api.wait_for("whole groups", whole, timeout, every=0.1)
    except TimeoutError as error:
        states = {group: work.status(group) for group in sizes}
        seen = f"{error}: {work.places()}, {states}\n{work.muster.tail()}"
        raise AssertionError(seen) from None
    for group in sizes:
        work.wait_phase(group, "Bound")
    return {group: work.places(group) for group in sizes}


def wait_awaiting(work: WorkloadRig, gang: str, size: int) -> dict[str, str]:
    """Member -> node of a group whose leader is bound and whose workers do not exist yet."""
    work.wait_bound(gang, 1)
    work.wait_phase(gang, "Binding")
    places = {member["pod"]: member["node"] for member in work.status(gang)["members"]}
    assert work.places(gang) == {gang: places[gang]} and len(places) == size
    return places


def check_lives(history: History) -> None:
    """Every group was bound whole or not at all in each of its lives; no node ever had too many cards; and
    nobody but its owner has ended a pod."""
    for life in history.lives():
        assert life.whole or not life.bound, life
    assert max(history.most_cards().values()) <= CARDS
    assert not history.evicted()


def leaves_nothing(work: WorkloadRig, *sets: str) -> None:
    """Deleted sets leave no Gang, placeholder or reservation, and all of their nodes to the next gang."""
    api = work.cluster.api
    work.kubectl("delete", "leaderworkersets", *sets, "--cascade=foreground")
    api.wait_for("pods to go", lambda: not work.pods())
    api.wait_for("Gang objects to go", lambda: not api.list(f"{GANGS}/{work.name}/gangs"))
    api.wait_for("placeholders to go", lambda: not work.placeholders())
    held = "muster_reserved_gangs"
    api.wait_for("reservations to go", lambda: work.muster.metrics()[held] == 0)
    for node in work.nodes:
        work.cordon(node, on=False)
    work.gang("next", len(work.nodes), gpus=CARDS)
    api.wait_for("the next gang", lambda: len(work.places()) == len(work.nodes))
