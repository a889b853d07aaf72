"""PodGroups of four kinds are gangs without any annotation of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from extender.tools.inputs import understand
from scheduler.model import Code, Gang, TopologyRequest
from tests.objects import Object, flavor, node, pod, state_of
from topology import keys

FLEET = [
    node(f"n{b}{r}{h}", "h100", {keys.BLOCK: f"b{b}", keys.RACK: f"b{b}r{r}"})
    for b in (1, 2)
    for r in (1, 2)
    for h in (1, 2)
]

API = {
    "kubernetes": f"{keys.SCHEDULING_GROUP}/v1beta1",
    "plugins": f"{keys.SCHEDULER_PLUGINS_GROUP}/v1alpha1",
    "volcano": f"{keys.VOLCANO_GROUP}/v1beta1",
    "kai": f"{keys.KAI_GROUP}/v2alpha2",
}


def group(
    form: str, name: str = "train", annotations: Mapping[str, str] | None = None, **spec: Any
) -> Object:
    """A PodGroup as its users write it; for the native form ``minMember`` means ``gang.minCount``."""
    if form == "kubernetes" and "minMember" in spec:
        spec["schedulingPolicy"] = {"gang": {"minCount": spec.pop("minMember")}}
    metadata = {"name": name, "namespace": "default", "annotations": dict(annotations or {})}
    return {"apiVersion": API[form], "kind": "PodGroup", "metadata": metadata, "spec": spec}


def member(
    form: str,
    name: str,
    of: str = "train",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **given: Any,
) -> Object:
    """A pod of PodGroup ``of``, as each form marks it."""
    labels, annotations = dict(labels or {}), dict(annotations or {})
    spec = dict(given.pop("spec", {}))
    match form:
        case "kubernetes":
            spec["schedulingGroup"] = {"podGroupName": of}
        case "plugins":
            labels[keys.SCHEDULER_PLUGINS_POD_GROUP] = of
        case "volcano":
            annotations[keys.VOLCANO_POD_GROUP] = of
        case "kai":
            annotations[keys.KAI_POD_GROUP] = of
    made = pod(name, labels=labels, spec=spec, **given)
    made["metadata"]["annotations"] |= annotations
    return made


def members(form: str, count: int, **given: Any) -> list[Object]:
    """Pods ``a-0``, ``a-1`` ..."""
    return [member(form, f"a-{index}", **given) for index in range(count)]


def gang_of(*objects: Object, name: str = "train") -> Gang:
    """The gang ``default/NAME``."""
    gang = state_of([*FLEET, *objects]).gang(f"default/{name}")
    assert gang is not None
    return gang


def roles(gang: Gang) -> dict[str, tuple[int, int, int]]:
    """Role -> size, minimum, members that exist."""
    return {p.role: (p.size, p.min_count, len(p.members)) for p in gang.podsets}


def blocked(gang: Gang) -> str:
    """Code and sentence of a gang that cannot be planned."""
    assert gang.blocked is not None
    return f"{gang.blocked.code}: {gang.blocked.message}"


# -- what all forms have in common -------------------------------------------------------------------


@pytest.mark.parametrize("form", API)
@pytest.mark.parametrize("pods_first", [False, True])
def test_the_group_names_the_gang_and_its_minimum(form: str, pods_first: bool) -> None:
    """Six pods of a PodGroup that needs four: two are elastic. The order of events does not matter."""
    objects = [group(form, minMember=4), *members(form, 6)]
    gang = gang_of(*(reversed(objects) if pods_first else objects))
    assert (gang.source, gang.name, gang.blocked) == ("podgroup", "train", None)
    assert (gang.size, gang.min_members) == (6, 4)
    assert roles(gang) == {"main": (6, 4, 6)}


@pytest.mark.parametrize("form", API)
def test_a_gang_waits_for_the_members_that_its_minimum_needs(form: str) -> None:
    """Three of four pods exist."""
    gang = gang_of(group(form, minMember=4), *members(form, 3))
    assert gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING
    assert gang.blocked.numbers == {"membersPresent": 3, "membersNeeded": 4, "membersTotal": 4}


@pytest.mark.parametrize("form", API)
def test_a_group_that_does_not_exist_is_named(form: str) -> None:
    """Its pods wait until somebody makes it; what it demands is not guessed."""
    gang = gang_of(*members(form, 2))
    kind = API[form].partition("/")[0]
    message = f"PodGroup default/train of {kind} does not exist; 2 pods wait"
    assert blocked(gang) == f"MembersMissing: {message}"


@pytest.mark.parametrize("form", API)
def test_a_group_that_was_deleted_does_not_stop_what_runs(form: str) -> None:
    """No member waits, so nothing is blocked."""
    gang = gang_of(*members(form, 2, node="n111", gpus=1))
    assert (gang.blocked, gang.min_members) == (None, 2)


@pytest.mark.parametrize("form", API)
def test_members_that_finished_are_not_waited_for(form: str) -> None:
    """Of four pods one has finished and another was lost: its successor starts beside the two that run."""
    pods = members(form, 2, node="n111", gpus=1)
    gang = gang_of(group(form, minMember=4), *pods, member(form, "a-9", gpus=1))
    assert (gang.blocked, gang.min_members, gang.size) == (None, 3, 3)


@pytest.mark.parametrize("form", API)
def test_a_minimum_that_is_no_number_names_the_group(form: str) -> None:
    """The error is about the object that the user wrote, not about a pod."""
    gang = gang_of(group(form, minMember="many"), *members(form, 2))
    at = "spec.schedulingPolicy.gang.minCount" if form == "kubernetes" else "spec.minMember"
    expected = "'many' is not a whole number from 1 to 100000"
    assert blocked(gang) == f"InvalidRequest: PodGroup default/train: {at}: {expected}"


@pytest.mark.parametrize("form", ["plugins", "volcano", "kai"])
@pytest.mark.parametrize("spec", [{}, {"minMember": 0}, {"minMember": None}])
def test_no_minimum_means_one(form: str, spec: dict[str, Any]) -> None:
    """All members are elastic, and a gang without any member does not run."""
    gang = gang_of(group(form, **spec), *members(form, 3))
    assert (gang.blocked, gang.size, gang.min_members) == (None, 3, 1)


@pytest.mark.parametrize("form", ["plugins", "volcano", "kai"])
def test_an_empty_name_is_one_clear_error(form: str) -> None:
    """Such a pod is ours (admission has gated it), so it must not vanish."""
    gang = gang_of(member(form, "a-0", of=""), name="a-0")
    field = {
        "plugins": keys.SCHEDULER_PLUGINS_POD_GROUP,
        "volcano": keys.VOLCANO_POD_GROUP,
        "kai": keys.KAI_POD_GROUP,
    }[form]
    wrong = f"Pod default/a-0: {field}: is empty; expected a PodGroup's name"
    assert blocked(gang) == f"InvalidRequest: {wrong}"


@pytest.mark.parametrize("form", API)
def test_pods_of_several_kinds_are_roles_by_their_owners(form: str) -> None:
    """A launcher and workers in one PodGroup: any four of the five, each kind placed for itself."""
    workers = [member(form, f"job-w-{i}") for i in range(4)]
    launcher = member(form, "job-launcher-0", gpus=0)
    gang = gang_of(group(form, minMember=4), *workers, launcher)
    assert gang.blocked is None
    assert roles(gang) == {"job-launcher": (1, 0, 1), "job-w": (4, 0, 4)}
    assert gang.min_members == 4


@pytest.mark.parametrize("form", API)
def test_our_annotations_on_the_group_hold_for_its_pods(form: str) -> None:
    """Flavors and levels may be written once; what a pod says itself wins."""
    own = {"muster.dev/flavors": "h100", "muster.dev/gang-topology-preferred": "rack"}
    flavors = [flavor(name, nodeSelector={"x": name}) for name in ("h100", "a100")]
    gang = gang_of(*flavors, group(form, minMember=2, annotations=own), *members(form, 2))
    assert [one.name for one in gang.flavors] == ["h100"]
    assert gang.topology == TopologyRequest(preferred="rack")
    again = gang_of(
        *flavors, group(form, minMember=2, annotations=own), *members(form, 2, flavors="a100")
    )
    assert [one.name for one in again.flavors] == ["a100"]


@pytest.mark.parametrize("form", API)
def test_our_annotations_on_pods_win_over_the_group(form: str) -> None:
    """Two kinds of pods that name their roles and minimums themselves."""
    pods = [member(form, f"p-{i}", role="prefill", role_min="1", gang_min="3") for i in range(2)]
    pods += [member(form, f"d-{i}", role="decode", role_min="2", gang_min="3") for i in range(4)]
    gang = gang_of(group(form, minMember=6), *pods)
    assert roles(gang) == {"decode": (4, 2, 4), "prefill": (2, 1, 2)}
    assert gang.min_members == 3


def test_an_explicit_gang_is_first() -> None:
    """A pod that names its gang in our own words belongs to that one."""
    state = state_of([*FLEET, group("kai", minMember=2), member("kai", "a-0", gang="mine")])
    assert [gang.key for gang in state.gangs()] == ["default/mine"]


def test_a_stranger_with_the_name_of_the_group_is_told() -> None:
    """A pod that is a gang by itself, with the PodGroup's name, is not silently taken in."""
    gang = gang_of(group("kai", minMember=2), *members("kai", 2), pod("train", flavors="x"))
    assert "muster.dev/gang: is missing, but train is also the name of a gang" in blocked(gang)


@pytest.mark.parametrize("form", API)
def test_a_job_that_is_not_applied_yet_has_its_pods(form: str) -> None:
    """``muster plan -f``: the Job's template names the PodGroup, so all of its pods are members."""
    one = member(form, "x")
    template = {"metadata": one["metadata"], "spec": one["spec"]}
    spec = {"parallelism": 4, "completions": 4, "template": template}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train"}, "spec": spec}
    (gang,) = understand([*FLEET, group(form, minMember=3), job]).snapshot.gangs
    assert (gang.key, gang.size, gang.min_members) == ("default/train", 4, 3)
    assert gang.blocked is None


# -- levels ------------------------------------------------------------------------------------------

HARD: list[tuple[str, dict[str, Any], TopologyRequest]] = [
    (
        "kubernetes",
        {"schedulingConstraints": {"topology": [{"key": keys.RACK}]}},
        TopologyRequest(required="rack"),
    ),
    (
        "kai",
        {"topologyConstraint": {"requiredTopologyLevel": "block", "preferredTopologyLevel": keys.RACK}},
        TopologyRequest(required="block", preferred="rack"),
    ),
    ("volcano", {"networkTopology": {"highestTierAllowed": 0}}, TopologyRequest(required="host")),
    (
        "volcano",
        {"networkTopology": {"mode": "hard", "highestTierAllowed": 1}},
        TopologyRequest(required="rack"),
    ),
    (
        "volcano",
        {"networkTopology": {"mode": "hard", "highestTierAllowed": 2}},
        TopologyRequest(required="block"),
    ),
    ("volcano", {"networkTopology": {"mode": "hard", "highestTierAllowed": 3}}, TopologyRequest()),
    ("volcano", {"networkTopology": {"highestTierName": "rack"}}, TopologyRequest(required="rack")),
    ("volcano", {"networkTopology": {"mode": "soft"}}, TopologyRequest(preferred="rack")),
    ("volcano", {"networkTopology": {"mode": "hard"}}, TopologyRequest()),
]  # fmt: skip


@pytest.mark.parametrize(("form", "spec", "asked"), HARD)
def test_levels_of_the_whole_group(form: str, spec: dict[str, Any], asked: TopologyRequest) -> None:
    """By label key or level name; tiers of Volcano count from the level above the host."""
    gang = gang_of(group(form, minMember=2, **spec), *members(form, 2))
    assert (gang.blocked, gang.topology) == (None, asked)


def test_a_label_that_only_a_group_names_is_a_level() -> None:
    """As for our own annotations: the label becomes a level because somebody asks for it."""
    row = "example.com/row"
    nodes = [node("x1", labels={row: "1"}), node("x2", labels={row: "2"})]
    constraint: dict[str, Any] = {"topologyConstraint": {"requiredTopologyLevel": row}}
    for objects in ([group("kai", **constraint), *members("kai", 2)], None):
        objects = objects or [*members("kai", 2), group("kai", **constraint)]
        gang = state_of([*nodes, *objects]).gang("default/train")
        assert gang is not None
        assert (gang.blocked, gang.topology.required) == (None, row)


WRONG_LEVELS: list[tuple[str, dict[str, Any], str]] = [
    (
        "kubernetes",
        {"schedulingConstraints": {"topology": [{"key": "rak"}]}},
        "spec.schedulingConstraints.topology[0].key: unknown level 'rak'",
    ),
    (
        "kai",
        {"topologyConstraint": {"requiredTopologyLevel": "rak"}},
        "spec.topologyConstraint.requiredTopologyLevel: unknown level 'rak'",
    ),
    (
        "volcano",
        {"networkTopology": {"highestTierAllowed": "x"}},
        "spec.networkTopology.highestTierAllowed: unknown level 'tier x'",
    ),
    (
        "kai",
        {"subGroups": [{"name": "w", "minMember": -1}]},
        "spec.subGroups[].minMember: '-1' is not a whole number from 0 to 100000",
    ),
]


@pytest.mark.parametrize(("form", "spec", "message"), WRONG_LEVELS)
def test_what_is_wrong_in_a_group_is_told_of_the_group(
    form: str, spec: dict[str, Any], message: str
) -> None:
    """Object and field of the user."""
    gang = gang_of(
        group(form, minMember=2, **spec), *members(form, 2, labels={keys.KAI_SUBGROUP: "w"})
    )
    assert blocked(gang).startswith(f"InvalidRequest: PodGroup default/train: {message}")


# -- Kubernetes --------------------------------------------------------------------------------------


def test_the_basic_policy_demands_no_minimum() -> None:
    """Each of its pods may start as soon as it fits."""
    gang = gang_of(group("kubernetes", schedulingPolicy={"basic": {}}), *members("kubernetes", 3))
    assert (gang.blocked, gang.size, gang.min_members) == (None, 3, 1)
