"""Flavors for whole cards of any vendor: for whoever asks for ``minMemory: 64Gi, cards: 8`` and knows no key.

Such a flavor stands for a list of flavors, one for each class of cards in the fleet that would do: the class
with the least memory first, so that the larger cards stay free for those who need them, and classes whose
memory is unknown last. Each has the flavor's name with that of the class, as in ``big/ascend-910b``, and
knows by which resource its cards are requested. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scheduler.pod_requests import is_extended
from topology.model import Flavor, Node
from topology.resources import Resources
from topology.vendors import is_of_cards


@dataclass(frozen=True, slots=True, kw_only=True)
class CardKind:
    """A class of cards that some node has, under one name of its resource."""

    device_class: str
    resource: str
    memory_bytes: int | None
    """Of one card, the most on any node; None when no node tells."""


def kinds_of(nodes: Iterable[Node]) -> tuple[CardKind, ...]:
    """The kinds of cards in the fleet, in the order in which flavors try them."""
    found: dict[tuple[str, str], int] = {}
    for node in nodes:
        card = node.accelerator
        if card is not None:
            key = card.device_class, card.resource
            found[key] = max(found.get(key, 0), card.memory_bytes or 0)
    ordered = sorted(found.items(), key=lambda item: (not item[1], item[1], item[0]))
    return tuple(
        CardKind(device_class=name, resource=resource, memory_bytes=memory or None)
        for (name, resource), memory in ordered
    )


def on_each_kind(flavors: Iterable[Flavor], kinds: Sequence[CardKind]) -> Iterator[Flavor]:
    """The flavors, those for cards of any vendor as one for each kind that would do.

    One that no kind would do for stays as it is, with ``card`` None: no node serves it.
    """
    for flavor in flavors:
        fitting = [kind for kind in kinds if _would_do(flavor, kind)]
        if flavor.cards is None or not fitting:
            yield flavor
            continue
        names = Counter(kind.device_class for kind in fitting)
        for kind in fitting:
            name = flavor.name
            if flavor.device_class is None:
                name += f"/{kind.device_class}"
            if names[kind.device_class] > 1:
                name += f"/{kind.resource.rpartition('/')[2]}"
            yield replace(flavor, name=name, device_class=kind.device_class, card=kind.resource)


def _would_do(flavor: Flavor, kind: CardKind) -> bool:
    least, named = flavor.min_memory_bytes, flavor.device_class
    if least is not None and (kind.memory_bytes or 0) < least:
        return False
    # Of vendors that are not in the catalogue any resource may be one of cards; only who names it gets one
    # that does not look so, such as a network device.
    return is_of_cards(kind.resource) if named is None else named == kind.device_class


def wanted(request: Resources, flavor: Flavor) -> Resources | None:
    """What a pod that requests ``request`` is to request in all on the flavor; None: just that.

    A flavor for cards replaces what the pod asks of any vendor's cards and leaves other extended resources.
    """
    if flavor.cards is None or flavor.card is None:
        return flavor.resources
    others = {
        name: need
        for name, need in request.amounts.items()
        if need and is_extended(name) and not is_of_cards(name)
    }
    listed = flavor.resources.amounts if flavor.resources is not None else {}
    return Resources({**others, **listed, flavor.card: flavor.cards})
