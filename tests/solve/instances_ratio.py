"""Random gangs of prefill and decode members that grow in their ratio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from scheduler.model import Gang, PodSet
from tests.builders import Fleet, gang, podset
from topology import keys

_SIZES = ((1, 2), (2, 4), (2, 4), (2, 3), (3, 4), (3, 1), (1, 4), (2, 2), (4, 2))
"""Prefill and decode replicas."""


def paced(dice: Random, drawn: Fleet, name: str, running: Sequence[str] = ()) -> Gang:
    """An elastic gang that asks for about all the cards of one type; some members run on the nodes
    ``running``: on the ladder, beside it, or too few."""
    cards = 1 if running else dice.choice((2, 2, 4))
    sets: list[PodSet] = []
    sizes = dice.choice(_SIZES)
    times = round(_room(drawn) * dice.uniform(0.7, 1.5) / (cards * sum(sizes)))
    for role, part in zip(("prefill", "decode"), sizes, strict=True):
        replicas = part * max(1, min(times, 3))
        least = dice.choice((0, 1, 1, dice.randint(0, replicas)))
        workers = dice.choice((0, 0, 0, 0, 0, 1, 2)) if replicas < 3 else 0
        here = running[: min(replicas, dice.randint(0, len(running)))]
        sets += _role(role, replicas, least, workers, cards, here)
    if dice.random() < 0.2:
        router = podset("router", 2, gpus=0, cpu=8, least=dice.randint(0, 2))
        sets.append(replace(router, follows_flavors=False))
    if all(each.min_count == each.size for each in sets):
        sets[0] = replace(sets[0], min_count=0)
    types = ("h100", "a100", "l4")
    total = sum(each.min_count for each in sets)
    most = sum(each.size for each in sets)
    made = gang(
        name,
        *sets,
        flavors=dice.sample(types, 3) if dice.random() < 0.3 else (),
        least=dice.choice((None, None, None, dice.randint(max(1, total), most))),
        priority=dice.choice((0, 0, 10)),
        preferred=dice.choice((None, None, "rack", "host")),
        required=None if running else dice.choice((None, None, None, "rack", "block")),
    )
    return replace(made, connector=dice.choice((None, "nixl")))


def _role(
    role: str, replicas: int, least: int, workers: int, cards: int, running: Sequence[str]
) -> Iterator[PodSet]:
    if not workers:
        yield podset(role, replicas, gpus=cards, least=least, running=running, replica=1)
        return
    for part, size in (("leader", 1), ("worker", workers)):
        yield podset(
            f"{role}-{part}",
            replicas * size,
            gpus=cards,
            least=least * size,
            running=running if part == "leader" else running[:1],
            replica=size,
        )


def _room(drawn: Fleet) -> int:
    """Free cards of the type of which most are free."""
    free: dict[str, int] = {}
    for state in drawn.states:
        if state.usable:
            kind = state.node.labels["type"]
            free[kind] = free.get(kind, 0) + state.free[keys.NVIDIA_GPU]
    return max(free.values(), default=0)


def homes(dice: Random, drawn: Fleet) -> list[str]:
    """Up to three nodes of one rack, each with room for a member of every role."""
    free = [state for state in drawn.states if state.free[keys.NVIDIA_GPU] >= 4]
    if not free:
        return []
    first = dice.choice(free)
    near = [state.node.name for state in free if state.node.path == first.node.path]
    return dice.sample(near, min(len(near), dice.randint(1, 3)))
