"""Reading JSON objects of unknown shape: a field of the wrong type reads as an absent one, nothing raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any


def seconds(value: Any) -> int:
    """Seconds since the epoch of an RFC 3339 time; 0 when there is none (YAML may give a datetime)."""
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(text(value))
        return int(when.timestamp())
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
    """The entries of a JSON object whose values are text."""
    return {
        key: item
        for key, item in mapping(value).items()
        if isinstance(key, str) and isinstance(item, str)
    }
