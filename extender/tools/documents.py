"""Kubernetes manifests from files and standard input: YAML or JSON, several documents, Lists.

Input that cannot be read at all (no such file, bad syntax, not a Kubernetes object) is an
``InputError`` that names file, document and line. Whatever is wrong *inside* an object is left to
the readers, which turn it into a problem or a reason: one bad pod must not hide the other 20,000.
"""

from __future__ import annotations

import gc
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from extender.tools import yaml_text
from scheduler import keys
from topology.sources.documents import recognised

Object = Mapping[str, Any]

STANDARD_INPUT = "-"


class InputError(Exception):
    """Input that cannot be read; the text is one line for the user."""


BAD_INPUT = 2
"""Exit code for an ``InputError``, the same in every command."""


def reports_bad_input(run: Callable[[Namespace], int]) -> Callable[[Namespace], int]:
    """The command ``run``, with an ``InputError`` as one line on standard error and exit code 2."""

    @wraps(run)
    def reporting(args: Namespace) -> int:
        try:
            return run(args)
        except InputError as error:
            print(f"muster: {error}", file=sys.stderr)
            return BAD_INPUT

    return reporting


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file: an object or a List of them."""

    source: str
    number: int
    """Counts from 1, empty documents left out."""
    line: int
    """Line of the file on which the document starts, from 1."""
    value: dict[str, Any]

    def objects(self) -> Iterator[dict[str, Any]]:
        """The objects, Lists opened. Raises ``InputError`` for what is no object."""
        yield from _open(self.value, "", self)

    def error(self, message: str) -> InputError:
        """``message`` with the document's whereabouts in front."""
        return InputError(f"{self.source}: document {self.number}, line {self.line}: {message}")


def read_objects(paths: Sequence[str]) -> list[dict[str, Any]]:
    """All objects of ``paths`` in order; ``-`` is standard input. Raises ``InputError``."""
    with _collector_paused():
        documents = [document for path in paths for document in read_documents(path)]
    return [obj for document in documents for obj in document.objects()]


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Reading makes millions of values and no garbage: looking for it would take a fifth longer."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def objects_in(data: bytes, source: str) -> list[dict[str, Any]]:
    """All objects of a manifest that is at hand; ``source`` names it. Raises ``InputError``."""
    return [obj for document in _documents(data, source) for obj in document.objects()]


def read_documents(path: str) -> Iterator[Document]:
    """The documents of one file that are not empty. Raises ``InputError``."""
    source = "standard input" if path == STANDARD_INPUT else path
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror or error}") from None
    return _documents(data, source)


def _documents(data: bytes, source: str) -> Iterator[Document]:
    text = _text(data, source)
    if recognised(text):
        yield Document(source=source, number=1, line=1, value=_config_map(source, text))
        return
    values = _json_values(text) if text.lstrip()[:1] in {"{", "["} else None
    if values is None:
        values = _yaml_values(text, source)
    number = 0
    for line, value in values:
        if value is not None:
            number += 1
            if not _is_object(value) and recognised(value):
                value = _config_map(source, value)  # noqa: PLW2901 - the same document, brought like others
            document = Document(source=source, number=number, line=line, value=value)
            if not isinstance(value, dict):
                raise document.error(f"not a Kubernetes object but {_named(value)}")
            yield document


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("kind"), str)


def _config_map(source: str, value: Any) -> dict[str, Any]:
    """A document about the network as the service gets it: in a ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": source, "labels": {keys.TOPOLOGY_SOURCE: "file"}},
        "data": {Path(source).name: value},
    }


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}: line {line}: not UTF-8 text") from None


def _json_values(text: str) -> Iterator[tuple[int, Any]] | None:
    """JSON objects one after the other; None when the text is something else (flow YAML)."""
    decoder = json.JSONDecoder()
    found = []
    at, line, counted = 0, 1, 0
    while (at := _skip_space(text, at)) < len(text):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        found.append((line, value))
    return iter(found)


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _yaml_values(text: str, source: str) -> Iterator[tuple[int, Any]]:
    number = 1
    try:
        for line, value in yaml_text.read(text):
            yield line, value
            number += value is not None
    except yaml_text.YamlError as error:
        raise InputError(f"{source}: document {number}, line {error.line}: {error}") from None


def _open(value: Any, path: str, document: Document) -> Iterator[dict[str, Any]]:
    where = f"{path}: " if path else ""
    if not isinstance(value, dict):
        raise document.error(f"{where}not a Kubernetes object but {_named(value)}")
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str) or not value[key]:
            raise document.error(
                f"{where}not a Kubernetes object: {key} is {_named(value.get(key))}"
            )
    kind = value["kind"]
    if kind == "List" or (kind.endswith("List") and "items" in value):
        items = [] if value.get("items") is None else value["items"]
        if not isinstance(items, list):
            raise document.error(f"{where}items of {kind} is {_named(items)}, not a list")
        # Items of a PodList need not repeat what they are.
        head = {"apiVersion": value["apiVersion"], "kind": kind.removesuffix("List")}
        for index, item in enumerate(items):
            whole = {**head, **item} if isinstance(item, dict) and head["kind"] else item
            yield from _open(whole, f"{path}.items[{index}]".lstrip("."), document)
        return
    ours = value["apiVersion"] == keys.API_VERSION  # a Snapshot has no metadata
    if not isinstance(value.get("metadata"), dict) and not ours:
        raise document.error(
            f"{where}not a Kubernetes object: metadata of {kind} is {_named(value.get('metadata'))}"
        )
    yield value


def _named(value: Any) -> str:
    """What a JSON value is, in a word, for messages."""
    if value is None:
        return "missing"
    names = {dict: "a map", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number") if value != "" else "empty"
