"""DisaggregatedSet: one slice of one revision, with all of its roles, is a gang.

A gang is called as its LeaderWorkerSets without the role, ``<set>-<slice>-<revision>`` (releases before
v0.10 know no slices and leave that part out). Roles of ours are those of the set; where a replica has several
pods, ``prefill-leader`` and ``prefill-worker``. What LeaderWorkerSet wants today counts, not what the
DisaggregatedSet wants in the end: during a rollout the controller waits for each step to be ready.

- **Whole or nothing, or elastic.** A slice starts with all members of all roles. ``muster.dev/role-min`` on a
  role (its ``metadata`` or pod template) makes it elastic above so many replicas; prefill and decode then
  grow in whole replicas and in their ratio (``scheduler.ratio``). A role with exclusive topology, and one
  of several pods per replica that is neither of these, stays whole and the gang's notes say so.
- **Scaling.** Members that were added to a running slice start all together or wait, or grow in that ratio
  where a minimum lets them: it is always that of the sizes that are wanted now, of the
  DisaggregatedSet itself where the controller scales one role after the other without a rollout. The
  members that run serve on; that such a slice is growing and not broken is known from its ``Gang`` object.
- **A role that does not exist yet**, or still has no replicas in a rollout, is waited for as long as nothing
  runs: the controller makes and scales one role after the other. Afterwards it is another revision's affair.
- **Near each other.** The level of ``placementPolicy`` is required of the gang; its affinity keeps slices
  apart. The innermost level above the host is preferred where nobody asks for another one.
- **Late workers** and **exclusive topology** are as for LeaderWorkerSet. Pods of different exclusive groups
  or subgroups carry different affinity, so each of these is a role of its own: ``prefill-0``.

Source: kubernetes-sigs/lws pkg/controllers/disaggregatedset and pkg/utils/disaggregatedset, v0.9 and v0.10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scheduler import foreign as objects_of
from scheduler import keys
from scheduler.foreign import ForeignObjects, Object
from scheduler.gangs import annotated, chain, llmaz, lws_group, lws_pods
from scheduler.gangs.context import Context
from scheduler.gangs.lws_group import Group
from scheduler.gangs.request import MAX_MEMBERS, RequestError, whole
from scheduler.gangs.translate import Draft, role_name
from scheduler.gangs.unfold import EXCLUSIVE
from scheduler.model import Code, Gang, PodSet, Reason
from scheduler.pods import Pod
from scheduler.ratio import DECODE, PREFILL, is_role
from topology import keys as foreign
from topology.untyped import mapping, sequence, strings, text

NAME = "disaggregatedset"
WATCHES: tuple[str, ...] = (
    objects_of.DISAGGREGATED_SET, objects_of.LEADER_WORKER_SET, objects_of.STATEFUL_SET,
    objects_of.CONTROLLER_REVISION, objects_of.OPEN_MODEL,
)  # fmt: skip

_PREFERENCES = frozenset({keys.GANG_TOPOLOGY_PREFERRED, keys.TOPOLOGY_GROUP})


def claim(pod: Pod) -> str | None:
    """``<set>-<slice>-<revision>``; None for a pod of no DisaggregatedSet."""
    name = pod.labels.get(foreign.DISAGGREGATED_NAME)
    if not name:
        return None
    lws, role = pod.labels.get(foreign.LWS_NAME, ""), pod.labels.get(foreign.DISAGGREGATED_ROLE, "")
    if role and lws.endswith(f"-{role}"):
        return lws.removesuffix(f"-{role}")
    part = pod.labels.get(foreign.DISAGGREGATED_SLICE) or "0"
    return f"{name}-{part}-{pod.labels.get(foreign.DISAGGREGATED_REVISION, '')}".rstrip("-")


def levels(pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
    """Level names and label keys that the pod, its LeaderWorkerSet and its DisaggregatedSet ask for."""
    lws, whole_set = lws_group.set_of(pod, objects) or {}, _set_of(pod, objects)
    own = chain.inherited(pod, (lws, whole_set))
    fixed = {
        keys.GANG_TOPOLOGY_REQUIRED: _domain(whole_set),
        keys.GROUP_TOPOLOGY_REQUIRED: pod.annotations.get(foreign.LWS_EXCLUSIVE)
        or lws_pods.annotation(lws, foreign.LWS_EXCLUSIVE),
    }
    return tuple(
        level
        for annotations in (own, fixed)
        for level in annotated.levels(replace(pod, annotations=annotations), objects)
    )


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of one slice. Never raises."""
    whole_set = next((found for pod in pods if (found := _set_of(pod, context.objects))), {})
    roles = _roles(name, pods, whole_set, context.objects)
    members = [pod for role in roles for group in role.groups for pod in group.members]
    model, notes = None, tuple(_notes(roles))
    if not members:
        return replace(_nobody(namespace, name, pods), source=NAME)
    try:
        draft = _drafted(roles, whole_set)
        _place(draft, whole_set, context)
        context, model = llmaz.translate(draft, (whole_set,), context)
        gang = _in_replicas(chain.read(namespace, name, draft, context), roles)
    except RequestError as error:
        gang = annotated.invalid(namespace, name, members, str(error))
    return replace(
        gang,
        source=NAME,
        workload=f"DisaggregatedSet/{pods[0].labels.get(foreign.DISAGGREGATED_NAME, name)}",
        incarnation=_incarnation(roles),
        roots=_roots(roles),
        restarts_with={
            uid: root
            for role in roles
            for group in role.groups
            for uid, root in group.restarts_with.items()
        },
        notes=(*notes, *llmaz.hints(gang, model)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    """One role of the slice."""

    name: str
    lws: Object
    """Empty where it does not exist."""
    groups: tuple[Group, ...]
    """Its replicas that exist."""
    replicas: int
    """Replicas that it is to have now, or has."""
    size: int
    """Pods of one replica."""


def _set_of(pod: Pod, objects: ForeignObjects) -> Object:
    name = pod.labels.get(foreign.DISAGGREGATED_NAME, "")
    return objects.get(objects_of.DISAGGREGATED_SET, pod.namespace, name) or {}


def _roles(
    name: str, pods: Sequence[Pod], whole_set: Object, objects: ForeignObjects
) -> list[_Role]:
    """The roles that have pods or a LeaderWorkerSet, or are to have them before anything runs."""
    by_role: dict[str, dict[str, list[Pod]]] = {}
    for pod in pods:
        groups = by_role.setdefault(pod.labels.get(foreign.DISAGGREGATED_ROLE, ""), {})
        groups.setdefault(lws_group.claim(pod) or pod.name, []).append(pod)
    runs = any(pod.node for pod in pods)
    wanted = {
        text(mapping(item).get("name")): mapping(item)
        for item in sequence(mapping(whole_set.get("spec")).get("roles"))
    }
    found = []
    for role in sorted({*by_role, *wanted} - {""} | by_role.keys()):
        of = [Group.of(*item, objects) for item in sorted(by_role.get(role, {}).items())]
        lws = objects.get(objects_of.LEADER_WORKER_SET, pods[0].namespace, f"{name}-{role}") or {}
        if not lws and of:
            lws = of[0].lws
        planned = wanted.get(role, {})
        if runs and not _scales_in_place(lws, planned, objects):
            planned = {}
        replicas = _replicas(lws, planned, runs)
        living = [group for group in of if group.members]
        if living or replicas:
            found.append(
                _Role(
                    name=role_name(role),
                    lws=lws,
                    groups=tuple(living),
                    replicas=max(replicas, len(living)),
                    size=_size(living, lws or planned),
                )
            )
    return found


def _scales_in_place(lws: Object, planned: Object, objects: ForeignObjects) -> bool:
    """Whether the controller is about to make a LeaderWorkerSet larger at once: without another revision,
    which it deletes when the rollout is over, it does not go in steps."""
    if not lws or _external(planned) or _wanted(planned) <= _wanted(lws):
        return False
    about = mapping(lws.get("metadata"))
    own = strings(about.get("labels"))
    others = objects.in_namespace(objects_of.LEADER_WORKER_SET, text(about.get("namespace")))
    for other in others:
        labels = strings(mapping(other.get("metadata")).get("labels"))
        same = labels.get(foreign.DISAGGREGATED_NAME) == own.get(foreign.DISAGGREGATED_NAME)
        revision = labels.get(foreign.DISAGGREGATED_REVISION)
        if same and revision != own.get(foreign.DISAGGREGATED_REVISION):
            return False
    return True


def _external(planned: Object) -> bool:
    return mapping(planned.get("scaling")).get("mode") == "External"


def _replicas(lws: Object, planned: Object, runs: bool) -> int:
    """What the LeaderWorkerSet wants, else what its role is to start with (autoscaled: 1)."""
    external = _external(planned)
    first = 1 if external else _wanted(planned)
    if not lws or (runs and planned):
        return first
    # A role that a rollout has not scaled up yet; an autoscaler may really want none.
    return _wanted(lws) or (0 if external else min(first, 1))


def _wanted(source: Object) -> int:
    if not source:
        return 0
    return min(lws_pods.number(mapping(source.get("spec")).get("replicas"), 1) or 0, MAX_MEMBERS)


def _size(groups: Sequence[Group], source: Object) -> int:
    for group in groups:
        try:
            return group.size
        except RequestError:
            continue  # told when the gang is drafted
    size = lws_pods.number(lws_pods.template_of(source).get("size"), 1) or 1
    return min(size, MAX_MEMBERS)


def _drafted(roles: Sequence[_Role], whole_set: Object) -> Draft:
    """All members with those to come, in their roles. Raises ``RequestError``."""
    draft, above = Draft([], {}), (whole_set,) if whole_set else ()
    sizes: Counter[str] = Counter()
    for role in roles:
        part = Draft([], draft.origins)
        for group in role.groups:
            part.pods += [
                _placed_in(pod, role, group) for pod in (*group.members, *group.missing())
            ]
        chain.inherit(part, (role.lws, *above) if role.lws else above)
        elastic = _elastic(role, roles)
        part.pods = [_with_minimum(pod, role, elastic=elastic) for pod in part.pods]
        sizes.update(_role_of(pod) for pod in part.pods)
        sizes.update(_absent(role, part.pods))
        draft.pods += part.pods
    subject = chain.where(whole_set) if whole_set else "DisaggregatedSet"
    shown = ",".join(f"{role}={count}" for role, count in sorted(sizes.items()))
    draft.fill({keys.ROLES: (f"{subject}: spec.roles", shown)})
    return draft


def _placed_in(pod: Pod, role: _Role, group: Group) -> Pod:
    """The member with its role, and with what keeps an exclusive group in its domain."""
    asked = {keys.ROLE: _name(role, group, pod)}
    if group.exclusive is not None:
        asked[keys.TOPOLOGY_GROUP] = role_name(f"{role.name}-{_index(group)}")
        asked[keys.GROUP_TOPOLOGY_REQUIRED] = group.exclusive
    return replace(pod, annotations={**asked, **pod.annotations})


def _name(role: _Role, group: Group, pod: Pod) -> str:
    alone = group.exclusive is not None or group.subgroup_exclusive is not None
    parts = [role.name, *([_index(group)] if alone else [])]
    if role.size > 1:
        parts.append("leader" if lws_group.is_leader(pod) else "worker")
    if group.subgroup_exclusive is not None and not lws_group.is_leader(pod):
        parts.append(pod.labels.get(foreign.LWS_SUBGROUP_INDEX, ""))
    return role_name("-".join(parts))


def _index(group: Group) -> str:
    labelled = (pod.labels.get(foreign.LWS_GROUP_INDEX) for pod in group.members)
    return next((index for index in labelled if index), group.name.rpartition("-")[2])


def _absent(role: _Role, pods: Sequence[Pod]) -> Iterator[str]:
    """The role of each member that is created before anything is bound, and is not there yet."""
    have = Counter(lws_group.is_leader(pod) for pod in pods)
    roles = {lws_group.is_leader(pod): _role_of(pod) for pod in reversed(pods)}
    several = role.size > 1
    for leads, count in ((True, role.replicas), (False, role.replicas * (role.size - 1))):
        suffix = ("-leader" if leads else "-worker") if several else ""
        yield from [roles.get(leads) or f"{role.name}{suffix}"] * max(0, count - have[leads])


def _elastic(role: _Role, roles: Sequence[_Role]) -> bool:
    """Whether a minimum of replicas can be said of its PodSets: it has one, or one of leaders and one of
    workers that keep a ratio."""
    if any(group.exclusive or group.subgroup_exclusive for group in role.groups):
        return False
    both = all(any(is_role(one.name, kind) for one in roles) for kind in (PREFILL, DECODE))
    return role.size == 1 or (both and (is_role(role.name, PREFILL) or is_role(role.name, DECODE)))


def _with_minimum(pod: Pod, role: _Role, *, elastic: bool) -> Pod:
    """The minimum of a role counts replicas, that of a PodSet its members."""
    asked = pod.annotations.get(keys.ROLE_MIN)
    if asked is None or (elastic and (role.size == 1 or lws_group.is_leader(pod))):
        return pod
    kept = {key: value for key, value in pod.annotations.items() if key != keys.ROLE_MIN}
    replicas = whole(asked.strip())
    if elastic:
        kept[keys.ROLE_MIN] = asked if replicas is None else str(replicas * (role.size - 1))
    return replace(pod, annotations=kept)


def _in_replicas(gang: Gang, roles: Sequence[_Role]) -> Gang:
    """The gang with the workers of a replica coming together."""
    workers = {
        role_name(f"{one.name}-worker"): one.size - 1 for one in roles if _elastic(one, roles)
    }

    def sized(podsets: tuple[PodSet, ...]) -> tuple[PodSet, ...]:
        return tuple(
            replace(podset, replica=workers.get(podset.role, podset.replica))
            if podset.replica is not None
            else podset
            for podset in podsets
        )

    variants = tuple(replace(one, podsets=sized(one.podsets)) for one in gang.variants)
    return replace(gang, podsets=sized(gang.podsets), variants=variants)


def _notes(roles: Sequence[_Role]) -> Iterator[str]:
    for role in roles:
        pods = [pod for group in role.groups for pod in group.members]
        asked = any(keys.ROLE_MIN in pod.annotations for pod in pods)
        asked = asked or bool(lws_pods.annotation(role.lws, keys.ROLE_MIN))
        if asked and not _elastic(role, roles):
            yield (
                f"role {role.name} starts whole: {keys.ROLE_MIN} holds for roles without exclusive topology, "
                "and where a replica has several pods, for prefill beside decode"
            )


def _place(draft: Draft, whole_set: Object, context: Context) -> None:
    """The domain that the placement policy demands; and as near as can be where nobody says otherwise."""
    domain = _domain(whole_set)
    if domain:
        origin = f"{chain.where(whole_set)}: spec.placementPolicy.topology"
        draft.fill({keys.GANG_TOPOLOGY_REQUIRED: (origin, domain)})
    said = any(_PREFERENCES & pod.annotations.keys() for pod in draft.pods)
    if not said and len(context.levels) > 1:
        draft.fill({keys.GANG_TOPOLOGY_PREFERRED: ("", context.levels[-2])})


def _domain(whole_set: Object) -> str:
    policy = mapping(mapping(whole_set.get("spec")).get("placementPolicy"))
    return text(policy.get("topology")) if text(policy.get("type")) in EXCLUSIVE else ""


def _role_of(pod: Pod) -> str:
    return pod.annotations[keys.ROLE].strip() or annotated.DEFAULT_ROLE


def _incarnation(roles: Sequence[_Role]) -> str:
    """The leader that has lived longest stands for the slice, since each replica is replaced by itself."""
    leaders = [group.leader for role in roles for group in role.groups if group.leader]
    first = min(leaders, key=lambda pod: (pod.created_seconds, pod.name), default=None)
    return first.uid if first else ""


def _roots(roles: Sequence[_Role]) -> tuple[str, ...]:
    """See ``Gang.roots``: a leader of each replica, and the members of those that are not rebuilt whole."""
    groups = [group for role in roles for group in role.groups]
    if not any(group.roots for group in groups):
        return ()
    uids = (group.roots or tuple(pod.uid for pod in group.members) for group in groups)
    return tuple(uid for group in uids for uid in group if uid)


def _nobody(namespace: str, name: str, pods: Sequence[Pod]) -> Gang:
    """Between two lives: what is left of the last one uses capacity and is no member."""
    gang = annotated.invalid(namespace, name, pods, "")
    message = f"no pod of {name} exists yet; {len(pods)} of its last life have not ended"
    return replace(
        gang,
        podsets=tuple(replace(podset, members=()) for podset in gang.podsets),
        blocked=Reason(code=Code.MEMBERS_MISSING, message=message, numbers={"membersPresent": 0}),
    )
