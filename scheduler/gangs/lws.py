"""LeaderWorkerSet: each group is a gang with the roles ``leader`` and ``worker``.

A gang is called as its leader pod, ``<set>-<group index>``. Groups are independent of each other, so those
of a surge, of an older revision or above ``replicas`` are gangs like all others.

- LeaderCreated: all pods exist before anything is bound; until then members are missing.
- LeaderReady (every llmaz workload) and exclusive topology: workers are created only when the leader is
  Ready or bound. They are planned with it all the same, as members that are late.
- An exclusive topology is the required level of the gang. With exclusive subgroups each subgroup is a role
  of its own, since its pods carry affinity to each other and to nobody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.foreign import (
    CONTROLLER_REVISION,
    LEADER_WORKER_SET,
    LLMAZ_SERVICE,
    OPEN_MODEL,
    PLAYGROUND,
    STATEFUL_SET,
    ForeignObjects,
)
from scheduler.gangs import annotated, chain, llmaz, lws_group, lws_pods
from scheduler.gangs.context import Context
from scheduler.gangs.lws_group import Group
from scheduler.gangs.request import RequestError, whole
from scheduler.gangs.translate import Draft
from scheduler.model import Code, Gang, Reason
from scheduler.pods import Pod
from topology import keys as foreign
from topology.tree import natural_key

NAME = "leaderworkerset"
WATCHES: tuple[str, ...] = (
    LEADER_WORKER_SET, STATEFUL_SET, CONTROLLER_REVISION, LLMAZ_SERVICE, PLAYGROUND, OPEN_MODEL,
)  # fmt: skip

LEADER, WORKER = "leader", "worker"

claim = lws_group.claim


def levels(pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
    """Level names and label keys that the pod and its owners ask for."""
    lws = lws_group.set_of(pod, objects) or {}
    own = chain.inherited(pod, chain.with_owners(lws, objects))
    exclusive = {
        keys.GANG_TOPOLOGY_REQUIRED: pod.annotations.get(foreign.LWS_EXCLUSIVE)
        or lws_pods.annotation(lws, foreign.LWS_EXCLUSIVE),
        keys.TOPOLOGY_REQUIRED: pod.annotations.get(foreign.LWS_SUBGROUP_EXCLUSIVE, ""),
    }
    return tuple(
        level
        for annotations in (own, exclusive)
        for level in annotated.levels(replace(pod, annotations=annotations), objects)
    )


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of one group. Never raises."""
    group = Group.of(name, pods, context.objects)
    model = None
    try:
        if not group.members:
            return replace(_nobody(namespace, name, group.stale), source=NAME)
        draft = drafted(group)
        owners = chain.with_owners(group.lws, context.objects)
        chain.inherit(draft, owners)
        context, model = llmaz.translate(draft, owners, context)
        gang = chain.read(namespace, name, draft, context)
    except RequestError as error:
        gang = annotated.invalid(namespace, name, group.members, str(error))
    return replace(
        gang,
        source=NAME,
        workload=f"LeaderWorkerSet/{group.set_name}",
        incarnation=group.leader.uid if group.leader else "",
        roots=group.roots,
        restarts_with=group.restarts_with,
        notes=llmaz.hints(gang, model),
    )


def drafted(group: Group) -> Draft:
    """The members of a group with those to come, in their roles, with what LeaderWorkerSet asks of them.

    Raises ``RequestError``.
    """
    draft = Draft([*group.members, *group.missing()], {})
    lws = chain.where(group.lws) if group.lws else f"LeaderWorkerSet of {group.name}"
    _write_roles(draft, group, lws)
    _write_sizes(draft, group, lws)
    if group.exclusive is not None:
        origin = f"{lws}: {foreign.LWS_EXCLUSIVE}"
        _keep_together(draft, origin, group.exclusive)
    return draft


def _write_roles(draft: Draft, group: Group, lws: str) -> None:
    level = group.subgroup_exclusive
    if level is not None:
        # Pods of different subgroups have different affinity, so they cannot share a role.
        draft.pods = [_in_subgroup(pod) for pod in draft.pods]
        for pod in draft.pods:
            part = pod.labels.get(foreign.LWS_SUBGROUP_INDEX)
            if part is not None:
                origin = f"{lws}: {foreign.LWS_SUBGROUP_EXCLUSIVE}"
                draft.write([pod], keys.TOPOLOGY_GROUP, origin, f"subgroup-{part}")
                draft.write([pod], keys.GROUP_TOPOLOGY_REQUIRED, origin, level)
    for pod in draft.pods:
        role = LEADER if lws_group.is_leader(pod) else WORKER
        draft.write([pod], keys.ROLE, lws, role)


def _in_subgroup(pod: Pod) -> Pod:
    part = pod.labels.get(foreign.LWS_SUBGROUP_INDEX)
    if part is None or lws_group.is_leader(pod):
        return pod
    role = f"{pod.annotations.get(keys.ROLE, '').strip() or WORKER}-{part}"
    return replace(pod, annotations={**pod.annotations, keys.ROLE: role})


def _write_sizes(draft: Draft, group: Group, lws: str) -> None:
    """The sizes of roles with the members that are not created yet and that the group waits for."""
    sizes = Counter(_role(pod) for pod in draft.pods)
    if group.leader is None:
        sizes[LEADER] += 1
    workers = [pod for pod in draft.pods if not lws_group.is_leader(pod)]
    have = {pod.name for pod in workers}
    absent = [n for n in range(1, group.size) if f"{group.name}-{n}" not in have]
    for index in absent[: max(group.size - 1 - len(workers), 0)]:
        sizes[_role_of_absent(group, workers, index)] += 1
    order = sorted(sizes, key=lambda role: (role != LEADER, natural_key(role)))
    value = ",".join(f"{role}={sizes[role]}" for role in order)
    draft.fill({keys.ROLES: (f"{lws}: spec.leaderWorkerTemplate.size", value)})


def _role_of_absent(group: Group, workers: Sequence[Pod], index: int) -> str:
    stem = _role(workers[0]) if workers else WORKER
    part = whole(group.subgroup_size or "")
    if group.subgroup_exclusive is None or not part:
        return stem
    return f"{WORKER}-{lws_pods.subgroup(group.size, part, index)}"


def _keep_together(draft: Draft, origin: str, level: str) -> None:
    """All members in one domain, also where the user asks for another required level besides."""
    if not any(keys.GANG_TOPOLOGY_REQUIRED in pod.annotations for pod in draft.pods):
        draft.fill({keys.GANG_TOPOLOGY_REQUIRED: (origin, level)})
    else:
        draft.write(draft.pods, keys.TOPOLOGY_GROUP, origin, "exclusive")
        draft.write(draft.pods, keys.GROUP_TOPOLOGY_REQUIRED, origin, level)


def _role(pod: Pod) -> str:
    return pod.annotations.get(keys.ROLE, "").strip()


def _nobody(namespace: str, name: str, pods: Sequence[Pod]) -> Gang:
    """A slot between two lives: what is left of the last one uses capacity and is no member."""
    gang = annotated.invalid(namespace, name, pods, "")
    message = (
        f"its leader {name} does not exist yet; {len(pods)} pods of its last life have not ended"
    )
    return replace(
        gang,
        podsets=tuple(replace(podset, members=()) for podset in gang.podsets),
        blocked=Reason(code=Code.MEMBERS_MISSING, message=message, numbers={"membersPresent": 0}),
    )
