"""Parity with the plugin ResourceFungibility, by the vectors of its own tests, and what Muster makes of it.

The names F1-F10 and S1-S5 number the cases of the plugin's ``resource_fungibility_test.go``.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from scheduler.gangs.fungibility import WEIGHTS, PluginError, passes, prefilter, score
from scheduler.model import Gang
from scheduler.policy import Policy
from scheduler.solve import solve
from scheduler.state import ClusterState
from tests.objects import Object, flavor, node, pod
from topology import keys

LABEL = "karpenter.k8s.aws/instance-gpu-name"
T4, A100 = {LABEL: "t4"}, {LABEL: "a100"}


def model(*flavors: tuple[str, dict[str, str] | None], config: bool = True) -> Object:
    """An OpenModel ``test-model`` with these flavors, or without an inference configuration."""
    listed = [
        {"name": name, **({} if selector is None else {"nodeSelector": selector})}
        for name, selector in flavors
    ]
    spec = {"inferenceConfig": {"flavors": listed}} if config else {}
    return {"apiVersion": "llmaz.io/v1alpha1", "kind": "OpenModel",
            "metadata": {"name": "test-model"}, "spec": spec}  # fmt: skip


MIXED = model(("none", None), ("empty", {}), ("t4", T4))
BOTH = model(("t4", T4), ("a100", A100))

SKIPPED: list[tuple[str, str, Object | None]] = [
    ("F1, S1: pod without a model label", "", BOTH),
    ("F3, S2: model without inference configuration", "test-model", model(config=False)),
    ("F4: model without flavors", "test-model", model()),
    ("F5, S3: one flavor has no node selector", "test-model", MIXED),
    ("S4: two flavors have none", "test-model", model(("a", {}), ("b", {}), ("t4", T4))),
]


@pytest.mark.parametrize(
    ("label", "found"), [case[1:] for case in SKIPPED], ids=[case[0] for case in SKIPPED]
)
def test_pods_that_the_plugin_skips(label: str, found: Object | None) -> None:
    """PreFilter and PreScore answer Skip: the plugin neither filters nor scores."""
    assert prefilter(label, None, found) is None


FAILED: list[tuple[str, str | None, Object | None, str]] = [
    ("F2: model not found", None, None, 'openmodels.llmaz.io "test-model" not found'),
    ("F6: mismatched flavors", "a10", MIXED, 'flavor "a10" not found in model "test-model"'),
    ("blanks are part of a name", "t4, a100", BOTH,
     'flavor " a100" not found in model "test-model"'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("claimed", "found", "message"),
    [case[1:] for case in FAILED],
    ids=[case[0] for case in FAILED],
)
def test_pods_that_the_plugin_fails(
    claimed: str | None, found: Object | None, message: str
) -> None:
    """PreFilter answers an error with the plugin's words."""
    with pytest.raises(PluginError, match=re.escape(message)):
        prefilter("test-model", claimed, found)


FILTERED: list[tuple[str, str | None, Object, dict[str, str], bool]] = [
    ("F7: no node for the model's flavors", None, model(("t4", T4)), {}, False),
    ("F8: no node for the service's flavors", "a100", BOTH, T4, False),
    ("F9: a node for both", "a100", BOTH, A100, True),
    ("F10: a node for the model's flavors", None, BOTH, A100, True),
]


@pytest.mark.parametrize(
    ("claimed", "found", "labels", "expected"),
    [case[1:] for case in FILTERED],
    ids=[case[0] for case in FILTERED],
)
def test_nodes_that_pass(
    claimed: str | None, found: Object, labels: dict[str, str], expected: bool
) -> None:
    """A node passes when its labels match any of the flavors."""
    selectors = prefilter("test-model", claimed, found)
    assert selectors is not None
    assert passes(selectors, labels) is expected


def test_scores_of_two_flavors() -> None:
    """S5: 39 for a node of the first flavor, 24 for one of the second."""
    selectors = prefilter("test-model", None, BOTH)
    assert selectors is not None
    assert [score(selectors, labels) for labels in (T4, A100, {})] == [39, 24, 0]


def test_scores_of_eight_flavors() -> None:
    """The score falls with the rank; a node of two flavors has that of the better one."""
    selectors = [{"kind": str(rank)} for rank in range(8)]
    assert [score(selectors, one) for one in selectors] == [39, 24, 15, 9, 6, 3, 2, 1]
    assert score([{"a": "1"}, {"b": "1"}], {"a": "1", "b": "1"}) == 39
    assert sum(WEIGHTS) == 87


# -- the setting ``compatibility`` -------------------------------------------------------------------


def gang_of(compatibility: bool, *objects: Object, name: str = "p") -> Gang:
    """The gang ``default/NAME`` of a cluster with a node of each flavor."""
    state = ClusterState(compatibility=compatibility)
    nodes = [node("n1", "a100", T4), node("n2", "a100", A100)]
    for obj in (*nodes, *objects):
        kind = "OpenModel.llmaz.io" if obj["kind"] == "OpenModel" else obj["kind"]
        state.apply(kind, "ADDED", obj)
    gang = state.gang(f"default/{name}")
    assert gang is not None
    return gang


def served(**spec: Any) -> Object:
    """A pod that serves ``test-model``."""
    return pod("p", labels={"llmaz.io/model-name": "test-model"}, gpus=1, spec=spec)


def test_an_empty_selector_takes_the_order_away() -> None:
    """As in the plugin: with one flavor for every node there is no order. Else it is a flavor like others."""
    assert gang_of(True, MIXED, served()).flavors == ()
    assert [one.name for one in gang_of(False, MIXED, served()).flavors] == ["none", "empty", "t4"]


def test_flavors_are_labels_alone() -> None:
    """A flavor's resources and the Flavor object of its name count in the normal mode only."""
    found = model(("t4", T4), ("a100", A100))
    found["spec"]["inferenceConfig"]["flavors"][1]["limits"] = {keys.NVIDIA_GPU: 4}
    own = flavor("a100", costPerHour="2.5")
    plain, parity = (gang_of(mode, found, own, served()).flavors[1] for mode in (False, True))
    assert (plain.resources, plain.cost_per_hour) != (None, None)
    assert (parity.resources, parity.cost_per_hour) == (None, None)
    assert parity.node_selector == plain.node_selector == A100


def test_a_wrong_claim_blocks_with_the_words_of_the_plugin_or_ours() -> None:
    """A model's name that only Muster tolerates is an error to the plugin, and then to us."""
    found = model(("t4", T4))
    found["spec"]["inferenceConfig"]["flavors"][0]["name"] = 4090
    claimed = served()
    claimed["metadata"]["annotations"]["llmaz.io/inference-service-flavors"] = "4090"
    blocked = gang_of(True, found, claimed).blocked
    assert blocked is not None
    assert blocked.message == (
        "Pod default/p: llmaz.io/inference-service-flavors: "
        'flavor "4090" not found in model "test-model"'
    )
    assert gang_of(False, found, claimed).blocked is None


@pytest.mark.parametrize("compatibility", [False, True])
def test_the_plan_takes_the_node_that_the_plugin_scores_best(compatibility: bool) -> None:
    """With room everywhere both modes choose what the plugin prefers, in the order of the claim."""
    claimed = served()
    claimed["metadata"]["annotations"]["llmaz.io/inference-service-flavors"] = "a100,t4"
    state = ClusterState(compatibility=compatibility)
    nodes = {"n1": T4, "n2": A100, "n3": {}}
    for name, labels in nodes.items():
        state.apply("Node", "ADDED", node(name, "a100", labels))
    state.apply("OpenModel.llmaz.io", "ADDED", BOTH)
    state.apply("Pod", "ADDED", claimed)
    [assignment] = solve(state.snapshot(), Policy()).assignments
    [slot] = assignment.slots
    selectors = prefilter("test-model", "a100,t4", BOTH)
    assert selectors is not None and passes(selectors, nodes[slot.node])
    assert score(selectors, nodes[slot.node]) == max(score(selectors, at) for at in nodes.values())
