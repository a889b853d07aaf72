"""llmaz: which model the pods of a gang serve, and the model's flavors, best first.

llmaz writes the model and the claimed flavors on pods, with a leader template on the leader alone; what no
member carries is looked up along the owners: LeaderWorkerSet, llmaz Service, Playground. The order of a
claim counts, else that of the ``OpenModel``. Source: InftyAI/llmaz api/core/v1alpha1, api/inference/v1alpha1
and pkg/controller/inference. Its releases differ, and all of them are read: flavors with ``limits`` or, up
to v0.1.0, ``requests``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scheduler import keys
from scheduler.flavors import FlavorObject, merged
from scheduler.foreign import (
    LEADER_WORKER_SET,
    LLMAZ_SERVICE,
    OPEN_MODEL,
    PLAYGROUND,
    Object,
    kind_of,
)
from scheduler.gangs import fungibility, lws_pods
from scheduler.gangs.chain import where
from scheduler.gangs.context import Context
from scheduler.gangs.request import RequestError, show, whole
from scheduler.gangs.translate import Draft
from scheduler.model import Gang
from scheduler.pod_requests import is_extended
from scheduler.pods import Pod
from topology.keys import LLMAZ_FLAVORS, LLMAZ_MODEL
from topology.model import Flavor, Problem
from topology.resources import Resources, amount
from topology.untyped import mapping, remembered, sequence, strings, text

_FLAVORS = "spec.inferenceConfig.flavors"
_HUBS = {"": "hf", "Huggingface": "hf", "ModelScope": "ms"}
_DEFAULT_REVISION = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An ``OpenModel`` as it can be used."""

    name: str
    flavors: Mapping[str, FlavorObject] = field(default_factory=dict)
    """By name in the model's order; one that cannot be read says why."""
    params: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Free parameters by flavor, such as ``TP`` and ``PP``."""
    source: str | None = None
    """What is loaded, as in the annotation ``model``."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Which model is served, and where that is said ("object: field")."""

    model: str
    origin: str
    flavors: tuple[str, ...] = ()
    """Best first; empty for the model's own order."""
    flavors_origin: str = ""


def read_model(obj: Object) -> Model:
    """Read an ``OpenModel``. Never raises."""
    name = text(mapping(obj.get("metadata")).get("name"))
    return remembered(_read_model, {"name": name, "spec": mapping(obj.get("spec"))})


def _read_model(parts: Any) -> Model:
    spec = mapping(parts["spec"])
    wrong: list[tuple[str, str]] = []
    flavors: dict[str, FlavorObject] = {}
    params: dict[str, Mapping[str, str]] = {}
    listed = mapping(spec.get("inferenceConfig")).get("flavors")
    if listed is not None and not isinstance(listed, (list, tuple)):
        wrong.append((_FLAVORS, f"{show(str(listed))} is not a list of flavors"))
    for index, item in enumerate(sequence(listed)):
        at = f"{_FLAVORS}[{index}]"
        name = _name(mapping(item).get("name"), f"{at}.name", wrong)
        if name in flavors:
            wrong.append((f"{at}.name", f"{name} is in the list already; the first one counts"))
        elif name:
            flavors[name] = _flavor(name, mapping(item), at, wrong)
            params[name] = strings(mapping(item).get("params"))
    subject = f"OpenModel {parts['name']}"
    return Model(
        name=parts["name"],
        flavors=flavors,
        params=params,
        source=_source(mapping(spec.get("source"))),
        problems=tuple(Problem(subject=subject, field=at, message=said) for at, said in wrong),
    )


def _name(value: Any, at: str, wrong: list[tuple[str, str]]) -> str:
    """A flavor's name; empty when it is none, and a claim could not name it."""
    name = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not name or name != name.strip() or "," in name:
        wrong.append((at, f"{show(str(value))} is not a flavor name; it is left out"))
        return ""
    if name is not value:
        wrong.append((at, f"{name} is not text; put it in quotes"))
    return name


def _flavor(name: str, item: Object, at: str, wrong: list[tuple[str, str]]) -> FlavorObject:
    limits = "limits" if mapping(item.get("limits")) else "requests"
    resources: dict[str, int] = {}
    for resource, quantity in mapping(item.get(limits)).items():
        try:
            resources[str(resource)] = amount(str(resource), quantity)
        except ValueError as error:
            return _broken(f"{at}.{limits}.{resource}", str(error), wrong)
    selector: dict[str, str] = {}
    for label, value in mapping(item.get("nodeSelector")).items():
        where_ = f"{at}.nodeSelector.{label}"
        if isinstance(value, str):
            selector[str(label)] = value
        elif isinstance(value, int):
            selector[str(label)] = str(value).lower() if isinstance(value, bool) else str(value)
            wrong.append((where_, f"{selector[str(label)]} is not text; put it in quotes"))
        else:
            return _broken(where_, f"{show(str(value))} is not text; put it in quotes", wrong)
    cards = {name_: count for name_, count in resources.items() if is_extended(name_)}
    # llmaz sets what the flavor names and leaves the pod's other requests as they are.
    return FlavorObject(
        flavor=Flavor(
            name=name, resources=Resources(cards) if cards else None, node_selector=selector
        )
    )


def _broken(at: str, message: str, wrong: list[tuple[str, str]]) -> FlavorObject:
    wrong.append((at, message))
    return FlavorObject(field=at, error=message)


def _source(source: Object) -> str | None:
    uri, hub = text(source.get("uri")), mapping(source.get("modelHub"))
    scheme, model = _HUBS.get(text(hub.get("name"))), text(hub.get("modelID"))
    if not hub:
        return uri or None
    if not model or scheme is None:
        return None
    revision = text(hub.get("revision")) or _DEFAULT_REVISION
    return f"{scheme}://{model}" + (f"@{revision}" if revision != _DEFAULT_REVISION else "")


def claim_of(pods: Sequence[Pod], owners: Sequence[Object]) -> Claim | None:
    """The claim of a gang: of the first that names a model among its pods, then its owners."""
    claims = (*map(_of_pod, pods), *map(_of_owner, owners))
    return next((claim for claim in claims if claim is not None), None)


def _of_pod(pod: Pod) -> Claim | None:
    model = pod.labels.get(LLMAZ_MODEL)
    if not model:
        return None
    subject = f"Pod {pod.namespace}/{pod.name}"
    return Claim(
        model=model,
        origin=f"{subject}: {LLMAZ_MODEL}",
        flavors=_split(pod.annotations.get(LLMAZ_FLAVORS, "")),
        flavors_origin=f"{subject}: {LLMAZ_FLAVORS}",
    )


def _of_owner(owner: Object) -> Claim | None:
    kind = kind_of(owner)
    if kind == LEADER_WORKER_SET:
        return _of_template(owner)
    if kind not in (LLMAZ_SERVICE, PLAYGROUND):
        return None
    spec = mapping(owner.get("spec"))
    one = "modelClaim" if mapping(spec.get("modelClaim")) else "modelClaims"
    claim = mapping(spec.get(one))
    model = text(claim.get("modelName")) or main_model(claim)
    if not model:
        return None
    at = f"{where(owner)}: spec.{one}"
    named = tuple(item for item in sequence(claim.get("inferenceFlavors")) if text(item))
    return Claim(model=model, origin=at, flavors=named, flavors_origin=f"{at}.inferenceFlavors")


def _of_template(lws: Object) -> Claim | None:
    metadata = mapping(lws_pods.leader_template(lws_pods.template_of(lws)).get("metadata"))
    model = strings(metadata.get("labels")).get(LLMAZ_MODEL)
    if not model:
        return None
    listed = strings(metadata.get("annotations")).get(LLMAZ_FLAVORS, "")
    return Claim(
        model=model,
        origin=f"{where(lws)}: {LLMAZ_MODEL}",
        flavors=_split(listed),
        flavors_origin=f"{where(lws)}: {LLMAZ_FLAVORS}",
    )


def main_model(claims: Object) -> str:
    """The name of the main model among ``modelClaims``; empty when there is none."""
    models = [mapping(item) for item in sequence(claims.get("models"))]
    main = [model for model in models if model.get("role", "main") == "main"]
    return next((text(model.get("name")) for model in (*main, *models)), "")


def _split(names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in names.split(",") if (name := part.strip())))


def translate(
    draft: Draft, owners: Sequence[Object], context: Context
) -> tuple[Context, Model | None]:
    """Write the model and the order of its flavors on the members.

    Gives a context that knows the model's flavors, and the model; None without a claim. Flavors that the
    user named on a pod win; they may be those of the model. Raises ``RequestError``.
    """
    claim = claim_of(draft.pods, owners)
    if claim is None:
        return context, None
    obj = context.objects.get(OPEN_MODEL, "", claim.model)
    if obj is None:
        message = f"OpenModel {claim.model} does not exist"
        raise RequestError(draft.pods, LLMAZ_MODEL, message, claim.origin)
    model = read_model(obj)
    draft.fill({keys.MODEL: (claim.origin, model.source)} if model.source else {})
    own = any(
        keys.FLAVORS in p.annotations or keys.FLAVOR_SPEC in p.annotations for p in draft.pods
    )
    names = () if own else _chosen(draft, claim, model)
    objects = context.flavors
    if context.compatibility:
        model, objects = _by_labels_alone(model), {}
        names = names if _ordered(draft, claim, obj) else ()
    if names:
        # A helper without cards stays free of the flavors, unless nobody has cards.
        carded = [pod for pod in draft.pods if pod.extended]
        draft.write(carded or draft.pods, keys.FLAVORS, claim.flavors_origin, ",".join(names))
    known = {**context.flavors, **dict(_known(model, objects))}
    return replace(context, flavors=known), model


def _chosen(draft: Draft, claim: Claim, model: Model) -> tuple[str, ...]:
    """The names of the claimed flavors, all of which can be used."""
    for name in claim.flavors or model.flavors:
        known = model.flavors.get(name)
        if known is None:
            names = ", ".join(model.flavors) or "none"
            message = f"flavor {show(name)} is not in OpenModel {claim.model}; known: {names}"
            raise RequestError(draft.pods, LLMAZ_FLAVORS, message, claim.flavors_origin)
        if known.flavor is None:
            origin = f"OpenModel {claim.model}: {known.field}"
            raise RequestError(draft.pods, LLMAZ_FLAVORS, known.error, origin)
    return tuple(claim.flavors or model.flavors)


def _known(model: Model, objects: Mapping[str, FlavorObject]) -> Iterator[tuple[str, FlavorObject]]:
    """The model's flavors, each with what the ``Flavor`` object of its name says besides."""
    for name, one in model.flavors.items():
        known = objects.get(name)
        if one.flavor is not None and known is not None:
            yield name, FlavorObject(flavor=merged(one.flavor, known.flavor))
        else:
            yield name, one


def _ordered(draft: Draft, claim: Claim, model: Object) -> bool:
    """Whether the plugin takes notice of the flavors. Raises ``RequestError`` where it fails."""
    try:
        listed = ",".join(claim.flavors) or None
        return fungibility.prefilter(claim.model, listed, model) is not None
    except fungibility.PluginError as error:
        raise RequestError(draft.pods, LLMAZ_FLAVORS, str(error), claim.flavors_origin) from None


def _by_labels_alone(model: Model) -> Model:
    """The model as the plugin sees it: its flavors are node selectors, and fit pods of any request."""
    flavors = {
        name: replace(one, flavor=replace(one.flavor, resources=None)) if one.flavor else one
        for name, one in model.flavors.items()
    }
    return replace(model, flavors=flavors)


def hints(gang: Gang, model: Model | None) -> tuple[str, ...]:
    """What the parameters TP and PP of the gang's flavors say against its size and cards, in words.

    llmaz documents them and reads them nowhere, so they bind nobody.
    """
    if model is None:
        return ()
    found = (_hint(gang, flavor, model.params.get(flavor.name, {})) for flavor in gang.flavors)
    return tuple(f"OpenModel {model.name}: {hint}" for hint in found if hint)


def _hint(gang: Gang, flavor: Flavor, params: Mapping[str, str]) -> str:
    asked = {key: whole(params[key].strip()) for key in ("TP", "PP") if key in params}
    for key, value in asked.items():
        if not value:
            return (
                f"{flavor.name}.params.{key}: {show(params[key])} is not a whole number from 1 up"
            )
    following = [podset for podset in gang.podsets if podset.follows_flavors]
    members = flavor.members or sum(podset.size for podset in following)
    own = following[0].request if following else Resources()
    request = own if flavor.resources is None else flavor.resources
    cards = sum(count for name, count in request.amounts.items() if is_extended(name))
    if not cards:
        return ""
    # TP alone says how many cards one member uses, PP alone how many members there are.
    match asked:
        case {"TP": int(tp), "PP": int(pp)}:
            said, wanted, have = f": TP {tp} x PP {pp} are", tp * pp, members * cards
            rest = f"cards, but the gang has {members} x {cards}"
        case {"TP": int(tp)}:
            said, wanted, have, rest = ".TP:", tp, cards, f"cards, but a member has {cards}"
        case {"PP": int(pp)}:
            said, wanted, have, rest = ".PP:", pp, members, f"members, but the gang has {members}"
        case _:
            return ""
    return "" if wanted == have else f"{flavor.name}.params{said} {wanted} {rest}"
