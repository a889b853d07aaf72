"""What a gang source may look up besides the pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scheduler.card_kinds import CardKind
from scheduler.flavors import FlavorObject
from scheduler.foreign import ForeignObjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Flavor objects by name, the levels of the fleet, labels of namespaces, objects of other controllers."""

    flavors: Mapping[str, FlavorObject] = field(default_factory=dict)
    levels: tuple[str, ...] = ("host",)
    resolve: Callable[[str], str | None] = lambda name: name if name == "host" else None
    """Level name for a level name or node label key; None for an unknown one."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    objects: ForeignObjects = field(default_factory=ForeignObjects)
    rewrites: bool = False
    """Whether a webhook of ours writes flavors into pods: then one may need other pods than there are."""
    compatibility: bool = False
    """Whether flavors of llmaz mean exactly what they mean to its ResourceFungibility plugin."""
    kinds: tuple[CardKind, ...] = ()
    """The kinds of cards in the fleet, for flavors that ask for cards of any vendor."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Our annotation -> "object: field" that a source has translated into it, for texts of errors."""
