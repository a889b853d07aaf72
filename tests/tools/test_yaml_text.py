"""YAML as Kubernetes means it, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.tools import yaml_text

PLAIN = [
    ("8", 8),
    ("-1", -1),
    ("0777", 511),
    ("0x1F", 31),
    ("1e3", 1000.0),
    (".5", 0.5),
    ("yes", True),
    ("Off", False),
    ("~", None),
    ("", None),
    ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),  # YAML 1.1 makes a date of it
    ("1:30", "1:30"),  # YAML 1.1 makes 90 of it
    ("16Gi", "16Gi"),
    ("+", "+"),
    ("1" * 400, "1" * 400),
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_plain_scalars_mean_what_kubectl_sends(text: str, value: object) -> None:
    """An unquoted scalar becomes the JSON value that kubectl would send to the API server."""
    [(_, document)] = yaml_text.read(f"key: {text}")
    assert document == {"key": value}


def test_quotes_keys_anchors_and_merges() -> None:
    """Quoted scalars stay text, keys are text, anchors and merge keys are resolved."""
    text = '{a: "8", 1: x, b: &m {c: 1, d: 2}, e: *m, f: {<<: *m, d: 3}}'
    assert list(yaml_text.read(text)) == [
        (
            1,
            {
                "a": "8",
                "1": "x",
                "b": {"c": 1, "d": 2},
                "e": {"c": 1, "d": 2},
                "f": {"c": 1, "d": 3},
            },
        )
    ]


BROKEN = [
    ("a: 1\nb: [1}\nc: 2", 2, "expected"),
    ("a:\n  b: *nowhere", 2, "alias *nowhere has no anchor"),
    ("a: &x [*x]", 1, "alias *x has no anchor"),
    ("ok: 1\n[1]: 2", 2, "a key must be a word"),
    ("a: 1\nb: \x00", 2, "not allowed"),
    ("[" * 5000, 1, "nested too deeply"),
]


@pytest.mark.parametrize(("text", "line", "message"), BROKEN)
def test_broken_text_names_its_line(text: str, line: int, message: str) -> None:
    """Each kind of broken text is one error that says what is wrong on which line."""
    with pytest.raises(yaml_text.YamlError) as caught:
        list(yaml_text.read(text))
    assert caught.value.line == line
    assert message in str(caught.value)


def test_doubtful_text_is_quoted() -> None:
    """What a reader could take for a number, a date or a truth value is written in quotes."""
    written = yaml_text.write([{"a": "1e3", "b": "y", "c": "2026-01-01", "d": "n1", "e": 8}])
    assert written == 'a: "1e3"\nb: "y"\nc: "2026-01-01"\nd: n1\ne: 8\n'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=4))
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    """Any JSON object survives writing and reading unchanged."""
    assert [document for _, document in yaml_text.read(yaml_text.write([value]))] == [value]
