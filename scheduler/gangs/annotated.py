"""Gangs from Muster's own pod annotations (design section 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.flavors import MAX_SPEC_BYTES, FlavorError, read_flavor_spec, select
from scheduler.gangs.context import Context
from scheduler.gangs.request import RequestError, at_least, level, names, quantity, show, slices
from scheduler.model import Code, Gang, Member, PodSet, Reason, TopologyRequest
from scheduler.pods import Pod
from topology.model import Flavor
from topology.resources import Resources
from topology.tree import natural_key

NAME = "annotations"
WATCHES = ("Pod", "Flavor")

DEFAULT_ROLE = "main"
_FIRST_ROLES = ("leader",)
_GANG_KEYS = (
    keys.GANG_SIZE, keys.GANG_MIN, keys.ROLES, keys.FLAVORS, keys.FLAVOR_SPEC,
    keys.GANG_TOPOLOGY_REQUIRED, keys.GANG_TOPOLOGY_PREFERRED, keys.SPREAD, keys.MODEL,
    keys.MODEL_BYTES,
)  # fmt: skip
_ROLE_KEYS = (
    keys.ROLE_MIN, keys.TOPOLOGY_REQUIRED, keys.TOPOLOGY_PREFERRED, keys.TOPOLOGY_SLICES,
    keys.TOPOLOGY_GROUP,
)  # fmt: skip
_GROUP_KEYS = (keys.GROUP_TOPOLOGY_REQUIRED, keys.GROUP_TOPOLOGY_PREFERRED)
_LEVEL_KEYS = (
    keys.GANG_TOPOLOGY_REQUIRED, keys.GANG_TOPOLOGY_PREFERRED, keys.TOPOLOGY_REQUIRED,
    keys.TOPOLOGY_PREFERRED, keys.SPREAD, *_GROUP_KEYS,
)  # fmt: skip
_INDEX = re.compile(r"[-.]?\d+$")


def claim(pod: Pod) -> str | None:
    """The annotation ``gang``, or the pod's own name when it has only other request annotations."""
    if not keys.REQUEST_ANNOTATIONS & pod.annotations.keys():
        return None
    return pod.annotations.get(keys.GANG) or pod.name


def levels(pod: Pod) -> tuple[str, ...]:
    """Level names and label keys that the pod asks for."""
    asked = [pod.annotations[key] for key in _LEVEL_KEYS if key in pod.annotations]
    text = pod.annotations.get(keys.TOPOLOGY_SLICES, "")
    asked += [part.rpartition(":")[0].strip() for part in text[:MAX_SPEC_BYTES].split(",")]
    return tuple(name for name in asked if name)


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of ``pods``. A request that is wrong makes it blocked with ``InvalidRequest``."""
    pods = sorted(pods, key=lambda pod: natural_key(pod.name))
    try:
        return _read(namespace, name, pods, context)
    except RequestError as error:
        return _invalid(namespace, name, pods, str(error))


def _invalid(namespace: str, name: str, pods: Sequence[Pod], message: str) -> Gang:
    """The gang as far as its pods show it, blocked."""
    members = tuple(_member(pod) for pod in pods)
    podset = PodSet(
        role=DEFAULT_ROLE,
        size=len(pods),
        min_count=len(pods),
        request=pods[0].request,
        members=members,
    )
    return Gang(
        namespace=namespace,
        name=name,
        podsets=(podset,),
        min_members=len(pods),
        source=NAME,
        created_seconds=min(pod.created_seconds for pod in pods),
        priority=max(pod.priority for pod in pods),
        blocked=Reason(
            code=Code.INVALID_REQUEST,
            message=message[:900],
            numbers={"membersPresent": len(pods)},
        ),
    )


def _read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    _check_length(pods)
    _check_priority(pods)
    asked = _common(pods, _GANG_KEYS, "gang")
    flavors = _flavors(pods, asked, context)
    by_role: dict[str, list[Pod]] = {}
    for pod in pods:
        by_role.setdefault(pod.annotations.get(keys.ROLE) or DEFAULT_ROLE, []).append(pod)
    sizes = _sizes(pods, asked, {role: len(members) for role, members in by_role.items()})
    gang_min = at_least(1, pods, asked, keys.GANG_MIN)
    total = max(sum(sizes.values()), at_least(1, pods, asked, keys.GANG_SIZE) or 0)
    if gang_min is not None and gang_min > total:
        raise RequestError(pods, keys.GANG_MIN, f"{gang_min} is more than the gang's {total} members")
    lone_min = gang_min if len(sizes) == 1 else None
    podsets = tuple(
        _podset(role, sizes[role], by_role.get(role, ()), lone_min, bool(flavors), context)
        for role in sorted(sizes, key=_role_order)
    )
    podsets = _grouped(podsets, pods, context)
    minimum = max(gang_min or 0, sum(podset.min_count for podset in podsets))
    if gang_min is None and len(sizes) > 1:
        # Members whose role is not known yet: all of the gang must be there.
        minimum += total - sum(sizes.values())
    return Gang(
        namespace=namespace,
        name=name,
        podsets=podsets,
        min_members=minimum,
        source=NAME,
        priority=pods[0].priority,
        created_seconds=min(pod.created_seconds for pod in pods),
        flavors=flavors,
        topology=TopologyRequest(
            required=level(pods, asked, keys.GANG_TOPOLOGY_REQUIRED, context),
            preferred=level(pods, asked, keys.GANG_TOPOLOGY_PREFERRED, context),
        ),
        spread=level(pods, asked, keys.SPREAD, context),
        workload=_workload(name, pods),
        model=asked.get(keys.MODEL),
        model_bytes=quantity(pods, asked, keys.MODEL_BYTES),
        blocked=_missing(podsets, minimum, total) or _held_back(pods),
        excluded_nodes=context.excluded.get(f"{namespace}/{name}", ()),
    )


def _check_length(pods: Sequence[Pod]) -> None:
    for pod in pods:
        for key in sorted(keys.REQUEST_ANNOTATIONS & pod.annotations.keys()):
            size = len(pod.annotations[key].encode())
            if size > MAX_SPEC_BYTES:
                raise RequestError([pod], key, f"{size} bytes; at most {MAX_SPEC_BYTES} are read")


def _check_priority(pods: Sequence[Pod]) -> None:
    other = next((pod for pod in pods if pod.priority != pods[0].priority), None)
    if other is not None:
        raise RequestError(
            [other],
            "spec.priority",
            f"{other.priority}, but {pods[0].priority} on pod {pods[0].name}; "
            "members of a gang have one priority",
        )


def _common(pods: Sequence[Pod], wanted: Sequence[str], of: str) -> dict[str, str]:
    """The values of some keys, which must agree among all members that carry them."""
    found: dict[str, tuple[str, Pod]] = {}
    for pod in pods:
        for key in wanted:
            value = pod.annotations.get(key)
            if value is None:
                continue
            first, owner = found.setdefault(key, (value, pod))
            if first != value:
                raise RequestError(
                    [pod],
                    key,
                    f"{show(value)}, but {show(first)} on pod {owner.name}; "
                    f"members of one {of} must agree",
                )
    return {key: value for key, (value, _) in found.items()}


def _flavors(
    pods: Sequence[Pod], asked: Mapping[str, str], context: Context
) -> tuple[Flavor, ...]:
    key = keys.FLAVOR_SPEC
    try:
        inline = read_flavor_spec(asked[key]) if key in asked else ()
        key = keys.FLAVORS
        wanted = names(pods, asked, key)
        return select(wanted, inline, context.flavors)
    except FlavorError as error:
        raise RequestError(_carriers(pods, key), key, str(error)) from None


def _carriers(pods: Sequence[Pod], key: str) -> Sequence[Pod]:
    return [pod for pod in pods if key in pod.annotations] or pods


def _sizes(
    pods: Sequence[Pod], asked: Mapping[str, str], present: Mapping[str, int]
) -> dict[str, int]:
    """Members of each role: by ``roles``, by ``gang-size`` for a lone role, else as many as there are."""
    size = at_least(1, pods, asked, keys.GANG_SIZE)
    if size is not None and size < len(pods):
        raise RequestError(
            _carriers(pods, keys.GANG_SIZE),
            keys.GANG_SIZE,
            f"{size} is less than the {len(pods)} members that exist",
        )
    sizes = _roles(pods, asked)
    if sizes is None:
        if size is not None and len(present) == 1:
            return dict.fromkeys(present, size)
        return dict(present)
    for role, count in present.items():
        if role not in sizes:
            shown = ", ".join(sizes)
            raise RequestError(pods, keys.ROLES, f"role {role} is missing; it names {shown}")
        if count > sizes[role]:
            raise RequestError(
                pods, keys.ROLES, f"{role}={sizes[role]}, but {count} members of it exist"
            )
    if size is not None and size != sum(sizes.values()):
        raise RequestError(
            pods, keys.ROLES, f"the sizes add up to {sum(sizes.values())}, but gang-size is {size}"
        )
    return sizes


def _roles(pods: Sequence[Pod], asked: Mapping[str, str]) -> dict[str, int] | None:
    if keys.ROLES not in asked:
        return None
    sizes: dict[str, int] = {}
    for part in asked[keys.ROLES].split(","):
        role, equals, count = (piece.strip() for piece in part.partition("="))
        if not role or not equals or not count.isascii() or not count.isdigit() or int(count) < 1:
            raise RequestError(
                _carriers(pods, keys.ROLES),
                keys.ROLES,
                f"{show(part)} is not ROLE=COUNT with a count from 1 up, as in prefill=2,decode=4",
            )
        if role in sizes:
            raise RequestError(pods, keys.ROLES, f"role {role} is named twice")
        sizes[role] = int(count)
    return sizes


def _podset(
    role: str,
    size: int,
    pods: Sequence[Pod],
    lone_min: int | None,
    has_flavors: bool,
    context: Context,
) -> PodSet:
    if not pods:
        # Nobody of this role exists yet: the gang is blocked for missing members.
        return PodSet(role=role, size=size, min_count=size, request=Resources())
    _check_alike(role, pods)
    asked = _common(pods, _ROLE_KEYS, "role")
    minimum = at_least(0, pods, asked, keys.ROLE_MIN)
    if minimum is not None and minimum > size:
        raise RequestError(
            _carriers(pods, keys.ROLE_MIN),
            keys.ROLE_MIN,
            f"{minimum} is more than the {size} members of role {role}",
        )
    if minimum is None:
        minimum = size if lone_min is None else lone_min
    pending = next((pod for pod in pods if pod.node is None), pods[0])
    asks_flavors = any(
        key in pod.annotations for pod in pods for key in (keys.FLAVORS, keys.FLAVOR_SPEC)
    )
    return PodSet(
        role=role,
        size=size,
        min_count=minimum,
        request=pending.request,
        members=tuple(_member(pod) for pod in pods),
        follows_flavors=has_flavors and (asks_flavors or bool(pending.extended)),
        labels=pending.labels,
        constraints=pending.constraints,
        topology=TopologyRequest(
            required=level(pods, asked, keys.TOPOLOGY_REQUIRED, context),
            preferred=level(pods, asked, keys.TOPOLOGY_PREFERRED, context),
        ),
        slices=slices(pods, asked, size, context),
        group=asked.get(keys.TOPOLOGY_GROUP),
    )


def _check_alike(role: str, pods: Sequence[Pod]) -> None:
    first = pods[0]
    for pod in pods[1:]:
        if pod.request != first.request:
            name = next(
                name
                for name in sorted({*pod.request.amounts, *first.request.amounts})
                if pod.request[name] != first.request[name]
            )
            raise RequestError(
                [pod],
                "spec.containers.resources",
                f"requests {pod.request[name]} {name}, but pod {first.name} of the same role {role} "
                f"requests {first.request[name]}; give members that differ roles ({keys.ROLE})",
            )
    waiting = [pod for pod in pods if pod.node is None]
    for pod in waiting[1:]:
        if pod.constraints != waiting[0].constraints:
            raise RequestError(
                [pod],
                "spec",
                f"node selector, affinity, tolerations, spread or host ports differ from pod "
                f"{waiting[0].name} of the same role {role}; give members that differ roles ({keys.ROLE})",
            )


def _grouped(
    podsets: tuple[PodSet, ...], pods: Sequence[Pod], context: Context
) -> tuple[PodSet, ...]:
    """Put each group's topology request into its PodSets."""
    requests: dict[str, TopologyRequest] = {}
    for group in sorted({podset.group for podset in podsets if podset.group}):
        members = [pod for pod in pods if pod.annotations.get(keys.TOPOLOGY_GROUP) == group]
        asked = _common(members, _GROUP_KEYS, "topology group")
        requests[group] = TopologyRequest(
            required=level(members, asked, keys.GROUP_TOPOLOGY_REQUIRED, context),
            preferred=level(members, asked, keys.GROUP_TOPOLOGY_PREFERRED, context),
        )
    for pod in pods:
        lone = [key for key in _GROUP_KEYS if key in pod.annotations]
        if lone and keys.TOPOLOGY_GROUP not in pod.annotations:
            raise RequestError([pod], lone[0], f"needs {keys.TOPOLOGY_GROUP} to name the group")
    return tuple(
        replace(podset, group_topology=requests[podset.group]) if podset.group else podset
        for podset in podsets
    )


def _missing(podsets: Sequence[PodSet], minimum: int, total: int) -> Reason | None:
    present = sum(len(podset.members) for podset in podsets)
    short = [p for p in podsets if len(p.members) < p.min_count]
    if present >= minimum and not short:
        return None
    parts = [f"{len(p.members)} of {p.min_count} of role {p.role}" for p in short]
    roles = f" ({', '.join(parts)})" if len(podsets) > 1 and parts else ""
    return Reason(
        code=Code.MEMBERS_MISSING,
        message=f"{present} of {minimum} members exist{roles}; waiting for the others to be created",
        numbers={"membersPresent": present, "membersNeeded": minimum, "membersTotal": total},
    )


def _held_back(pods: Sequence[Pod]) -> Reason | None:
    """A member under somebody else's gate cannot be bound: reserving places for it would waste them."""
    held = [pod for pod in pods if pod.foreign_gates and pod.node is None]
    if not held:
        return None
    gate = held[0].foreign_gates[0]
    return Reason(
        code=Code.MEMBERS_MISSING,
        message=f"{len(held)} of {len(pods)} members still carry the scheduling gate {gate}, "
        "which is not Muster's",
        numbers={"membersPresent": len(pods) - len(held), "membersGated": len(held)},
    )


def _member(pod: Pod) -> Member:
    return Member(pod=pod.name, uid=pod.uid, node=pod.node)


def _role_order(role: str) -> tuple[bool, str]:
    """Leaders first, then by name: the order of ranks."""
    return (role not in _FIRST_ROLES, role)


def _workload(name: str, pods: Sequence[Pod]) -> str:
    owner = pods[0].owner
    return f"{owner.kind}/{owner.name}" if owner else _INDEX.sub("", name) or name
