"""How long gangs load their models, computed once more from the snapshot. Shares nothing with the solver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import ceil

from scheduler.model import Gang
from scheduler.policy import ORIGINS, RATES
from scheduler.solve.check_facts import Facts, Standing
from topology.caches.claims import Residency
from topology.caches.identity import names_of

_MOST = 1_000_000
_ONE_READER = {"s3": "object-store", "oss": "object-store", "gs": "object-store", "pvc": "network"}


def load(facts: Facts, standing: Standing) -> tuple[int, int]:
    """Seconds until the slowest new member has its model (0: not known), and nodes that fetch it."""
    gang = standing.gang
    if not gang.model:
        return 0, 0
    seen = list(_seen(facts, gang))
    copies = _rates(facts, (one for one in seen if one.complete and not one.worker))
    sizes = (one.bytes or 0 for one in seen if one.complete and not one.worker)
    size = gang.model_bytes or max(sizes, default=0)
    share = max((one.permille for one in seen if one.worker), default=0)
    cached = size * share // 1000
    workers = _rates(facts, (one for one in seen if one.worker and one.permille == share > 0))
    nodes = _nodes(facts, standing)
    full = workers if cached and cached == size else {}
    readers = [node for node in nodes if node not in copies and node not in full]
    if not size or not nodes:
        return 0, len(readers)
    times = [_milliseconds(size, copies[node]) for node in nodes if node in copies]
    peer = _rate(facts, "peer")
    others = [workers.get(node, peer) for node in nodes if node not in copies]
    times += [_milliseconds(cached, rate) for rate in others]
    if readers:
        first, *_ = (*names_of(gang.model, gang.namespace)[0], "")
        one, shared = _origin(facts, first.partition("://")[0])
        times += [_milliseconds(size - cached, one)]
        times += [_milliseconds((size - cached) * len(readers), shared)]
        times += [_milliseconds(cached * len(readers), peer * max(1, len(workers)))]
    return min(ceil(max(times) / 1000) + facts.policy.warm_up_seconds, _MOST), len(readers)


def _nodes(facts: Facts, standing: Standing) -> set[str]:
    """Nodes of the new members that load: those that follow flavors, or all if none does."""
    following = [crowd for crowd in standing.crowds if crowd.podset.follows_flavors]
    crowds = following or standing.crowds
    return {facts.snapshot.tree.nodes[node] for crowd in crowds for node in crowd.new}


def _rates(facts: Facts, found: Iterable[Residency]) -> dict[str, int]:
    """The best rate on each node."""
    rates: dict[str, int] = {}
    for one in found:
        measured = None if one.worker else one.rate
        rates[one.node] = max(measured or _rate(facts, one.tier), rates.get(one.node, 0))
    return rates


def _milliseconds(amount: int, rate: int) -> Fraction:
    return Fraction(ceil(Fraction(amount * 1000, rate)))


def _seen(facts: Facts, gang: Gang) -> Iterator[Residency]:
    """What is known of the gang's model, for it and lately enough."""
    names, revision = names_of(gang.model or "", gang.namespace)
    limit, now = facts.policy.copy_age_seconds, facts.snapshot.taken_seconds
    for one in facts.snapshot.residency:
        old = one.observed_seconds is not None and now - one.observed_seconds > limit
        other = revision and one.revisions and revision not in one.revisions
        foreign = one.namespace and one.namespace != gang.namespace
        if one.model in names and not other and not foreign and not (limit and now and old):
            yield one


def _rate(facts: Facts, tier: str) -> int:
    for table in (facts.policy.rates, RATES):
        if tier in table:
            return max(1, table[tier])
    return RATES["link"]


def _origin(facts: Facts, scheme: str) -> tuple[int, int]:
    """Bytes per second of one reader, and of all of them together."""
    tables: tuple[Mapping[str, int], ...] = (facts.policy.origins, ORIGINS)
    shared = next(table[key] for table in tables for key in (scheme, "") if key in table)
    return _rate(facts, _ONE_READER.get(scheme, "link")), max(1, shared)
