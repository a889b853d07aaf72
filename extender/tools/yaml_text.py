"""YAML text to values and back, by the rules of Kubernetes rather than those of YAML 1.1.

``kubectl`` turns YAML into JSON: there are no dates, keys are strings, ``1e3`` is a number and
``1:30`` a string. Values are built straight from the parser's events, about twice as fast as
``CSafeLoader`` because plain scalars repeat and are resolved once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CLoader", yaml.Loader)  # libyaml where the wheel has it
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_BASED = re.compile(r"([-+]?)0(?:b([01]+)|x([0-9a-fA-F]+)|o?([0-7]+))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **{w: True for word in ("y", "yes", "on", "true") for w in (word, word.title(), word.upper())},
    **{
        w: False for word in ("n", "no", "off", "false") for w in (word, word.title(), word.upper())
    },
}
_MAX_DIGITS = 300
"""Longer numbers are no number in JSON either; Python would need quadratic time to read them."""

_SAFE_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*")


class YamlError(ValueError):
    """Text that is not YAML; ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def read(text: str) -> Iterator[tuple[int, Any]]:
    """Each document of ``text`` as (line it starts on, value). Raises ``YamlError``."""
    try:
        events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                first = next(events)
                yield first.start_mark.line + 1, _Builder(events).value(first)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or "not YAML", mark.line + 1 if mark else 1) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"character {chr(error.character)!r} is not allowed", line) from None
    except RecursionError:
        raise YamlError("nested too deeply", 1) from None


class _Builder:
    """Builds the value of one document from parser events."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._next = events.__next__
        self._anchors: dict[str, Any] = {}

    def value(self, event: Any) -> Any:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            result: Any = _scalar(event)
        elif kind is yaml.MappingStartEvent:
            result = self._mapping()
        elif kind is yaml.SequenceStartEvent:
            result = self._sequence()
        else:  # an alias; one inside its own anchor is unknown here, so no value contains itself
            if event.anchor not in self._anchors:
                raise YamlError(f"alias *{event.anchor} has no anchor", event.start_mark.line + 1)
            return self._anchors[event.anchor]
        if event.anchor is not None:
            self._anchors[event.anchor] = result
        return result

    def _sequence(self) -> list[Any]:
        result = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            result.append(self.value(event))
        return result

    def _mapping(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        while type(event := self._next()) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent:
                raise YamlError(
                    "a key must be a word, not a list or map", event.start_mark.line + 1
                )
            value = self.value(self._next())
            if event.value == "<<" and event.implicit[0]:
                merged += value if isinstance(value, list) else [value]
            else:
                result[event.value] = value
        for other in merged:
            if isinstance(other, dict):
                result = {**other, **result}
        return result


def _scalar(event: Any) -> Any:
    return plain(event.value) if event.implicit[0] else event.value


@lru_cache(maxsize=65_536)
def plain(text: str) -> Any:
    """What an unquoted scalar means to Kubernetes: null, true, 12, 1.5 or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_DIGITS or text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if based := _BASED.fullmatch(text):
        sign, binary, hexadecimal, octal = based.groups()
        digits, base = next(d for d in ((binary, 2), (hexadecimal, 16), (octal, 8)) if d[0])
        return int(sign + digits, base)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Dumper(_DUMPER):  # type: ignore[misc]  # chosen at run time
    """Writes block style, keys in their order, shared values in full, doubtful text quoted."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _write_text(dumper: Any, text: str) -> yaml.Node:
    """Quote every text that some YAML reader might take for a number, a truth value or a date."""
    style = None
    if "\n" in text and not text.startswith((" ", "\n")):
        style = "|"
    elif not _SAFE_PLAIN.fullmatch(text) or text in _WORDS:
        style = '"'
    node: yaml.Node = dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    return node


_Dumper.add_representer(str, _write_text)


def write(documents: Iterable[Any]) -> str:
    """``documents`` as YAML text, separated by ``---``."""
    text: str = yaml.dump_all(
        documents,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=False,
    )
    return text
