"""Writing flavors into pods: what changes, that it can be undone, and that nothing is written by half."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import keys
from scheduler.flavors import read_flavor
from scheduler.pods import read_pod
from scheduler.rewrite import WriteError, restored, write, written
from tests.objects import Object
from tests.properties.test_parsers import JSON, OBJECTS
from topology.keys import ASCEND_910, NVIDIA_GPU
from topology.model import Flavor

MEMBERSHIP = dict.fromkeys(sorted(keys.SYNTHETIC_RESOURCES), "1")


def engine_pod(cards: int = 8, **container: Any) -> Object:
    """What llmaz makes of a Playground, after the gate: engine with cards, a loader before it."""
    amounts = {"cpu": "4", "memory": "8Gi", NVIDIA_GPU: str(cards), **MEMBERSHIP}
    engine = {
        "name": "model-runner",
        "image": "vllm/vllm-openai:v0.9",
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": ["--model", "/models/x", "--tensor-parallel-size", str(cards)],
        "env": [{"name": "A", "value": "1"}, {"name": "HOME", "value": "/root"}],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        **container,
    }
    return {
        "metadata": {"name": "chat-0", "labels": {"app": "chat"}, "annotations": {keys.GANG: "g"}},
        "spec": {
            "initContainers": [{"name": "model-loader", "image": "loader"}],
            "containers": [engine],
            "nodeSelector": {"zone": "a"},
            "tolerations": [{"key": "x", "operator": "Exists"}],
        },
    }


ASCEND = read_flavor(
    "ascend",
    {
        "resources": {ASCEND_910: 8},
        "nodeSelector": {"npu": "910b", "zone": "b"},
        "overlay": {
            "image": "vllm-ascend:1",
            "args": ["--tensor-parallel-size=16", "--enforce-eager"],
            "env": [{"name": "VLLM_PLUGINS", "value": "ascend"}, {"name": "HOME", "value": "/"}],
            "runtimeClassName": "ascend",
            "tolerations": [{"key": "npu", "operator": "Exists"}],
            "annotations": {"example.com/policy": "x"},
            "labels": {"app": "npu", "ring": "a2"},
        },
    },
    "spec",
)
SMALL = read_flavor("small", {"resources": {NVIDIA_GPU: 4, "cpu": "2500m"}}, "spec")
SAME = Flavor(name="same", node_selector={"zone": "c"})
FLAVORS = (ASCEND, SMALL, SAME)


def test_everything_that_a_flavor_says_is_written() -> None:
    """Cards, image, flags, variables, runtime class and more; a selector of the pod itself stands."""
    pod = write(engine_pod(), ASCEND)
    metadata, spec = pod["metadata"], pod["spec"]
    amounts = {"cpu": "4", "memory": "8Gi", ASCEND_910: "8", **MEMBERSHIP}
    assert spec["containers"] == [
        {
            "name": "model-runner",
            "image": "vllm-ascend:1",
            "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
            "args": ["--model", "/models/x", "--tensor-parallel-size", "16", "--enforce-eager"],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "HOME", "value": "/"},
                {"name": "VLLM_PLUGINS", "value": "ascend"},
            ],
            "resources": {"requests": amounts, "limits": amounts},
        }
    ]
    assert spec["initContainers"] == engine_pod()["spec"]["initContainers"]
    assert spec["nodeSelector"] == {"zone": "a", "npu": "910b"}
    assert [toleration["key"] for toleration in spec["tolerations"]] == ["x", "npu"]
    assert spec["runtimeClassName"] == "ascend"
    assert metadata["labels"] == {"app": "npu", "ring": "a2"}
    assert metadata["annotations"][keys.GANG] == "g"
    assert metadata["annotations"]["example.com/policy"] == "x"
    assert written(pod) == "ascend"


def test_listed_amounts_are_those_of_the_whole_pod() -> None:
    """The container gets what its neighbours leave, limits only where there were some."""
    pod = engine_pod(
        resources={"requests": {"cpu": "1", NVIDIA_GPU: "8"}, "limits": {NVIDIA_GPU: "8"}}
    )
    pod["spec"]["containers"].append({"name": "side", "resources": {"requests": {"cpu": "500m"}}})
    after = write(pod, SMALL)
    assert after["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "2000m", NVIDIA_GPU: "4"},
        "limits": {NVIDIA_GPU: "4"},
    }
    request = read_pod(after).request
    assert (request["cpu"], request[NVIDIA_GPU]) == (2500, 4)


@pytest.mark.parametrize(
    "flavor",
    [SAME, Flavor(name="empty"), read_flavor("as-is", {"resources": {NVIDIA_GPU: 8}}, "spec")],
    ids=lambda flavor: flavor.name,
)
def test_a_flavor_that_needs_no_other_pod_writes_nothing(flavor: Flavor) -> None:
    """Not even its selector, which would pin the pod to it."""
    assert write(engine_pod(), flavor) == engine_pod()
    assert write(write(engine_pod(), ASCEND), flavor) == engine_pod()


def test_a_pod_without_cards_stays_as_it_is() -> None:
    """A router or a leader that only drives needs neither cards nor the vendor's image."""
    pod = engine_pod(resources={"requests": {"cpu": "4", **MEMBERSHIP}})
    assert write(pod, ASCEND) == pod


@pytest.mark.parametrize("first", FLAVORS, ids=lambda flavor: flavor.name)
@pytest.mark.parametrize("second", FLAVORS, ids=lambda flavor: flavor.name)
def test_the_second_flavor_starts_from_the_original(first: Flavor, second: Flavor) -> None:
    """Nothing of the first is left; the same flavor twice is the same as once; the input is not touched."""
    pod = engine_pod()
    once = write(pod, first)
    assert write(once, second) == write(pod, second)
    assert restored(once) == pod == engine_pod()


def test_what_others_added_meanwhile_stays() -> None:
    """A sidecar, a variable and a toleration that came after the flavor outlive a change of it."""
    pod = copy.deepcopy(dict(write(engine_pod(), ASCEND)))
    pod["spec"]["containers"][0]["env"].append({"name": "LATER", "value": "1"})
    pod["spec"]["containers"].append({"name": "side"})
    pod["spec"]["tolerations"].append({"key": "later", "operator": "Exists"})
    after = restored(pod)
    assert [v["name"] for v in after["spec"]["containers"][0]["env"]] == ["A", "HOME", "LATER"]
    assert after["spec"]["containers"][1] == {"name": "side"}
    assert [t["key"] for t in after["spec"]["tolerations"]] == ["x", "later"]


@pytest.mark.parametrize(
    ("containers", "overlay", "changed"),
    [
        (["cards", "model-runner"], {}, "model-runner"),
        (["cards", "model-runner"], {"container": "cards"}, "cards"),
        (["a", "cards"], {}, "cards"),
    ],
)
def test_which_container_is_changed(containers: list[str], overlay: Object, changed: str) -> None:
    """The one that is named, llmaz's engine, the first with cards."""
    cards = {"requests": {NVIDIA_GPU: "1"}}
    made = [{"name": n, "resources": cards if n == "cards" else {}} for n in containers]
    flavor = read_flavor("f", {"overlay": {"image": "new", **overlay}}, "spec")
    after = write({"metadata": {}, "spec": {"containers": made}}, flavor)["spec"]["containers"]
    assert [c["name"] for c in after if c.get("image") == "new"] == [changed]


@pytest.mark.parametrize(
    ("flavor", "change", "message"),
    [
        (
            {"resources": {ASCEND_910: 8}},
            {"containers": [{"name": "b", "resources": {"limits": {NVIDIA_GPU: "4"}}}]},
            "4 nvidia.com/gpu are requested beside container model-runner, and it is for 0 in all",
        ),
        (
            {"resources": {NVIDIA_GPU: 8, "memory": "1Gi"}},
            {"initContainers": [{"name": "i", "resources": {"requests": {"memory": "2Gi"}}}]},
            "2147483648 memory are requested beside container model-runner",
        ),
        (
            {"overlay": {"container": "server", "image": "x"}},
            {},
            "its overlay is for a container server, and there is none",
        ),
    ],
)
def test_a_flavor_that_cannot_be_written_is_refused(
    flavor: Object, change: Object, message: str
) -> None:
    """Rather than a pod that requests something else than the flavor says."""
    pod = engine_pod()
    for kind, containers in change.items():
        pod["spec"][kind] = [*pod["spec"][kind], *containers]
    with pytest.raises(WriteError, match=message):
        write(pod, read_flavor("f", flavor, "spec"))


@pytest.mark.parametrize(
    "record",
    [
        "{", "[]", "[1]", '[["spec"]]', '[[["spec","hostPID"],true]]', '[[["spec","containers"],[]]]',
        '[[["spec","containers","gone","image"],"x"]]', '[[["metadata","name"],"x"]]',
        '[[["spec","containers","model-runner","volumeMounts"],[]]]', "[" * 5000,
    ],
)  # fmt: skip
def test_a_forged_record_puts_nothing_back(record: str) -> None:
    """Only what a flavor may write can be restored."""
    pod = engine_pod()
    pod["metadata"]["annotations"] |= {keys.ORIGINAL: record, keys.WRITTEN: "x"}
    assert restored(pod) == engine_pod()


RECORDS = st.lists(
    st.tuples(st.lists(JSON | st.sampled_from(["spec", "containers", "env"]), max_size=4), JSON),
    max_size=3,
).map(json.dumps) | st.text(max_size=20)


@settings(max_examples=200)
@given(pod=OBJECTS, record=RECORDS, flavor=st.sampled_from(FLAVORS))
def test_any_pod_is_written_or_refused(pod: Object, record: str, flavor: Flavor) -> None:
    """Whatever the JSON: another pod, or a ``WriteError``."""
    forged = {keys.ORIGINAL: record, keys.WRITTEN: "x"}
    for obj in (pod, {**pod, "metadata": {"annotations": forged}}):
        restored(obj)
        try:
            once = write(obj, flavor)
        except WriteError:
            continue
        assert write(once, flavor) == once
