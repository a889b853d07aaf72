"""Documents about the network: which format each has, and the ConfigMaps that bring them to the service.

A new format is a file here with a ``Source`` value, a line in ``SOURCES`` and a folder of fixtures in
``tests/fixtures/topology``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from topology.model import Problem
from topology.sources import hermes, ibnetdiscover, lldp, netq, topograph, ufm
from topology.sources.survey import Document, Guids, Source, Survey
from topology.untyped import mapping, text

SOURCES: tuple[Source, ...] = (
    ibnetdiscover.SOURCE,
    ufm.SOURCE,
    netq.SOURCE,
    lldp.SOURCE,
    topograph.SOURCE,
    hermes.SOURCE,
)
"""The first that recognises a document reads it."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it


def recognised(value: Any) -> Source | None:
    """The source that reads a JSON value or text; None for anything else. Total."""
    return next((source for source in SOURCES if source.recognises(value)), None)


def parsed(document: str) -> Any:
    """A document as a JSON value if it is JSON or YAML, else the text itself. Total."""
    document = document.removeprefix("\ufeff")  # as editors on Windows write
    if recognised(document):
        return document
    for load in (json.loads, _yaml):
        try:
            value = load(document)
        except (ValueError, RecursionError, yaml.YAMLError):
            continue
        return value if isinstance(value, (dict, list)) else document
    return document


def _yaml(document: str) -> Any:
    return yaml.load(document, Loader=_LOADER)  # noqa: S506 - it is the safe one


def documents(config_map: Mapping[str, Any]) -> Iterator[Document]:
    """The documents of a ConfigMap, one for each key of ``data``, by name.

    What is no UTF-8 stands in ``binaryData`` and has no format that is known.
    """
    for name in sorted(map(str, mapping(config_map.get("binaryData")))):
        yield Document(name=name, value=None)
    for name, value in sorted(mapping(config_map.get("data")).items(), key=str):
        yield Document(name=str(name), value=parsed(value) if isinstance(value, str) else value)


def read(document: Document, subject: str, guids: Guids) -> Survey:
    """What a document says; a Problem of ``subject`` when no source knows its format."""
    source = recognised(document.value)
    if source is not None:
        return source.read(document, guids)
    names = ", ".join(source.name for source in SOURCES)
    message = f"{_shown(document.value)} is in none of the formats {names}"
    return Survey(
        problems=(Problem(subject=subject, field=f"data.{document.name}", message=message),)
    )


def _shown(value: Any) -> str:
    return f"text that begins {text(value)[:40]!r}" if isinstance(value, str) else "its content"
