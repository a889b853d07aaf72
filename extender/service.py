"""The assembled service behind HTTP and gRPC: verbs on the ledger, and views of gangs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from extender.admission_choice import Admission
from extender.advisory import Advisory
from extender.config import Config
from extender.engine import Engine
from extender.executor import Executor
from extender.health import Health
from extender.metrics import Metrics, Picture
from extender.picture import node_problems
from extender.reporter import Reporter
from extender.verbs import (
    ADMITTING,
    NOT_PLANNED,
    Notice,
    PlainRequest,
    filter_member,
    filter_plain,
    preempt_plain,
    prioritize,
)
from extender.wire import BindRequest, FilterAnswer, FilterRequest, PreemptRequest
from scheduler.keys import SYNTHETIC_RESOURCES
from scheduler.kube.reflector import Counters
from scheduler.ledger import Ledger
from scheduler.pods import read_pod
from scheduler.reservation import Reservation, State
from scheduler.solve import solve
from scheduler.state import ClusterState


class Service:
    """What the routes call. Everything runs in the one event loop of the engine."""

    def __init__(
        self,
        config: Config,
        state: ClusterState,
        ledger: Ledger,
        engine: Engine,
        executor: Executor,
        reporter: Reporter,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.state = state
        self.ledger = ledger
        self.engine = engine
        self.executor = executor
        self.reporter = reporter
        self.metrics = metrics
        self.admission = Admission(config, state, ledger, solve, engine.snapshot)
        self.advisory = Advisory(engine, reporter)
        reporter.advice = self.advisory.of
        self.synced = False
        self.watch_counters: Callable[[], Mapping[str, Counters]] = dict
        """What the reflectors counted, by kind; set by the composition root."""
        self.unsynced: Callable[[], tuple[str, ...]] = lambda: ("all kinds",)
        """Kinds that were not listed completely yet; set by the composition root."""

    @property
    def active(self) -> bool:
        """Whether this replica answers verbs: synced and leading."""
        return self.synced and self.engine.leading

    @property
    def health(self) -> Health:
        """This moment, for liveness and readiness."""
        last = self.engine.last_cycle_seconds
        return Health(
            unsynced=() if self.synced else self.unsynced(),
            leading=self.engine.leading,
            cycle_age_seconds=time.monotonic() - last if last else None,
        )

    def not_ready(self) -> tuple[str, ...]:
        """What is missing for readiness, in words."""
        return self.health.not_ready

    # -- verbs -----------------------------------------------------------------------------------

    def filter(self, request: FilterRequest) -> FilterAnswer:
        """Look up the member's place; in the guarded configuration let plain pods beside reservations."""
        if not _is_member(request.pod):
            return self._filter_plain(request)
        answer, notice = filter_member(self.ledger, request)
        found = self.ledger.of_pod(request.uid)
        if notice is Notice.GRANTED and found is not None:
            self.ledger.mark_granted(found[0].key, request.uid)
        elif notice is Notice.REFUSED_IN_TREE and found is not None:
            slot = found[1]
            cause = f"kube-scheduler's own filters refused node {slot.node} for pod {slot.pod}"
            self.engine.follower.lose(found[0].key, cause, slot.node)
        elif notice is Notice.NOT_NOMINATED and found is not None:
            self.executor.nominate(found[0], request.uid)
        if notice is not Notice.GRANTED:
            self.metrics.veto(notice.value)
        return answer

    def _filter_plain(self, request: FilterRequest) -> FilterAnswer:
        if not self.config.guarded:
            return FilterAnswer(nodes=request.node_names)
        plain = PlainRequest(uid=request.uid, request=read_pod(request.pod).request)
        answer = filter_plain(self.ledger, self.state.nodes, plain, request, time.monotonic())
        if answer.refused:
            self.metrics.veto("reserved")
        return answer

    def prioritize(self, request: FilterRequest) -> tuple[tuple[str, int], ...]:
        """Integer scores: a hint only."""
        return prioritize(self.ledger, request)

    def preempt(self, request: PreemptRequest) -> tuple[str, ...]:
        """No candidate for our pods: a veto must never cause an eviction."""
        if _is_member(request.pod):
            return ()
        if not self.config.guarded:
            return tuple(request.victims)
        plain = PlainRequest(uid=request.uid, request=read_pod(request.pod).request)
        return preempt_plain(self.ledger, self.state.nodes, plain, request)

    async def bind(self, request: BindRequest) -> str:
        """Hold the call until the whole gang is there; the empty text means that the Binding exists."""
        found = self.ledger.of_pod(request.uid)
        if found is None:
            pod = self.state.pods.get(request.uid)
            bound = pod is not None and pod.node == request.node
            return "" if bound else NOT_PLANNED
        reservation, slot = found
        if slot.node != request.node:
            return f"muster: pod {request.name} is planned on {slot.node}, not on {request.node}"
        if request.uid in reservation.bound:
            return ""
        if reservation.state not in ADMITTING:
            return NOT_PLANNED
        return await self._at_barrier(reservation, request)

    async def _at_barrier(self, reservation: Reservation, request: BindRequest) -> str:
        key, plan_id = reservation.key, reservation.plan_id
        call = self.executor.barrier.join(request.uid)
        reservation = self.ledger.arrive(key, request.uid)
        if reservation.state is State.RESERVED and reservation.complete:
            self.engine.follower.all_arrived(key)
        elif reservation.state is State.AWAITING:
            self.executor.bind_late(reservation, request.uid)
        try:
            with self.metrics.stage("barrier"):
                return await self.executor.barrier.wait(
                    request.uid, call, self.config.barrier_seconds
                )
        except TimeoutError:
            return f"muster: not all members arrived within {self.config.barrier_seconds:g} s"
        finally:
            current = self.ledger.get(key)
            same = current is not None and current.plan_id == plan_id
            if same and not self.executor.barrier.holds(request.uid):
                self.ledger.leave(key, request.uid)

    # -- views -----------------------------------------------------------------------------------

    def picture(self) -> Picture:
        """What the gauges of ``/metrics`` show."""
        records = [self.reporter.record(gang) for gang in self.state.gangs()]
        reasons = (r.assignment.reason.code.value if r.assignment.reason else "" for r in records)
        held = self.ledger.held()
        counters = self.watch_counters()
        return Picture(
            gangs=Counter(zip((r.phase.value for r in records), reasons, strict=True)),
            reserved_gangs=len(held),
            reserved_slots=sum(len(assignment.slots) for assignment in held),
            nodes=len(self.state.nodes),
            pods=len(self.state.pods),
            nodes_reported=self.state.reported,
            node_problems=node_problems(self.state),
            synced=self.synced,
            leader=self.engine.leading,
            relists={kind: counter.lists for kind, counter in counters.items()},
            reconnects={kind: counter.reconnects for kind, counter in counters.items()},
        )

    def page(self) -> str:
        """Gangs with phase, flavor and reason, as plain text."""
        lines = []
        for gang in self.state.gangs():
            record = self.reporter.record(gang)
            lines.append(
                f"{gang.key}\t{record.bound}/{gang.size}\t{record.phase.value}"
                f"\t{record.assignment.flavor or '-'}\t{record.message}"
            )
        return "\n".join(lines) + "\n"


def _is_member(pod: Any) -> bool:
    """Whether the pod carries a membership resource, and so is sent to us as a gang's member."""
    spec = pod.get("spec") if isinstance(pod, dict) else None
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for container in containers if isinstance(containers, list) else ():
        resources = container.get("resources") if isinstance(container, dict) else None
        if not isinstance(resources, dict):
            continue
        for kind in ("requests", "limits"):
            amounts = resources.get(kind)
            if isinstance(amounts, dict) and SYNTHETIC_RESOURCES & amounts.keys():
                return True
    return False
