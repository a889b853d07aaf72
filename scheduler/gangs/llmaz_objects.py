"""What llmaz makes of a user's objects: Playground -> Service -> LeaderWorkerSet. An emulation. Pure.

Only what matters for grouping and placement is made: sizes, the container ``model-runner`` with its
resources, the model's labels, and the first claimed flavor's resources; images, arguments, volumes and the
model loader are left out. Source: InftyAI/llmaz pkg/controller/inference. Of v0.1.0 and v0.1.1, which know
runtimes with ``commands``, a Playground can have groups of ``params.PP`` pods; later ones have one pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.gangs.llmaz import main_model
from scheduler.gangs.request import whole
from topology import keys
from topology.resources import CPU, MEMORY, parse_quantity
from topology.untyped import mapping, sequence, strings, text

Object = Mapping[str, Any]

CONTAINER = "model-runner"
DEFAULT_RUNTIME = "vllm"
_LISTS = ("requests", "limits")


def runtime_name(playground: Object) -> str:
    """The BackendRuntime that a Playground names, or the default one."""
    config = _config(playground)
    return text(config.get("backendName") or config.get("name")) or DEFAULT_RUNTIME


def claims_of(spec: Object) -> Object:
    """``modelClaims`` of a Playground's or a Service's spec; one model alone as a list of one."""
    one = mapping(spec.get("modelClaim"))
    if not one:
        return mapping(spec.get("modelClaims"))
    flavors = sequence(one.get("inferenceFlavors"))
    return {"models": [{"name": one.get("modelName")}], "inferenceFlavors": flavors}


def service(playground: Object, model: Object, runtime: Object) -> Object:
    """The Service of a Playground. ``model`` and ``runtime`` are empty where they are not known."""
    spec = mapping(playground.get("spec"))
    claims = claims_of(spec)
    pod = {"spec": {"containers": [{"name": CONTAINER, "resources": _resources(spec, runtime)}]}}
    template: dict[str, Any] = {"workerTemplate": pod}
    flavor = _first_flavor(model, claims)
    pods = whole(strings(flavor.get("params")).get("PP", ""))
    if pods and _is_old(flavor, runtime):
        template = {"size": pods, "leaderTemplate": pod, "workerTemplate": pod}
    return {
        "apiVersion": playground.get("apiVersion"),
        "kind": "Service",
        "metadata": _metadata(playground),
        "spec": {
            "replicas": spec.get("replicas"),
            "modelClaims": claims,
            "workloadTemplate": template,
        },
    }


def lws(of: Object, model: Object) -> Object:
    """The LeaderWorkerSet of a Service. ``model`` is empty where it is not known.

    Up to v0.1.1 ``workloadTemplate`` is the specification of a LeaderWorkerSet, then the part of it that
    describes a group.
    """
    spec = mapping(of.get("spec"))
    workload = mapping(spec.get("workloadTemplate"))
    group = mapping(workload.get("leaderWorkerTemplate")) or workload
    replicas = spec.get("replicas", workload.get("replicas"))
    claims = claims_of(spec)
    templates = {
        name: _with_flavor(mapping(group[name]), _first_flavor(model, claims))
        for name in ("leaderTemplate", "workerTemplate")
        if mapping(group.get(name))
    }
    named = "leaderTemplate" if "leaderTemplate" in templates else "workerTemplate"
    if named in templates:
        templates[named] = _with_model(templates[named], model, claims)
    return {
        "apiVersion": f"{keys.LWS_GROUP}/v1",
        "kind": "LeaderWorkerSet",
        "metadata": _metadata(of),
        "spec": {
            "replicas": replicas,
            "leaderWorkerTemplate": {"size": group.get("size"), **templates},
            "startupPolicy": "LeaderReady",
        },
    }


def _metadata(owner: Object) -> Object:
    about = mapping(owner.get("metadata"))
    reference = {
        "apiVersion": owner.get("apiVersion"),
        "kind": owner.get("kind"),
        "name": about.get("name"),
        "uid": about.get("uid", ""),
        "controller": True,
    }
    kept = {key: about[key] for key in ("name", "namespace", "creationTimestamp") if key in about}
    return {**kept, "ownerReferences": [reference]}


def _config(playground: Object) -> Object:
    return mapping(mapping(playground.get("spec")).get("backendRuntimeConfig"))


def _first_flavor(model: Object, claims: Object) -> Object:
    """The flavor that decides the pods' resources: the first that is claimed, else the model's first."""
    config = mapping(mapping(model.get("spec")).get("inferenceConfig"))
    flavors = [mapping(item) for item in sequence(config.get("flavors"))]
    claimed = sequence(claims.get("inferenceFlavors"))
    if claimed:
        flavors = [flavor for flavor in flavors if flavor.get("name") == claimed[0]]
    return flavors[0] if flavors else {}


def _is_old(flavor: Object, runtime: Object) -> bool:
    """Whether the objects are of releases in which a Playground can have groups of several pods."""
    spec = mapping(runtime.get("spec"))
    return "commands" in spec or "multiHostCommands" in spec or _limits(flavor) == "requests"


def _limits(flavor: Object) -> str:
    """The name of a flavor's resources: ``limits``, or ``requests`` up to v0.1.0."""
    return "requests" if "limits" not in flavor and "requests" in flavor else "limits"


def _resources(spec: Object, runtime: Object) -> dict[str, dict[str, Any]]:
    """What the container asks for before the flavor: the Playground's own words, then the runtime's."""
    config = mapping(spec.get("backendRuntimeConfig"))
    base = mapping(_recommended(spec, config, mapping(runtime.get("spec"))).get("resources"))
    own = mapping(config.get("resources"))
    found = {kind: {**mapping(base.get(kind)), **mapping(own.get(kind))} for kind in _LISTS}
    for name, request in found["requests"].items() if own else ():
        limit = found["limits"].get(name)
        if name in (CPU, MEMORY) and (limit is None or _less(limit, request)):
            found["limits"][name] = request
    return found


def _recommended(spec: Object, config: Object, runtime: Object) -> Object:
    """The configuration of the runtime that is taken; up to v0.1.1 a runtime has only one."""
    listed = [mapping(item) for item in sequence(runtime.get("recommendedConfigs"))]
    roles = (
        mapping(m).get("role") for m in sequence(mapping(spec.get("modelClaims")).get("models"))
    )
    name = config.get("configName") or ("speculative-decoding" if "draft" in roles else "default")
    return next((item for item in listed if item.get("name") == name), {}) if listed else runtime


def _less(one: object, other: object) -> bool:
    try:
        return parse_quantity(one) < parse_quantity(other)
    except ValueError:
        return False


def _with_flavor(template: Object, flavor: Object) -> Object:
    """The pod template with the flavor's resources, requests and limits alike."""
    named = mapping(flavor.get(_limits(flavor)))
    spec = mapping(template.get("spec"))
    containers = [
        {**item, "resources": _merged(mapping(item.get("resources")), named)}
        if item.get("name") == CONTAINER and named
        else item
        for item in map(mapping, sequence(spec.get("containers")))
    ]
    return {**template, "spec": {**spec, "containers": containers}}


def _merged(resources: Object, named: Object) -> Object:
    return {**resources, **{kind: {**mapping(resources.get(kind)), **named} for kind in _LISTS}}


def _with_model(template: Object, model: Object, claims: Object) -> Object:
    metadata = mapping(template.get("metadata"))
    family = text(mapping(model.get("spec")).get("familyName"))
    labels = {
        **mapping(metadata.get("labels")),
        keys.LLMAZ_MODEL: main_model(claims),
        **({keys.LLMAZ_FAMILY: family} if family else {}),
    }
    annotations = {**mapping(metadata.get("annotations")), **dict(_claimed(claims))}
    return {**template, "metadata": {**metadata, "labels": labels, "annotations": annotations}}


def _claimed(claims: Object) -> Iterator[tuple[str, str]]:
    names = ",".join(str(name) for name in sequence(claims.get("inferenceFlavors")))
    if names:
        yield keys.LLMAZ_FLAVORS, names
