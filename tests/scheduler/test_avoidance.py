"""What is remembered of failed plans: for how long, and for whom."""

from __future__ import annotations

from scheduler.avoidance import Avoidance


def test_a_refused_node_is_left_out_until_its_time() -> None:
    """By gang, in name order, each node for its own time; a new refusal starts it anew."""
    avoidance = Avoidance()
    avoidance.refuse("a", "n2", 10)
    avoidance.refuse("a", "n1", 20)
    avoidance.refuse("a", "n2", 30)
    assert avoidance.refused(9) == {"a": ("n1", "n2")}
    assert avoidance.refused(20) == {"a": ("n2",)}
    assert avoidance.refused(30) == {}
    assert not avoidance.active


def test_pauses_double_and_end_with_success() -> None:
    """0.1 s after the first failed plan, twice as long after each, at most 15 s."""
    avoidance = Avoidance()
    pauses = []
    for _ in range(10):
        avoidance.failed("a", 100)
        pauses.append(next(s for s in range(1, 200) if avoidance.may_plan("a", 100 + s / 10)))
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 150, 150]
    assert avoidance.may_plan("b", 0)
    avoidance.succeeded("a")
    assert avoidance.may_plan("a", 0) and not avoidance.active


def test_gangs_that_are_gone_are_forgotten() -> None:
    """Nothing grows with gangs that came and went."""
    avoidance = Avoidance()
    for gang in ("a", "b"):
        avoidance.refuse(gang, "n", 10)
        avoidance.failed(gang, 0)
    avoidance.keep_only({"b"})
    assert avoidance.refused(0) == {"b": ("n",)}
    assert avoidance.may_plan("a", 0) and not avoidance.may_plan("b", 0)
