"""What loading costs in the exact model, from facts topology-cache 5.3 alone; all models are on one hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

from ortools.sat.python import cp_model

from scheduler.model import Gang, PodSet
from topology.caches.claims import Residency

if TYPE_CHECKING:
    from tests.solve.reference import Model

LONGEST = 100_000
"""Above all seconds of the random instances."""


@dataclass(frozen=True)
class Times:
    """Seconds of each node by itself, whether it fetches, and seconds by number of nodes that fetch."""

    own: list[int]
    fetches: list[bool]
    shared: list[int]


def times(model: Model, gang: Gang) -> Times:
    """The times of one gang."""
    snapshot, policy = model.snapshot, model.policy
    repository, _, revision = (gang.model or "").partition("@")
    known = [
        one
        for one in snapshot.residency
        if one.model == repository
        and (not revision or not one.revisions or revision in one.revisions)
        and one.namespace in ("", gang.namespace)
        and not (one.observed_seconds and one.observed_seconds < snapshot.taken_seconds - 900)
    ]
    copies = [one for one in known if one.complete]
    workers = [one for one in known if one.worker and one.permille]
    share = max((one.permille for one in workers), default=0)
    workers = [one for one in workers if one.permille == share]
    size = gang.model_bytes or max((one.bytes or 0 for one in copies), default=0)
    warm = policy.warm_up_seconds if size else 0
    cached = size * share // 1000
    peers = policy.rates["peer"]

    def whole(*seconds: Fraction) -> int:
        """Each part in milliseconds, rounded up; the sum with the warm-up in seconds, rounded up."""
        return ceil(Fraction(max(ceil(part * 1000) for part in seconds), 1000)) + warm

    own, fetches = [], []
    for state in snapshot.nodes:
        here = [one for one in copies if one.node == state.node.name]
        beside = [one for one in workers if one.node == state.node.name]
        rates = [one.rate or policy.rates[one.tier] for one in here or beside] or [peers]
        own.append(whole(Fraction(size if here else cached, max(rates))))
        fetches.append(not here and not (beside and cached and cached == size))
    shared = [0]
    for number in range(1, len(own) + 1):
        origin = min(Fraction(policy.rates["link"]), Fraction(policy.origins[""], number))
        pool = Fraction(peers * max(len({one.node for one in workers}), 1), number)
        shared.append(whole((size - cached) / origin, cached / pool))
    return Times(own, fetches, shared if size else [0] * len(shared))


def loading(model: Model, gang: Gang) -> Iterator[tuple[cp_model.IntVar, list[cp_model.IntVar]]]:
    """Of a gang that loads something: its seconds, and a bit for each node that fetches."""
    if not gang.model:
        return
    found = times(model, gang)
    podsets = [one for one in gang.podsets if one.follows_flavors] or list(gang.podsets)
    seconds = model.cp.new_int_var(0, LONGEST, "")
    bits = []
    for n, own in enumerate(found.own):
        bit = _stands(model, gang, podsets, n)
        model.cp.add(seconds >= own * bit)
        bits += [bit] if found.fetches[n] else []
    number = model.cp.new_int_var(0, len(bits), "")
    model.cp.add(number == cp_model.LinearExpr.sum(bits))
    reading = model.cp.new_int_var(0, LONGEST, "")
    model.cp.add_element(number, found.shared, reading)
    model.cp.add(seconds >= reading)
    yield seconds, bits


def _stands(model: Model, gang: Gang, podsets: list[PodSet], n: int) -> cp_model.IntVar:
    bit = model.cp.new_bool_var("")
    for podset in podsets:
        model.cp.add(model.x[gang.key, podset.role, n] <= len(podset.pending) * bit)
    return bit


def residency(model: str, node: str, **fields: object) -> Residency:
    """A complete copy on NVMe; ``fields`` as of ``Residency``."""
    given = {"model": model, "node": node, "source": "agent", "complete": True, **fields}
    return Residency(**given)  # type: ignore[arg-type]  # the fields have types of their own
