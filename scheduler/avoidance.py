"""What the ledger remembers of failed plans: refused nodes, pauses, gangs given up. Times in seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.model import Gang, Reason, awaited

_FIRST_PAUSE = 0.1
_LAST_PAUSE = 15.0


@dataclass(slots=True)
class Avoidance:
    """Refused nodes and failures in a row, by gang. A part of the ``Ledger``."""

    _until: dict[str, dict[str, float]] = field(default_factory=dict)
    _failed: dict[str, tuple[int, float]] = field(default_factory=dict)
    _given_up: dict[str, tuple[str, Reason]] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether the mere passing of time can change what may be planned."""
        return bool(self._until or self._failed)

    def refuse(self, gang: str, node: str, until: float) -> None:
        """kube-scheduler's filters refused ``node`` for ``gang``: leave it out until then."""
        self._until.setdefault(gang, {})[node] = until

    def refused(self, now: float) -> Mapping[str, tuple[str, ...]]:
        """Nodes to leave out, by gang, in name order."""
        for gang, nodes in tuple(self._until.items()):
            self._until[gang] = {node: until for node, until in nodes.items() if until > now}
            if not self._until[gang]:
                del self._until[gang]
        return {gang: tuple(sorted(nodes)) for gang, nodes in self._until.items()}

    def failed(self, gang: str, now: float) -> None:
        """A plan failed: pause longer after every failure, so that a place nobody can take costs little."""
        failures = self._failed.get(gang, (0, 0.0))[0] + 1
        pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LAST_PAUSE)
        self._failed[gang] = (failures, now + pause)

    def may_plan(self, gang: str, now: float) -> bool:
        """Whether the pause after the gang's last failed plan is over."""
        return now >= self._failed.get(gang, (0, 0.0))[1]

    def give_up(self, gang: Gang, reason: Reason) -> None:
        """Hold no places for ``gang`` any more, as long as it is the same and nothing of it has moved."""
        self._given_up[gang.key] = (gang.incarnation, reason)

    def given_up(self, gangs: Iterable[Gang]) -> Mapping[str, Reason]:
        """Why no places are held, by gang: those of ``gangs`` that still lack only what never came."""
        if not self._given_up:
            return {}
        found = {}
        for gang in gangs:
            incarnation, reason = self._given_up.get(gang.key, (None, None))
            if reason is not None and incarnation == gang.incarnation and awaited(gang):
                found[gang.key] = reason
        for key in self._given_up.keys() - found.keys():
            del self._given_up[key]
        return found

    def succeeded(self, gang: str) -> None:
        """The gang is bound."""
        self._failed.pop(gang, None)

    def keep_only(self, gangs: Collection[str]) -> None:
        """Forget all but these gangs."""
        for known in (self._until, self._failed):
            for gang in [gang for gang in known if gang not in gangs]:
                del known[gang]
