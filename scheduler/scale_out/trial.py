"""The search for the fewest nodes: the solver is asked about fleets with more and more of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from scheduler.model import Gang, GangAssignment, SolverStatus
from scheduler.policy import Policy
from scheduler.snapshot import NodeState, Snapshot
from scheduler.solve import solve
from topology.keys import HOSTNAME
from topology.model import Node
from topology.tree import TopologyTree

Places = Sequence[tuple[Node, int]]
"""Nodes to copy, each with how many copies."""


class Trial:
    """One gang alone on the nodes that can matter to it, with new ones beside them."""

    def __init__(
        self, snapshot: Snapshot, states: Sequence[NodeState], gang: Gang, policy: Policy
    ) -> None:
        reserved = {assignment.key for assignment in snapshot.reservations}
        standing = (one for one in snapshot.gangs if one.key in reserved)
        gangs = sorted((gang, *standing), key=lambda one: (one.namespace, one.name))
        self._snapshot = replace(snapshot, gangs=tuple(gangs), problems=())
        self._states, self._gang = tuple(states), gang
        # Counting alone proves nearly every answer about one gang; CP-SAT would take seconds for the rest.
        self._policy = replace(policy, exact_cells=0)
        self.proven = True
        """Whether the gang certainly waits wherever it was said to wait."""
        self._copies: dict[str, NodeState] = {}
        """The new nodes so far, by name."""

    def with_nodes(self, places: Places) -> GangAssignment:
        """What the solver decides about the gang with these new nodes."""
        new = (self._copy(node, number) for node, count in places for number in range(count))
        states = (*self._states, *new)
        tree = TopologyTree.build((state.node for state in states), self._snapshot.levels)
        by_name = {state.node.name: state for state in states}
        nodes = tuple(by_name[name] for name in tree.nodes)
        plan = solve(replace(self._snapshot, tree=tree, nodes=nodes), self._policy)
        answer = next(one for one in plan.assignments if one.key == self._gang.key)
        self.proven &= answer.placed or plan.status is SolverStatus.OPTIMAL
        return answer

    def _copy(self, node: Node, number: int) -> NodeState:
        # The sign cannot be part of a node's name, so it is nobody else's.
        name = f"{node.name}+{number}"
        if name not in self._copies:
            labels = {**node.labels, HOSTNAME: name}
            new = replace(node, name=name, labels=labels)
            self._copies[name] = NodeState(node=new, free=new.allocatable)
        return self._copies[name]

    def fewest(self, nodes: Sequence[Node], guess: int, limit: int) -> Places:
        """The fewest copies of ``nodes`` with which the gang is placed; empty when ``limit`` of each do
        not help. Where they stand in several domains, none of them can be left out.

        ``guess`` is where the search begins; without any the gang waits.
        """
        low, high, step = 0, limit + 1, 1
        at, answer = min(guess, limit), None
        while high - low > 1:
            trial = self.with_nodes([(node, at) for node in nodes])
            if trial.placed:
                high, answer = at, trial
            else:
                low = at
            if answer is None:
                at = low + step
            elif not low:
                at = high - step
            else:
                at = (low + high) // 2
            step, at = 2 * step, min(max(at, low + 1), high - 1)
        return [] if answer is None else self._needed(nodes, self._used(answer))

    def _used(self, answer: GangAssignment) -> Mapping[str, int]:
        """Name of a copied node -> how many of its copies hold members."""
        new = {slot.node for slot in answer.slots if slot.node in self._copies}
        return Counter(name.rpartition("+")[0] for name in new)

    def _needed(self, nodes: Iterable[Node], used: Mapping[str, int]) -> Places:
        """``used`` without what the gang can do without."""
        kept = {node.name: (node, used[node.name]) for node in nodes if used.get(node.name)}
        if len(kept) > 1:
            for name in sorted(kept, key=lambda name: -kept[name][1]):
                node, count = kept[name]
                low, high = -1, count
                while high - low > 1:
                    middle = (low + high) // 2
                    if self.with_nodes([*({**kept, name: (node, middle)}).values()]).placed:
                        high = middle
                    else:
                        low = middle
                kept[name] = node, high
        return [(node, count) for node, count in kept.values() if count]
