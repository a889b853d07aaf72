"""Vendors' rules about cards, for the checker: by trying arrangements, group by group. Shares nothing with
the solver, which counts units instead (``topology.allocation`` only says what a rule is)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

from scheduler.solve.check_facts import Crowd, Facts, Standing
from topology.allocation import CardRule, Reach, Wide
from topology.model import SCALE_UP, Accelerator

_MOST = 64
"""Groups of a node that are looked at; no vendor builds more."""

Groups = tuple[int, ...]
"""Free cards of each group, ascending."""


def card_rules(facts: Facts) -> Iterator[str]:
    """What is wrong with the cards that new members take: numbers, nodes of a gang, groups inside a node."""
    for standing in facts.placed:
        if standing.new:
            yield from _numbers(facts, standing)
            yield from _apart(facts, standing)
            yield from _reach(facts, standing)
    boards = Boards(facts)
    for node in sorted(boards.new):
        yield from _grouped(facts, node, boards)


def _cards(crowd: Crowd, card: Accelerator) -> int:
    return crowd.podset.request[card.resource]


def _ruled(facts: Facts, node: int) -> tuple[Accelerator, CardRule] | None:
    card = facts.accelerator(node)
    return (card, card.rule) if card is not None and card.rule is not None else None


def _takers(standing: Standing, card: Accelerator) -> tuple[Crowd, ...]:
    return tuple(crowd for crowd in standing.crowds if _cards(crowd, card) > 0)


def _numbers(facts: Facts, standing: Standing) -> Iterator[str]:
    for crowd in standing.crowds:
        for node in sorted(set(crowd.new)):
            ruled = _ruled(facts, node)
            if ruled is None:
                continue
            card, rule = ruled
            count, size = _cards(crowd, card), max(card.count, card.installed)
            others = sum(one.podset.size for one in _takers(standing, card)) > 1
            legal = (size,) if rule.whole_node and others else rule.counts
            if count and legal and count not in legal:
                yield f"a member of role {crowd.podset.role} takes {count} cards, legal are {legal}"


def _apart(facts: Facts, standing: Standing) -> Iterator[str]:
    for node in sorted(set(standing.new)):
        ruled = _ruled(facts, node)
        if ruled is not None and ruled[1].one_per_node:
            mates = sum(crowd.all.count(node) for crowd in _takers(standing, ruled[0]))
            fresh = any(node in crowd.new for crowd in _takers(standing, ruled[0]))
            if fresh and mates > 1:
                name = facts.state(node).node.name
                yield f"{mates} members share node {name}, its vendor allows one of a gang"


def _reach(facts: Facts, standing: Standing) -> Iterator[str]:
    """Members on cards of a class with such a rule are near each other."""
    held: dict[tuple[str, str], set[int]] = {}
    fresh: set[tuple[str, str]] = set()
    for crowd in standing.crowds:
        for node in crowd.all:
            card = facts.accelerator(node)
            if card is not None and _cards(crowd, card):
                kind = card.device_class, card.resource
                held.setdefault(kind, set()).add(node)
                fresh |= {kind} if node in crowd.new else set()
    for device_class, resource in sorted(fresh):
        takers = [crowd.podset for crowd in standing.crowds if crowd.podset.request[resource]]
        if all(SCALE_UP in [cut.level for cut in podset.slices] for podset in takers):
            continue  # it says itself how it is cut into them
        total = sum(podset.size for podset in takers)
        homes = {_home(facts, node) for node in held[device_class, resource]}
        if total > 1 and (len(homes) > 1 or None in homes):
            yield (
                f"members on {device_class} stand in {sorted(map(str, homes))}, "
                "not together as their vendor demands"
            )


def _home(facts: Facts, node: int) -> str | None:
    """What all members of a gang with cards must share with the one on this node; None: nobody knows."""
    ruled, place = _ruled(facts, node), facts.state(node).node
    reach = ruled[1].reach if ruled is not None else Reach.ANYWHERE
    if reach is Reach.NODE:
        return f"node {place.name}"
    if reach is Reach.SCALE_UP:
        return place.scale_up and f"scale-up domain {place.scale_up}"
    return "anywhere"


class Boards:
    """Who holds cards of which nodes."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    @cached_property
    def new(self) -> Mapping[int, Sequence[Crowd]]:
        """Node -> the crowd of each new member there, where a rule has groups."""
        found: dict[int, list[Crowd]] = {}
        for standing in self._facts.placed:
            for crowd in standing.crowds:
                for node in crowd.new:
                    ruled = _ruled(self._facts, node)
                    if ruled is not None and ruled[1].group > 1 and _cards(crowd, ruled[0]):
                        found.setdefault(node, []).append(crowd)
        return found

    @cached_property
    def _promised(self) -> Mapping[str, Sequence[Mapping[str, int]]]:
        found: dict[str, list[Mapping[str, int]]] = {}
        for reservation in self._facts.snapshot.reservations:
            for slot in reservation.slots:
                found.setdefault(slot.node, []).append(slot.request.amounts)
        return found

    def taken(self, node: int) -> list[int]:
        """Cards of each new member on the node."""
        ruled = _ruled(self._facts, node)
        assert ruled is not None
        return [_cards(crowd, ruled[0]) for crowd in self.new[node]]

    def arrangements(self, node: int) -> frozenset[Groups]:
        """What may be free in the node's groups before the plan."""
        ruled, state = _ruled(self._facts, node), self._facts.state(node)
        assert ruled is not None
        card, rule = ruled
        size = max(card.count, card.installed)
        if size > rule.group * _MOST:
            return frozenset({(0,)})
        seats = Counter(range(size))
        held = []
        for pod in state.pods:
            count, cards = pod.request[card.resource], set(pod.cards)
            if len(cards) == count and all(seats[number] == 1 for number in cards):
                seats.subtract(cards)
            else:
                held.append(count)
        lost = size - card.count
        said = state.listed
        if (
            said
            and set(said.free) <= set(+seats)
            and seats.total() - sum(held) - lost == len(said.free)
        ):
            seats, held, lost = Counter({n: int(n in said.free) for n in seats}), [], 0
        elif said and set(said.unhealthy) <= set(+seats) and len(said.unhealthy) == lost:
            seats.subtract(said.unhealthy)
            lost = 0
        held += [one.get(card.resource, 0) for one in self._promised.get(state.node.name, ())]
        if sum(held) + lost >= seats.total():
            return frozenset({(0,)})
        groups = Counter[int]({number // rule.group: 0 for number in seats})
        for number, open_ in seats.items():
            groups[number // rule.group] += open_
        empty = tuple(sorted(groups.values()))
        pieces = [piece for count in held for piece in _pieces(rule, count)] + [1] * lost
        found = _left(empty, tuple(sorted(pieces, reverse=True)))
        return found or _left(empty, (1,) * sum(pieces))


def _pieces(rule: CardRule, count: int) -> list[int]:
    """The cards of one pod, by groups."""
    if 0 < count <= rule.group:
        return [count]
    if rule.wide is Wide.WHOLE and count % rule.group == 0:
        return [rule.group] * (count // rule.group)
    parts = -(-count // rule.group)
    if rule.wide is Wide.EVEN and count % max(parts, 1) == 0:
        return [count // parts for _ in range(parts)]
    return [1] * count


@lru_cache(maxsize=4096)
def _left(free: Groups, pieces: tuple[int, ...]) -> frozenset[Groups]:
    """All that may be left when each piece was cut from one group."""
    if not pieces:
        return frozenset({free})
    found: set[Groups] = set()
    for number in sorted(set(free)):
        if number >= pieces[0]:
            rest = list(free)
            rest[rest.index(number)] -= pieces[0]
            found |= _left(tuple(sorted(rest)), pieces[1:])
    return frozenset(found)


def _grouped(facts: Facts, node: int, boards: Boards) -> Iterator[str]:
    ruled = _ruled(facts, node)
    assert ruled is not None
    counts = boards.taken(node)
    pieces = [piece for count in counts for piece in _pieces(ruled[1], count)]
    wanted = tuple(sorted(pieces, reverse=True))
    if any(
        sum(free) < sum(wanted) or not _left(free, wanted) for free in boards.arrangements(node)
    ):
        users = sorted(s.gang.key for s in facts.placed if node in s.new)
        yield (
            f"{', '.join(users)}: the {ruled[1].noun}s of node {facts.state(node).node.name} do not hold "
            f"pods of {sorted(counts)} cards in every arrangement of what runs there"
        )


def broken(facts: Facts) -> int:
    """Groups of cards that were wholly free for sure and no longer are, with the best cards for new pods.

    A number of cards in one group that is no power of two counts as the next one.
    """
    boards, total = Boards(facts), 0
    for node in boards.new:
        ruled = _ruled(facts, node)
        assert ruled is not None
        size, counts = ruled[1].group, boards.taken(node)
        pieces = [piece for count in counts for piece in _pieces(ruled[1], count)]
        before = boards.arrangements(node)
        after = min(_whole(free, size, tuple(sorted(pieces, reverse=True))) for free in before)
        total += min(free.count(size) for free in before) - after
    return total


def _whole(free: Groups, size: int, pieces: tuple[int, ...]) -> int:
    """The most groups that stay whole while the pieces are cut from others."""
    rounded = tuple(_round(piece) for piece in pieces if piece > 1)
    for kept in range(free.count(size), 0, -1):
        others = free[: len(free) - kept]
        if sum(others) >= sum(pieces) and _left(others, rounded):
            return kept
    return 0


def _round(piece: int) -> int:
    power = 1
    while power < piece:
        power *= 2
    return power
