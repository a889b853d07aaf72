"""Manifests from files: what is opened, what is refused, and in which words."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from extender.tools.documents import InputError, read_objects

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"


def _read(tmp_path: Path, text: str | bytes) -> list[dict[str, Any]]:
    file = tmp_path / "in.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_objects([str(file)])


ACCEPTED = [
    ("", []),
    ("---\n# nothing\n---\n", []),
    (f"---\n{POD}---\n---\n{POD}", ["Pod", "Pod"]),
    ('{"apiVersion":"v1","kind":"Node","metadata":{}}\n{"apiVersion":"v1","kind":"Pod","metadata":{}}',
     ["Node", "Pod"]),
    ("{apiVersion: v1, kind: Pod, metadata: {}}", ["Pod"]),
    ("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {}}", ["Node"]),
    ("apiVersion: v1\nkind: List\nitems: null", []),
    ("apiVersion: v1\nkind: PodList\nitems:\n- {metadata: {name: a}}", ["Pod"]),
    ("apiVersion: example.org/v1\nkind: AllowList\nmetadata: {name: a}", ["AllowList"]),
    ("\ufeff" + POD, ["Pod"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kinds"), ACCEPTED)
def test_manifests_in_every_form(tmp_path: Path, text: str, kinds: list[str]) -> None:
    """YAML and JSON, one or many documents, and Lists of any kind give their objects in order."""
    assert [obj["kind"] for obj in _read(tmp_path, text)] == kinds


REFUSED = [
    (POD + "---\n---\nfoo: [\n", "document 2, line 7: did not find expected node content"),
    ("- 1", "document 1, line 1: not a Kubernetes object but a list"),
    ("hello", "document 1, line 1: not a Kubernetes object but text"),
    ("# c\n\nkind: Pod", "document 1, line 3: not a Kubernetes object: apiVersion is missing"),
    ("apiVersion: v1", "document 1, line 1: not a Kubernetes object: kind is missing"),
    ("apiVersion: 1\nkind: Pod", "document 1, line 1: not a Kubernetes object: apiVersion is a number"),
    ("apiVersion: v1\nkind: Pod",
     "document 1, line 1: not a Kubernetes object: metadata of Pod is missing"),
    ("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, metadata: {}}, 7]",
     "document 1, line 1: items[1]: not a Kubernetes object but a number"),
    ("apiVersion: v1\nkind: List\nitems: {}",
     "document 1, line 1: items of List is a map, not a list"),
    ('{"apiVersion":"v1"]', "document 1, line 1: did not find expected"),
    (b"a: 1\nb: \xff", "line 2: not UTF-8 text"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refusals_name_file_document_and_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    """Input that is no manifest is refused in one line that says where and why."""
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'in.yaml'}: {message}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named() -> None:
    """A file that does not exist is named with the system's own words."""
    with pytest.raises(InputError, match=r"^nowhere\.yaml: cannot be read: No such file"):
        read_objects(["nowhere.yaml"])


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """``-`` reads standard input, and its errors say so."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(POD.encode())))
    assert [obj["kind"] for obj in read_objects(["-"])] == ["Pod"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"- 1")))
    with pytest.raises(InputError, match="^standard input: document 1, line 1:"):
        read_objects(["-"])
