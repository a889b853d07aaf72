"""What the operator prefers, in numbers. Each field says what one unit of it buys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

GB = 10**9

RATES: Mapping[str, int] = {
    "memory": 25 * GB,  # page cache over PCIe, as ServerlessLLM counts it
    "nvme": 6 * GB,  # 3 to 7 by product; the scanner's own measurement wins
    "ssd": 550_000_000,  # what a SATA III link carries
    "hdd": 200_000_000,  # sequential, current drives
    "network": 370_000_000,  # a shared file system: EFS, 894 GiB in about 43 min (modelplane issue 204)
    "peer": 4_800_000_000,  # another node over TCP at 100 Gbit/s (llm-d)
    "object-store": 3_100_000_000,  # 32 streams (Run:ai model streamer, Llama-3-8B in 4.88 s)
    "link": 1_250_000_000,  # 10 Gbit/s
}
"""Bytes per second that one reader gets of each tier. The figures are those of facts topology-cache 5.3."""

ORIGINS: Mapping[str, int] = {"": RATES["link"]}
"""Bytes per second that all readers of an origin share, by the scheme of the model; "" is every other one.
One 10 Gbit/s link unless the operator knows better: 100 instances of 30 GB then take 2,400 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedPair:
    """Device classes that one gang may mix: prefill members on one, decode members on the other."""

    prefill: str
    decode: str
    connector: str
    """What carries key-value caches between the two; the gang must say that it uses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits and preferences of a decision; a value, so that a decision can be replayed with it."""

    budget_seconds: int = 4
    """The solver's *deterministic* time for one decision (CP-SAT's own unit, close to seconds)."""
    exact_cells: int = 4_000
    """Integer variables (PodSet x node or node class) up to which the whole problem goes to CP-SAT."""
    mixed_pairs: tuple[MixedPair, ...] = ()
    """The only mixtures of device classes within a gang; every other gang stays on one class."""
    rates: Mapping[str, int] = field(default_factory=lambda: dict(RATES))
    """Bytes per second that one reader gets, by tier; a tier that is left out keeps its default."""
    origins: Mapping[str, int] = field(default_factory=lambda: dict(ORIGINS))
    """Bytes per second that all readers share, by scheme (``hf``, ``s3``, ...); "" for all others."""
    warm_up_seconds: int = 0
    """What an engine takes after its weights are loaded: compiling, capturing graphs. Added to every load."""
    copy_age_seconds: int = 900
    """A copy that was seen longer ago than this is not known any more; 0: never too long. Reports of the
    scanner that say nothing new are written every 10 minutes."""
