"""Which levels of several sources make the path of a node, and leaf groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.model import PathStep
from topology.sources.leaves import groups
from topology.sources.relate import chain, related
from topology.sources.survey import Position, Rank, known


def said(source: str, rank: Rank, path: str) -> Position:
    """``said("scan", Rank.SCAN, "spine=s leaf=l")``."""
    steps = (part.split("=") for part in path.split())
    return Position(
        source=source,
        rank=rank,
        path=tuple(PathStep(level=level, key=source, value=value) for level, value in steps),
    )


CASES: list[tuple[str, str, str, str]] = [
    ("the better one counts, level by level", "spine=1 leaf=1", "spine=2 leaf=2", "spine=1 leaf=1"),
    ("a level in common relates outer ones", "leaf=1", "core=2 spine=2 leaf=2", "core=2 spine=2 leaf=1"),
    ("and inner ones", "rack=1", "rack=2 leaf=2", "rack=1 leaf=2"),
    ("and ones between", "core=1 leaf=1", "core=2 spine=2 leaf=2", "core=1 spine=2 leaf=1"),
    ("nothing relates a rack and a leaf", "leaf=1", "block=2 rack=2", "leaf=1"),
    ("not even a spine around both", "spine=1 leaf=1", "spine=2 rack=2", "spine=1 leaf=1"),
    ("region and zone are outside everything", "leaf=1", "region=2 zone=2 rack=2", "region=2 zone=2 leaf=1"),
    ("also when they are all there is", "zone=1", "region=2 zone=2 rack=2", "region=2 zone=1 rack=2"),
    ("a source that knows nothing", "", "zone=2 rack=2", "zone=2 rack=2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("better", "worse", "path"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_levels_of_two_sources(better: str, worse: str, path: str) -> None:
    """A level is added only where its place follows from what its source says, in any order of reading."""
    positions = [said("a", Rank.FABRIC, better), said("b", Rank.LABEL, worse)]
    for given_so in (positions, positions[::-1]):
        steps: dict[str, str] = {}
        for _, known_steps in related(given_so):
            for step in known_steps:
                steps.setdefault(step.level, step.value)
        assert steps == dict(part.split("=") for part in path.split())


def test_the_rank_decides_then_the_name() -> None:
    """Seen on the node, then the fabric, objects, provider labels, reports, generic labels."""
    positions = [said(rank.name, rank, "leaf=x") for rank in reversed(Rank)]
    assert [each.source for each, _ in related(positions)] == [
        "SCAN", "FABRIC", "OBJECT", "LABEL", "REPORT", "PLACE",
    ]  # fmt: skip
    twins = [said(name, Rank.FABRIC, "leaf=x") for name in ("ufm", "netq")]
    assert [each.source for each, _ in related(twins)] == ["netq", "ufm"]


LEVELS = ["region", "zone", "core", "spine", "rack", "leaf"]
CHAINS = st.lists(st.sampled_from(LEVELS), unique=True, max_size=4).map(
    lambda c: sorted(c, key=LEVELS.index)
)


@given(chains=st.lists(CHAINS, max_size=4))
def test_what_is_added_never_contradicts(chains: list[list[str]]) -> None:
    """Sources with one order among them: some order of all added levels keeps the order of each."""
    ranks = list(Rank)
    positions = [
        said(f"s{i}", ranks[i], " ".join(f"{level}=x" for level in each))
        for i, each in enumerate(chains)
    ]
    for _, steps in related(positions):
        assert list(chain(steps)) == sorted(chain(steps), key=LEVELS.index)


@pytest.mark.parametrize("value", ["", " ", "no-imds-data", "None", "UNKNOWN", "null", "n/a", "-"])
def test_placeholders_are_unknown(value: str) -> None:
    """What some program writes where it knows nothing is no name of a domain."""
    assert known(value) == ""
    assert known(f"{value}x") == f"{value}x"


# -- leaf groups ----------------------------------------------------------------------------------------


def group_of(sets: str, of: str) -> str:
    """``group_of("abc abd ab", "ab")``: the leaves of the group, sorted."""
    found = groups(frozenset(each) for each in sets.split())
    return "".join(sorted(found[frozenset(of)]))


@pytest.mark.parametrize(
    ("sets", "of", "group"),
    [
        ("abcd abc a", "abc", "abcd"),
        ("abcd abc a", "a", "abcd"),
        ("abcd efgh ef", "ef", "efgh"),
        ("abc abd ab", "ab", "ab"),
        ("abc abd c", "c", "abc"),
        ("ab bc", "ab", "ab"),
        ("a b", "a", "a"),
    ],
)
def test_groups(sets: str, of: str, group: str) -> None:
    """Fewer leaves belong to the one group that has them all; where two have, nobody can say which."""
    assert group_of(sets, of) == group


@given(sets=st.lists(st.frozensets(st.sampled_from("abcdef"), min_size=1), max_size=8))
def test_groups_by_definition(sets: list[frozenset[str]]) -> None:
    """Compared with the definition, set by set, whatever the order."""
    found = groups(sets)
    largest = [each for each in sets if not any(each < other for other in sets)]
    for each in sets:
        around = {other for other in largest if each < other}
        assert found[each] == (around.pop() if len(around) == 1 else each)
    assert groups(sets[::-1]) == found
