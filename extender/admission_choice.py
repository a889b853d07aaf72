"""Which flavor is written into a pod that is being created: one for all members of its gang.

In this order: what the gang's reservation says; what its pods are that exist already; what was chosen a
moment ago for a pod of it that the watch has not shown yet; the best flavor on which all of the gang, also
members that are still to come, would be placed now; the first flavor. The answer comes within
``_DEADLINE_SECONDS`` from what this replica knows, and a dry run changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from extender.admission import Review, gated, read_review, write_review
from extender.config import Config
from scheduler.cycle import Solve
from scheduler.gangs import claim
from scheduler.ledger import Ledger
from scheduler.model import Code, Gang, GangAssignment, PodSet
from scheduler.pods import Pod, expected
from scheduler.reservation import HOLDING, State
from scheduler.rewrite import WriteError, restored, write
from scheduler.snapshot import Snapshot
from scheduler.state import ClusterState
from scheduler.variants import has_cards, offered
from topology.model import Flavor
from topology.untyped import mapping, text

log = structlog.get_logger("muster.admission")

_DEADLINE_SECONDS = 1.5
"""For the whole answer; the API server waits 2 s (``manifests/webhook.yaml``)."""
_AT_ONCE = 16
"""Gangs that are chosen for together: some tens of milliseconds each in a large cluster."""
_REMEMBER_SECONDS = 5.0
"""Longer than the watch and the next plan take, shorter than anybody's patience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """A choice that was made for a gang."""

    flavor: Flavor | None
    """None: the pods stay as their owner makes them."""
    until: float = 0.0
    places: GangAssignment | None = None
    """Where the gang would go: counted as taken by the next choices, until it is planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A gang for which a flavor is to be chosen."""

    gang: Gang
    prefix: str
    """See ``_for_successor``."""
    dry_run: bool
    answer: asyncio.Future[_Chosen]


class Admission:
    """Answers the webhook. Everything runs in the one event loop of the engine, solving apart."""

    def __init__(
        self,
        config: Config,
        state: ClusterState,
        ledger: Ledger,
        solve: Solve,
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self._config = config
        self._state = state
        self._ledger = ledger
        self._solve = solve
        self._snapshot = snapshot
        self._recent: dict[str, _Chosen] = {}
        self._open: dict[tuple[str, bool], _Question] = {}
        """Questions without an answer, by gang; a dry run asks for itself."""
        self._new: list[_Question] = []
        """Those of them that nobody works on yet. What comes while one choice is made is chosen together."""
        self._worker: asyncio.Task[None] | None = None

    async def review(self, body: bytes) -> dict[str, Any]:
        """Answer an AdmissionReview v1. Raises ``WireError`` when the body is none."""
        review = read_review(body)
        pod = _read(review)
        ours = claim(pod, self._state.namespaces, self._config.schedulers)
        if ours is None or pod.node is not None:
            return write_review(review, review.pod)
        after = gated(review.pod)
        if self._config.rewrites:
            chosen = await self._choose(pod, _prefix(review), dry_run=review.dry_run)
            try:
                if chosen is not None:
                    after = restored(after) if not chosen.flavor else write(after, chosen.flavor)
            except WriteError as error:
                log.warning("not written", pod=pod.name, gang=ours[1], cause=str(error))
        return write_review(review, after)

    async def _choose(self, pod: Pod, prefix: str, *, dry_run: bool) -> _Chosen | None:
        """What is to be written into the pod; None when that is not for us to say."""
        gang = self._state.imagined(pod)
        if gang is None or not gang.flavors or not _follows(gang, pod):
            return None
        if gang.blocked is not None and gang.blocked.code is not Code.MEMBERS_MISSING:
            return None
        known = self._reserved(gang) or _like_siblings(gang)
        if known is not None:
            return known
        gang = offered(gang)
        if not gang.variants:
            return _Chosen(flavor=None)
        recent = self._recalled(gang)
        if recent is not None:
            return recent
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                return await asyncio.shield(self._asked(gang, prefix, dry_run).answer)
        except TimeoutError:
            log.warning("no choice in time: the first flavor", gang=gang.key)
            chosen = _Chosen(flavor=_first(gang))
            return chosen if dry_run else self._remember(gang, chosen)

    def _reserved(self, gang: Gang) -> _Chosen | None:
        reservation = self._ledger.get(gang.key)
        if reservation is None or reservation.state not in HOLDING - {State.DEGRADED}:
            return None
        flavor = _named(gang, reservation.assignment.flavor)
        return None if flavor is None else _Chosen(flavor=flavor)

    def _recalled(self, gang: Gang) -> _Chosen | None:
        """What was chosen for the gang a moment ago, if it still has that flavor."""
        now = time.monotonic()
        self._recent = {key: one for key, one in self._recent.items() if one.until > now}
        recent = self._recent.get(gang.key)
        if recent is None or recent.flavor is None:
            return recent
        flavor = _named(gang, recent.flavor.name)
        return None if flavor is None else replace(recent, flavor=flavor)

    def _remember(self, gang: Gang, chosen: _Chosen) -> _Chosen:
        """Keep a choice for the siblings; one that was told already stands."""
        told = self._recalled(gang)
        if told is not None:
            return told
        until = time.monotonic() + _REMEMBER_SECONDS
        self._recent[gang.key] = replace(chosen, until=until)
        return chosen

    def _asked(self, gang: Gang, prefix: str, dry_run: bool) -> _Question:
        """The question about the gang, perhaps that of a sibling."""
        key = gang.key, dry_run
        if key not in self._open:
            answer: asyncio.Future[_Chosen] = asyncio.get_running_loop().create_future()
            question = _Question(gang=gang, prefix=prefix, dry_run=dry_run, answer=answer)
            self._open[key] = question
            self._new.append(question)
            if self._worker is None or self._worker.done():
                self._worker = asyncio.create_task(self._work())
        return self._open[key]

    async def _work(self) -> None:
        """Answer questions until there are none: the real ones together, a dry run by itself."""
        while self._new:
            batch = [q for q in self._new if not q.dry_run][:_AT_ONCE] or self._new[:1]
            self._new = [question for question in self._new if question not in batch]
            # Who has waited too long was told something, and that stands.
            asking = [q for q in batch if q.dry_run or self._recalled(q.gang) is None]
            found: dict[str, _Chosen] = {}
            try:
                found = await self._best(asking) if asking else {}
            except Exception:  # a bug must not keep pods from being created
                log.exception("no choice: the first flavor")
            for question in batch:
                gang = question.gang
                chosen = found.get(gang.key) or _Chosen(flavor=_first(gang))
                if not question.dry_run:
                    chosen = self._remember(gang, chosen)
                del self._open[gang.key, question.dry_run]
                question.answer.set_result(chosen)

    async def _best(self, batch: list[_Question]) -> dict[str, _Chosen]:
        """For each gang the best flavor on which all of it has a place now; those without are left out."""
        snapshot = self._snapshot()
        held = [a for a in snapshot.reservations if not any(_for_successor(a, q) for q in batch)]
        gangs = {question.gang.key: question.gang for question in batch}
        known = gangs.keys() | {assignment.key for assignment in held}
        foreseen = [
            one.places
            for key, one in self._recent.items()
            if one.places is not None and key not in known
        ]
        snapshot = replace(
            snapshot,
            gangs=tuple(sorted(gangs.values(), key=lambda gang: (gang.namespace, gang.name))),
            reservations=(*held, *foreseen),
        )
        policy = replace(self._config.policy, exact_cells=0)  # greedy, which takes milliseconds
        plan = await asyncio.to_thread(self._solve, snapshot, policy)
        return {
            places.key: _Chosen(flavor=flavor, places=places)
            for places in plan.assignments
            if places.placed and (flavor := _named(gangs[places.key], places.flavor)) is not None
        }


def _read(review: Review) -> Pod:
    """The pod of a review. One whose name the API server is still to make has some name of its own."""
    metadata = mapping(review.pod.get("metadata"))
    name = text(metadata.get("name")) or f"{text(metadata.get('generateName'))}{review.uid}"
    named = {**metadata, "namespace": review.namespace, "name": name}
    return expected({**review.pod, "metadata": named}, late=False)


def _prefix(review: Review) -> str:
    """What the pod's name will begin with; empty when it has one."""
    metadata = mapping(review.pod.get("metadata"))
    return "" if metadata.get("name") else text(metadata.get("generateName"))


def _for_successor(assignment: GangAssignment, question: _Question) -> bool:
    """Whether places are held for what comes after a pod, by itself a gang, that is made anew.

    Its ReplicaSet gives the new one another name with the same prefix, so it is another gang.
    """
    unnamed = all(not slot.pod and not slot.uid for slot in assignment.slots)
    near = assignment.namespace == question.gang.namespace
    alike = bool(question.prefix) and assignment.gang.startswith(question.prefix)
    return unnamed and near and alike


def _own(gang: Gang, pod: Pod) -> PodSet | None:
    return next(
        (p for p in gang.podsets if any(m.pod == pod.name and not m.uid for m in p.members)), None
    )


def _follows(gang: Gang, pod: Pod) -> bool:
    """Whether the flavors of the gang concern this pod."""
    podset = _own(gang, pod)
    return podset is None or podset.follows_flavors


def _like_siblings(gang: Gang) -> _Chosen | None:
    """What the pods of the gang are that exist; None when there is none."""
    gives = any(flavor.card is not None for flavor in gang.flavors)
    written = (p for p in gang.podsets if p.follows_flavors and (gives or has_cards(p)))
    if not any(member.uid for podset in written for member in podset.members):
        return None
    return _Chosen(flavor=_named(gang, gang.written))


def _named(gang: Gang, name: str | None) -> Flavor | None:
    return next((flavor for flavor in gang.flavors if flavor.name == name), None)


def _first(gang: Gang) -> Flavor | None:
    """The first flavor that can be written into the pods, or that they are made for."""
    for flavor in gang.flavors:
        variant = gang.variant(flavor.name)
        if variant is None or variant.refusal is None:
            return flavor
    return None
