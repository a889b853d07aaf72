"""Writing a flavor into a pod, and the pod as it was before. Pure: JSON in, JSON out.

A written pod says so in two annotations: ``muster.dev/written`` names the flavor, ``muster.dev/original``
lists what was there before, as JSON pairs of a path and a value (null for nothing). So writing is
idempotent, and another flavor starts from the pod that the owner made, not from the first flavor. A pod
that the flavor leaves as it is carries neither.

A flavor that is written replaces the extended resources of one container by its own, sets cpu, memory and
others only where it lists them, adds its node selector, and does what its overlay says. A pod that requests
no extended resource is a helper of those that do, such as a router: it stays as it is. Only a flavor that
says how many ``cards`` a pod gets gives some to a pod that requests none, which must be one that asks for
flavors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scheduler.card_kinds import wanted
from scheduler.flags import with_flags
from scheduler.keys import ORIGINAL, SYNTHETIC_RESOURCES, WRITTEN
from scheduler.overlay import Overlay, read_overlay
from scheduler.pod_requests import is_extended, read_request
from topology.model import Flavor
from topology.resources import CPU, Resources
from topology.untyped import mapping, remembered, sequence, text

Object = Mapping[str, Any]
Path = tuple[Any, ...]
"""Keys from the pod down. Containers and variables go by name, a toleration by itself."""
Edit = tuple[Path, Any]
"""What is to stand at a path; None for nothing."""

ENGINE = "model-runner"
"""Name of the engine's container in every pod of llmaz."""

_PLANNED = ("overhead", "resources", "nodeSelector", "tolerations")
_PLANNED_OF_CONTAINER = ("name", "resources", "restartPolicy")
_MAX_RECORD = 128_000
"""Characters; the API server takes 256 KiB for all annotations of a pod."""
_MAX_EDITS = 1_000
_NAMED = frozenset({"containers", "env"})
_RESTORED = (
    ("metadata", "annotations", "*"),
    ("metadata", "labels", "*"),
    ("spec", "nodeSelector", "*"),
    ("spec", "runtimeClassName"),
    ("spec", "containers", "*", "image"),
    ("spec", "containers", "*", "command"),
    ("spec", "containers", "*", "args"),
    ("spec", "containers", "*", "env", "*"),
    ("spec", "containers", "*", "resources", "requests", "*"),
    ("spec", "containers", "*", "resources", "limits", "*"),
)
"""What the annotation may put back, and tolerations: if forged, no more than the author of a pod can set."""


class WriteError(Exception):
    """A flavor cannot be written into a pod; the text says why, as the end of a sentence."""


def written(pod: Object) -> str | None:
    """The flavor that was written into a pod."""
    return text(_at(pod, ("metadata", "annotations", WRITTEN))) or None


def restored(pod: Object) -> Object:
    """The pod as it was before a flavor was written. Total: what cannot be put back stays."""
    record = _at(pod, ("metadata", "annotations", ORIGINAL))
    if record is None and written(pod) is None:
        return pod
    for path, value in _read_record(record):
        pod = _put(pod, path, value)
    for key in (WRITTEN, ORIGINAL):
        pod = _put(pod, ("metadata", "annotations", key), None)
    return pod


def template(pod: Object) -> str:
    """What the planner must know of the pod to tell what a flavor would make of it: JSON of a pod.

    The part that decides what it requests and where it may stand, as it was before a flavor was written.
    Equal for all pods of one owner; empty where the pod is no JSON.
    """
    part = _planned(pod)
    record = _at(pod, ("metadata", "annotations", ORIGINAL))
    if record is not None:
        return remembered(_template_before, [part, record])
    try:
        return sys.intern(json.dumps(part, separators=(",", ":")))
    except (ValueError, TypeError, RecursionError):
        return ""


def _template_before(value: Any) -> str:
    part, record = value
    whole = {**part, "metadata": {"annotations": {ORIGINAL: record}}}
    return template(_planned(restored(whole)))


def _planned(pod: Object) -> Object:
    spec = mapping(pod.get("spec"))
    part = {key: spec[key] for key in _PLANNED if key in spec}
    for kind in ("containers", "initContainers"):
        part[kind] = [
            {key: item[key] for key in _PLANNED_OF_CONTAINER if key in item}
            for item in map(mapping, sequence(spec.get(kind)))
        ]
    return {"spec": part}


def write(pod: Object, flavor: Flavor) -> Object:
    """The pod for this flavor, whatever was written into it before; ``pod`` itself stays as it is.

    Raises ``WriteError`` when its containers cannot come to request what the flavor says.
    """
    before = restored(pod)
    helper = not any(is_extended(name) and need for name, need in _total(before).amounts.items())
    if helper and flavor.card is None:
        return before
    overlay = read_overlay(flavor.overlay)
    name = _target(before, overlay)
    resources = _resource_edits(before, name, flavor)
    if overlay.empty and not resources:
        return before
    selector = mapping(_at(before, ("spec", "nodeSelector")))
    edits = [
        *resources,
        *_overlay_edits(before, name, overlay),
        *(
            (("spec", "nodeSelector", key), value)
            for key, value in sorted(flavor.node_selector.items())
            if key not in selector  # a selector of the pod's own stands
        ),
    ]
    after, undo = before, []
    for path, value in edits:
        known = _at(after, path)
        if known != value:
            undo.append((path, known))
            after = _put(after, path, value)
    record = json.dumps(undo[::-1], separators=(",", ":"))
    if len(record) > _MAX_RECORD:
        raise WriteError(f"what it replaces takes {len(record)} characters to record")
    after = _put(after, ("metadata", "annotations", ORIGINAL), record)
    return mapping(_put(after, ("metadata", "annotations", WRITTEN), flavor.name))


def _target(pod: Object, overlay: Overlay) -> str:
    """Name of the container that is changed."""
    containers = [mapping(item) for item in sequence(_at(pod, ("spec", "containers")))]
    names = [text(container.get("name")) for container in containers]
    if overlay.container is not None:
        if overlay.container not in names:
            raise WriteError(
                f"its overlay is for a container {overlay.container}, and there is none"
            )
        return overlay.container
    if ENGINE in names:
        return ENGINE
    for container in containers:
        if any(is_extended(r) and r not in SYNTHETIC_RESOURCES for r in _requests(container)):
            return text(container.get("name"))
    if not names:
        raise WriteError("there is no container")
    return names[0]


def _requests(container: Object) -> dict[str, Any]:
    """What the container requests; the API server sets a request that is absent to the limit."""
    resources = mapping(container.get("resources"))
    return {**mapping(resources.get("limits")), **mapping(resources.get("requests"))}


def _resource_edits(pod: Object, name: str, flavor: Flavor) -> list[Edit]:
    """Have the pod request in all what the flavor lists, and no extended resource that it does not list.

    A limit of cpu or memory is set only where there was one.
    """
    now = _total(pod)
    listed = wanted(now, flavor)
    if listed is None:
        return []
    extended = {r for r in now if is_extended(r)}
    wrong = [r for r in sorted({*listed, *extended}) if now[r] != listed[r]]
    resources = ("spec", "containers", name, "resources")
    limits = mapping(_at(pod, (*resources, "limits")))
    bare = _put(pod, ("spec", "initContainers"), _sidecars(pod))
    for resource in wrong:
        for kind in ("requests", "limits"):
            bare = _put(bare, (*resources, kind, resource), None)
    others, edits, after = _total(bare), [], pod
    for resource in wrong:
        share = listed[resource] - others[resource]
        quantity = None if share <= 0 else f"{share}m" if resource == CPU else str(share)
        for kind in ("requests", "limits"):
            if kind == "requests" or is_extended(resource) or resource in limits:
                edits.append(((*resources, kind, resource), quantity))
                after = _put(after, edits[-1][0], quantity)
    total = _total(after)
    for resource in wrong:
        if total[resource] != listed[resource]:
            raise WriteError(
                f"{total[resource]} {resource} are requested beside container {name}, "
                f"and it is for {listed[resource]} in all"
            )
    return edits


def _sidecars(pod: Object) -> list[Any] | None:
    """The init containers that run beside the others."""
    inits = sequence(_at(pod, ("spec", "initContainers")))
    return [item for item in inits if mapping(item).get("restartPolicy") == "Always"] or None


def _total(pod: Object) -> Resources:
    return read_request(mapping(pod.get("spec")), {})[0]


def _overlay_edits(pod: Object, name: str, overlay: Overlay) -> Iterator[Edit]:
    path = ("spec", "containers", name)
    container = mapping(_at(pod, path))
    if overlay.image is not None:
        yield (*path, "image"), overlay.image
    if overlay.command or overlay.args or overlay.remove_args:
        command = overlay.command or _texts(container.get("command"))
        args = _texts(container.get("args"))
        command, args = with_flags(command, args, overlay.args, overlay.remove_args)
        yield (*path, "command"), command or None
        yield (*path, "args"), args or None
    for variable in overlay.env:
        yield (*path, "env", variable["name"]), dict(variable)
    if overlay.runtime_class is not None:
        yield ("spec", "runtimeClassName"), overlay.runtime_class
    for toleration in overlay.tolerations:
        yield ("spec", "tolerations", dict(toleration)), dict(toleration)
    for kind, entries in (("annotations", overlay.annotations), ("labels", overlay.labels)):
        for key, value in sorted(entries.items()):
            yield ("metadata", kind, key), value


def _texts(value: Any) -> list[str]:
    return [item for item in sequence(value) if isinstance(item, str)]


# -- values at paths -------------------------------------------------------------------------------


def _at(value: Any, path: Sequence[Any]) -> Any:
    """What stands at a path; None for nothing."""
    for step in path:
        if isinstance(step, Mapping):
            value = step if step in sequence(value) else None
        elif isinstance(value, (list, tuple)):
            value = next((item for item in value if mapping(item).get("name") == step), None)
        else:
            value = mapping(value).get(step)
    return value


def _put(value: Any, path: Sequence[Any], new: Any, inside: str = "") -> Any:
    """A copy of ``value`` in which ``new`` stands at the path; nothing where it is None.

    Maps and lists that become empty go, too: to the API server they are the same as absent ones.
    ``inside`` is the key that ``value`` stands under.
    """
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(step, Mapping):
        left = [item for item in sequence(value) if item != step]
        return [*left, new] if new is not None else left
    if inside in _NAMED:
        return _put_named(sequence(value), step, rest, new)
    found = dict(mapping(value))
    below = _put(found.get(step), rest, new, step)
    if below is None or (below in ({}, []) and rest):
        found.pop(step, None)
    else:
        found[step] = below
    return found


def _put_named(items: Sequence[Any], name: str, rest: Sequence[Any], new: Any) -> list[Any]:
    known = any(mapping(item).get("name") == name for item in items)
    if not known:
        # A container is never made: a path to one that is not there leads nowhere.
        return [*items, new] if not rest and new is not None else list(items)
    changed = [
        _put(item, rest, new) if mapping(item).get("name") == name else item for item in items
    ]
    return [item for item in changed if item is not None]


def _read_record(record: Any) -> Iterator[Edit]:
    try:
        pairs = json.loads(text(record))
    except (ValueError, RecursionError):
        return
    for pair in sequence(pairs)[:_MAX_EDITS]:
        if len(sequence(pair)) == 2 and isinstance(pair[0], list) and _may_restore(pair[0]):
            yield tuple(pair[0]), pair[1]


def _may_restore(path: list[Any]) -> bool:
    if path[:2] == ["spec", "tolerations"]:
        return len(path) == 3 and isinstance(path[2], Mapping)
    return all(isinstance(step, str) for step in path) and any(
        len(path) == len(allowed)
        and all(wanted in ("*", step) for step, wanted in zip(path, allowed, strict=True))
        for allowed in _RESTORED
    )
