"""Copies of mutable objects that share all frozen values with the original."""

from __future__ import annotations

import copy
from typing import Any, Self


class Forkable:
    """An object of containers, frozen values and other such objects."""

    def fork(self) -> Self:
        """A copy that can be changed without changing this one; the frozen values in it are shared."""
        forked: Self = _forked(self)
        return forked


def _forked(value: Any) -> Any:
    """``value`` with its own containers, down to values that nobody changes in place."""
    copied: Any
    if isinstance(value, Forkable):
        copied = copy.copy(value)
        parts = vars(copied)
    elif isinstance(value, (dict, set)):
        copied = copy.copy(value)
        parts = copied if isinstance(copied, dict) else {}
    else:
        return value
    for name, part in parts.items():
        parts[name] = _forked(part)
    return copied
