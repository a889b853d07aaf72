"""Vendors' rules about cards for the exact model: every pod's cards, group by group, in every arrangement."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from ortools.sat.python import cp_model

from scheduler.model import Gang, PodSet
from topology.allocation import Reach
from topology.model import Accelerator

if TYPE_CHECKING:
    from tests.solve.reference import Model

Groups = tuple[int, ...]


class CardModel:
    """The constraints; ``broken`` are the groups that are no longer wholly free, node by node.

    Rules are those whose numbers are powers of two (whole groups beyond a group).
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.broken: list[cp_model.LinearExpr] = []
        for node, state in enumerate(model.snapshot.nodes):
            card = state.node.accelerator
            if card is None or card.rule is None:
                continue
            for gang in model.everyone:
                self._numbers(node, card, gang)
            if card.rule.group > 1:
                self._packed(node, card)
        for gang in model.everyone:
            self._together(gang)

    def _takers(self, gang: Gang, card: Accelerator) -> list[PodSet]:
        return [podset for podset in gang.podsets if podset.request[card.resource]]

    def _x(self, gang: Gang, podset: PodSet, node: int) -> cp_model.IntVar:
        return self.model.x[gang.key, podset.role, node]

    def _numbers(self, node: int, card: Accelerator, gang: Gang) -> None:
        rule, takers = card.rule, self._takers(gang, card)
        assert rule is not None
        company = sum(podset.size for podset in takers) > 1
        for podset in takers:
            legal = [card.size] if rule.whole_node and company else rule.counts
            if legal and podset.request[card.resource] not in legal:
                self.model.cp.add(self._x(gang, podset, node) == 0)
        if rule.one_per_node and company:
            name = self.model.snapshot.nodes[node].node.name
            here = sum(m.node == name for podset in takers for m in podset.running)
            new = cp_model.LinearExpr.sum([self._x(gang, podset, node) for podset in takers])
            self.model.cp.add(new <= max(1 - here, 0))

    def _packed(self, node: int, card: Accelerator) -> None:
        """Whatever cards the running pods have, the new ones find theirs; some groups stay whole."""
        assert card.rule is not None
        cp, size = self.model.cp, card.rule.group
        ends = set(_ends(card, self._held(node, card)))
        before = min(free.count(size) for free in ends)
        whole = cp.new_int_var(0, before, "")
        for free in ends:
            kept = [cp.new_bool_var("") for number in free if number == size]
            left: list[list[cp_model.LinearExprT]] = [[] for _ in free]
            for index, bit in zip(
                (i for i, number in enumerate(free) if number == size), kept, strict=True
            ):
                left[index].append(size * bit)
            for gang in self.model.everyone:
                for podset in self._takers(gang, card):
                    count = podset.request[card.resource]
                    piece, pieces = min(count, size), max(1, count // size)
                    z = [cp.new_int_var(0, len(podset.pending) * pieces, "") for _ in free]
                    cp.add(cp_model.LinearExpr.sum(z) == pieces * self._x(gang, podset, node))
                    for index, part in enumerate(z):
                        left[index].append(piece * part)
            for number, used in zip(free, left, strict=True):
                cp.add(cp_model.LinearExpr.sum(used) <= number)
            cp.add(whole <= cp_model.LinearExpr.sum(kept))
        self.broken.append(before - whole)

    def _held(self, node: int, card: Accelerator) -> Iterator[int]:
        state = self.model.snapshot.nodes[node]
        for pod in state.pods:
            yield pod.request[card.resource]
        for reservation in self.model.held.values():
            for slot in reservation.slots:
                if slot.node == state.node.name:
                    yield slot.request[card.resource]

    def _together(self, gang: Gang) -> None:
        """Members on cards of a class that demands it share a node, or a known scale-up domain."""
        homes: dict[str, cp_model.IntVar] = {}
        for node, state in enumerate(self.model.snapshot.nodes):
            card = state.node.accelerator
            if card is None or card.rule is None or card.rule.reach is Reach.ANYWHERE:
                continue
            takers = self._takers(gang, card)
            if sum(podset.size for podset in takers) < 2:
                continue
            alone = card.rule.reach is Reach.NODE
            home = state.node.name if alone else state.node.scale_up or ""
            bit = homes.setdefault(home, self.model.cp.new_bool_var(""))
            for podset in takers:
                self.model.cp.add(self._x(gang, podset, node) <= len(podset.pending) * bit)
                if state.node.name in [member.node for member in podset.running]:
                    self.model.cp.add(bit >= self.model.grows[gang.key])
        if "" in homes:
            self.model.cp.add(homes[""] == 0)
        self.model.cp.add(cp_model.LinearExpr.sum(list(homes.values())) <= 1)


def _ends(card: Accelerator, held: Iterator[int]) -> Iterator[Groups]:
    """What may be free in the groups: every piece of every pod in every group."""
    assert card.rule is not None
    size = card.rule.group
    pieces = [p for n in held if n for p in ([n] if n <= size else [size] * (n // size))]
    for homes in product(range(card.size // size), repeat=len(pieces)):
        free = [size] * (card.size // size)
        for piece, home in zip(pieces, homes, strict=True):
            free[home] -= piece
        if min(free) >= 0:
            yield tuple(sorted(free))
