"""Everything that ends and begins groups, at once and in any order."""

from __future__ import annotations

import random
import time

import pytest

from tests.e2e.history import History
from tests.e2e.lives import CARDS, delete, image, leaves_nothing, rolling, uids, wait_groups
from tests.e2e.workload_rig import START_DELAY, WorkloadRig

pytestmark = pytest.mark.e2e

WHAT_HAPPENS = ("delete",) * 5 + ("cordon", "scale", "update", "forget", "kill")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("seed", "nodes"), [(0, 18), (1, 12), (2, 12)])
def test_many_lives(work: WorkloadRig, seed: int, nodes: int) -> None:
    """Members deleted, nodes cordoned, sets scaled and updated, Muster killed, in any order: when it is quiet
    again every group is whole, in all of its lives it was whole or not there, and Muster evicted nobody but
    leaders whose groups restart as a whole (`test_group_restarts.py`)."""
    chance = random.Random(seed)
    history = History(work.cluster, work.name)
    work.cards("a10", nodes=nodes)
    slow = {START_DELAY: "2s"}
    sets = {
        "ring": work.worker_set("ring", 2, replicas=2, rolloutStrategy=rolling(surge=1)),
        "lone": work.worker_set("lone", 2, replicas=2, template={"restartPolicy": "None"}),
        "late": work.worker_set(
            "late", 2, replicas=2, annotations=slow, startupPolicy="LeaderReady"
        ),
    }
    work.apply(*sets.values())

    def happen(number: int) -> None:
        """One thing that users, nodes or Muster do."""
        what, name = chance.choice(WHAT_HAPPENS), chance.choice(list(sets))
        if what == "delete":
            delete(work, chance.choice(sorted(uids(work)) or ["nobody"]))
        elif what == "cordon":
            work.cordon(chance.choice(work.nodes), on=chance.random() < 0.5)
        elif what == "scale":
            sets[name]["spec"]["replicas"] = chance.randint(1, nodes // 6)
            work.apply(sets[name])
        elif what == "update":
            work.apply(image(sets[name], f"vllm/vllm-openai:{number}"))
        elif what == "forget":
            work.cluster.restart_scheduler(kill=True)
        else:
            work.muster.kill()
            work.muster.start(ready=chance.random() < 0.5)

    for number in range(20):
        happen(number)
        time.sleep(chance.uniform(0, 2))
        history.events()  # the API server forgets
    for node in work.nodes:
        work.cordon(node, on=False)
    work.muster.wait_ready()
    sizes = {
        f"{name}-{index}": 2
        for name, lws in sets.items()
        for index in range(lws["spec"]["replicas"])
    }
    wait_groups(work, sizes, timeout=90)
    for life in history.lives():
        awaits = life.group.startswith("late") and life.bound.keys() == {life.group}
        assert life.complete or awaits or not life.bound, life
    assert max(history.most_cards().values()) <= CARDS
    roots = {f"{name}-{index}" for name in ("ring", "late") for index in range(nodes)}
    assert history.evicted() <= roots
    leaves_nothing(work, *sets)
