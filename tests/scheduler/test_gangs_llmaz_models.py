"""llmaz: OpenModels of every release, what is wrong with them, and their hints on parallelism."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model import Code
from tests.objects import Object
from tests.scheduler.test_gangs_llmaz import CARD, LLAMA, SERVES, names, selected, served
from tests.workloads.groups import (
    apply,
    cluster,
    gang_of,
    lws,
    model,
    pods_of,
    template,
)
from topology import keys
from topology.resources import Resources

SOURCES: list[tuple[dict[str, Any], str | None]] = [
    ({"modelHub": {"modelID": "org/name"}}, "hf://org/name"),
    ({"modelHub": {"modelID": "org/name", "revision": "main"}}, "hf://org/name"),
    ({"modelHub": {"modelID": "org/name", "revision": "v2"}}, "hf://org/name@v2"),
    ({"modelHub": {"name": "ModelScope", "modelID": "org/name"}}, "ms://org/name"),
    ({"modelHub": {"name": "Huggingface"}}, None),
    ({"modelHub": {"name": "Other", "modelID": "org/name"}}, None),
    ({"uri": "oss://bucket.endpoint/path"}, "oss://bucket.endpoint/path"),
    ({"uri": "host:///mnt/models/x"}, "host:///mnt/models/x"),
    ({}, None),
]


@pytest.mark.parametrize(("source", "expected"), SOURCES)
def test_the_source_of_a_model(source: dict[str, Any], expected: str | None) -> None:
    """What the members load, in the form of the annotation ``model``; its size is not known."""
    gang = gang_of(cluster(model("llama", source=source), served()), "p")
    assert (gang.model, gang.model_bytes) == (expected, None)


def test_a_model_that_comes_or_changes_later_is_seen() -> None:
    """OpenModels are cluster-scoped and watched: the gang is read again."""
    state = cluster(served())
    blocked = gang_of(state, "p").blocked
    assert blocked is not None and blocked.code is Code.INVALID_REQUEST
    assert blocked.message == ("Pod default/p: llmaz.io/model-name: OpenModel llama does not exist")
    apply(state, LLAMA)
    assert names(gang_of(state, "p")) == ["a10", "a100", "l4"]
    apply(state, model("llama", selected("l4")))
    assert names(gang_of(state, "p")) == ["l4"]


@pytest.mark.parametrize(
    "spec", [{}, {"inferenceConfig": {}}, {"inferenceConfig": {"flavors": []}}]
)
def test_a_model_without_flavors_has_the_implied_one(spec: dict[str, Any]) -> None:
    """Then the pod's own request and selectors count."""
    gang = gang_of(cluster({**LLAMA, "spec": spec}, served()), "p")
    assert (gang.flavors, gang.blocked) == ((), None)


# -- all versions of OpenModel, and wrong ones -------------------------------------------------------


def test_flavors_of_old_releases() -> None:
    """Up to v0.1.0 a flavor's resources were called requests; limits win where both are given."""
    old = {"name": "old", "requests": {keys.NVIDIA_GPU: 1}, "nodeSelector": {CARD: "a10"}}
    both = {**old, "name": "both", "limits": {keys.NVIDIA_GPU: "4"}}
    gang = gang_of(cluster(model("llama", old, both), served()), "p")
    amounts = [one.resources and one.resources[keys.NVIDIA_GPU] for one in gang.flavors]
    assert amounts == [1, 4]


def test_only_cards_make_a_flavor_different() -> None:
    """Llmaz adds a flavor's cpu and memory to one container; sidecars make the pod request more."""
    mixed = selected("a10")
    mixed["limits"] |= {"cpu": "4", "memory": "8Gi"}
    plain = {"name": "cpu", "limits": {"cpu": "4"}}
    gang = gang_of(cluster(model("llama", mixed, plain), served()), "p")
    assert [one.resources for one in gang.flavors] == [Resources({keys.NVIDIA_GPU: 1}), None]


def test_more_than_eight_flavors() -> None:
    """The limit of eight is llmaz's, not ours."""
    many = [selected(f"f{index}") for index in range(12)]
    assert len(gang_of(cluster(model("llama", *many), served()), "p").flavors) == 12


LISTED = "OpenModel llama: spec.inferenceConfig.flavors"
FIRST = f"{LISTED}[0]"

TOLERATED: list[tuple[str, list[Object], list[str], list[str]]] = [
    # flavors, names that count, problems
    (
        "YAML booleans and numbers in a selector",
        [{"name": "a", "nodeSelector": {"gpu.h100": True, "off": False, "count": 8}}],
        ["a"],
        [
            f"{FIRST}.nodeSelector.gpu.h100: true is not text; put it in quotes",
            f"{FIRST}.nodeSelector.off: false is not text; put it in quotes",
            f"{FIRST}.nodeSelector.count: 8 is not text; put it in quotes",
        ],
    ),
    (
        "a name that YAML reads as a number",
        [{"name": 4090}],
        ["4090"],
        [
            "OpenModel llama: spec.inferenceConfig.flavors[0].name: 4090 is not text; put it in quotes"
        ],
    ),
    (
        "a name twice",
        [selected("a10"), {"name": "a10"}, selected("l4")],
        ["a10", "l4"],
        [f"{LISTED}[1].name: a10 is in the list already; the first one counts"],
    ),
    (
        "no names",
        [{}, {"name": ""}, {"name": "a,b"}, {"name": " a"}, selected("l4")],
        ["l4"],
        [
            f"{LISTED}[{index}].name: {shown} is not a flavor name; it is left out"
            for index, shown in enumerate(["'None'", "''", "'a,b'", "' a'"])
        ],
    ),
]


@pytest.mark.parametrize(
    ("flavors", "kept", "problems"),
    [case[1:] for case in TOLERATED],
    ids=[case[0] for case in TOLERATED],
)
def test_what_is_wrong_with_a_model_and_harmless(
    flavors: list[Object], kept: list[str], problems: list[str]
) -> None:
    """It is understood as it was meant, and told as a problem of the model."""
    state = cluster(model("llama", *flavors), served())
    assert names(gang_of(state, "p")) == kept
    assert sorted(map(str, state.problems())) == sorted(problems)
    apply(state, LLAMA)
    assert state.problems() == ()


def test_a_boolean_means_the_text_of_its_label() -> None:
    """``gpu.h100: true`` as in llmaz's announcement selects the label value "true"."""
    gang = gang_of(
        cluster(model("llama", {"name": "a", "nodeSelector": {"h": True}}), served()), "p"
    )
    assert gang.flavors[0].node_selector == {"h": "true"}


BROKEN: list[tuple[Object, str]] = [
    (
        {"name": "a10", "limits": {keys.NVIDIA_GPU: "one"}},
        f"{FIRST}.limits.nvidia.com/gpu: ",
    ),
    (
        {"name": "a10", "requests": {"cpu": "-1"}},
        f"{FIRST}.requests.cpu: ",
    ),
    (
        {"name": "a10", "nodeSelector": {CARD: ["a10"]}},
        f"{FIRST}.nodeSelector.{CARD}: \"['a10']\" is not text; put it in quotes",
    ),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN)
def test_a_broken_flavor_stops_only_gangs_that_claim_it(broken: Object, message: str) -> None:
    """The sentence names the model and the field, on the gang and among the problems."""
    found = model("llama", broken, selected("l4"))
    state = cluster(found, served(), served("q", claim="l4"))
    blocked = gang_of(state, "p").blocked
    assert blocked is not None and blocked.code is Code.INVALID_REQUEST
    assert blocked.message.startswith(message)
    assert str(state.problems()[0]).startswith(message)
    assert gang_of(state, "q").blocked is None


# -- TP and PP ---------------------------------------------------------------------------------------

HINTS: list[tuple[dict[str, str], str | None]] = [
    # params of a flavor with 8 cards, for a group of 2
    ({"TP": "8", "PP": "2"}, None),
    ({"TP": "8"}, None),
    ({"PP": "2"}, None),
    ({"INSTANCE-TYPE": "p4d"}, None),
    (
        {"TP": "4", "PP": "2"},
        "OpenModel llama: a10.params: TP 4 x PP 2 are 8 cards, but the gang has 2 x 8",
    ),
    ({"TP": "4"}, "OpenModel llama: a10.params.TP: 4 cards, but a member has 8"),
    ({"PP": "3"}, "OpenModel llama: a10.params.PP: 3 members, but the gang has 2"),
    ({"TP": "x"}, "OpenModel llama: a10.params.TP: 'x' is not a whole number from 1 up"),
    ({"PP": "0"}, "OpenModel llama: a10.params.PP: '0' is not a whole number from 1 up"),
]


@pytest.mark.parametrize(("params", "note"), HINTS)
def test_parallelism_is_checked_and_binds_nobody(params: dict[str, str], note: str | None) -> None:
    """Llmaz reads TP and PP nowhere: a contradiction with size and cards is a note on the gang."""
    group = lws("chat", size=2, worker=template(8, metadata=SERVES))
    found = model("llama", selected("a10", 8, params=params))
    gang = gang_of(cluster(found, group, pods_of(group)), "chat-0")
    assert gang.notes == (() if note is None else (note,))
    assert gang.blocked is None
