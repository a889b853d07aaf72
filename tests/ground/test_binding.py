"""Ground facts about the bind verb and the Binding that we create ourselves."""

from __future__ import annotations

import threading
import time

import pytest

from simulations.controlplane import ApiError
from tests.ground.conftest import BIND_TIMEOUT_SECONDS
from tests.ground.extender import Object
from tests.ground.rig import Rig

pytestmark = pytest.mark.e2e


def binding(pod: str, node: str, uid: str) -> Object:
    """A Binding with a uid precondition."""
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod, "uid": uid},
        "target": {"kind": "Node", "name": node},
    }


def test_binding_annotations_are_merged_into_the_pod(rig: Rig) -> None:
    """What we hand over to the node's device plugin is written in the same write as the node."""
    [node] = rig.add_nodes(1)
    given = {"example/devices": "0,1"}
    rig.extender.answers["bind"] = lambda body: rig.extender.bind(body, given)
    rig.create("pod", bind=True, annotations={"example/kept": "yes"})
    version = rig.get("pod")["metadata"]["resourceVersion"]
    rig.wait_bound("pod")
    events = rig.history("pod", version)
    first_bound = next(pod for pod in events if pod["spec"].get("nodeName") == node)
    assert first_bound["metadata"]["annotations"] == given | {"example/kept": "yes"}


def test_uid_precondition_refuses_a_recreated_pod(rig: Rig) -> None:
    """A Binding for the pod that was there before cannot bind its successor of the same name."""
    [node] = rig.add_nodes(1)
    old = rig.create("pod", spec={"schedulerName": "nobody"})["metadata"]["uid"]
    rig.cluster.api.delete(rig.path("pod"), grace_seconds=0)
    new = rig.create("pod", spec={"schedulerName": "nobody"})["metadata"]["uid"]
    with pytest.raises(ApiError) as refused:
        rig.cluster.api.create(rig.path("pod") + "/binding", binding("pod", node, old))
    assert refused.value.code == 409
    assert rig.node_of("pod") is None
    rig.cluster.api.create(rig.path("pod") + "/binding", binding("pod", node, new))
    assert rig.node_of("pod") == node


def test_binding_of_a_gated_or_bound_pod_is_refused(rig: Rig) -> None:
    """The API server itself refuses a Binding before the gate is removed, and a second one."""
    [node] = rig.add_nodes(1)
    uid = rig.create("pod", gated=True, spec={"schedulerName": "nobody"})["metadata"]["uid"]
    path = rig.path("pod") + "/binding"
    with pytest.raises(ApiError):
        rig.cluster.api.create(path, binding("pod", node, uid))
    rig.ungate("pod")
    rig.cluster.api.create(path, binding("pod", node, uid))
    with pytest.raises(ApiError):
        rig.cluster.api.create(path, binding("pod", node, uid))


def test_late_binding_after_a_timeout_wins(rig: Rig) -> None:
    """The call times out, we bind anyway: the pod stays bound, nothing else happens to it."""
    rig.add_nodes(1)

    def late(body: Object) -> Object:
        time.sleep(BIND_TIMEOUT_SECONDS + 0.5)
        return rig.extender.bind(body)

    rig.extender.answers["bind"] = late
    rig.create("pod", bind=True)
    node = rig.wait_bound("pod")
    time.sleep(3.0)  # the retry after the timeout would be due by now
    assert rig.node_of("pod") == node
    rig.extender.reset()
    rig.cluster.api.delete(rig.path("pod"), grace_seconds=0)
    rig.create("next")
    assert rig.wait_bound("next") == node, "no capacity may stay assumed"


def test_timeout_without_a_binding_frees_the_place(rig: Rig) -> None:
    """While the call is open the place is assumed; after the timeout another pod can take it."""
    rig.add_nodes(1)
    release = threading.Event()

    def never(body: Object) -> Object:
        release.wait(BIND_TIMEOUT_SECONDS + 2)
        return {"Error": "too late"}

    rig.extender.answers["bind"] = never
    started = time.monotonic()
    rig.create("pod", bind=True)
    rig.cluster.api.wait_for("the bind call", lambda: rig.extender.of("bind", "pod"))
    rig.create("equal")
    assert rig.outcome("equal") == "refused"
    rig.wait_bound("equal")
    assert time.monotonic() - started >= BIND_TIMEOUT_SECONDS - 0.1
    release.set()


def test_pod_deleted_while_its_bind_is_held_frees_the_place(rig: Rig) -> None:
    """A member that is deleted in the barrier gives its place back before the call ends."""
    rig.add_nodes(1)
    release = threading.Event()
    ended: list[float] = []

    def held(body: Object) -> Object:
        release.wait(BIND_TIMEOUT_SECONDS)
        ended.append(time.monotonic())
        return {"Error": "deleted"}

    rig.extender.answers["bind"] = held
    rig.create("pod", bind=True)
    rig.cluster.api.wait_for("the bind call", lambda: rig.extender.of("bind", "pod"))
    rig.cluster.api.delete(rig.path("pod"), grace_seconds=0)
    rig.create("next")
    rig.wait_bound("next")
    assert not ended, "the place was free while the call was still open"
    release.set()


def test_binds_run_side_by_side(rig: Rig) -> None:
    """A held bind call stops neither other binds nor other scheduling: a barrier is possible."""
    rig.add_nodes(4)
    barrier = threading.Barrier(4, timeout=BIND_TIMEOUT_SECONDS)

    def together(body: Object) -> Object:
        barrier.wait()
        return rig.extender.bind(body)

    rig.extender.answers["bind"] = together
    for i in range(4):
        rig.create(f"gang-{i}", bind=True)
    for i in range(4):
        rig.wait_bound(f"gang-{i}")
    assert all(len(rig.extender.of("bind", f"gang-{i}")) == 1 for i in range(4))


def test_success_without_a_binding_locks_the_place(rig: Rig) -> None:
    """Why success without a Binding must be impossible: the place stays assumed."""
    rig.add_nodes(1)
    rig.extender.answers["bind"] = lambda body: {"Error": ""}
    rig.create("pod", bind=True)
    rig.cluster.api.wait_for("the bind call", lambda: rig.extender.of("bind", "pod"))
    time.sleep(1.0)
    rig.create("equal")
    assert rig.outcome("equal") == "refused"
    assert rig.node_of("pod") is None
    rig.cluster.api.delete(rig.path("pod"), grace_seconds=0)
    rig.wait_bound("equal")


@pytest.mark.parametrize("kill", [True, False])
def test_scheduler_restart_with_a_held_bind_keeps_the_place(rig: Rig, kill: bool) -> None:
    """kube-scheduler dies while we hold a bind: the nomination is still there, the place is kept.

    After the restart the pod is offered its node alone and bound there, ahead of a competitor that
    waited longer.
    """
    [node] = rig.add_nodes(1)
    release = threading.Event()

    def held(body: Object) -> Object:
        release.wait(BIND_TIMEOUT_SECONDS)
        return {"Error": "given up"}

    rig.extender.answers["bind"] = held
    rig.create("gang", gated=True, member=True, bind=True)
    rig.nominate("gang", node)
    rig.create("a-equal")
    assert rig.outcome("a-equal") == "refused"
    rig.ungate("gang")
    rig.cluster.api.wait_for("the bind call", lambda: rig.extender.of("bind", "gang"))
    rig.cluster.stop("kube-scheduler", kill=kill)
    assert rig.nominated("gang") == node
    rig.extender.reset()
    release.set()
    rig.cluster.restart_scheduler()
    assert rig.wait_bound("gang") == node
    assert rig.extender.of("filter", "gang")[0].body["NodeNames"] == [node]
    assert rig.node_of("a-equal") is None
