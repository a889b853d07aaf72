"""How long the members of a gang take to load its model, wherever they stand. Pure, in exact integers.

A node with a complete copy reads it from there. Every other node is a *reader*: the more readers, the less
each gets of a shared source. Members on one node share its page cache, so that a node counts once. With ``r``
readers, and ``c`` of the model's ``b`` bytes held by ``w`` cache workers (Fluid; else c = 0):

    copy here      b / rate of its tier
    worker here    c / rate of the worker's tier
    neither        c / rate of a peer
    every reader   (b - c) / min(rate of the origin for one, rate of the origin for all / r)
                   and c * r / (w * rate of a peer)
    gang           warm-up + the largest of all of these

Source: facts topology-cache 5.3 and 5.4. What differs from the formula there: the rate of the node's own link
is that of the tier; bytes are those of one member, whichever shards it reads; pulling the engine's image is
not counted; each gang is counted as if no other loaded at the same time. Only what all workers hold together
is known, not which part a node has: a node with a worker is near that part, and reads the rest like others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.model import Gang
from scheduler.policy import ORIGINS, RATES, Policy
from topology.caches.claims import Residency
from topology.caches.identity import names_of, same_revision, scheme_of

MOST_SECONDS = 1_000_000
"""Longer loads count as this one: eleven days. Keeps the objective's integers small."""
_TIER_OF = {"s3": "object-store", "oss": "object-store", "gs": "object-store", "pvc": "network"}
"""Scheme -> the tier whose rate one reader gets at most; ``link`` for every other one."""

Index = Mapping[str, Sequence[Residency]]


def index(residency: Iterable[Residency]) -> Index:
    """Residencies by the name of the model."""
    found: dict[str, list[Residency]] = {}
    for one in residency:
        found.setdefault(one.model, []).append(one)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What loading costs one gang. Milliseconds; all 0 while nobody knows the size of the model."""

    size: int | None
    """Bytes of the model; None when it is not known."""
    copies: Mapping[str, int] = field(default_factory=dict)
    """Node with a complete copy -> what reading it takes."""
    near: Mapping[str, int] = field(default_factory=dict)
    """Node with a cache worker, and no copy -> what reading from the worker takes."""
    far: int = 0
    """What every other node takes to read the workers' part from them."""
    missing: int = 0
    """Bytes that neither a copy nor a worker has, for a node without a copy."""
    held: int = 0
    """Bytes that the workers have."""
    reader_rate: int = 1
    shared_rate: int = 1
    workers_rate: int = 1
    warm_up: int = 0

    def own(self, node: str) -> int:
        """What a node takes by itself, whoever else loads."""
        return self.copies.get(node, self.near.get(node, self.far))

    def reads(self, node: str) -> bool:
        """Whether a node shares a source with others."""
        return node not in self.copies and not (
            node in self.near and self.held and not self.missing
        )

    def readers(self, count: int) -> int:
        """What ``count`` readers take, every one of them."""
        if not count or self.size is None:
            return 0
        origin = (
            spent(self.missing, self.reader_rate),
            spent(self.missing * count, self.shared_rate),
        )
        return max(*origin, spent(self.held * count, self.workers_rate))

    def seconds(self, nodes: Iterable[str]) -> int | None:
        """When the slowest member on ``nodes`` is ready; None when the size is not known."""
        places = set(nodes)
        if self.size is None or not places:
            return None
        count = sum(self.reads(node) for node in places)
        return self.whole(max(self.readers(count), *map(self.own, places)))

    def whole(self, milliseconds: int) -> int:
        """Seconds until a member is ready that loads this long."""
        return min(-(-(milliseconds + self.warm_up) // 1000), MOST_SECONDS)


def spent(amount: int, rate: int) -> int:
    """Milliseconds for ``amount`` bytes at ``rate`` bytes per second, rounded up."""
    return -(-amount * 1000 // rate)


def load_of(gang: Gang, known: Index, policy: Policy, now_seconds: int = 0) -> Load | None:
    """What loading costs the gang with what is ``known`` at ``now_seconds``; None when it names no model."""
    if not gang.model:
        return None
    names, revision = names_of(gang.model, gang.namespace)
    found = [
        one
        for name in names
        for one in known.get(name, ())
        if one.namespace in ("", gang.namespace)
        and same_revision(revision, one.revisions)
        and _fresh(one, policy, now_seconds)
    ]
    copies = [one for one in found if one.complete and not one.worker]
    workers = _workers(found)
    # A dataset that is more than the model says nothing of the model's size.
    told = [*copies, *(one for one in workers if one.model == names[0])]
    size = gang.model_bytes or max((one.bytes or 0 for one in told), default=0) or None
    amount = size or 0
    held = amount * max((one.permille for one in workers), default=0) // 1000
    scheme = scheme_of(gang.model)
    peer = _rate(policy, "peer")
    return Load(
        size=size,
        copies=_fastest(
            (one.node, spent(amount, one.rate or _rate(policy, one.tier))) for one in copies
        ),
        near=_fastest((one.node, spent(held, _rate(policy, one.tier))) for one in workers),
        far=spent(held, peer),
        missing=amount - held,
        held=held,
        reader_rate=_rate(policy, _TIER_OF.get(scheme, "link")),
        shared_rate=max(1, policy.origins.get(scheme, policy.origins.get("", ORIGINS[""]))),
        workers_rate=peer * max(1, len({one.node for one in workers})),
        warm_up=policy.warm_up_seconds * 1000 if size else 0,
    )


def _workers(found: Sequence[Residency]) -> Sequence[Residency]:
    """The workers of the dataset that holds most of the model."""
    most = max((one.permille for one in found if one.worker), default=0)
    return [one for one in found if one.worker and one.permille == most] if most else ()


def _fastest(times: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for node, time in times:
        found[node] = min(time, found.get(node, time))
    return found


def _fresh(one: Residency, policy: Policy, now_seconds: int) -> bool:
    """Whether it was seen lately; what has no time is as current as its object."""
    limit = policy.copy_age_seconds
    if not limit or not now_seconds or one.observed_seconds is None:
        return True
    return now_seconds - one.observed_seconds <= limit


def _rate(policy: Policy, tier: str) -> int:
    return max(1, policy.rates.get(tier, RATES.get(tier, RATES["link"])))
