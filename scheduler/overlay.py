"""What a flavor's ``overlay`` says: the parts of a pod that are written anew for that hardware. Pure values.

Engines need another image, other environment and other flags on the cards of each vendor; a pod template
cannot be right for all of them. The fields, all optional:

- ``container``: name of the container to change. Without it ``model-runner`` (llmaz's name), else the first
  that requests an extended resource.
- ``image``, ``command``: replace those of the container.
- ``args``: flags to set, ``--name=value`` or ``--name``. One that stands in the command or the arguments
  gets the new value there; any other is added to the arguments. In a shell script (``sh -c``) only flags
  that are written there are changed.
- ``removeArgs``: flags to take out, ``--name`` or, when a value follows it, ``--name=``.
- ``env``: set by name, with ``value`` or ``valueFrom``.
- ``runtimeClassName``; ``tolerations``, ``annotations`` and ``labels``, which are added.
- ``resources``: more of ``spec.resources`` (read there, not here).
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.keys import GROUP

Object = Mapping[str, Any]

FIELDS = (
    "container", "image", "command", "args", "removeArgs", "env", "runtimeClassName", "tolerations",
    "annotations", "labels", "resources",
)  # fmt: skip
_SET, _REMOVE = "--name=value or --name", "--name or --name="
_FORMS = {_SET: r"--?[^-= ][^= ]*(=.*)?", _REMOVE: r"--?[^-= ][^= ]*=?"}
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")
_EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")


class OverlayError(Exception):
    """An overlay that cannot be read; the text starts with the path below ``overlay``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """One overlay; the fields are those of the module's text."""

    container: str | None = None
    image: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] = ()
    remove_args: tuple[str, ...] = ()
    env: tuple[Object, ...] = ()
    """As ``v1.EnvVar``, each name once."""
    runtime_class: str | None = None
    tolerations: tuple[Object, ...] = ()
    """As ``v1.Toleration``."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether it changes nothing of any pod."""
        return self == Overlay(container=self.container)


def read_overlay(value: Object | None) -> Overlay:
    """Read one overlay; None is an empty one. Raises ``OverlayError``."""
    spec = value or {}
    unknown = sorted(str(key) for key in spec if key not in FIELDS)
    if unknown:
        raise OverlayError(f".{unknown[0]}: unknown field; known: {', '.join(FIELDS)}")
    return Overlay(
        container=_text(spec.get("container"), ".container"),
        image=_text(spec.get("image"), ".image"),
        command=_texts(spec.get("command"), ".command") or None,
        args=_flags(spec.get("args"), ".args", _SET),
        remove_args=_flags(spec.get("removeArgs"), ".removeArgs", _REMOVE),
        env=_env(spec.get("env")),
        runtime_class=_text(spec.get("runtimeClassName"), ".runtimeClassName"),
        tolerations=_tolerations(spec.get("tolerations")),
        annotations=_labels(spec.get("annotations"), ".annotations"),
        labels=_labels(spec.get("labels"), ".labels"),
    )


def flag_name(flag: str) -> str:
    """The part of ``--name=value`` that says which flag it is; most engines take ``_`` for ``-``."""
    return flag.partition("=")[0].replace("_", "-")


def _text(value: Any, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise OverlayError(f"{where}: {reprlib.repr(value)} is not a text")
    return value


def _list(value: Any, where: str, of: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise OverlayError(f"{where}: {reprlib.repr(value)} is not a list of {of}")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    for index, item in enumerate(_list(value, where, "texts")):
        if not isinstance(item, str):
            shown = reprlib.repr(item)
            raise OverlayError(f"{where}[{index}]: {shown} is not text; put it in quotes")
    return tuple(value or ())


def _flags(value: Any, where: str, form: str) -> tuple[str, ...]:
    flags = _texts(value, where)
    names = [flag_name(flag) for flag in flags]
    for index, flag in enumerate(flags):
        at = f"{where}[{index}]"
        if re.fullmatch(_FORMS[form], flag) is None:
            raise OverlayError(f"{at}: {reprlib.repr(flag)} is not a flag; expected {form}")
        if names[index] in names[:index]:
            raise OverlayError(f"{at}: {names[index]} is in the list already")
    return flags


def _env(value: Any) -> tuple[Object, ...]:
    found: dict[str, Object] = {}
    for index, item in enumerate(_list(value, ".env", "name and value")):
        where = f".env[{index}]"
        if not isinstance(item, Mapping):
            shown = reprlib.repr(item)
            raise OverlayError(f"{where}: {shown} is not a mapping of name and value")
        unknown = sorted(str(key) for key in item if key not in ("name", "value", "valueFrom"))
        if unknown:
            raise OverlayError(
                f"{where}.{unknown[0]}: unknown field; known: name, value, valueFrom"
            )
        name, text, source = item.get("name"), item.get("value"), item.get("valueFrom")
        if not isinstance(name, str) or not name or "=" in name:
            raise OverlayError(f"{where}.name: {reprlib.repr(name)} is not a variable's name")
        if name in found:
            raise OverlayError(f"{where}.name: {name} is in the list already")
        if text is not None and not isinstance(text, str):
            shown = reprlib.repr(text)
            raise OverlayError(f"{where}.value: {shown} is not text; put it in quotes")
        if source is not None and (text is not None or not isinstance(source, Mapping)):
            raise OverlayError(f"{where}.valueFrom: expected a mapping, and no value beside it")
        found[name] = dict(item) if source is not None else {"name": name, "value": text or ""}
    return tuple(found.values())


def _tolerations(value: Any) -> tuple[Object, ...]:
    found = []
    for index, item in enumerate(_list(value, ".tolerations", "tolerations")):
        where = f".tolerations[{index}]"
        if not isinstance(item, Mapping):
            raise OverlayError(f"{where}: {reprlib.repr(item)} is not a toleration")
        for key, part in item.items():
            kind: type = int if key == "tolerationSeconds" else str
            if key not in _TOLERATION:
                known = ", ".join(_TOLERATION)
                raise OverlayError(f"{where}.{key}: unknown field; known: {known}")
            if not isinstance(part, kind) or isinstance(part, bool):
                raise OverlayError(f"{where}.{key}: {reprlib.repr(part)} is not {kind.__name__}")
        if item.get("operator", "Equal") not in ("Equal", "Exists"):
            raise OverlayError(f"{where}.operator: expected Equal or Exists")
        if item.get("effect", "") not in _EFFECTS:
            raise OverlayError(f"{where}.effect: expected one of {', '.join(_EFFECTS[1:])}")
        if not item.get("key") and item.get("operator") != "Exists":
            raise OverlayError(f"{where}.key: is missing; without a key the operator is Exists")
        found.append(dict(item))
    return tuple(found)


def _labels(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise OverlayError(f"{where}: {reprlib.repr(value)} is not a mapping of key to text")
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise OverlayError(f"{where}.{key}: {reprlib.repr(text)} is not text; put it in quotes")
        if key.startswith(f"{GROUP}/"):
            raise OverlayError(f"{where}.{key}: keys of {GROUP} are written by Muster itself")
    return dict(value)
