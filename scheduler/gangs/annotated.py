"""Gangs from Muster's own pod annotations (design section 3), the language that all other sources speak.

Every other source translates what its controller says into these annotations and has ``read`` do the rest.
Members are pods that are neither finished nor being deleted. Without ``gang-size`` and ``roles`` the gang
has as many members as there are pods. Ranks follow the natural order of pod names within a role; roles
stand in the order leader, then by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.card_kinds import on_each_kind
from scheduler.flavors import FlavorError, read_flavor_spec, select
from scheduler.foreign import ForeignObjects
from scheduler.gangs.aliases import understood
from scheduler.gangs.context import Context
from scheduler.gangs.request import MAX_MEMBERS, Asked, RequestError, show, whole
from scheduler.model import ALL_TO_ALL, Code, Gang, Member, PodSet, Reason
from scheduler.pod_constraints import resolved
from scheduler.pods import Pod
from scheduler.ratio import DECODE, PREFILL, is_role
from scheduler.variants import follows_flavors, of_one_writing, with_variants
from topology.model import SCALE_UP, Flavor
from topology.resources import Resources
from topology.tree import natural_key

NAME = "annotations"
WATCHES: tuple[str, ...] = ("Pod", "Flavor")

DEFAULT_ROLE = "main"
_LEADER = "leader"
_MAX_NAME = 253
_MAX_KEY = 253 + 1 + 63
"""Characters of a label key. Every name that is asked for is looked up on all nodes."""
_MAX_SLICES = 16
GANG_KEYS = (
    keys.GANG_SIZE, keys.GANG_MIN, keys.ROLES, keys.FLAVORS, keys.FLAVOR_SPEC,
    keys.GANG_TOPOLOGY_REQUIRED, keys.GANG_TOPOLOGY_PREFERRED, keys.SPREAD, keys.MODEL,
    keys.MODEL_BYTES, keys.ROLLBACK, keys.CONNECTOR, keys.PARALLELISM,
)  # fmt: skip
"""Annotations that concern the whole gang: on one member they are enough."""
_ROLE_KEYS = (
    keys.ROLE, keys.ROLE_MIN, keys.TOPOLOGY_REQUIRED, keys.TOPOLOGY_PREFERRED, keys.TOPOLOGY_SLICES,
    keys.TOPOLOGY_GROUP,
)  # fmt: skip
_GROUP_KEYS = (keys.GROUP_TOPOLOGY_REQUIRED, keys.GROUP_TOPOLOGY_PREFERRED)
_LEVEL_KEYS = (
    keys.GANG_TOPOLOGY_REQUIRED, keys.GANG_TOPOLOGY_PREFERRED, keys.TOPOLOGY_REQUIRED,
    keys.TOPOLOGY_PREFERRED, keys.SPREAD, *_GROUP_KEYS,
)  # fmt: skip
_INDEX = re.compile(r"-\d+$")


def claim(pod: Pod) -> str | None:
    """The annotation ``gang``."""
    return pod.annotations.get(keys.GANG, "").strip() or None


def levels(pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
    """Level names and label keys that the pod asks for."""
    del objects
    (pod,), _ = understood((pod,))
    asked = [pod.annotations[key].strip() for key in _LEVEL_KEYS if key in pod.annotations]
    if pod.annotations.get(keys.PARALLELISM) in ALL_TO_ALL:
        asked.append(SCALE_UP)
    slices = pod.annotations.get(keys.TOPOLOGY_SLICES, "").split(",", _MAX_SLICES)
    asked += [part.rpartition(":")[0].strip() for part in slices[:_MAX_SLICES]]
    return tuple(name for name in asked if 0 < len(name) <= _MAX_KEY)


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of ``pods``. A request that is wrong makes it blocked with ``InvalidRequest``."""
    pods, origins = understood(sorted(pods, key=lambda pod: natural_key(pod.name)))
    if origins:
        context = replace(context, origins={**origins, **context.origins})
    try:
        return _read(namespace, name, pods, context)
    except RequestError as error:
        return invalid(namespace, name, pods, str(error))


def invalid(namespace: str, name: str, pods: Sequence[Pod], message: str) -> Gang:
    """The gang as far as its pods show it, blocked while a member needs a node.

    One whose members all run is no request any more: a flavor that was deleted does not stop it.
    """
    wrong = Reason(
        code=Code.INVALID_REQUEST,
        message=message[:900],
        numbers={"membersPresent": sum(1 for pod in pods if pod.uid)},
    )
    podset = PodSet(
        role=DEFAULT_ROLE,
        size=len(pods),
        min_count=len(pods),
        request=pods[0].request,
        members=tuple(_member(pod) for pod in pods),
    )
    return Gang(
        namespace=namespace,
        name=name,
        podsets=(podset,),
        min_members=len(pods),
        source=NAME,
        priority=max(pod.priority for pod in pods),
        created_seconds=_created(pods),
        workload=_workload(name, pods),
        blocked=None if all(pod.node for pod in pods) else wrong,
    )


def _read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    _check_pods(name, pods)
    asked = Asked.of(pods, GANG_KEYS, "gang", context)
    if asked.values.get(keys.ROLLBACK, "delete") != "delete":
        value = show(asked.values[keys.ROLLBACK])
        raise asked.wrong(keys.ROLLBACK, f"{value} is unknown; the only value is delete")
    flavors = _flavors(asked)
    by_role: dict[str, list[Pod]] = {}
    for pod in pods:
        by_role.setdefault(pod.annotations.get(keys.ROLE, "").strip() or DEFAULT_ROLE, []).append(
            pod
        )
    by_role = of_one_writing(by_role, flavors)
    sizes = _sizes(asked, {role: len(members) for role, members in by_role.items()})
    total = max(sum(sizes.values()), asked.number(keys.GANG_SIZE, 1) or 0)
    gang_min = asked.number(keys.GANG_MIN, 1)
    if gang_min is not None and gang_min > total:
        raise asked.wrong(keys.GANG_MIN, f"{gang_min} is more than the gang's {total} members")
    lone_min = gang_min if len(sizes) == 1 else None
    podsets = tuple(
        _podset(role, sizes[role], by_role.get(role, ()), lone_min, context)
        for role in sorted(sizes, key=_role_order)
    )
    if flavors:
        podsets = tuple(_following(podset, by_role.get(podset.role, ())) for podset in podsets)
    podsets = _paced(_grouped(podsets, pods, context))
    minimum = max(gang_min or 0, sum(podset.min_count for podset in podsets))
    if gang_min is None and total > sum(sizes.values()):
        minimum += total - sum(sizes.values())  # members whose role is not known before they exist
    gang = Gang(
        namespace=namespace,
        name=name,
        podsets=podsets,
        min_members=minimum,
        source=NAME,
        priority=pods[0].priority,
        created_seconds=_created(pods),
        flavors=flavors,
        topology=asked.gang_levels(),
        spread=asked.level(keys.SPREAD),
        workload=_workload(name, pods),
        model=asked.values.get(keys.MODEL),
        model_bytes=asked.quantity(keys.MODEL_BYTES),
        connector=asked.name(keys.CONNECTOR),
        parallelism=asked.parallelism(),
        blocked=_missing(podsets, minimum, total, [pod for pod in pods if _is_held(pod)]),
    )
    return with_variants(gang, by_role, context.objects, rewrites=context.rewrites)


def _check_pods(name: str, pods: Sequence[Pod]) -> None:
    """What must hold for each pod by itself, and between any two of them."""
    for pod in pods:
        if pod.problems:
            problem = pod.problems[0]
            raise RequestError([pod], problem.field, problem.message)
        if keys.GANG in pod.annotations and not pod.annotations[keys.GANG].strip():
            raise RequestError([pod], keys.GANG, "is empty; expected the gang's name")
        if keys.GANG not in pod.annotations and len(pods) > 1:
            raise RequestError(
                [pod], keys.GANG, f"is missing, but {name} is also the name of a gang; rename one"
            )
    if len(name) > _MAX_NAME:
        message = f"{show(name)} has {len(name)} characters; at most {_MAX_NAME} make a name"
        raise RequestError(pods, keys.GANG, message)
    other = next((pod for pod in pods if pod.priority != pods[0].priority), None)
    if other is not None:
        raise RequestError(
            [other],
            "spec.priority",
            f"{other.priority}, but {pods[0].priority} on pod {pods[0].name}; "
            "members of a gang have one priority",
        )


def _flavors(asked: Asked) -> tuple[Flavor, ...]:
    key = keys.FLAVOR_SPEC
    try:
        inline = read_flavor_spec(asked.values[key]) if key in asked.values else ()
        key = keys.FLAVORS
        chosen = select(asked.names(key), inline, asked.context.flavors)
        return tuple(on_each_kind(chosen, asked.context.kinds))
    except FlavorError as error:
        raise asked.wrong(key, str(error)) from None


def _sizes(asked: Asked, present: Mapping[str, int]) -> dict[str, int]:
    """Members of each role: by ``roles``, by ``gang-size`` for a lone role, else as many as there are."""
    size, exist = asked.number(keys.GANG_SIZE, 1), sum(present.values())
    if size is not None and size < exist:
        raise asked.wrong(keys.GANG_SIZE, f"{size} is less than the {exist} members that exist")
    sizes = _roles(asked)
    if not sizes:
        lone = size is not None and len(present) == 1
        return dict.fromkeys(present, size or 0) if lone else dict(present)
    for role, count in present.items():
        if role not in sizes:
            named = ", ".join(sizes)
            raise asked.wrong(keys.ROLES, f"role {role}, which a member has, is not among {named}")
        if count > sizes[role]:
            raise asked.wrong(keys.ROLES, f"{role}={sizes[role]}, but {count} members of it exist")
    total = sum(sizes.values())
    if size is not None and size != total:
        raise asked.wrong(keys.ROLES, f"the sizes add up to {total}, but gang-size is {size}")
    return sizes


def _roles(asked: Asked) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for part in asked.names(keys.ROLES):
        role, _, count = (piece.strip() for piece in part.partition("="))
        number = whole(count)
        if not role or not number or number > MAX_MEMBERS:
            expected = "ROLE=COUNT with a count from 1 up, as in prefill=2,decode=4"
            raise asked.wrong(keys.ROLES, f"{show(part)} is not {expected}")
        if role in sizes:
            raise asked.wrong(keys.ROLES, f"role {role} is named twice")
        sizes[role] = number
    return sizes


def _podset(
    role: str, size: int, pods: Sequence[Pod], lone_min: int | None, context: Context
) -> PodSet:
    if not pods:
        # Nobody of this role exists yet: the gang is blocked for missing members.
        return PodSet(role=role, size=size, min_count=size, request=Resources())
    _check_alike(role, pods)
    asked = Asked.of(pods, _ROLE_KEYS, "role", context)
    asked.name(keys.ROLE)
    minimum = asked.number(keys.ROLE_MIN, 0)
    if minimum is not None and minimum > size:
        message = f"{minimum} is more than the {size} members of role {role}"
        raise asked.wrong(keys.ROLE_MIN, message)
    if minimum is None:
        minimum = size if lone_min is None else lone_min
    sample = _waiting(pods)[0]
    return PodSet(
        role=role,
        size=size,
        min_count=minimum,
        request=sample.request,
        members=tuple(_member(pod) for pod in pods if not _is_held(pod)),
        labels=dict(
            item for item in sample.labels.items() if all(item in p.labels.items() for p in pods)
        ),
        constraints=resolved(sample.constraints, sample.namespace_selectors, context.namespaces),
        topology=asked.levels(keys.TOPOLOGY_REQUIRED, keys.TOPOLOGY_PREFERRED),
        slices=asked.slices(size),
        group=asked.name(keys.TOPOLOGY_GROUP),
    )


def _waiting(pods: Sequence[Pod]) -> Sequence[Pod]:
    """The members that the decision is about: those that wait, rather than those that are only expected
    (admission adds to a pod when it is created); all when they all run."""
    waiting = [pod for pod in pods if pod.node is None]
    return [pod for pod in waiting if pod.uid] or waiting or pods


def _following(podset: PodSet, pods: Sequence[Pod]) -> PodSet:
    """A PodSet that neither asks for flavors nor for cards (a router) is free of the gang's flavors."""
    return replace(podset, follows_flavors=any(map(follows_flavors, pods)))


def _check_alike(role: str, pods: Sequence[Pod]) -> None:
    """Members of one role that still wait must be interchangeable."""
    first, *others = _waiting(pods)
    hint = f"members that differ need different roles ({keys.ROLE})"
    for pod in others:
        if pod.request != first.request:
            name = next(
                n for n in (*pod.request, *first.request) if pod.request[n] != first.request[n]
            )
            raise RequestError(
                [pod],
                "spec.containers[].resources",
                f"requests {pod.request[name]} {name}, but pod {first.name} of the same role {role} "
                f"requests {first.request[name]}; {hint}",
            )
        if (pod.constraints, pod.namespace_selectors) != (
            first.constraints,
            first.namespace_selectors,
        ):
            raise RequestError(
                [pod],
                "spec",
                "node selector, affinity, tolerations, spread or host ports differ from pod "
                f"{first.name} of the same role {role}; {hint}",
            )


def _grouped(
    podsets: tuple[PodSet, ...], pods: Sequence[Pod], context: Context
) -> tuple[PodSet, ...]:
    """Put each group's topology request into its PodSets."""
    for pod in pods:
        lone = [key for key in _GROUP_KEYS if key in pod.annotations]
        if lone and keys.TOPOLOGY_GROUP not in pod.annotations:
            raise RequestError([pod], lone[0], f"needs {keys.TOPOLOGY_GROUP} to name the group")
    requests = {}
    for group in sorted({podset.group for podset in podsets if podset.group}):
        members = [p for p in pods if p.annotations.get(keys.TOPOLOGY_GROUP, "").strip() == group]
        asked = Asked.of(members, _GROUP_KEYS, "topology group", context)
        requests[group] = asked.levels(*_GROUP_KEYS)
    return tuple(
        replace(podset, group_topology=requests[podset.group]) if podset.group else podset
        for podset in podsets
    )


def _paced(podsets: tuple[PodSet, ...]) -> tuple[PodSet, ...]:
    """Prefill and decode members grow in the ratio of their sizes, where there are both."""
    of = {kind: [p for p in podsets if is_role(p.role, kind)] for kind in (PREFILL, DECODE)}
    if not all(of.values()):
        return podsets
    own = [podset for kind in of.values() for podset in kind]
    return tuple(replace(p, replica=1) if p in own else p for p in podsets)


def _is_held(pod: Pod) -> bool:
    """Whether somebody else's gate keeps the member from being bound: a place for it would be wasted."""
    return pod.node is None and bool(pod.foreign_gates)


def _missing(
    podsets: Sequence[PodSet], minimum: int, total: int, held: Sequence[Pod]
) -> Reason | None:
    """Why the gang cannot start yet; ``held`` are members that exist but cannot be bound."""
    present = sum(len(podset.members) for podset in podsets)
    short = [
        (p.min_count - len(p.members), p.role) for p in podsets if len(p.members) < p.min_count
    ]
    needed = present + max(minimum - present, sum(count for count, _ in short))
    if needed == present:
        return None
    numbers = {"membersPresent": present, "membersNeeded": needed, "membersTotal": total}
    if held:
        gate = held[0].foreign_gates[0]
        message = (
            f"{present} of {needed} members can be bound; {len(held)} still carry the scheduling gate "
            f"{gate}, which is not Muster's"
        )
        numbers["membersGated"] = len(held)
    else:
        roles = ", ".join(f"{count} of role {role}" for count, role in short)
        lacking = roles or f"{needed - present} of any role"
        message = f"{present} of {needed} members exist; not created yet: {lacking}"
    return Reason(code=Code.MEMBERS_MISSING, message=message, numbers=numbers)


def _created(pods: Sequence[Pod]) -> int:
    """When the oldest member that exists was created."""
    return min((pod.created_seconds for pod in pods if pod.uid), default=0)


def _member(pod: Pod) -> Member:
    return Member(pod=pod.name, uid=pod.uid, node=pod.node, late=pod.late)


def _role_order(role: str) -> tuple[bool, object]:
    """Leaders first, then by name: the order of ranks."""
    return (role != _LEADER, natural_key(role))


def _workload(name: str, pods: Sequence[Pod]) -> str:
    """The owner, or the gang's name, without the index that tells replicas apart."""
    owner = pods[0].owner
    return _INDEX.sub("", f"{owner.kind}/{owner.name}" if owner else name) or name
