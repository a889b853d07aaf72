"""Reading JSON objects of unknown shape: a field of the wrong type reads as an absent one, nothing raises."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


def seconds(value: Any) -> int:
    """Seconds since the epoch of an RFC 3339 time; 0 when there is none (YAML may give a datetime)."""
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(text(value))
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError, OSError):
        return 0


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """``value`` if it is a JSON list, else an empty one."""
    return value if isinstance(value, (list, tuple)) else ()


def text(value: Any) -> str:
    """``value`` if it is text, else empty."""
    return value if isinstance(value, str) else ""


def strings(value: Any) -> dict[str, str]:
    """The entries of a JSON object whose keys and values are text, equal texts stored once."""
    entries: Mapping[Any, Any] = mapping(value)
    return {
        sys.intern(k): sys.intern(v)
        for k, v in entries.items()
        if type(k) is str and type(v) is str
    }


def remembered(read: Callable[[Any], _T], value: Any) -> _T:
    """``read(value)`` of a JSON value; equal values share one result, read once.

    Thousands of pods are made from a few templates: this saves most of the time and memory that
    reading them takes. ``read`` must be pure and its result immutable.
    """
    try:
        return cast("_T", _remembered(read, json.dumps(value, default=_plain)))
    except (ValueError, TypeError, RecursionError):  # not quite JSON (from YAML), or absurdly deep
        return read(value)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


@lru_cache(maxsize=8192)
def _remembered(read: Callable[[Any], object], document: str) -> object:
    return read(json.loads(document))
