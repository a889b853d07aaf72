"""Which cards a pod gets, and what tells the vendor's plugin so (``HandOff`` of the catalogue). Pure.

Cards are chosen only where it is known of every card of the node who has it: what is written is the truth
for the plugin, and a wrong guess would give one card to two pods.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from scheduler.model import Slot
from scheduler.node_cards import taken
from scheduler.snapshot import NodeState, RunningPod
from topology.allocation import CardRule, Wide
from topology.vendors import vendor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The cards of one pod. Where none could be chosen, ``doubt`` says why and nothing is written."""

    cards: tuple[int, ...] = ()
    """Ascending."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    doubt: str = ""


def takes_choice(state: NodeState, slot: Slot, vendors: Collection[str]) -> bool:
    """Whether the pod asks for cards whose plugin takes a choice; ``vendors``: those that are turned on."""
    card = state.node.accelerator
    return card is not None and card.vendor in vendors and slot.request[card.resource] > 0


def choose(
    state: NodeState, slot: Slot, assumed: Sequence[RunningPod], time_nanoseconds: int
) -> Choice:
    """Cards for a pod that ``takes_choice`` on its node.

    ``assumed`` are pods that were decided about and that the watch may not have shown yet: they count before
    anything else that is said of them, and before what a plugin lists. Times must rise from call to call.
    """
    card = state.node.accelerator
    vendor = vendor_of(card.vendor) if card else None
    form = vendor.device(card.resource) if vendor and card else None
    if card is None or vendor is None or vendor.handoff is None or form is None:
        resource = card.resource if card else "no cards"
        return Choice(doubt=f"no way is known to name devices of {resource} on {slot.node}")
    others = {pod.uid: pod for pod in (*state.pods, *assumed) if pod.uid != slot.uid}
    seen = replace(state, pods=tuple(others.values()))
    # A list of the plugin may be older than the pods, so it tells of broken cards only.
    _, held = taken(replace(seen, listed=None), card)
    unknown = sum(held) - (card.size - card.count)
    known, broken = taken(seen, card)
    if unknown or broken:
        what = f"{unknown} of the cards that pods have" if unknown else "the cards that are missing"
        return Choice(doubt=f"nobody says which are {what} on {slot.node}")
    free = frozenset(range(card.size)) - known
    cards = pick(card.rule or CardRule(), card.size, free, slot.request[card.resource])
    if not cards:
        return Choice(doubt=f"the free cards of {slot.node} do not go together")
    ids = state.listed.ids if state.listed else ()
    if "{id}" in form[1] and len(ids) != card.size:
        return Choice(doubt=f"the identifiers of the cards of {slot.node} are not known")
    names = (form[1].format(index=n, id=ids[n] if ids else "") for n in cards)
    annotations = {
        form[0]: ",".join(names),
        vendor.handoff.time: str(time_nanoseconds),
        vendor.handoff.node: slot.node,
    }
    return Choice(cards=cards, annotations={k: v for k, v in annotations.items() if k})


def pick(rule: CardRule, installed: int, free: Collection[int], count: int) -> tuple[int, ...]:
    """``count`` of the ``free`` cards as the rule demands, ascending; empty when there are none.

    Each item goes into the group where it leaves the least behind, so that large groups stay whole: with
    sizes that divide each other, the largest first, this loses no place that there is.
    """
    groups = [
        sorted(n for n in free if n // rule.group == number)
        for number in range(len(rule.groups(installed)))
    ]
    items = rule.items(count)
    if len(items) > 1 and rule.wide is Wide.EVEN and items[0] > 1:
        return _even(rule, groups, items)
    chosen: list[int] = []
    for item in items:
        group = min((g for g in groups if len(g) >= item), key=len, default=None)
        if group is None:
            return ()
        chosen += group[:item]
        del group[:item]
    return tuple(sorted(chosen))


def _even(rule: CardRule, groups: list[list[int]], items: tuple[int, ...]) -> tuple[int, ...]:
    """The same places of each group (Ascend's boxes of 16)."""
    for some in combinations(groups, len(items)):
        places = set.intersection(*({n % rule.group for n in group} for group in some))
        if len(places) >= items[0]:
            same = set(sorted(places)[: items[0]])
            return tuple(n for group in some for n in group if n % rule.group in same)
    return ()
