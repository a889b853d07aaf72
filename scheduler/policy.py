"""What the operator prefers, in numbers. Each field says what one unit of it buys."""

from __future__ import annotations

from dataclasses import dataclass


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
