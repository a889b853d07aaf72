"""What traffic between the members of a gang costs: constants of links, and the published formulas.

Integers: bytes, bytes per second, nanoseconds (rounded up). Figures and formulas are those of facts
topology-cache.md sections 4.2 and 4.3; where each comes from stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from topology.fabric import Fabric
from topology.model import SCALE_UP, Nic, Node

GB = 10**9
SECOND = 10**9
"""Nanoseconds."""
MILLISECOND = 10**6

RATES: Mapping[str, int] = {
    "nvl72": 900 * GB,  # NVLink of one GPU, each way: semianalysis, GB200 vs B200
    "nvlink": 460 * GB,  # bus bandwidth of 8 H100 in one node: nccl-tests reports (460-480)
    "8x400g": 190 * GB,  # Mooncake transfer engine on 8 x 400G: kvcache-ai/Mooncake docs
    "ndr": 49_500_000_000,  # one 400G rail, 99 % of the line: llm-d blog 2026-06-23
    "100g": 12_100_000_000,  # 100G RoCE: the same
    "tcp-uccl": 4_800_000_000,  # TCP on 100G, from GPU to GPU, UCCL: the same
    "tcp-ucx": 550_000_000,  # TCP on 100G, from GPU to GPU, UCX: the same
}
"""Usable bytes per second of links."""
USABLE = Fraction(99, 100)
"""Of the line rate of an RDMA port: 49.5 of 50 GB/s (llm-d blog 2026-06-23)."""
SWITCH_NS = 2_500
"""One more layer of switches: 2-3 microseconds (llm-d GKE blog, llm-d.github.io PR 481)."""
_BYTE = 8
_BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What of a model decides its traffic."""

    layers: int
    hidden: int
    kv_bytes: int
    """Key-value cache of one token, all layers."""
    element: int = 2
    """Bytes of one activation."""

    @property
    def boundary_bytes(self) -> int:
        """What one token sends over one boundary between pipeline stages."""
        return self.hidden * self.element

    @property
    def tensor_bytes(self) -> int:
        """What one token adds to the all-reduces of tensor parallelism: two in each layer."""
        return 2 * self.layers * self.boundary_bytes


SHAPES: Mapping[str, Shape] = {
    # 2 (keys and values) x layers x KV heads x head size x 2 bytes: from the models' configurations
    "llama-3.1-405b": Shape(layers=126, hidden=16_384, kv_bytes=2 * 126 * 8 * 128 * 2),
    "llama-3-70b": Shape(layers=80, hidden=8_192, kv_bytes=2 * 80 * 8 * 128 * 2),
    # one latent vector of 576 elements in each layer (multi-head latent attention)
    "deepseek-r1": Shape(layers=61, hidden=7_168, kv_bytes=61 * 576 * 2),
}
REFERENCE_TOKENS = 8_192
REFERENCE = SHAPES["llama-3.1-405b"]
"""Model and prompt by which transfers of key-value caches are compared where nothing else is known."""
EXPERTS, EXPERTS_OF_TOKEN = SHAPES["deepseek-r1"], 9
"""The same for expert parallelism, and the experts that a token goes to: 8 and the shared one
(arXiv 2505.09343)."""


def time_ns(size: int, rate: int) -> int:
    """Nanoseconds in which ``size`` bytes pass at ``rate`` bytes per second."""
    return -(-size * SECOND // rate)


def all_reduce_ns(size: int, members: int, rate: int, latency_ns: int = 0) -> int:
    """A ring all-reduce of ``size`` bytes: 2(n-1) steps, and 2(n-1)/n of the bytes over each link
    (NVIDIA/nccl-tests doc/PERFORMANCE.md)."""
    steps = 2 * (members - 1)
    return steps * latency_ns + time_ns(-(-steps * size // members), rate)


def tensor_ns(shape: Shape, tokens: int, members: int, rate: int, latency_ns: int = 0) -> int:
    """Tensor parallelism over ``members``: two all-reduces of all activations in each layer."""
    each = all_reduce_ns(tokens * shape.boundary_bytes, members, rate, latency_ns)
    return 2 * shape.layers * each


def pipeline_ns(shape: Shape, tokens: int, stages: int, rate: int, latency_ns: int = 0) -> int:
    """A pipeline: each boundary passes all activations once; hidden when there are as many micro-batches."""
    return (stages - 1) * (latency_ns + time_ns(tokens * shape.boundary_bytes, rate))


def expert_ns(
    tokens: int,
    experts: int,
    hidden: int,
    rate: int,
    latency_ns: int = 0,
    *,
    dispatch: int = 1,
    combine: int = 2,
) -> int:
    """Expert parallelism, one exchange of a rank: ``tokens`` go to ``experts`` each and come back, with
    ``dispatch`` and ``combine`` bytes per element (arXiv 2505.09343: FP8 there, BF16 back)."""
    return time_ns(tokens * experts * hidden * (dispatch + combine), rate) + 2 * latency_ns


def transfer_ns(
    size: int, rate: int, rails: int = 1, descriptors: int = 0, each_ns: int = 0
) -> int:
    """Key-value caches from prefill to decode over ``rails`` at once.

    ``descriptors`` of ``each_ns``: bandwidth alone underestimates small blocks (vLLM RFC 50913: 5,000 tokens
    take 105 ms in blocks of 16 and 47 ms in blocks of 64).
    """
    return descriptors * each_ns + time_ns(size, rate * rails)


def speeds(
    levels: Sequence[str],
    rate: int | None = None,
    oversubscribed: Mapping[str, Fraction] | None = None,
) -> tuple[int, ...]:
    """Bytes per second of what must leave the domain of each level, from the outermost to the host.

    What leaves a host passes its adapters at ``rate`` (all rails; default: one 400G rail), or NVLink if it
    stays in a scale-up domain; of a domain of level l only 1/``oversubscribed[l]`` gets out while all send.
    """
    narrow = oversubscribed or {}
    share = Fraction(rate or RATES["ndr"])
    found: list[int] = []
    for at, level in reversed(list(enumerate(levels))):
        share /= max(narrow.get(level, Fraction(1)), Fraction(1))
        joined = SCALE_UP in levels[:at]
        found.append(RATES["nvlink"] if joined else max(1, min(int(share), RATES["nvlink"])))
    return tuple(reversed(found))


def leaving(rates: Sequence[int]) -> tuple[int, ...]:
    """What it costs more, in milliseconds, if a key-value cache must leave the domain of each level.

    Shape (levels,), as ``speeds``. The sum over the levels at which two members share no domain
    is what the reference transfer (8,192 tokens of Llama 405B) takes longer than over NVLink in one host. One
    more layer of switches is never free: each level costs 1 at least.
    """
    size = REFERENCE_TOKENS * REFERENCE.kv_bytes
    times = [time_ns(size, each) // MILLISECOND for each in (*rates, RATES["nvlink"])]
    return tuple(max(1, outer - inner) for outer, inner in pairwise(times))


def oversubscribed(fabrics: Iterable[Fabric]) -> dict[str, Fraction]:
    """Level -> Gb/s down by Gb/s up of the narrowest switch through which its domains are left."""
    found: dict[str, Fraction] = {}
    for fabric in fabrics:
        for uplink in fabric.uplinks:
            ratio = Fraction(uplink.down, uplink.up)
            found[uplink.level] = max(found.get(uplink.level, ratio), ratio)
    return found


def rate(nodes: Iterable[Node], fabrics: Iterable[Fabric] = ()) -> int | None:
    """Usable bytes per second of a node's network: the (lower) median of what scanners report of compute
    ports that are up, else of what fabric maps show; None where neither is known."""
    seen = sorted(sum(nic.rate_gbps or 0 for nic in compute_ports(node)) for node in nodes)
    mapped = sorted(fabric.host_gbps for fabric in fabrics if fabric.host_gbps)
    found = [gbps for gbps in seen if gbps] or mapped
    if not found:
        return None
    gbps = Fraction(found[(len(found) - 1) // 2]).limit_denominator()
    return int(gbps * 10**9 * USABLE / _BYTE)


def compute_ports(node: Node) -> list[Nic]:
    """The ports that accelerators talk through and that are up."""
    return [nic for nic in node.links if nic.compute and nic.up and not nic.virtual]


def fleet_speeds(
    levels: Sequence[str], nodes: Iterable[Node], fabrics: Iterable[Fabric] = ()
) -> tuple[int, ...]:
    """``speeds`` in a fleet: as measured where something is known of it."""
    maps = tuple(fabrics)
    return speeds(levels, rate(nodes, maps), oversubscribed(maps))


def transfer_costs(
    levels: Sequence[str], nodes: Iterable[Node], fabrics: Iterable[Fabric] = ()
) -> tuple[int, ...]:
    """``leaving`` in a fleet."""
    return leaving(fleet_speeds(levels, nodes, fabrics))
