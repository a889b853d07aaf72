"""Tables for people."""

from __future__ import annotations

from extender.tools import table

ROWS = [("default/chat", "a1, a2, a3, a4"), ("default/x", "a5")]


def test_without_a_terminal_lines_are_whole() -> None:
    """Output that a program reads is not cut: one line per row."""
    assert table.render(("GANG", "NODES"), ROWS, None) == (
        "GANG          NODES\ndefault/chat  a1, a2, a3, a4\ndefault/x     a5"
    )


def test_a_narrow_terminal_wraps_the_widest_column() -> None:
    """On a terminal no line is wider than the screen and no word is lost."""
    rows = [("default/chat", ", ".join(f"node-{i}" for i in range(9)))]
    lines = table.render(("GANG", "NODES"), rows, 40).splitlines()
    assert max(map(len, lines)) <= 40
    assert sum(line.count("node-") for line in lines) == 9


def test_equal_names_are_counted() -> None:
    """Two members on one node are shown once with their number."""
    assert table.names(["n1", "n1", "n2"]) == "n1 x2, n2"


def test_no_colour_for_programs() -> None:
    """Without a terminal there are no escape sequences."""
    assert table.paint("x", table.RED) == "x"
