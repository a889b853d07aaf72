"""Whole hosts: the expected report stands beside every captured tree; mangled trees give reports, too."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scan.trees import NAMES, Tree, load, put, scanned
from topology.scan import Settings, scan
from topology.scan.files import Recorded
from topology.scan.report import document


@pytest.mark.parametrize("name", NAMES)
def test_a_host_is_told_as_it_is(name: str) -> None:
    """Everything that is in the tree, and nothing else."""
    captured = load(name)
    report = document(scanned(captured["tree"], *captured.get("models", ())))
    expected = captured["report"]
    for field in expected.keys() | report.keys():
        assert report.get(field) == expected.get(field), field


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_files_does_not_matter(name: str) -> None:
    """A directory may list its entries in any order."""
    captured = load(name)
    models = captured.get("models", ())
    entries = list(captured["tree"].items())
    random.Random(name).shuffle(entries)
    assert scanned(dict(entries), *models) == scanned(captured["tree"], *models)


JUNK = st.sampled_from(
    ["", "\n", "-1", "0x", "4: ", "-> /", "-> .", "-> ../../../../..", "{", "[1]", "a" * 5000, "\0",
     "<a>", "null", '{"lldp": 3}', "GPU0 GPU1\nGPU1 X", "99999999999999999999999"]
)  # fmt: skip


def leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all contents of a tree."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name)


LEAVES = {name: sorted(leaves(load(name)["tree"])) for name in NAMES}


@given(st.data())
def test_any_content_gives_a_report(data: st.DataObject) -> None:
    """No attribute of a broken driver, and no text of a broken tool, stops the scan."""
    name = data.draw(st.sampled_from(NAMES))
    captured = load(name)
    tree = captured["tree"]
    for path in data.draw(st.lists(st.sampled_from(LEAVES[name]), max_size=6, unique=True)):
        tree = put(tree, path, data.draw(JUNK | st.text(max_size=40)))
    report = scanned(tree, *captured.get("models", ()))
    assert document(report)["schema"] == 1
    assert scanned(tree, *captured.get("models", ())) == report


class Counting(Recorded):
    """Counts what is asked of it."""

    count = 0

    def target(self, path: str) -> str | None:
        """See ``Files``."""
        self.count += 1
        return super().target(path)

    def read(self, path: str) -> str | None:
        """See ``Files``."""
        self.count += 1
        return super().read(path)


def test_a_host_with_many_ports_costs_few_reads() -> None:
    """13 ports and 8 cards: some thousand reads, at some 20 microseconds each far below a second."""
    files = Counting(load("dgx-h100")["tree"])
    scan(files, Settings())
    assert 500 < files.count < 3000
