"""Metrics, logs and health of the service."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

import extender
from extender import logs
from extender.health import Health
from extender.metrics import CAUSES, DECLARED, STAGES, VERBS, Metrics, Picture, label_of, table


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label=value,...}` -> value."""
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_every_event_is_counted_once() -> None:
    """What the service reports is what Prometheus reads."""
    metrics = Metrics()
    for verb in VERBS:
        metrics.verb(verb, 0.004)
    for stage in STAGES:
        with metrics.stage(stage):
            pass
    metrics.solver_status("optimal")
    metrics.planned()
    metrics.bound("default/llama", 1.5)
    metrics.lost("pod llama-0 was deleted")
    metrics.lost("pod llama-0 could not be bound to n1: Conflict", aborted=True)
    metrics.veto("in-tree filters refused the nominated node")
    metrics.renominated()
    metrics.report("written")
    found = samples(metrics)
    for name in (
        *(f"muster_verb_seconds_count|{verb}" for verb in VERBS),
        *(f"muster_stage_seconds_count|{stage}" for stage in STAGES),
        "muster_solves_total|optimal",
        "muster_gangs_planned_total",
        "muster_gangs_bound_total",
        "muster_gang_bound_seconds_count",
        "muster_gangs_replanned_total|member_deleted",
        "muster_gangs_aborted_total|binding_failed",
        "muster_vetoes_total|in-tree_filters_refused_the_nominated_node",
        "muster_renominations_total",
        "muster_node_reports_total|written",
    ):
        assert found[name] == 1, name
    assert found["muster_gang_bound_seconds_sum"] == 1.5
    assert found["muster_verb_seconds_sum|filter"] == 0.004


def test_a_stage_that_fails_is_measured_too() -> None:
    """An exception ends the measurement and passes through."""
    metrics = Metrics()
    with pytest.raises(OSError, match="gone"), metrics.stage("commit"):
        raise OSError("gone")
    assert samples(metrics)["muster_stage_seconds_count|commit"] == 1


def test_gauges_show_the_moment_of_the_reading() -> None:
    """Phases that no gang has any more disappear; counters that others keep only grow by what is new."""
    metrics = Metrics()
    metrics.picture = lambda: Picture(
        gangs={("Waiting", "Insufficient"): 2, ("Bound", ""): 1},
        reserved_gangs=1,
        reserved_slots=8,
        nodes=64,
        pods=120,
        synced=True,
        leader=True,
        relists={"Pod": 1},
        nodes_reported=60,
        node_problems={"LinkDown": 2},
    )
    assert samples(metrics)["muster_gangs|Waiting|Insufficient"] == 2
    assert samples(metrics)["muster_node_problems|LinkDown"] == 2
    assert samples(metrics)["muster_nodes_reported"] == 60
    metrics.picture = lambda: Picture(gangs={("Bound", ""): 3}, relists={"Pod": 3})
    found = samples(metrics)
    assert "muster_gangs|Waiting|Insufficient" not in found
    assert "muster_node_problems|LinkDown" not in found
    assert found["muster_gangs|Bound|"] == 3
    assert found["muster_relists_total|Pod"] == 3
    assert found["muster_leader"] == 0


@pytest.mark.parametrize(
    ("cause", "label"),
    [
        ("pod p-0 was deleted", "member_deleted"),
        ("pod p-0 is being deleted", "member_deleted"),
        ("a member was deleted before it was nominated", "member_deleted"),
        ("the room on node n1 was taken by other pods", "place_taken"),
        ("pod p-0 was bound to n2 by somebody else", "bound_elsewhere"),
        ("node n1 is gone", "node_gone"),
        ("node n1 is cordoned", "node_cordoned"),
        ("node n1 is not ready", "node_not_ready"),
        ("3 of 8 members reached the barrier within 60 s", "late"),
        ("pod p-0 was not bound to n1 within 60 s", "late"),
        ("the gang has been bound in part for 20 s", "partial"),
        ("kube-scheduler's own filters refused node n1 for pod p-0", "refused"),
        ("pod p-0 could not be bound to n1: Conflict", "binding_failed"),
        ("something new", "other"),
    ],
)
def test_causes_become_labels_without_names(cause: str, label: str) -> None:
    """Texts for people name pods and nodes; a label that did would be a new series each time."""
    assert label_of(cause) == label


def test_names_carry_their_unit() -> None:
    """Histograms are in seconds, counters end in total, and nothing is without help."""
    for name, metric in DECLARED.items():
        assert name.startswith("muster_")
        assert metric.help.endswith(".")
        endings = {"histogram": "_seconds", "counter": "_total"}
        assert name.endswith(endings.get(metric.kind.__name__.lower(), "")), name
    assert len(set(CAUSES.values())) < 16


def test_metrics_page_is_current() -> None:
    """`python -m extender.metrics > extender/METRICS.md` would change nothing."""
    assert Path(extender.__file__).with_name("METRICS.md").read_text() == table()


@pytest.fixture
def own_logging() -> Iterator[None]:
    """The test may set up logging; afterwards it is as before."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("own_logging")
def test_logs_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours and those of libraries have the same fields; what is below the level is left out."""
    logs.configure("info", json=True)
    structlog.get_logger("muster.engine").info("cycle", accepted=2)
    structlog.get_logger("muster.engine").debug("unseen")
    logging.getLogger("aiohttp.server").error("broken %s", "pipe")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    times = [line.pop("timestamp") for line in lines]
    assert all(time.endswith("Z") for time in times)
    assert lines == [
        {"event": "cycle", "accepted": 2, "logger": "muster.engine", "level": "info"},
        {"event": "broken pipe", "logger": "aiohttp.server", "level": "error"},
    ]


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("form", [True, False])
def test_tracebacks_do_not_print_variables(form: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A key or a token in a local variable must not end up in the log."""
    logs.configure("info", json=form)
    token = "s3cret"
    try:
        int(token[:0])
    except ValueError:
        logging.getLogger("aiohttp").exception("failed")
    text = capsys.readouterr().err
    assert "ValueError" in text
    assert "s3cret" not in text


def test_an_unknown_level_is_named() -> None:
    """One sentence with what would be right."""
    with pytest.raises(ValueError, match="log_level: 'loud' is not one of debug, info"):
        logs.configure("loud")


HEALTH: dict[str, tuple[Health, tuple[str, ...], tuple[str, ...]]] = {
    "new": (
        Health(unsynced=("Node", "Pod")),
        (),
        ("not synced with the API server yet: Node, Pod", "another replica leads"),
    ),
    "standby": (Health(cycle_age_seconds=3600), (), ("another replica leads",)),
    "leading": (Health(leading=True, cycle_age_seconds=1), (), ()),
    "stuck": (
        Health(leading=True, cycle_age_seconds=300),
        ("the planner has finished no cycle for 300 s",),
        ("the planner has finished no cycle for 300 s",),
    ),
}


@pytest.mark.parametrize("case", HEALTH)
def test_health_says_what_is_wrong(case: str) -> None:
    """Liveness fails only for a planner that is stuck; readiness also for sync and leadership."""
    health, live, ready = HEALTH[case]
    assert health.not_live == live
    assert health.not_ready == ready
