"""Plain tables for people: columns as wide as needed, the widest wrapped to fit a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence

GREEN, YELLOW, RED, DIM = "32", "33", "31", "2"

_GAP = 2
_NARROWEST = 16
"""No column is cut below this many characters, however small the terminal is."""


def width() -> int | None:
    """Columns of the terminal; None when the output goes elsewhere and lines need no cutting."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def paint(text: str, colour: str) -> str:
    """``text`` in colour when a person looks at it and has not set ``NO_COLOR``."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def render(headers: Sequence[str], rows: Sequence[Sequence[str]], limit: int | None) -> str:
    """The table as text, at most ``limit`` columns wide where that is possible."""
    sizes = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    if limit is not None:
        while sum(sizes) + _GAP * (len(sizes) - 1) > limit and max(sizes) > _NARROWEST:
            sizes[sizes.index(max(sizes))] -= 1
    return "\n".join(line for row in (headers, *rows) for line in _lines(row, sizes))


def _lines(row: Sequence[str], sizes: Sequence[int]) -> list[str]:
    cells = [
        textwrap.wrap(cell, size, break_on_hyphens=False) or [""]
        for cell, size in zip(row, sizes, strict=True)
    ]
    lines = []
    for index in range(max(map(len, cells))):
        parts = [cell[index] if index < len(cell) else "" for cell in cells]
        padded = (part.ljust(size) for part, size in zip(parts, sizes, strict=True))
        lines.append((" " * _GAP).join(padded).rstrip())
    return lines


def paragraph(head: str, text: str, limit: int | None, colour: str) -> str:
    """``head: text``, wrapped and indented when the width is limited, the head in colour."""
    whole = f"{head}: {text}"
    if limit is not None:
        whole = textwrap.fill(
            whole, max(limit, 40), subsequent_indent="    ", break_on_hyphens=False
        )
    return whole.replace(head, paint(head, colour), 1)


def names(items: Sequence[str]) -> str:
    """Names in their order, equal neighbours counted: ``n1 x2, n3``."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return ", ".join(f"{name} x{count}" if count > 1 else name for name, count in counts.items())
