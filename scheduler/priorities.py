"""PriorityClasses: the value that a pod's class name stands for until the API server has resolved it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scheduler.fork import Forkable

SYSTEM: Mapping[str, int] = {
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}
"""Classes that exist in every cluster - k8s.io/kubernetes pkg/apis/scheduling."""


class Priorities(Forkable):
    """The PriorityClasses that are known."""

    def __init__(self) -> None:
        self._values: dict[str, int] = dict(SYSTEM)
        self._defaults: set[str] = set()

    @property
    def names(self) -> Iterable[str]:
        """Names of the classes that were taken."""
        return self._values.keys() - SYSTEM.keys()

    def take(self, name: str, obj: Mapping[str, Any], deleted: bool) -> bool:
        """Take a PriorityClass object; whether a value has changed."""
        before = (dict(self._values), set(self._defaults))
        value = obj.get("value")
        self._values.pop(name, None)
        self._defaults.discard(name)
        if not deleted and isinstance(value, int):
            self._values[name] = value
            if obj.get("globalDefault") is True:
                self._defaults.add(name)
        self._values.update(SYSTEM)
        return before != (self._values, self._defaults)

    def value(self, name: str) -> int:
        """The priority of a pod with this class; of the default class when ``name`` is empty."""
        # The API server takes the lowest of several defaults.
        lowest = min((self._values[default] for default in self._defaults), default=0)
        return self._values.get(name, 0) if name else lowest
