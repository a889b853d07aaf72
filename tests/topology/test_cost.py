"""Traffic: the formulas give the figures that were published (facts topology-cache.md, section 4.3)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from topology.cost import (
    RATES,
    SHAPES,
    all_reduce_ns,
    expert_ns,
    leaving,
    pipeline_ns,
    speeds,
    tensor_ns,
    transfer_ns,
)

BIG, MIDDLE, LATENT = SHAPES["llama-3.1-405b"], SHAPES["llama-3-70b"], SHAPES["deepseek-r1"]


@pytest.mark.parametrize(
    ("model", "kv", "tensor", "boundary", "ratio"),
    [
        ("llama-3.1-405b", 516_096, 8_257_536, 32_768, 252),
        ("llama-3-70b", 327_680, 2_621_440, 16_384, 160),
        ("deepseek-r1", 70_272, 1_748_992, 14_336, 122),
    ],
)
def test_what_one_token_sends(model: str, kv: int, tensor: int, boundary: int, ratio: int) -> None:
    """Bytes of one token: key-value cache, tensor parallelism, pipeline; why tensors stay in a node."""
    shape = SHAPES[model]
    assert (shape.kv_bytes, shape.tensor_bytes, shape.boundary_bytes) == (kv, tensor, boundary)
    assert tensor // boundary == ratio


@pytest.mark.parametrize(
    ("model", "tokens", "link", "milliseconds"),
    [
        ("llama-3.1-405b", 1_024, "nvl72", 0.6),
        ("llama-3.1-405b", 1_024, "8x400g", 2.8),
        ("llama-3.1-405b", 1_024, "ndr", 10.7),
        ("llama-3.1-405b", 1_024, "100g", 44),
        ("llama-3.1-405b", 1_024, "tcp-uccl", 110),
        ("llama-3.1-405b", 1_024, "tcp-ucx", 960),
        ("llama-3.1-405b", 8_192, "nvl72", 4.7),
        ("llama-3.1-405b", 8_192, "8x400g", 22),
        ("llama-3.1-405b", 8_192, "ndr", 85),
        ("llama-3.1-405b", 8_192, "100g", 350),
        ("llama-3.1-405b", 8_192, "tcp-uccl", 880),
        ("llama-3.1-405b", 8_192, "tcp-ucx", 7_700),
        ("llama-3.1-405b", 32_768, "nvl72", 19),
        ("llama-3.1-405b", 32_768, "8x400g", 89),
        ("llama-3.1-405b", 32_768, "ndr", 340),
        ("llama-3.1-405b", 32_768, "tcp-ucx", 31_000),
        ("deepseek-r1", 8_192, "8x400g", 3.0),
        ("deepseek-r1", 8_192, "ndr", 11.6),
        ("deepseek-r1", 8_192, "100g", 48),
        ("deepseek-r1", 8_192, "tcp-ucx", 1_050),
    ],
)
def test_prefill_to_decode(model: str, tokens: int, link: str, milliseconds: float) -> None:
    """The published table of transfers, to the digits that it shows."""
    nanoseconds = transfer_ns(tokens * SHAPES[model].kv_bytes, RATES[link])
    assert nanoseconds / 1e6 == pytest.approx(milliseconds, rel=0.025)


def test_more_rails_are_faster_and_descriptors_cost() -> None:
    """Four rails take a quarter of the time; 1,000 descriptors of 2 microseconds add 2 ms."""
    assert transfer_ns(4_950_000_000, RATES["ndr"]) == 100_000_000
    assert transfer_ns(4_950_000_000, RATES["ndr"], rails=4) == 25_000_000
    slow = transfer_ns(4_950_000_000, RATES["ndr"], rails=4, descriptors=1_000, each_ns=2_000)
    assert slow == 27_000_000


def test_wide_expert_parallelism() -> None:
    """32 tokens to 9 experts of 7,000 elements: 120.96 microseconds at 50 GB/s, 6.72 at 900 GB/s."""
    once = expert_ns(32, 9, 7_000, 50 * 10**9)
    assert once == 120_960
    assert 2 * once * 61 == pytest.approx(14.76e6, rel=1e-3)  # a token through 61 layers
    assert expert_ns(32, 9, 7_000, RATES["nvl72"]) == 6_720


def test_tensor_parallelism_on_the_wire() -> None:
    """Of 8.26 MB payload per token 14.45 MB are sent by each of 8; at 1 GB/s that is 14.45 ms."""
    assert tensor_ns(BIG, 1, 8, 10**9) == pytest.approx(14.45e6, rel=1e-3)
    assert tensor_ns(MIDDLE, 1, 8, 10**9) == pytest.approx(4.59e6, rel=1e-3)
    assert tensor_ns(LATENT, 1, 8, 10**9) == pytest.approx(3.06e6, rel=1e-3)


@pytest.mark.parametrize(("members", "nanoseconds"), [(1, 0), (2, 1_020), (4, 1_560)])
def test_a_ring_all_reduce(members: int, nanoseconds: int) -> None:
    """1,000 bytes at 1 GB/s, 10 ns a step: 2(n-1)/n of the bytes and 2(n-1) steps."""
    assert all_reduce_ns(1_000, members, 10**9, 10) == nanoseconds


def test_a_pipeline_pays_for_each_boundary() -> None:
    """Eight stages have seven boundaries; 1,000 tokens of 32,768 bytes at 49.5 GB/s take 662 us each."""
    each = pipeline_ns(BIG, 1_000, 2, RATES["ndr"])
    assert each == 661_980
    assert pipeline_ns(BIG, 1_000, 8, RATES["ndr"], 2_500) == 7 * (each + 2_500)


@pytest.mark.parametrize(
    ("levels", "rate", "narrow", "costs"),
    [
        # 85 ms through one rail, 9 ms over NVLink; farther away only switches are added
        ("host", None, {}, (76,)),
        ("zone block rack host", None, {}, (1, 1, 1, 76)),
        # in the NVLink domain nearly as in the host
        ("block scale-up host", None, {}, (1, 76, 1)),
        ("block scale-up rack host", None, {}, (1, 76, 1, 1)),
        # 8 rails: 10 ms
        ("rack host", 8 * RATES["ndr"], {}, (1, 1)),
        # leaves 2:1, spines 3:1 on top of that: 170 ms and 512 ms
        ("spine leaf host", None, {"leaf": Fraction(2), "spine": Fraction(3)}, (342, 85, 76)),
        # more uplinks than adapters make nothing faster
        ("leaf host", None, {"leaf": Fraction(1, 2)}, (1, 76)),
    ],
)
def test_what_it_costs_to_leave_a_domain(
    levels: str, rate: int | None, narrow: dict[str, Fraction], costs: tuple[int, ...]
) -> None:
    """Milliseconds that the reference transfer takes longer, level by level; never nothing."""
    assert leaving(speeds(levels.split(), rate, narrow)) == costs
