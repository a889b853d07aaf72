"""Groups of the real LeaderWorkerSet manager: whole or not at all."""

from __future__ import annotations

import pytest

from tests.e2e.workload_rig import WorkloadRig

pytestmark = pytest.mark.e2e

ROUNDS = [3, pytest.param(20, marks=pytest.mark.slow)]


@pytest.mark.parametrize("startup", ["LeaderCreated", "LeaderReady"])
def test_room_for_one_of_two_groups(work: WorkloadRig, startup: str) -> None:
    """Exactly one complete group; the other says what it lacks, and follows when there is room."""
    work.cards("a10", nodes=3)
    work.apply(work.worker_set("pair", 2, replicas=2, startupPolicy=startup))
    sizes = {"pair-0": 2, "pair-1": 2}

    def first() -> str | None:
        return next((gang for gang in sizes if len(work.places(gang)) == 2), None)

    bound = work.cluster.api.wait_for("a whole group", first)
    [other] = sizes.keys() - {bound}
    status = work.wait_phase(other, "Waiting", reason="Insufficient")
    assert "1 of 2 members fit" in status["message"]
    assert work.whole_groups(sizes) == {bound}
    work.cards("a10", nodes=1)
    work.wait_bound(other, 2)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("startup", ["LeaderCreated", "LeaderReady"])
def test_ten_groups_race_for_the_room_of_five(work: WorkloadRig, startup: str, rounds: int) -> None:
    """Always five complete groups and five that wait, never half of one."""
    work.cards("a10", nodes=10)
    names = [f"race-{index}" for index in range(10)]
    for number in range(rounds):
        work.apply(work.worker_set("race", 2, replicas=10, startupPolicy=startup))
        api = work.cluster.api

        def five() -> bool:
            return sum(len(work.places(name)) == 2 for name in names) == 5

        api.wait_for("five whole groups", five, every=0.1)
        for name in names:
            work.wait_phase(name, "Bound", "Waiting")
        whole = work.whole_groups(dict.fromkeys(names, 2))
        assert len(whole) == 5, f"round {number}: {sorted(whole)}"
        work.kubectl("delete", "leaderworkersets", "race", "--cascade=foreground")
        api.wait_for("pods to go", lambda: not work.pods())
