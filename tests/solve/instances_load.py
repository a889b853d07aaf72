"""The random instances with models to load and copies of them: whole ones, parts, old ones, cache workers."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from tests.solve.instances import POLICY, instance
from tests.solve.reference_load import residency
from topology.caches.claims import Residency

MODELS = ("hf://org/a", "hf://org/b")
NOW = 100_000
LOADING = replace(POLICY, rates={**Policy().rates, "slow": 100_000_000}, warm_up_seconds=7)
"""The tier ``slow`` is slower than fetching alone is, so that no copy can be better than one."""


def with_models(kind: str, seed: int) -> Snapshot:
    """The instance with models for most of its gangs."""
    snapshot, dice = instance(kind, seed), Random(f"load-{kind}-{seed}")
    gangs = tuple(
        replace(
            gang,
            model=dice.choice((*MODELS, "hf://org/a@v1", None)),
            model_bytes=dice.choice((None, None, 30 * 10**9, 200 * 10**9)),
        )
        for gang in snapshot.gangs
    )
    found = {one for state in snapshot.nodes for one in _on(dice, state.node.name)}
    return replace(
        snapshot, gangs=gangs, residency=tuple(sorted(found, key=repr)), taken_seconds=NOW
    )


def _on(dice: Random, node: str) -> list[Residency]:
    model = dice.choice(MODELS)
    if dice.random() < 0.4:
        return []
    if dice.random() < 0.2:
        share = dice.choice((0, 500, 1000))
        return [residency(model, node, complete=False, worker=True, permille=share)]
    return [
        residency(
            model,
            node,
            tier=dice.choice(("nvme", "nvme", "nvme", "memory", "slow")),
            bytes=dice.choice((60 * 10**9, 60 * 10**9, None)),
            complete=dice.random() < 0.85,
            observed_seconds=dice.choice((None, NOW - 10, NOW - 901)),
            revisions=dice.choice(((), (), ("v1", "main"), ("v2",))),
            rate=dice.choice((None, None, 3_000_000_000)),
        )
    ]
