"""What a gang would be on flavors that need other pods than there are. Pure.

The original pods, as their owner made them, are written anew for such a flavor when they are created
(``scheduler.rewrite``). Pods that exist cannot be changed: their owner has to make them again, and where the
flavor is for another number of members, has to make another number. A flavor has no variant when the
present pods are what admission would write for it: they are unwritten and it changes nothing, or they are
written for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scheduler.foreign import (
    LEADER_WORKER_SET,
    LLMAZ_SERVICE,
    ForeignObjects,
    controller_of,
    kind_of,
)
from scheduler.keys import FLAVOR_SPEC, FLAVORS
from scheduler.model import Code, Constraints, Gang, Member, PodSet, Reason, Resize, Variant
from scheduler.pod_constraints import read_constraints
from scheduler.pod_requests import is_extended, read_request
from scheduler.pods import Pod, expected
from scheduler.rewrite import WriteError, write, written
from topology.keys import LWS_EXCLUSIVE, LWS_NAME
from topology.model import Flavor
from topology.resources import Resources
from topology.untyped import mapping, remembered, text
from topology.vendors import is_of_cards

Object = Mapping[str, Any]
Roles = Mapping[str, Sequence[Pod]]
"""The members by role, among them pods that are only expected."""

_WORKER = "worker"


def as_written(pod: Pod, flavor: Flavor) -> Pod:
    """A pod that does not run yet as admission would make it for ``flavor``. Raises ``WriteError``."""
    if not pod.template:
        return pod
    after = remembered(_after, [pod.template, _document(flavor)])
    if after.error:
        raise WriteError(after.error)
    return replace(
        pod,
        request=after.request,
        constraints=_ruled(pod.constraints, after.constraints),
        written=after.written,
    )


def _ruled(before: Constraints, after: Constraints) -> Constraints:
    """``before`` with that which a flavor writes."""
    return replace(before, node_selector=after.node_selector, tolerations=after.tolerations)


@dataclass(frozen=True, slots=True, kw_only=True)
class _After:
    """What a flavor makes of a template."""

    request: Resources = Resources()
    constraints: Constraints = Constraints()
    written: str | None = None
    error: str = ""


def _document(flavor: Flavor) -> dict[str, Any]:
    """The part of a flavor that is written into pods, as JSON."""
    return {
        "name": flavor.name,
        "resources": None if flavor.resources is None else dict(flavor.resources.amounts),
        "node_selector": dict(flavor.node_selector),
        "overlay": flavor.overlay,
        "cards": flavor.cards,
        "card": flavor.card,
    }


def _after(value: Any) -> _After:
    template, document = value
    resources = document["resources"]
    flavor = Flavor(
        **{**document, "resources": None if resources is None else Resources(resources)}
    )
    try:
        pod = write(json.loads(template), flavor)
    except WriteError as error:
        return _After(error=str(error))
    spec = mapping(pod.get("spec"))
    return _After(
        request=read_request(spec, {})[0],
        constraints=read_constraints(spec, "", {})[0],
        written=written(pod),
    )


def of_one_writing(by_role: Roles, flavors: Sequence[Flavor]) -> dict[str, list[Pod]]:
    """The members without those that are about to be made anew, and expected ones as they will be.

    While a gang goes from one flavor to another some of its pods are still written for the old one: the
    running pods, else the newest, tell which are the right ones.
    """
    existing = [p for pods in by_role.values() for p in pods if p.uid and _may_be_written(p)]
    now = max(existing, key=_newest).written if existing else None
    flavor = next((flavor for flavor in flavors if flavor.name == now), None)
    found = {}
    for role, pods in by_role.items():
        here = [pod for pod in pods if pod.uid]
        own = max(here, key=_newest).written if here else None
        found[role] = [
            _foreseen(pod, flavor) if not pod.uid else pod
            for pod in pods
            if not pod.uid or pod.node or pod.written == own
        ]
    return found


def _may_be_written(pod: Pod) -> bool:
    return bool(pod.written or pod.extended)


def follows_flavors(pod: Pod) -> bool:
    """Whether flavors concern the pod: it requests some extended resource, or asks for flavors itself."""
    return bool(pod.extended) or FLAVORS in pod.annotations or FLAVOR_SPEC in pod.annotations


def _newest(pod: Pod) -> tuple[bool, int, str]:
    return pod.node is not None, pod.created_seconds, pod.written or ""


def _foreseen(pod: Pod, flavor: Flavor | None) -> Pod:
    """An expected pod as it will be created beside members that are written for ``flavor``."""
    if flavor is None or not (pod.written or follows_flavors(pod)):
        return pod
    try:
        return as_written(pod, flavor)
    except WriteError:
        return pod


def with_variants(gang: Gang, by_role: Roles, objects: ForeignObjects, *, rewrites: bool) -> Gang:
    """The gang with a variant for each flavor that needs other pods, and the flavor of its present ones.

    Without ``rewrites`` nobody writes pods: such flavors are left to be refused for their resources. Only
    pods that nobody has made yet and that name no cards, as in files for ``muster plan``, are taken to be
    written for cards of any vendor: they mean nothing without that.
    """
    pods = [pod for role in by_role.values() for pod in role]
    now = next((pod.written for pod in pods if pod.uid and pod.written), None)
    gang = replace(gang, written=now)
    if not any(podset.pending for podset in gang.podsets):
        return gang
    neutral = not any(_exists(pod) or any(map(is_of_cards, pod.request)) for pod in pods)
    flavors = [flavor for flavor in gang.flavors if rewrites or (neutral and flavor.card)]
    found = (_variant(gang, flavor, by_role, objects) for flavor in flavors)
    return replace(gang, variants=tuple(variant for variant in found if variant is not None))


def _variant(gang: Gang, flavor: Flavor, by_role: Roles, objects: ForeignObjects) -> Variant | None:
    if flavor.cards is not None and flavor.card is None:
        return None  # for no cards in the fleet
    resized = flavor.members is not None and flavor.members != gang.size
    podsets, changes = [], resized
    for podset in gang.podsets:
        waiting = [pod for pod in by_role.get(podset.role, ()) if pod.node is None]
        anew = _anew(podset, by_role.get(podset.role, ()))
        if podset.follows_flavors and waiting:
            sample = waiting[0]
            try:
                after = as_written(sample, flavor)
            except WriteError as error:
                if sample.written == flavor.name:
                    return None
                where = f"pod {sample.name}" if sample.name else f"role {podset.role}"
                return _refused(flavor, f"cannot be written into {where}: {error}")
            changes |= sample.written not in (after.written, flavor.name)
            anew = replace(
                anew,
                request=after.request,
                constraints=_ruled(podset.constraints, after.constraints),
            )
        podsets.append(anew)
    if not changes:
        return None
    pods = [pod for role in by_role.values() for pod in role]
    if resized:
        return _resized(gang, flavor, podsets, pods, objects)
    for pod in pods:
        obstacle = _obstacle(pod)
        if obstacle:
            return _refused(flavor, f"needs other pods, and {obstacle}")
    return Variant(flavor=flavor.name, podsets=tuple(podsets), min_members=gang.min_members)


def _refused(flavor: Flavor, text: str) -> Variant:
    reason = Reason(code=Code.CANNOT_REWRITE, message=f"{flavor.name} {text}")
    return Variant(flavor=flavor.name, refusal=reason)


def _obstacle(pod: Pod) -> str:
    """Why a pod that exists and waits cannot be made anew by its owner."""
    if not _exists(pod) or pod.node is not None:
        return ""
    if pod.owner is None:
        return f"pod {pod.name} has no owner that would make it anew"
    if pod.owner.kind == "Job":
        return f"Job {pod.owner.name} counts pods that are deleted as failed"
    return ""


def _exists(pod: Pod) -> bool:
    """Whether the API server has it; a manifest's pod has its name for uid, an expected one none."""
    return pod.uid not in ("", f"{pod.namespace}/{pod.name}")


def _anew(podset: PodSet, pods: Sequence[Pod]) -> PodSet:
    """The PodSet with all of its members not created yet, under the names that their owner gives again."""
    renamed = {
        pod.name
        for pod in pods
        if _exists(pod) and (pod.owner is None or pod.owner.kind != "StatefulSet")
    }
    members = [
        Member(pod="" if member.pod in renamed else member.pod, late=member.late)
        for member in podset.members
    ]
    late = bool(members) and members[-1].late
    members += [Member(pod="", late=late)] * (podset.size - len(members))
    return replace(podset, members=tuple(members))


def offered(gang: Gang) -> Gang:
    """A gang of which the first pods are being created, as it can be made: with all of its members.

    A role that nobody has yet is taken to be like the others. What would need a change of its owner is not
    offered: that comes when the pods exist.
    """
    refused = "needs another size of the object that owns the gang"
    variants = tuple(
        _refused(flavor, refused)
        if variant.resize is not None
        else replace(variant, podsets=_completed(variant.podsets))
        for flavor in gang.flavors
        if (variant := gang.variant(flavor.name)) is not None
    )
    missing = gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING
    return replace(
        gang,
        podsets=_completed(gang.podsets),
        variants=variants,
        blocked=None if missing else gang.blocked,
    )


def has_cards(podset: PodSet) -> bool:
    """Whether flavors are written into its members: they request some extended resource."""
    return any(is_extended(name) and need > 0 for name, need in podset.request.amounts.items())


def _completed(podsets: Sequence[PodSet]) -> tuple[PodSet, ...]:
    known = max((p for p in podsets if p.members), key=has_cards, default=None)
    found = []
    for podset in podsets:
        like = podset if podset.members or known is None else known
        missing = (Member(pod=""),) * (podset.size - len(podset.members))
        found.append(
            replace(
                like,
                role=podset.role,
                size=podset.size,
                min_count=podset.min_count,
                replica=podset.replica,
                members=podset.members + missing,
            )
        )
    return tuple(found)


# -- another number of members -----------------------------------------------------------------------


def _resized(
    gang: Gang,
    flavor: Flavor,
    podsets: Sequence[PodSet],
    pods: Sequence[Pod],
    objects: ForeignObjects,
) -> Variant | None:
    """The gang with as many members as the flavor is for; None where its size is nobody's to change."""
    size = flavor.members or 1
    chain = _group_chain(gang.namespace, pods, objects)
    if not chain:
        return None
    needs = f"is for {size} members, the gang has {gang.size}"
    obstacle = _size_obstacle(chain) or (
        "its groups have subgroups" if any(p.slices or p.group for p in podsets) else ""
    )
    if obstacle:
        return _refused(flavor, f"{needs}, and {obstacle}")
    try:
        changed = tuple(_grown(size, podsets, chain[0], flavor))
    except WriteError as error:
        return _refused(flavor, f"{needs}, and cannot be written into its workers: {error}")
    top = chain[-1]
    name = text(mapping(top.get("metadata")).get("name"))
    resize = Resize(kind=kind_of(top), name=name, path=_size_path(top), size=size)
    whole = sum(podset.min_count for podset in changed)
    return Variant(flavor=flavor.name, podsets=changed, min_members=whole, resize=resize)


def _group_chain(namespace: str, pods: Sequence[Pod], objects: ForeignObjects) -> list[Object]:
    """The LeaderWorkerSet that the gang is a group of, and what controls it; empty for other gangs."""
    for pod in pods:
        owner = pod.owner.reference if pod.owner is not None else {}
        chain = list(objects.chain(namespace, owner))
        for index, obj in enumerate(chain):
            if kind_of(obj) == LEADER_WORKER_SET:
                return chain[index:]
        made = objects.get(LEADER_WORKER_SET, namespace, pod.labels.get(LWS_NAME, ""))
        if made is not None and not _exists(pod):  # nobody has made what is between them yet
            return [made, *objects.chain(namespace, controller_of(made))]
    return []


def _size_path(obj: Object) -> tuple[str, ...]:
    """Where an object that a user may own says how many members a group has; empty for other kinds."""
    if kind_of(obj) == LEADER_WORKER_SET:
        return "spec", "leaderWorkerTemplate", "size"
    if kind_of(obj) != LLMAZ_SERVICE:
        return ()
    template = mapping(mapping(obj.get("spec")).get("workloadTemplate"))
    # Until v0.1.1 it was the whole spec of a LeaderWorkerSet.
    inside = ("leaderWorkerTemplate",) if "leaderWorkerTemplate" in template else ()
    return "spec", "workloadTemplate", *inside, "size"


def _size_obstacle(chain: Sequence[Object]) -> str:
    """Why the size on the outermost object may not be changed."""
    lws, top = chain[0], chain[-1]
    above = controller_of(top)
    if above or not _size_path(top):
        owner = above or {**top, **mapping(top.get("metadata"))}
        return f"that is decided by {text(owner.get('kind'))} {text(owner.get('name'))}"
    replicas = mapping(lws.get("spec")).get("replicas", 1)
    if isinstance(replicas, int) and replicas > 1:
        name = f"{text(top.get('kind'))} {text(mapping(top.get('metadata')).get('name'))}"
        return f"the other groups of {name}, which has {replicas}, would restart"
    return ""


def _grown(size: int, podsets: Sequence[PodSet], lws: Object, flavor: Flavor) -> Iterator[PodSet]:
    """The PodSets of a group of ``size``: one leader, and all others workers."""
    if len(podsets) == 1 and podsets[0].size == 1 and size > 1:
        workers = _workers(lws, flavor, podsets[0])
    else:
        workers = podsets[-1]
    others = [podset for podset in podsets if podset.role != workers.role]
    yield from others
    count = size - sum(podset.size for podset in others)
    if count > 0:
        like = workers.members[0] if workers.members else Member(pod="")
        yield replace(
            workers,
            size=count,
            min_count=count,
            members=tuple(Member(pod="", late=like.late) for _ in range(count)),
        )


def _workers(lws: Object, flavor: Flavor, leader: PodSet) -> PodSet:
    """The workers that a group of one would get."""
    spec = mapping(lws.get("spec"))
    groups = mapping(spec.get("leaderWorkerTemplate"))
    made = mapping(groups.get("workerTemplate"))
    annotations = mapping(mapping(lws.get("metadata")).get("annotations"))
    late = spec.get("startupPolicy") == "LeaderReady" or LWS_EXCLUSIVE in annotations
    pod = as_written(expected({"metadata": {}, "spec": made.get("spec")}, late=late), flavor)
    return replace(
        leader,
        role=_WORKER,
        request=pod.request,
        constraints=pod.constraints,
        members=(Member(pod="", late=late),),
    )
