"""How long a model takes to load: the published figures, what shares what, and what counts as a copy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.loading import MOST_SECONDS, Load, index, load_of
from scheduler.model import Gang
from scheduler.policy import Policy
from tests.builders import gang
from topology.caches.claims import Residency

MODEL = "hf://org/llama"
GIB = 2**30


def asks(
    model: str | None = MODEL, size: int | None = 30 * 10**9, namespace: str = "default"
) -> Gang:
    """A gang that loads a model of so many bytes."""
    return replace(gang("g", namespace=namespace), model=model, model_bytes=size)


def copy(node: str, **fields: object) -> Residency:
    """A complete copy on NVMe; ``fields`` as of ``Residency``."""
    given = {"model": MODEL, "node": node, "source": "kserve", "complete": True, **fields}
    return Residency(**given)  # type: ignore[arg-type]  # the fields have types of their own


def load(
    *known: Residency, of: Gang | None = None, policy: Policy = Policy(), now: int = 0
) -> Load:
    """What loading costs with what is known."""
    found = load_of(of or asks(), index(known), policy, now)
    assert found is not None
    return found


def origin(rate: int) -> Policy:
    """Every origin gives so many bytes per second to all readers together, and to one of them at most."""
    return Policy(origins={"": rate}, rates={**Policy().rates, "link": rate})


@pytest.mark.parametrize(
    ("size", "rate", "readers", "seconds"),
    [
        (
            30 * 10**9,
            1_250_000_000,
            100,
            2_400,
        ),  # Fluid's talk: 100 instances of 30 GB on 10 Gbit/s
        (340 * GIB, 84_900_517, 1, 4_300),  # the same talk: Bloom-175B at its measured 81 MiB/s
        (30 * 10**9, 1_250_000_000, 1, 24),
        (
            689 * 10**9,
            22_000_000_000,
            1,
            32,
        ),  # R1 from a peer's memory: table 5.3 says 31, rounded down
        (811 * 10**9, 370_000_000, 1, 2_192),  # 405B from EFS: 2,180 with the unrounded rate
        (15 * 10**9, 3_100_000_000, 1, 5),  # Run:ai: 4.88 s
    ],
)
def test_published_figures(size: int, rate: int, readers: int, seconds: int) -> None:
    """Bytes by shared rate, in whole seconds rounded up."""
    found = load(of=asks(size=size), policy=origin(rate))
    assert found.seconds(f"n{number}" for number in range(readers)) == seconds


@pytest.mark.parametrize(
    ("tier", "seconds"), [("memory", 28), ("nvme", 115), ("network", 1_863), ("tape", 115)]
)
def test_the_tier_of_a_copy(tier: str, seconds: int) -> None:
    """R1 in FP8, 689 GB, by the table of facts 5.3; the operator may change a row, or add one."""
    policy = Policy(rates={**Policy().rates, "tape": 6 * 10**9})
    found = load(copy("n1", tier=tier), of=asks(size=689 * 10**9), policy=policy)
    assert found.seconds(["n1"]) == seconds


def test_a_measured_rate_wins() -> None:
    """The scanner has read the disk: 30 GB at 10 GB/s, not at the 6 of the table."""
    assert load(copy("n1", rate=10 * 10**9)).seconds(["n1"]) == 3


def test_the_slowest_member_counts() -> None:
    """A copy on all nodes but one saves nothing: that one still reads 30 GB at 10 Gbit/s."""
    some = load(copy("n1"), copy("n2"))
    assert [some.seconds(nodes) for nodes in (["n1", "n2"], ["n1", "n2", "n3"])] == [5, 24]
    assert some.seconds(["n3"]) == 24


def test_readers_share_the_origin_and_a_node_counts_once() -> None:
    """Two nodes get half each; two members on one node read one file."""
    nothing = load()
    assert [nothing.seconds(nodes) for nodes in (["n1"], ["n1", "n1"], ["n1", "n2"])] == [
        24,
        24,
        48,
    ]


@pytest.mark.parametrize(
    ("known", "counts"),
    [
        (copy("n1"), True),
        (copy("n1", complete=False, bytes=29 * 10**9), False),  # under way
        (copy("n1", revisions=("a", "main")), True),
        (copy("n1", revisions=("b",)), False),
        (copy("n1", namespace="default"), True),
        (copy("n1", namespace="team"), False),
        (copy("n1", observed_seconds=10_000), True),
        (copy("n1", observed_seconds=9_100), True),  # 900 s old, the limit
        (copy("n1", observed_seconds=9_099), False),
        (copy("n1", observed_seconds=99_000), True),  # a clock that is ahead
        (copy("n1", worker=True), False),
        (copy("n1", model="hf://org/other"), False),
    ],
)
def test_what_counts_as_a_copy(known: Residency, counts: bool) -> None:
    """Complete, seen lately, of this revision, for this namespace; all else is as if nothing were there."""
    found = load(known, of=asks(f"{MODEL}@a"), now=10_000)
    assert found.reads("n1") is not counts
    assert found == load(known if counts else copy("n2", model="x"), of=asks(f"{MODEL}@a"))


def test_the_size_comes_from_a_complete_copy() -> None:
    """Without the annotation; a partial copy's bytes are no size, and without any the time is unknown."""
    unsized = asks(size=None)
    assert load(copy("n1", bytes=60 * 10**9), of=unsized).seconds(["n2"]) == 48
    partial = load(copy("n1", bytes=60 * 10**9, complete=False), of=unsized)
    assert (partial.size, partial.seconds(["n1"]), partial.reads("n1")) == (None, None, True)
    unknown = load(copy("n1"), of=unsized)
    assert (unknown.seconds(["n1"]), unknown.reads("n1"), unknown.readers(3)) == (None, False, 0)


def test_a_path_above_serves() -> None:
    """A copy of ``s3://b/models`` holds ``s3://b/models/llama``, too; not the other way round."""
    assert not load(copy("n1", model="s3://b/m"), of=asks("s3://b/m/llama")).reads("n1")
    assert load(copy("n1", model="s3://b/m/llama"), of=asks("s3://b/m")).reads("n1")


def test_workers_are_near_their_part() -> None:
    """340 GB, all of it held by two workers on NVMe: 57 s beside one, 71 s from peers at 4.8 GB/s each; with
    four readers the two share 9.6 GB/s; and with a quarter held the origin decides for everybody alike."""
    size = asks("s3://b/bloom", 340 * 10**9)
    whole = [
        copy(n, model="s3://b/bloom", complete=False, worker=True, permille=1000)
        for n in ("n1", "n2")
    ]
    found = load(*whole, of=size)
    assert [found.seconds(nodes) for nodes in (["n1"], ["n3"], ["n3", "n4", "n5", "n6"])] == [
        57,
        71,
        142,
    ]
    part = load(*(replace(one, permille=250) for one in whole), of=size)
    assert part.seconds(["n1"]) == part.seconds(["n3"]) == 204
    assert load(*(replace(one, permille=0) for one in whole), of=size) == load(of=size)


def test_the_size_of_a_dataset_is_that_of_the_model() -> None:
    """340 GiB, a quarter cached: nobody says the size again. A dataset around the model says nothing."""
    worker = copy("n1", complete=False, worker=True, permille=250, bytes=340 * GIB)
    assert load(worker, of=asks(size=None)).size == 340 * GIB
    assert load(worker, of=asks(size=None)).missing == 255 * GIB
    around = replace(worker, model="pvc://default:data")
    assert load(around, of=asks("pvc://data/llama", size=None)).size is None


def test_warm_up_is_on_top() -> None:
    """Whatever the cache, an engine compiles: 5 s of loading and 100 s of warming up."""
    assert load(copy("n1"), policy=Policy(warm_up_seconds=100)).seconds(["n1"]) == 105


def test_a_gang_without_a_model() -> None:
    """There is nothing to load."""
    assert load_of(asks(None), {}, Policy()) is None
    assert load().seconds([]) is None


NODES = st.lists(st.sampled_from(["n1", "n2", "n3", "n4"]), min_size=1)


@given(
    nodes=NODES,
    more=NODES,
    copies=st.sets(st.sampled_from(["n1", "n2", "n3", "n4"])),
    size=st.integers(1, 2**53),
    permille=st.integers(0, 1000),
)
def test_more_nodes_are_never_faster_and_more_copies_never_slower(
    nodes: list[str], more: list[str], copies: set[str], size: int, permille: int
) -> None:
    """On one tier; and no time is beyond the limit."""
    worker = copy("n4", complete=False, worker=True, permille=permille)
    known = [copy(node, tier="memory") for node in sorted(copies)]
    some, all_ = (
        load(*known, worker, of=asks(size=size)),
        load(*known, copy("n1", tier="memory"), worker, of=asks(size=size)),
    )
    few, many = some.seconds(nodes), some.seconds([*nodes, *more])
    faster = all_.seconds(nodes)
    assert few is not None and many is not None and faster is not None
    assert faster <= few <= many <= MOST_SECONDS
