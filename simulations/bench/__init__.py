"""`make bench`: every speed target of the project, measured, with PASS or FAIL.

A part is a module of this package with `run() -> Iterator[Line]`; it yields a line as soon as it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measurement. `passed` is None where the project has no target, only a number to watch."""

    text: str
    passed: bool | None = None

    def __str__(self) -> str:
        verdict = {True: "PASS", False: "FAIL", None: "    "}[self.passed]
        return f"{verdict}  {self.text}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all values do not exceed. Raises `IndexError` without values."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]
