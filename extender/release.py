"""``muster release``: the way out. Pods stop waiting for Muster; with ``--all`` it is uninstalled.

What can be undone on a pod is its gate and its nomination. The membership resources stay, because the
resources of a pod cannot be changed; kube-scheduler must be told to ignore them
(``manifests/scheduler/without-muster.yaml``).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.keys import GATE, GROUP, LEASE, PLACE, PLACE_OF, RESOURCE_BIND, RESOURCE_MEMBER
from scheduler.kube.auth import KubeConfigError
from scheduler.kube.client import ApiError, KubeClient
from scheduler.kube.manifests import api_path, load_manifests
from scheduler.kube.resources import GANGS, LEASES, PODS
from scheduler.kube.writes import (
    Outcome,
    PodRef,
    Result,
    clear_nomination,
    delete_gang,
    delete_pod,
    remove_gate,
)
from scheduler.state import ClusterState

_UNBOUND = "spec.nodeName="

_NEXT_STEPS = f"""\
The pods still request {RESOURCE_MEMBER} and {RESOURCE_BIND}: resources of a pod cannot be changed.
They schedule once kube-scheduler runs without the extender and ignores these resources:
  1. give kube-scheduler manifests/scheduler/without-muster.yaml as its --config (or add
     ignoredResourceGroups: [{GROUP}] to the NodeResourcesFit arguments of every profile and
     drop both extenders) and restart it;
  2. when the last such pod has ended, drop that setting again.
"""
_UNINSTALL_STEPS = """\
New pods are not gated any more. To remove the rest: kubectl delete -k manifests
"""


class ReleaseError(Exception):
    """Nothing was released; one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What was done."""

    pods: tuple[str, ...]
    """``namespace/name`` of pods that wait for Muster no longer."""
    gangs: int
    """Gang objects deleted: the places that they held are free."""
    failures: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``muster release``."""
    parser.add_argument("gangs", nargs="*", metavar="GANG", help="NAMESPACE/NAME, or NAME with -n")
    parser.add_argument("-n", "--namespace", default="default", help="namespace of plain names")
    parser.add_argument(
        "--all",
        action="store_true",
        help="every gang, and stop gating new pods (uninstall)",
    )
    parser.add_argument("--kubeconfig", help="default: in-cluster, $KUBECONFIG, ~/.kube/config")
    parser.add_argument(
        "--service-namespace",
        default="muster-system",
        help="where Muster's Lease lives",
    )


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when everything was released, 1 when something failed, 2 when nothing was tried."""
    if bool(args.gangs) == args.all:
        print("muster release: name gangs, or give --all", file=sys.stderr)
        return 2
    wanted = [gang if "/" in gang else f"{args.namespace}/{gang}" for gang in args.gangs]
    try:
        released = asyncio.run(_main(args.kubeconfig, args.service_namespace, wanted))
    except (ReleaseError, KubeConfigError, ApiError) as error:
        print(f"muster release: {error}", file=sys.stderr)
        return 2
    for pod in released.pods:
        print(f"released {pod}")
    print(f"{len(released.pods)} pods released, {released.gangs} Gang objects deleted")
    print(_NEXT_STEPS + (_UNINSTALL_STEPS if args.all else ""), end="")
    for failure in released.failures:
        print(f"muster release: {failure}", file=sys.stderr)
    return 1 if released.failures else 0


async def _main(kubeconfig: str | None, namespace: str, wanted: list[str]) -> Released:
    async with KubeClient(kubeconfig) as client:
        if wanted:
            holder = await active_leader(client, namespace)
            if holder:
                raise ReleaseError(
                    f"Muster is running ({holder} leads) and would plan these gangs again: stop it "
                    "first, or remove the gang's pods; --all uninstalls"
                )
            return await release(client, wanted)
        await stop_gating(client)
        return await release(client, None)


async def active_leader(client: KubeClient, namespace: str) -> str:
    """Who leads, "" for nobody. A Lease counts as held when it is renewed while we look, for as long as
    it lasts: clocks are not compared."""
    first = await client.find(LEASES, namespace, LEASE)
    spec = (first or {}).get("spec") or {}
    holder = str(spec.get("holderIdentity") or "")
    if first is None or not holder:
        return ""
    loop = asyncio.get_running_loop()
    end = loop.time() + float(spec.get("leaseDurationSeconds") or 15)
    while loop.time() < end:
        await asyncio.sleep(0.5)
        now = await client.find(LEASES, namespace, LEASE) or {}
        if now.get("metadata", {}).get("resourceVersion") != first["metadata"]["resourceVersion"]:
            return str((now.get("spec") or {}).get("holderIdentity") or "")
    return ""


async def stop_gating(client: KubeClient) -> None:
    """Delete the webhook and the binding of the admission policy: pods created from now on are not gated."""
    for obj in (*load_manifests("webhook"), *load_manifests("admission")):
        if obj["kind"] in ("MutatingWebhookConfiguration", "MutatingAdmissionPolicyBinding"):
            try:
                await client.request("DELETE", api_path(obj))
            except ApiError as error:
                if error.status != 404:
                    raise


async def release(client: KubeClient, wanted: Iterable[str] | None) -> Released:
    """Ungate and un-nominate the unbound pods of the gangs ``namespace/name`` (None: of all), and delete
    their Gang objects. Raises ``ReleaseError`` for a gang without pods and without object."""
    pods = await client.list_all(PODS, fieldSelector=_UNBOUND)
    state = ClusterState()
    for pod in pods:
        state.apply("Pod", "ADDED", pod)
    objects = await _gang_objects(client)
    chosen = None if wanted is None else frozenset(wanted)
    if chosen is not None:
        known = {state.gang_of(pod["metadata"]["uid"]) for pod in pods} | objects.keys()
        unknown = sorted(chosen - known)
        if unknown:
            raise ReleaseError(f"no such gang: {', '.join(unknown)}")
    members = [
        pod
        for pod in pods
        if _waits_for_us(pod)
        and (chosen is None or state.gang_of(pod["metadata"]["uid"]) in chosen)
    ]
    done = await asyncio.gather(*(_release_pod(client, pod) for pod in members))
    ends = [obj for key, obj in objects.items() if chosen is None or key in chosen]
    deleted = await asyncio.gather(*(_delete(client, obj) for obj in ends))
    given_back = await asyncio.gather(
        *(delete_pod(client, _ref(pod)) for pod in pods if _holds_place(pod, chosen))
    )
    names = [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in members]
    failures = [f"pod {name}: {text}" for name, text in zip(names, done, strict=True) if text]
    failures += [f"Gang object: {result.message}" for result in deleted if _failed(result)]
    failures += [f"placeholder: {result.message}" for result in given_back if _failed(result)]
    return Released(
        pods=tuple(name for name, text in zip(names, done, strict=True) if not text),
        gangs=sum(result.done for result in deleted),
        failures=tuple(failures),
    )


async def _gang_objects(client: KubeClient) -> dict[str, Mapping[str, Any]]:
    try:
        found = await client.list_all(GANGS)
    except ApiError as error:
        if error.status == 404:  # the CRD is gone already
            return {}
        raise
    return {
        f"{obj['metadata']['namespace']}/{(obj.get('spec') or {}).get('gang', '')}": obj
        for obj in found
    }


def _waits_for_us(pod: Mapping[str, Any]) -> bool:
    if any(gate.get("name") == GATE for gate in pod["spec"].get("schedulingGates") or ()):
        return True
    nominated = (pod.get("status") or {}).get("nominatedNodeName")
    requests = (
        (container.get("resources") or {}).get("requests") or {}
        for container in pod["spec"]["containers"]
    )
    return bool(nominated) and any(RESOURCE_MEMBER in names for names in requests)


def _holds_place(pod: Mapping[str, Any], chosen: frozenset[str] | None) -> bool:
    """Whether the pod is a placeholder of ours for one of the gangs."""
    if PLACE not in (pod["metadata"].get("labels") or {}):
        return False
    gang = (pod["metadata"].get("annotations") or {}).get(PLACE_OF)
    return chosen is None or gang in chosen


def _ref(pod: Mapping[str, Any]) -> PodRef:
    metadata = pod["metadata"]
    return PodRef(namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"])


async def _release_pod(client: KubeClient, pod: Mapping[str, Any]) -> str:
    """What went wrong, or nothing. The nomination goes first: an ungated pod schedules at once."""
    ref = _ref(pod)
    for result in (await clear_nomination(client, ref), await remove_gate(client, ref)):
        if _failed(result):
            return result.message
    return ""


async def _delete(client: KubeClient, obj: Mapping[str, Any]) -> Result:
    metadata = obj["metadata"]
    return await delete_gang(client, metadata["namespace"], metadata["name"], metadata["uid"])


def _failed(result: Result) -> bool:
    return result.outcome not in (Outcome.DONE, Outcome.GONE)
