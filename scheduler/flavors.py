"""``Flavor`` objects and inline ``flavor-spec`` items, both with the fields of design section 3."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import yaml

from scheduler.overlay import OverlayError, read_overlay
from topology.model import Flavor, Problem
from topology.resources import MAX_AMOUNT, Resources, amount
from topology.untyped import mapping, text
from topology.vendors import class_name, is_of_cards

Object = Mapping[str, Any]
_T = TypeVar("_T")

MAX_SPEC = 32_768
"""Characters. An inline list is some lines; a larger text is a mistake, and slow to parse as YAML."""
_MAX_DEPTH = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it
FIELDS = (
    "name", "resources", "nodeSelector", "deviceClass", "minMemory", "cards", "members", "overlay",
    "costPerHour", "performance",
)  # fmt: skip


class FlavorError(Exception):
    """A flavor that cannot be read; the text names the field, what was wrong and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlavorObject:
    """A ``Flavor`` object: usable, or the reason why it is not."""

    flavor: Flavor | None = None
    field: str = ""
    error: str = ""
    """What is wrong with ``field`` and what would be right."""

    def problems(self, name: str) -> tuple[Problem, ...]:
        """What is wrong with the object of this name."""
        if not self.error:
            return ()
        return (Problem(subject=f"Flavor {name}", field=self.field, message=self.error),)


def read_flavor_object(obj: Object) -> FlavorObject:
    """Read a ``Flavor`` object of ``muster.dev/v1alpha1``. Never raises."""
    name = text(mapping(obj.get("metadata")).get("name"))
    spec = obj.get("spec")
    if not isinstance(spec, Mapping):
        return FlavorObject(
            field="spec", error=f"is missing; known fields: {', '.join(FIELDS[1:])}"
        )
    try:
        return FlavorObject(flavor=read_flavor(name, spec, "spec"))
    except FlavorError as error:
        where, _, message = str(error).partition(": ")
        return FlavorObject(field=where, error=message)


def read_flavor_spec(document: str) -> tuple[Flavor, ...]:
    """Read the YAML or JSON list of the annotation ``flavor-spec``. Raises ``FlavorError``."""
    if len(document) > MAX_SPEC:
        raise FlavorError(f"{len(document)} characters; at most {MAX_SPEC} are read")
    items = _parse(document)
    if not isinstance(items, list) or not items:
        raise FlavorError("expected a list of flavors, each with a name")
    flavors: list[Flavor] = []
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise FlavorError(f"[{index}]: expected a mapping with a name, not {_show(item)}")
        name = item.get("name")
        if not isinstance(name, str) or not name:
            raise FlavorError(f"[{index}].name: {_show(name)} is not a flavor name")
        if name in (flavor.name for flavor in flavors):
            raise FlavorError(f"[{index}].name: {name} is in the list already")
        flavors.append(read_flavor(name, item, f"[{index}]"))
    return tuple(flavors)


def _parse(document: str) -> object:
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        pass  # YAML that is no JSON
    try:
        _check_events(document)
        return yaml.load(document, Loader=_LOADER)  # noqa: S506 - it is the safe one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise FlavorError(f"neither JSON nor YAML{where}") from None


def _check_events(document: str) -> None:
    """Refuse what makes a short text a large or deep value."""
    depth = 0
    for event in yaml.parse(document, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise FlavorError("YAML aliases are not read")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise FlavorError(f"more than {_MAX_DEPTH} levels deep")


def read_flavor(name: str, spec: Object, where: str) -> Flavor:
    """Read one flavor. ``where`` is the path of ``spec`` for error texts. Raises ``FlavorError``."""
    unknown = sorted(str(key) for key in spec if key not in FIELDS)
    if unknown:
        raise FlavorError(f"{where}.{unknown[0]}: unknown field; known: {', '.join(FIELDS)}")
    overlay = _overlay(spec.get("overlay"), f"{where}.overlay")
    resources = _all_resources(spec, where)
    cards = _number(spec.get("cards"), f"{where}.cards", "cards")
    named_class = _optional_text(spec.get("deviceClass"), f"{where}.deviceClass")
    named = _cards_among(resources)
    if cards is not None and named:
        raise FlavorError(
            f"{where}.cards: {cards} of any vendor, but resources name {named[0]}; say one of them"
        )
    return Flavor(
        name=name,
        resources=resources,
        node_selector=_selector(spec.get("nodeSelector"), f"{where}.nodeSelector"),
        device_class=named_class and class_name(named_class),
        min_memory_bytes=_memory(spec.get("minMemory"), f"{where}.minMemory"),
        cards=cards,
        members=_number(spec.get("members"), f"{where}.members", "pods"),
        overlay=overlay,
        cost_per_hour=_cost(spec.get("costPerHour"), f"{where}.costPerHour"),
        performance=_optional_mapping(spec.get("performance"), f"{where}.performance"),
    )


def _resources(value: Any, where: str) -> Resources | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise FlavorError(f"{where}: {_show(value)} is not a mapping of resource to quantity")
    amounts = {}
    for name, quantity in value.items():
        try:
            amounts[str(name)] = amount(str(name), quantity)
        except ValueError as error:
            raise FlavorError(f"{where}.{name}: {error}") from None
    return Resources(amounts)


def _all_resources(spec: Object, where: str) -> Resources | None:
    """``resources``, and those of the overlay: what a pod requests is one list, in two places."""
    listed = _resources(spec.get("resources"), f"{where}.resources")
    more = _resources(mapping(spec.get("overlay")).get("resources"), f"{where}.overlay.resources")
    if listed is None or more is None:
        return more if listed is None else listed
    for name in more:
        if name in listed.amounts and listed[name] != more[name]:
            raise FlavorError(
                f"{where}.overlay.resources.{name}: {more[name]}, but {listed[name]} in "
                f"{where}.resources; say it once"
            )
    return Resources({**listed.amounts, **more.amounts})


def _overlay(value: Any, where: str) -> Mapping[str, object] | None:
    found = _optional_mapping(value, where)
    try:
        read_overlay(found)
    except OverlayError as error:
        raise FlavorError(f"{where}{error}") from None
    return found


def _selector(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise FlavorError(f"{where}: {_show(value)} is not a mapping of label to value")
    for label, wanted in value.items():
        if not isinstance(label, str) or not isinstance(wanted, str):
            raise FlavorError(f"{where}.{label}: {_show(wanted)} is not text; put it in quotes")
    return dict(value)


def _memory(value: Any, where: str) -> int | None:
    if value is None:
        return None
    try:
        return amount("memory", value)
    except ValueError as error:
        raise FlavorError(f"{where}: {error}") from None


def _cards_among(resources: Resources | None) -> list[str]:
    """Resources of cards with an amount."""
    amounts = resources.amounts if resources is not None else {}
    return sorted(name for name, need in amounts.items() if need and is_of_cards(name))


def _number(value: Any, where: str, of: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_AMOUNT:
        raise FlavorError(f"{where}: {_show(value)} is not a number of {of} from 1 up")
    return value


def _optional_text(value: Any, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise FlavorError(f"{where}: {_show(value)} is not text")


def _optional_mapping(value: Any, where: str) -> Mapping[str, object] | None:
    if value is None:
        return None
    if _too_deep(value):
        raise FlavorError(f"{where}: more than {_MAX_DEPTH} levels deep")
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        plain = None  # YAML can say more than JSON, such as dates
    if isinstance(plain, dict):
        return plain
    raise FlavorError(f"{where}: {_show(value)} is not a mapping of JSON values")


def _too_deep(value: object) -> bool:
    inside = [value]
    for _ in range(_MAX_DEPTH):
        maps = [one for one in inside if isinstance(one, Mapping)]
        lists = [one for one in inside if isinstance(one, (list, tuple))]
        inside = [item for one in (*(m.values() for m in maps), *lists) for item in one]
    return bool(inside)


def _cost(value: Any, where: str) -> str | None:
    if value is None:
        return None
    try:
        amount("cost", value)
    except ValueError:
        raise FlavorError(f"{where}: {_show(value)} is not an amount such as 2.5") from None
    return str(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def _show(value: object) -> str:
    """A value as it was written, cut where it is long, wide or deep."""
    return _SHORT.repr(value)


def select(
    names: Sequence[str], inline: Sequence[Flavor], objects: Mapping[str, FlavorObject]
) -> tuple[Flavor, ...]:
    """The flavors of an ordered list of names: looked up inline first, then among Flavor objects.

    Without names the inline order counts. Raises ``FlavorError`` naming the first that is unknown.
    """
    if not names:
        return tuple(inline)
    own = {flavor.name: flavor for flavor in inline}
    flavors = []
    for name in dict.fromkeys(names):
        found = objects.get(name)
        if name in own:
            flavors.append(own[name])
        elif found is None:
            known = sorted({*own, *objects})
            shown = ", ".join(known[:10]) or "none"
            raise FlavorError(f"flavor {name!r} does not exist; known: {shown}")
        elif found.flavor is None:
            raise FlavorError(f"Flavor {name}: {found.field}: {found.error}")
        else:
            flavors.append(found.flavor)
    return tuple(flavors)


def merged(model_flavor: Flavor, flavor_object: Flavor | None) -> Flavor:
    """A flavor that a model names, with what the ``Flavor`` object of the same name knows besides.

    What the model says wins: its resources, and label by label its node selector.
    """
    if flavor_object is None:
        return model_flavor
    own, other = model_flavor, flavor_object
    return replace(
        other,
        name=own.name,
        resources=other.resources if own.resources is None else own.resources,
        node_selector={**other.node_selector, **own.node_selector},
        device_class=own.device_class or other.device_class,
        min_memory_bytes=_first(own.min_memory_bytes, other.min_memory_bytes),
        cards=None if _cards_among(own.resources) else _first(own.cards, other.cards),
        members=_first(own.members, other.members),
        overlay=_first(own.overlay, other.overlay),
        cost_per_hour=_first(own.cost_per_hour, other.cost_per_hour),
        performance=_first(own.performance, other.performance),
    )


def _first(own: _T | None, other: _T | None) -> _T | None:
    return other if own is None else own
