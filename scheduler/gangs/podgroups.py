"""PodGroups of Kubernetes, scheduler-plugins, Volcano and KAI: one row of ``FORMS`` for each.

The gang has the PodGroup's name. Its minimum is what the PodGroup demands, its size what exists: members
above the minimum are elastic. Once a member runs, those that do not exist are not waited for: they have
finished, or their owner makes them again. Members of different kinds are different roles (see
``translate.with_roles``); subgroups of KAI and tasks of Volcano name roles. Annotations of ours on the
PodGroup itself fill what its pods lack.

What cannot be expressed is read on the strict side: ``minSubGroup`` and ``minSubGroups`` below the number
of subgroups mean all of them. Queues, ``minResources`` and timeouts belong to the other schedulers, and
``CompositePodGroup`` (alpha in Kubernetes 1.37) is not read. Tiers of Volcano count our levels from the
innermost above the host, which is tier 1.

Sources: k8s.io/api scheduling/v1beta1; kubernetes-sigs/scheduler-plugins apis/scheduling/v1alpha1;
volcano-sh/volcano scheduling/v1beta1 and pkg/scheduler/api; kai-scheduler/KAI-Scheduler
pkg/apis/scheduling/v2alpha2 and docs/developer/designs/hierarchical-podgroup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scheduler import foreign, keys
from scheduler.foreign import ForeignObjects
from scheduler.gangs import annotated
from scheduler.gangs.context import Context
from scheduler.gangs.request import whole
from scheduler.gangs.translate import Draft, role_name, with_roles
from scheduler.match import selects
from scheduler.model import Code, Gang, Reason
from scheduler.pod_constraints import read_selector
from scheduler.pods import Pod
from topology import keys as known
from topology.untyped import mapping, sequence, strings, text

NAME = "podgroup"
WATCHES: tuple[str, ...] = (
    foreign.POD_GROUP, foreign.POD_GROUP_PLUGINS, foreign.POD_GROUP_VOLCANO, foreign.POD_GROUP_KAI,
)  # fmt: skip

Object = Mapping[str, Any]
Fields = Mapping[str, tuple[str, str]]
"""Our annotation -> (field of the PodGroup, its value)."""

_LEVELS = (keys.GANG_TOPOLOGY_REQUIRED, keys.GANG_TOPOLOGY_PREFERRED)
_ROLE_LEVELS = (keys.TOPOLOGY_REQUIRED, keys.TOPOLOGY_PREFERRED)
_GROUP_LEVELS = (keys.GROUP_TOPOLOGY_REQUIRED, keys.GROUP_TOPOLOGY_PREFERRED)
_SIZES = frozenset({keys.GANG_SIZE, keys.ROLES})
_FROM_GROUP = keys.REQUEST_ANNOTATIONS - {keys.GANG, keys.ROLE, keys.ROLE_MIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a PodGroup demands, in our words."""

    gang: Fields = field(default_factory=dict)
    roles: Mapping[str, Fields] = field(default_factory=dict)
    """By name; other roles have no minimum of their own."""
    role_of: Callable[[Pod], str] = lambda _: ""
    """Role of a pod by its labels or annotations; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One kind of PodGroup: how a pod names it, and what its specification says."""

    kind: str
    field: str
    """Where a pod names it."""
    name_of: Callable[[Pod], str | None]
    """The name on a pod, maybe empty; None when it belongs to no PodGroup of this kind."""
    rules: Callable[[Object, Sequence[Pod], Context], Rules]


def claim(pod: Pod) -> str | None:
    """The PodGroup's name; that of the pod where the PodGroup's is empty."""
    form = _form_of(pod)
    return None if form is None else form.name_of(pod) or pod.name


def levels(pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
    """Level names and label keys that the pod and its PodGroup ask for."""
    asked = annotated.levels(pod, objects)
    form = _form_of(pod)
    found = objects.get(form.kind, pod.namespace, form.name_of(pod) or "") if form else None
    if form is None or found is None:
        return asked
    rules = form.rules(mapping(found.get("spec")), (pod,), Context(objects=objects))
    for fields in (rules.gang, *rules.roles.values()):
        said = {key: value for key, (_, value) in fields.items()}
        asked += annotated.levels(replace(pod, annotations=said), objects)
    return asked + annotated.levels(replace(pod, annotations=_own(found)), objects)


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of a PodGroup."""
    members = [(pod, form) for pod in pods if (form := _form_of(pod)) is not None]
    form = members[0][1] if members else FORMS[0]
    found = context.objects.get(form.kind, namespace, name)
    rules = form.rules(mapping(found.get("spec")), pods, context) if found else Rules()
    subject = f"PodGroup {namespace}/{name}"
    draft = Draft(with_roles(pods, rules.role_of), {keys.ROLE: f"{subject}: role of a member"})
    draft.write([pod for pod, _ in members], keys.GANG, subject, name)
    if found:
        draft.fill({key: (f"{subject}: {key}", value) for key, value in _own(found).items()})
        _demand(draft, rules, subject)
    context = replace(context, origins={**context.origins, **draft.origins})
    gang = replace(annotated.read(namespace, name, draft.pods, context), source=NAME)
    waiting = [pod for pod in pods if pod.node is None]
    if found or gang.blocked or not waiting:
        return gang
    return replace(gang, blocked=_unknown(form, name, waiting))


def _own(found: Object) -> dict[str, str]:
    """Our annotations on a PodGroup, for all of its pods."""
    said = strings(mapping(found.get("metadata")).get("annotations"))
    return {key: said[key] for key in sorted(said.keys() & _FROM_GROUP)}


def _unknown(form: Form, name: str, waiting: Sequence[Pod]) -> Reason:
    pod, group = waiting[0], form.kind.partition(".")[2]
    if not form.name_of(pod):
        message = (
            f"Pod {pod.namespace}/{pod.name}: {form.field}: is empty; expected a PodGroup's name"
        )
        return Reason(code=Code.INVALID_REQUEST, message=message)
    message = f"PodGroup {pod.namespace}/{name} of {group} does not exist; {len(waiting)} pods wait"
    numbers = {"membersPresent": len(waiting)}
    return Reason(code=Code.MEMBERS_MISSING, message=message, numbers=numbers)


def _demand(draft: Draft, rules: Rules, subject: str) -> None:
    """Write what the PodGroup demands on the pods of ``draft``."""
    exist = Counter(_role(pod) for pod in draft.pods)
    if any(pod.node for pod in draft.pods):
        rules = _started(rules, exist)
    elif not any(_SIZES & pod.annotations.keys() for pod in draft.pods):
        rules = replace(rules, gang={**rules.gang, **_sizes(rules, exist)})
    draft.fill({key: (f"{subject}: {at}", value) for key, (at, value) in rules.gang.items()})
    for role, fields in rules.roles.items():
        members = [pod for pod in draft.pods if _role(pod) == role]
        for key, (at, value) in fields.items():
            draft.write(members, key, f"{subject}: {at}", value)
    if len(exist) > 1:
        draft.write(draft.pods, keys.ROLE_MIN, "", "0")


def _role(pod: Pod) -> str:
    return pod.annotations.get(keys.ROLE, annotated.DEFAULT_ROLE)


def _started(rules: Rules, exist: Counter[str]) -> Rules:
    """With minimums that no longer wait for members that do not exist."""
    return replace(
        rules,
        gang=_capped(rules.gang, keys.GANG_MIN, exist.total()),
        roles={
            role: _capped(fields, keys.ROLE_MIN, exist[role])
            for role, fields in rules.roles.items()
        },
    )


def _capped(fields: Fields, key: str, most: int) -> Fields:
    at, value = fields.get(key, ("", ""))
    return fields if (whole(value) or 0) <= most else {**fields, key: (at, str(most))}


def _sizes(rules: Rules, exist: Counter[str]) -> Fields:
    """Sizes with room for members that a minimum needs and that do not exist yet; else none."""
    at, value = rules.gang.get(keys.GANG_MIN, ("", ""))
    least = whole(value) or 0
    sizes = dict(exist)
    for role, fields in rules.roles.items():
        where, value = fields.get(keys.ROLE_MIN, ("", ""))
        lacking = (whole(value) or 0) - exist[role]
        if lacking > 0:
            at, sizes[role] = where, exist[role] + lacking
    if sum(sizes.values()) > exist.total():
        first = min(sizes)
        sizes[first] += max(0, least - sum(sizes.values()))
        shown = ",".join(f"{role}={count}" for role, count in sorted(sizes.items()))
        return {keys.ROLES: (at, shown)}
    return {keys.GANG_SIZE: (at, str(least))} if least > exist.total() else {}


def _form_of(pod: Pod) -> Form | None:
    return next((form for form in FORMS if form.name_of(pod) is not None), None)


# -- what each form says -----------------------------------------------------------------------------


def _minimum(value: Any) -> str:
    """A minimum of the whole gang; none, and no pod at all, mean one."""
    return "1" if value is None or (value == 0 and value is not False) else str(value)


def _kubernetes(spec: Object, pods: Sequence[Pod], context: Context) -> Rules:
    del pods, context
    policy = mapping(spec.get("schedulingPolicy"))
    gang = {keys.GANG_MIN: ("spec.schedulingPolicy.basic", "1")}
    if "basic" not in policy:
        at, count = (
            "spec.schedulingPolicy.gang.minCount",
            mapping(policy.get("gang")).get("minCount"),
        )
        gang[keys.GANG_MIN] = (at, "" if count is None else str(count))
    constraints = mapping(spec.get("schedulingConstraints"))
    for item in sequence(constraints.get("topology"))[:1]:
        at = "spec.schedulingConstraints.topology[0].key"
        gang[keys.GANG_TOPOLOGY_REQUIRED] = (at, text(mapping(item).get("key")))
    return Rules(gang=gang)


def _scheduler_plugins(spec: Object, pods: Sequence[Pod], context: Context) -> Rules:
    del pods, context
    return Rules(gang={keys.GANG_MIN: ("spec.minMember", _minimum(spec.get("minMember")))})


def _volcano(spec: Object, pods: Sequence[Pod], context: Context) -> Rules:
    gang = {keys.GANG_MIN: ("spec.minMember", _minimum(spec.get("minMember")))}
    gang |= _tiers(spec.get("networkTopology"), "spec.networkTopology", _LEVELS, context)
    policies = [mapping(item) for item in sequence(spec.get("subGroupPolicy"))]
    roles: dict[str, Fields] = {}
    parted = set()
    for pod in pods:
        policy, role = _partition(pod, policies)
        if policy is not None:
            at, size = "spec.subGroupPolicy[]", policy.get("subGroupSize")
            roles[role] = {
                keys.ROLE_MIN: (f"{at}.subGroupSize", "1" if size is None else str(size)),
                **_tiers(
                    policy.get("networkTopology"), f"{at}.networkTopology", _ROLE_LEVELS, context
                ),
            }
            parted.add(_task(pod))
    for task, count in mapping(spec.get("minTaskMember")).items():
        if task not in parted:
            roles[role_name(str(task))] = {
                keys.ROLE_MIN: (f"spec.minTaskMember.{task}", str(count))
            }
    return Rules(
        gang=gang, roles=roles, role_of=lambda pod: _partition(pod, policies)[1] or _task_role(pod)
    )


def _task(pod: Pod) -> str:
    return pod.annotations.get(known.VOLCANO_TASK, "") or pod.labels.get(known.VOLCANO_TASK, "")


def _task_role(pod: Pod) -> str:
    task = _task(pod)
    return role_name(task) if task else ""


def _partition(pod: Pod, policies: Sequence[Object]) -> tuple[Object | None, str]:
    """The policy that takes the pod and the role of its subgroup: pods with equal values of labels."""
    for policy in policies:
        selector = policy.get("labelSelector")
        if selector is not None and not selects(read_selector(selector), pod.labels):
            continue
        values = [pod.labels.get(text(key), "") for key in sequence(policy.get("matchLabelKeys"))]
        if values and all(values):
            return policy, role_name("-".join([text(policy.get("name")) or "part", *values]))
    return None, ""


def _tiers(value: Any, at: str, ours: tuple[str, str], context: Context) -> Fields:
    """``networkTopology`` as a required or preferred level; a tier beyond our levels constrains nothing."""
    topology = mapping(value)
    inner = context.levels[::-1]  # the host first
    required, preferred = ours
    if not topology:
        return {}
    if topology.get("mode") == "soft":
        return {preferred: (f"{at}.mode", inner[1])} if len(inner) > 1 else {}
    name, tier = topology.get("highestTierName"), topology.get("highestTierAllowed")
    if name:
        return {required: (f"{at}.highestTierName", str(name))}
    if tier is None:
        return {}
    fits = isinstance(tier, int) and not isinstance(tier, bool) and tier >= 0
    if fits and tier >= len(inner):
        return {}
    return {required: (f"{at}.highestTierAllowed", inner[tier] if fits else f"tier {tier}")}


def _kai(spec: Object, pods: Sequence[Pod], context: Context) -> Rules:
    del pods, context
    gang = dict(_constraint(spec, "spec", _LEVELS))
    groups = {
        text(mapping(item).get("name")): mapping(item) for item in sequence(spec.get("subGroups"))
    }
    inner = {text(group.get("parent")) for group in groups.values()}
    roles = {
        role_name(name): _subgroup(group, groups)
        for name, group in groups.items()
        if name and name not in inner
    }
    if not roles or spec.get("minMember") is not None:
        gang[keys.GANG_MIN] = ("spec.minMember", _minimum(spec.get("minMember")))
    return Rules(gang=gang, roles=roles, role_of=_subgroup_role)


def _subgroup_role(pod: Pod) -> str:
    name = pod.labels.get(known.KAI_SUBGROUP, "")
    return role_name(name) if name else ""


def _subgroup(group: Object, groups: Mapping[str, Object]) -> Fields:
    """A subgroup that has pods: its minimum, its level, and that of the nearest group around it."""
    at, count = "spec.subGroups[]", group.get("minMember")
    fields = {keys.ROLE_MIN: (f"{at}.minMember", "1" if count is None else str(count))}
    fields |= _constraint(group, at, _ROLE_LEVELS)
    seen = []
    name = text(group.get("parent"))
    while name in groups and name not in seen:
        seen.append(name)
        around = _constraint(groups[name], at, _GROUP_LEVELS)
        if around:
            return {**fields, keys.TOPOLOGY_GROUP: (f"{at}.name", role_name(name)), **around}
        name = text(groups[name].get("parent"))
    return fields


def _constraint(owner: Object, at: str, ours: tuple[str, str]) -> Fields:
    constraint = mapping(owner.get("topologyConstraint"))
    named = zip(ours, ("requiredTopologyLevel", "preferredTopologyLevel"), strict=True)
    return {
        key: (f"{at}.topologyConstraint.{name}", str(constraint[name]))
        for key, name in named
        if constraint.get(name)
    }


FORMS: tuple[Form, ...] = (
    Form(
        kind=foreign.POD_GROUP,
        field="spec.schedulingGroup.podGroupName",
        name_of=lambda pod: pod.scheduling_group or None,
        rules=_kubernetes,
    ),
    Form(
        kind=foreign.POD_GROUP_PLUGINS,
        field=known.SCHEDULER_PLUGINS_POD_GROUP,
        name_of=lambda pod: pod.labels.get(known.SCHEDULER_PLUGINS_POD_GROUP),
        rules=_scheduler_plugins,
    ),
    Form(
        kind=foreign.POD_GROUP_VOLCANO,
        field=known.VOLCANO_POD_GROUP,
        name_of=lambda pod: pod.annotations.get(known.VOLCANO_POD_GROUP),
        rules=_volcano,
    ),
    Form(
        kind=foreign.POD_GROUP_KAI,
        field=known.KAI_POD_GROUP,
        name_of=lambda pod: pod.annotations.get(known.KAI_POD_GROUP),
        rules=_kai,
    ),
)
"""The first that a pod names counts."""
