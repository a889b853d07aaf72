"""Every source of caches reads its fixtures, in any order, the same each time, and never raises.

A fixture holds objects, the model that a gang loads, and where that is then said to be; see the README beside
them. A new source is one file, one line in ``CACHES`` and one folder: the tests find it by themselves.
"""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.foreign import kind_of
from scheduler.residencies import Residencies
from tests.builders import gang
from topology.caches import CACHES, KINDS, read
from topology.caches.claims import Residency
from topology.caches.identity import names_of, read_name, same_revision

ROOT = Path(__file__).parents[1] / "fixtures" / "caches"
SAMPLES = Path(__file__).parents[2] / "../shared/data/topology-samples/cache"
CASES: dict[str, dict[str, Any]] = {
    f"{path.parent.name}/{path.stem}": yaml.safe_load(path.read_text())
    for path in sorted(ROOT.glob("*/*.yaml"))
}
Object = dict[str, Any]


def kind(obj: Object) -> str:
    """The name under which the state knows the kind of an object."""
    return "NodeTopology" if obj.get("kind") == "NodeTopology" else kind_of(obj)


def taken(objects: list[Object]) -> Residencies:
    """What is known after these objects."""
    known = Residencies()
    for obj in objects:
        known.take(kind(obj), obj, deleted=False)
    return known


def found(known: Residencies, model: str, namespace: str = "default") -> tuple[Residency, ...]:
    """Where a gang's model is."""
    return known.of([replace(gang("g", namespace=namespace), model=model)])


def shown(one: Residency, fixture: Object) -> Object:
    """The fields that differ from their defaults, as a fixture gives them."""
    default = Residency(model="", node="", source="")
    values = {
        field.name: getattr(one, field.name)
        for field in fields(Residency)
        if getattr(one, field.name) != getattr(default, field.name)
        and field.name not in ("node", "source", "model")
    }
    own = read_name(fixture["model"], fixture.get("namespace", "default"))
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
    return values if own and own[0] == one.model else {**values, "model": one.model}


@pytest.mark.parametrize("case", CASES)
def test_where_the_model_is(case: str) -> None:
    """By node: whether the copy is complete, how large, on which tier, and who may use it."""
    fixture = CASES[case]
    known = taken(fixture["objects"])
    where = found(known, fixture["model"], fixture.get("namespace", "default"))
    assert {one.node: shown(one, fixture) for one in where} == fixture["expect"]
    assert {one.source for one in where} <= {case.partition("/")[0]}
    assert sorted(map(str, known.problems())) == sorted(fixture.get("problems", []))


@pytest.mark.parametrize("source", [source.NAME for source in CACHES])
def test_every_source_has_fixtures(source: str) -> None:
    """A source is one file, one line and one folder."""
    assert any(case.startswith(f"{source}/") for case in CASES)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=20)
@given(order=st.randoms(use_true_random=False))
def test_the_order_of_objects_and_fields_does_not_matter(case: str, order: random.Random) -> None:
    """Whatever comes first, and however often: the same is known, and reading twice is reading once."""
    fixture = CASES[case]
    objects = [shuffled(obj, order) for obj in fixture["objects"]]
    order.shuffle(objects)
    known = taken([*objects, *order.sample(objects, len(objects) // 2)])
    once = taken(fixture["objects"])
    where = fixture["model"], fixture.get("namespace", "default")
    assert found(known, *where) == found(once, *where)
    assert sorted(map(str, known.problems())) == sorted(map(str, once.problems()))


def shuffled(value: Any, order: random.Random) -> Any:
    """JSON objects have no order."""
    if isinstance(value, dict):
        items = list(value.items())
        return {k: shuffled(v, order) for k, v in order.sample(items, len(items))}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES)
def test_what_is_deleted_is_forgotten(case: str) -> None:
    """Without its objects nothing is left, and one object that is gone takes only its own claims with it."""
    fixture = CASES[case]
    where = fixture["model"], fixture.get("namespace", "default")
    known = taken(fixture["objects"])
    found(known, *where)
    for number, obj in enumerate(fixture["objects"]):
        known.take(kind(obj), {"metadata": obj["metadata"]}, deleted=True)
        assert found(known, *where) == found(taken(fixture["objects"][number + 1 :]), *where)
    assert vars(known) == {name: {} for name in vars(known)}


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
OBJECTS = [obj for fixture in CASES.values() for obj in fixture["objects"]]


@given(obj=st.sampled_from(OBJECTS), data=st.data())
def test_mangled_objects_never_raise(obj: Object, data: st.DataObject) -> None:
    """Any field of any object may be anything; what is read twice is the same."""
    damaged = json.loads(json.dumps(obj))
    path = data.draw(st.sampled_from(list(paths(damaged))))
    place = damaged
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = data.draw(ANY)
    for each in KINDS:
        assert read(each, damaged) == read(each, damaged)
    known = taken([damaged, obj])
    for fixture in CASES.values():
        found(known, fixture["model"])


def paths(value: Any, before: tuple[Any, ...] = ()) -> Any:
    """The way to every field of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in items:
        yield (*before, step)
        if isinstance(inner, (dict, list)):
            yield from paths(inner, (*before, step))


@pytest.mark.parametrize(
    ("text", "namespace", "expected"),
    [
        ("hf://org/name", "", ("hf://org/name", None)),
        ("hf://org/name@0a1b", "", ("hf://org/name", "0a1b")),
        ("hf://org/name:0a1b", "", ("hf://org/name", "0a1b")),  # KServe
        (" HuggingFace://org//name/ ", "", ("hf://org/name", None)),
        ("org/name@main", "", ("hf://org/name", "main")),
        ("ms://org/name", "", ("ms://org/name", None)),
        ("modelscope://org/name", "", ("ms://org/name", None)),
        ("s3://bucket/a@b/", "", ("s3://bucket/a@b", None)),
        ("OSS://bucket/model", "", ("oss://bucket/model", None)),
        ("pvc://claim/path", "team", ("pvc://team:claim/path", None)),
        ("pvc://other:claim/path", "team", ("pvc://other:claim/path", None)),
        ("host:///mnt/models/x", "", ("host://mnt/models/x", None)),
        ("HOST://mnt/models/x/", "", ("host://mnt/models/x", None)),  # llmaz
        ("/mnt/models/x", "", ("host://mnt/models/x", None)),
        ("oci://org/image:v1", "", ("oci://org/image:v1", None)),
        ("", "", None),
        ("://", "", None),
        ("hf://", "", None),
        ("hf://@x", "", None),
        ("h" * 3000, "", None),
    ],
)
def test_names_of_models(
    text: str, namespace: str, expected: tuple[str, str | None] | None
) -> None:
    """However it is written, a model has one name; a revision stands apart."""
    assert read_name(text, namespace) == expected


def test_what_a_gang_asks_for() -> None:
    """Its model, the paths above it, and KServe's directory; a hub has no paths above a repository."""
    names, revision = names_of("s3://b/m/x", "ns")
    assert (names[:3], revision) == (("s3://b/m/x", "s3://b/m", "s3://b"), None)
    names, revision = names_of("hf://org/name@v1", "ns")
    assert (names[0], len(names), revision) == ("hf://org/name", 2, "v1")
    assert names_of("", "ns") == ((), None)


@pytest.mark.parametrize(
    ("asked", "there", "same"),
    [
        (None, (), True),
        ("a", (), True),
        (None, ("a",), True),
        ("main", ("0a1b", "main"), True),
        ("a", ("b",), False),
    ],
)
def test_revisions(asked: str | None, there: tuple[str, ...], same: bool) -> None:
    """Two revisions differ only when both are named."""
    assert same_revision(asked, there) is same


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_change_reaches_only_its_own_model(name: str) -> None:
    """Labels that say the same are no news; a new state is, and the other model is not joined again."""
    known = taken([labelled("n1", a="Ready", b="Ready")])
    before = {each: found(known, f"ome://{each}") for each in "ab"}
    renamed = {**labelled("n1", a="Ready", b="Ready"), "status": {"phase": "Running"}}
    assert not known.take("Node", renamed, deleted=False)
    assert known.take("Node", labelled("n1", **{"a": "Ready", "b": "Ready", name: "Failed"}), False)
    other = "b" if name == "a" else "a"
    assert found(known, f"ome://{other}") == before[other]
    assert [one.complete for one in found(known, f"ome://{name}")] == [False]


def test_a_report_that_still_holds_is_no_news() -> None:
    """Thousands of nodes report again and again: the time is kept, but nothing is decided anew for it."""
    (report, *_) = CASES["agent/states"]["objects"]
    known = taken([report])
    (before,) = found(known, "hf://org/llama")
    later = json.loads(json.dumps(report).replace("2026-01-01", "2026-01-02"))
    assert not known.take("NodeTopology", later, deleted=False)
    (after,) = found(known, "hf://org/llama")
    assert after == replace(before, observed_seconds=(before.observed_seconds or 0) + 86_400)


def labelled(node: str, **states: str) -> Object:
    """A node with the labels of OME's cluster models."""
    labels = {f"models.ome.io/clusterbasemodel.{model}": s for model, s in states.items()}
    return {"kind": "Node", "metadata": {"name": node, "labels": labels}}


def sample(name: str) -> Any:
    """A document of the shared samples."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def nodes_of(document: Object) -> list[Object]:
    """The nodes of a sample as objects."""
    return [
        {"apiVersion": "v1", "kind": "Node", "metadata": {k: n[k] for k in ("name", "labels")}}
        for n in document["nodes"]
    ]


def test_the_shared_samples() -> None:
    """Nothing of them is lost, where they are at hand: states, sizes, shares and chunks."""
    if not SAMPLES.exists():
        return
    fluid = sample("fluid-nodes-and-dataset")
    objects = [
        sample("kserve-localmodelcache"),
        sample("kserve-localmodelnode"),
        sample("manta-nodetracker"),
        *nodes_of(fluid),
        fluid["dataset"],
    ]
    known = taken(objects)
    ome = taken(nodes_of(sample("ome-node-labels")))
    llama = found(known, "hf://meta-llama/Llama-3.1-8B-Instruct")
    assert {(one.node, one.complete) for one in llama} == {
        ("gpu-a", True), ("gpu-b", False), ("gpu-c", False), ("gpu-d", False),
    }  # fmt: skip
    assert llama[0].bytes == 16 * 2**30
    (r1,) = found(known, "s3://models/r1", "team-a")
    assert (r1.node, r1.complete, r1.namespace) == ("gpu-a", False, "team-a")
    (worker,) = found(known, "pvc://bloom")
    assert (worker.node, worker.worker, worker.complete, worker.permille) == (
        "gpu-a",
        True,
        False,
        250,
    )
    states = {one.node: one.complete for one in found(ome, "ome://llama-3-1-405b")}
    assert states == {"gpu-a": True, "gpu-b": False, "gpu-c": False}
    assert [one.node for one in found(ome, "ome://team-a/qwen")] == ["gpu-d"]
    assert (
        found(known, "hf://facebook/opt-125m") == ()
    )  # without its Torrent a tracker names no model
