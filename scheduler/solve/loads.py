"""Snapshot -> ``LoadRow``: what loading its model costs a gang on every node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.loading import index, load_of
from scheduler.match import Fleet
from scheduler.model import Gang
from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from scheduler.solve.problem import Form, LoadRow, Role


class Loads:
    """The rows of one snapshot."""

    def __init__(self, snapshot: Snapshot, fleet: Fleet, policy: Policy) -> None:
        self._known = index(snapshot.residency)
        self._fleet, self._policy = fleet, policy
        self._nodes, self._now = len(snapshot.nodes), snapshot.taken_seconds

    def row(self, gang: Gang, forms: Sequence[Form], roles: Sequence[Role]) -> LoadRow | None:
        """The row of a gang; None when it names no model."""
        load = load_of(gang, self._known, self._policy, self._now)
        if load is None:
            return None
        own = np.full(self._nodes, load.whole(load.far), dtype=np.int64)
        reads = np.ones(self._nodes, dtype=bool)
        for node in {**load.near, **load.copies}:
            place = self._fleet.index(node)
            if place is not None:
                own[place], reads[place] = load.whole(load.own(node)), load.reads(node)
        pending = max(sum(roles[role].pending for role in form.loads) for form in forms)
        counts = range(1, min(pending, self._nodes) + 1)
        times = (load.whole(load.readers(count)) for count in counts)
        return LoadRow(own=own, reads=reads, readers=(0, *times), known=load.size is not None)
