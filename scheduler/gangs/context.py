"""What a gang source may look up besides the pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scheduler.flavors import FlavorObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Flavor objects by name, the levels of the fleet, and the labels of namespaces by name."""

    flavors: Mapping[str, FlavorObject] = field(default_factory=dict)
    levels: tuple[str, ...] = ("host",)
    resolve: Callable[[str], str | None] = lambda name: name if name == "host" else None
    """Level name for a level name or node label key; None for an unknown one."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
