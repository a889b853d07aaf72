"""What the network adds to a prompt: boundaries of chains, and the way of the caches."""

from __future__ import annotations

import pytest

from scheduler.model import Parallelism, PodSet, Traffic
from scheduler.ranks import Path, chains_of
from scheduler.traffic import traffic
from tests.builders import podset
from topology.cost import RATES, speeds

LEVELS = ("spine", "leaf", "host")
PATHS: dict[int, Path] = {node: (node // 4, node // 2, node) for node in range(8)}


def sent(sets: list[PodSet], *rows: list[int], rate: int = RATES["ndr"]) -> Traffic | None:
    """The traffic of PodSets whose chains stand on these nodes."""
    chains = chains_of(sets, range(len(sets)), [len(one.members) for one in sets], {})
    return traffic(LEVELS, speeds(LEVELS, rate), PATHS, sets, list(zip(chains, rows, strict=True)))


@pytest.mark.parametrize(
    ("nodes", "rate", "crossed", "milliseconds"),
    [
        # 8,192 tokens x 32,768 bytes = 268 MB: 0.6 ms over NVLink, 5.4 ms through one rail
        ([0, 0], RATES["ndr"], (0, 0, 0), 1),
        ([0, 1], RATES["ndr"], (0, 0, 1), 6),
        ([0, 1, 2, 4], RATES["ndr"], (1, 2, 3), 17),
        ([0, 1, 2, 4], 8 * RATES["ndr"], (1, 2, 3), 3),
        ([0, 1, 2, 4], RATES["tcp-ucx"], (1, 2, 3), 1465),
    ],
)
def test_a_pipeline(
    nodes: list[int], rate: int, crossed: tuple[int, ...], milliseconds: int
) -> None:
    """A leader and its workers pass a prompt over every boundary between them."""
    sets = [podset("leader", 1), podset("worker", len(nodes) - 1)]
    found = sent(sets, nodes, rate=rate)
    assert found == Traffic(
        crossings=dict(zip(LEVELS, crossed, strict=True)), milliseconds=milliseconds
    )


def test_caches_go_from_the_nearest_prefill_member() -> None:
    """85 ms to a decode member on another host, 9 ms to one beside a prefill member: the slowest counts.

    Members of a role without a leader are replicas: no rank of them sends to the next.
    """
    sets = [podset("prefill", 2), podset("decode", 2)]
    zero = dict.fromkeys(LEVELS, 0)
    assert sent(sets, [0, 4], [0, 4]) == Traffic(crossings=zero, milliseconds=10)
    assert sent(sets, [0, 4], [0, 5]) == Traffic(crossings=zero, milliseconds=86)


def test_replicas_in_several_members_do_both() -> None:
    """Prefill over two leaves, then the cache to decode: 5.4 and 85.4 ms. Replicas work side by side."""
    sets = [
        podset("prefill-leader", 2), podset("prefill-worker", 2), podset("decode", 1),
    ]  # fmt: skip
    found = sent(sets, [0, 2], [1, 3], [4])
    assert found == Traffic(crossings={"spine": 0, "leaf": 2, "host": 2}, milliseconds=91)


@pytest.mark.parametrize(
    ("parallelism", "crossed", "milliseconds"),
    [
        (Parallelism.PIPELINE, (1, 1, 3), 17),
        # 252 all-reduces: 1.5 x 268 MB through the slowest link and 6 steps of 7.5 us, 8.18 ms each
        (Parallelism.TENSOR, (2, 2, 4), 2_062),
        # 61 layers: a rank sends 1,536 of its 2,048 tokens to others, 9 x 7,168 x 3 bytes each, 6.02 ms
        (Parallelism.EXPERT, (2, 2, 4), 368),
        (Parallelism.REPLICAS, None, None),
    ],
)
def test_what_members_send_each_other(
    parallelism: Parallelism, crossed: tuple[int, ...] | None, milliseconds: int | None
) -> None:
    """The published formula of each kind, and for all-reduces the ring that closes."""
    sets, nodes = [podset("main", 4)], [0, 1, 4, 5]
    chains = chains_of(sets, [0], [4], {})
    rows = list(zip(chains, [nodes], strict=True))
    rates = speeds(LEVELS, RATES["ndr"])
    found = traffic(LEVELS, rates, PATHS, sets, rows, parallelism)
    if crossed is None or milliseconds is None:
        assert found is None
    else:
        assert found == Traffic(
            crossings=dict(zip(LEVELS, crossed, strict=True)), milliseconds=milliseconds
        )


def test_who_sends_nothing_has_no_traffic() -> None:
    """One member, replicas of prefill alone, and helpers without cards."""
    assert sent([podset("main", 1)], [0]) is None
    assert sent([podset("prefill", 2)], [0, 4]) is None
    assert sent([podset("router", 2, follows_flavors=False)], [0, 4]) is None
