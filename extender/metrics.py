"""Every metric of the service, declared once. ``python -m extender.metrics`` prints their table.

Events are counted where they happen: one look-up in a dictionary and one addition. Whatever can be counted
when somebody asks (gangs by phase, reservations, sizes) is taken from a ``Picture`` at that moment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

VERBS = ("filter", "prioritize", "preempt", "bind", "mutate")
STAGES = ("snapshot", "solve", "check", "commit", "nominate", "ungate", "barrier", "bind")

_CALL_SECONDS = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
)  # fmt: skip
_GANG_SECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One declaration."""

    kind: type[Counter | Gauge | Histogram]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _CALL_SECONDS
    """Upper bounds of a histogram; the other kinds have none."""


DECLARED: Mapping[str, Metric] = {
    "muster_verb_seconds": Metric(
        kind=Histogram,
        help="Time to answer a call of kube-scheduler or the API server; bind includes the barrier.",
        labels=("verb",),
    ),
    "muster_stage_seconds": Metric(
        kind=Histogram,
        help="Time of one stage on the way from a change to a bound gang.",
        labels=("stage",),
    ),
    "muster_gang_bound_seconds": Metric(
        kind=Histogram,
        help="From the creation of a gang's oldest member until all its members are bound.",
        buckets=_GANG_SECONDS,
    ),
    "muster_solves_total": Metric(
        kind=Counter,
        help="Decisions by how good they are known to be; refused: the checker found a violation.",
        labels=("status",),
    ),
    "muster_gangs_planned_total": Metric(kind=Counter, help="Plans of a gang that were committed."),
    "muster_gangs_bound_total": Metric(kind=Counter, help="Gangs whose members are all bound."),
    "muster_gangs_aborted_total": Metric(
        kind=Counter,
        help="Gangs that lost a place after their first Binding.",
        labels=("cause",),
    ),
    "muster_gangs_replanned_total": Metric(
        kind=Counter,
        help="Gangs that lost a place before their first Binding and are planned again whole.",
        labels=("cause",),
    ),
    "muster_vetoes_total": Metric(
        kind=Counter,
        help="Filter calls that were answered with fewer nodes than asked.",
        labels=("cause",),
    ),
    "muster_renominations_total": Metric(
        kind=Counter, help="Nominations that kube-scheduler had cleared and that were set again."
    ),
    "muster_node_reports_total": Metric(
        kind=Counter,
        help="Reports of agents: written (something new, or due again), unchanged, failed.",
        labels=("outcome",),
    ),
    "muster_relists_total": Metric(
        kind=Counter, help="Full lists of a kind, the first included.", labels=("kind",)
    ),
    "muster_reconnects_total": Metric(
        kind=Counter, help="Watches that were opened again without a list.", labels=("kind",)
    ),
    "muster_gangs": Metric(
        kind=Gauge, help="Gangs by phase and, while they wait, reason.", labels=("phase", "reason")
    ),
    "muster_reserved_gangs": Metric(kind=Gauge, help="Gangs with places in the ledger."),
    "muster_reserved_slots": Metric(
        kind=Gauge, help="Places held for members that the watch does not show as bound yet."
    ),
    "muster_leader": Metric(kind=Gauge, help="1 when this replica plans and binds, else 0."),
    "muster_synced": Metric(kind=Gauge, help="1 once every watched kind was listed, else 0."),
    "muster_nodes": Metric(kind=Gauge, help="Nodes watched."),
    "muster_pods": Metric(kind=Gauge, help="Unfinished pods watched."),
    "muster_nodes_reported": Metric(kind=Gauge, help="Nodes of which an agent has reported."),
    "muster_node_problems": Metric(
        kind=Gauge,
        help="What is wrong on nodes, by agents' reports and their comparison with labels.",
        labels=("code",),
    ),
}

CAUSES: Mapping[str, str] = {
    "own filters refused": "refused",
    "was taken by other pods": "place_taken",
    "was bound to": "bound_elsewhere",
    "deleted": "member_deleted",
    "is gone": "node_gone",
    "is cordoned": "node_cordoned",
    "is not ready": "node_not_ready",
    "reached the barrier": "late",
    "not at the barrier": "late",
    "was not bound": "late",
    "bound in part": "partial",
    "could not be bound": "binding_failed",
}
"""Part of a cause as it is told to people -> the label, of which there are only these and ``other``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What gauges show: counted when the metrics are read, not when something changes."""

    gangs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(phase, reason) -> number."""
    reserved_gangs: int = 0
    reserved_slots: int = 0
    nodes: int = 0
    pods: int = 0
    nodes_reported: int = 0
    node_problems: Mapping[str, int] = field(default_factory=dict)
    """Code -> number."""
    synced: bool = False
    leader: bool = False
    relists: Mapping[str, int] = field(default_factory=dict)
    """Kind -> lists so far."""
    reconnects: Mapping[str, int] = field(default_factory=dict)


class Metrics:
    """All metrics in a registry of their own."""

    def __init__(self) -> None:
        self.picture: Callable[[], Picture] = Picture
        """Set by the composition root."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series that nobody reads
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._all = {name: _make(name, metric, self._registry) for name, metric in DECLARED.items()}
        verbs, stages = (
            self._histogram("muster_verb_seconds"),
            self._histogram("muster_stage_seconds"),
        )
        self._verbs = {verb: verbs.labels(verb) for verb in VERBS}
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._told: dict[tuple[str, str], int] = {}

    def verb(self, name: str, seconds: float) -> None:
        """A call of ``name``, one of ``VERBS``, was answered."""
        self._verbs[name].observe(seconds)

    def stage(self, name: str) -> Timer:
        """Measure a ``with`` block as one run of stage ``name``, one of ``STAGES``."""
        return Timer(self._stages[name])

    def solver_status(self, status: str) -> None:
        """A decision was made: optimal, feasible, greedy, or refused by the checker."""
        self._count("muster_solves_total", status)

    def planned(self) -> None:
        """The plan of a gang was committed."""
        self._count("muster_gangs_planned_total")

    def bound(self, key: str, seconds: float | None = None) -> None:
        """All members of gang ``key`` are bound, ``seconds`` after its creation where that is known."""
        self._count("muster_gangs_bound_total")
        if seconds is not None:
            self._histogram("muster_gang_bound_seconds").observe(max(0.0, seconds))

    def lost(self, cause: str, *, aborted: bool = False) -> None:
        """A reservation lost a place; ``aborted``: some of its members are bound already."""
        name = "muster_gangs_aborted_total" if aborted else "muster_gangs_replanned_total"
        self._count(name, label_of(cause))

    def veto(self, cause: str) -> None:
        """A filter call got fewer nodes than it offered; ``cause`` is of a closed set."""
        self._count("muster_vetoes_total", cause.replace(" ", "_"))

    def report(self, outcome: str) -> None:
        """The report of a node was ``written``, ``unchanged`` or ``failed``."""
        self._count("muster_node_reports_total", outcome)

    def renominated(self) -> None:
        """A lost nomination was set again."""
        self._count("muster_renominations_total")

    def render(self) -> bytes:
        """Prometheus text format."""
        self._take(self.picture())
        return generate_latest(self._registry)

    def _take(self, now: Picture) -> None:
        gangs = self._gauge("muster_gangs")
        gangs.clear()
        for (phase, reason), count in now.gangs.items():
            gangs.labels(phase, reason).set(count)
        for name, value in (
            ("muster_reserved_gangs", now.reserved_gangs),
            ("muster_reserved_slots", now.reserved_slots),
            ("muster_nodes", now.nodes),
            ("muster_pods", now.pods),
            ("muster_nodes_reported", now.nodes_reported),
            ("muster_synced", now.synced),
            ("muster_leader", now.leader),
        ):
            self._gauge(name).set(value)
        problems = self._gauge("muster_node_problems")
        problems.clear()
        for code, count in now.node_problems.items():
            problems.labels(code).set(count)
        self._follow("muster_relists_total", now.relists)
        self._follow("muster_reconnects_total", now.reconnects)

    def _follow(self, name: str, totals: Mapping[str, int]) -> None:
        """Counters that others keep: add what is new."""
        for kind, total in totals.items():
            self._count(name, kind, by=total - self._told.get((name, kind), 0))
            self._told[name, kind] = total

    def _count(self, name: str, *labels: str, by: int = 1) -> None:
        counter = self._all[name]
        assert isinstance(counter, Counter)
        (counter.labels(*labels) if labels else counter).inc(by)

    def _gauge(self, name: str) -> Gauge:
        gauge = self._all[name]
        assert isinstance(gauge, Gauge)
        return gauge

    def _histogram(self, name: str) -> Histogram:
        histogram = self._all[name]
        assert isinstance(histogram, Histogram)
        return histogram


class Timer:
    """``with`` block -> one observation, also when it ends with an exception."""

    __slots__ = ("_histogram", "_started")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._started = 0.0

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._histogram.observe(time.perf_counter() - self._started)


def label_of(cause: str) -> str:
    """The label of a cause that was written for people; names of pods and nodes stay out of labels."""
    return next((label for part, label in CAUSES.items() if part in cause), "other")


def table() -> str:
    """The declarations as a Markdown table: ``METRICS.md`` beside this file."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {metric.kind.__name__.lower()} | "
        f"{', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for name, metric in DECLARED.items()
    ]
    return "\n".join(["# Metrics of `muster serve`", "", *rows, ""])


def _make(name: str, metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if issubclass(metric.kind, Histogram):
        return Histogram(
            name, metric.help, metric.labels, registry=registry, buckets=metric.buckets
        )
    return metric.kind(name, metric.help, metric.labels, registry=registry)


if __name__ == "__main__":
    sys.stdout.write(table())
