"""Gangs of our own annotations: every mistake is told in one sentence, and harms nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model import Code
from scheduler.solve import solve
from tests.objects import Object, pod, state_of
from tests.scheduler.test_gangs_annotated import FLEET, members
from topology import keys

# One row per promise of the list of bad input.

LEVELS = "known, outermost first: block, rack, host, and every label key that a node has"
ONE_ROLE = "members that differ need different roles (muster.dev/role)"

# ours: annotations of both members; pods: or the members themselves; then the exact message
WRONG: dict[str, tuple[dict[str, Any] | list[Object], str]] = {
    "unknown flavor": (
        {"flavors": "h100,h900"},
        "Pod default/a-0: muster.dev/flavors: flavor 'h900' does not exist; known: a100, broken, h100",
    ),
    "parallelism": (
        {"parallelism": "data"},
        (
            "Pod default/a-0: muster.dev/parallelism: 'data' is unknown; expected one of pipeline, tensor, "
            "expert, replicas"
        ),
    ),
    "flavor object that is wrong itself": (
        {"flavors": "broken"},
        (
            "Pod default/a-0: muster.dev/flavors: Flavor broken: spec.members: 0 is not a number of pods "
            "from 1 up"
        ),
    ),
    "flavors with an empty name": (
        {"flavors": "h100,,a100"},
        "Pod default/a-0: muster.dev/flavors: 'h100,,a100' has an empty name; expected a,b,c",
    ),
    "size smaller than members": (
        {"gang_size": "1"},
        "Pod default/a-0: muster.dev/gang-size: 1 is less than the 2 members that exist",
    ),
    "conflicting sizes": (
        [pod("a-0", "a", gang_size="2"), pod("a-1", "a", gang_size="3")],
        "Pod default/a-1: muster.dev/gang-size: '3', but '2' on pod a-0; members of one gang must agree",
    ),
    "size zero": (
        {"gang_size": "0"},
        "Pod default/a-0: muster.dev/gang-size: '0' is not a whole number from 1 to 100000",
    ),
    "size negative": (
        {"gang_size": "-2"},
        "Pod default/a-0: muster.dev/gang-size: '-2' is not a whole number from 1 to 100000",
    ),
    "size no number": (
        {"gang_size": "two"},
        "Pod default/a-0: muster.dev/gang-size: 'two' is not a whole number from 1 to 100000",
    ),
    "size empty": (
        {"gang_size": ""},
        "Pod default/a-0: muster.dev/gang-size: '' is not a whole number from 1 to 100000",
    ),
    "size with a fraction": (
        {"gang_size": "2.5"},
        "Pod default/a-0: muster.dev/gang-size: '2.5' is not a whole number from 1 to 100000",
    ),
    "size beyond any cluster": (
        {"gang_size": "9999999999"},
        "Pod default/a-0: muster.dev/gang-size: '9999999999' is not a whole number from 1 to 100000",
    ),
    "size in other digits": (
        {"gang_size": "٢"},
        "Pod default/a-0: muster.dev/gang-size: '٢' is not a whole number from 1 to 100000",
    ),
    "gang-min above size": (
        {"gang_size": "2", "gang_min": "3"},
        "Pod default/a-0: muster.dev/gang-min: 3 is more than the gang's 2 members",
    ),
    "role-min above the role": (
        {"role_min": "3"},
        "Pod default/a-0: muster.dev/role-min: 3 is more than the 2 members of role main",
    ),
    "role-min negative": (
        {"role_min": "-1"},
        "Pod default/a-0: muster.dev/role-min: '-1' is not a whole number from 0 to 100000",
    ),
    "roles without a count": (
        {"role": "x", "roles": "x"},
        (
            "Pod default/a-0: muster.dev/roles: 'x' is not ROLE=COUNT with a count from 1 up, as in "
            "prefill=2,decode=4"
        ),
    ),
    "roles with an absurd count": (
        {"role": "x", "roles": "x=" + "9" * 5000},
        "Pod default/a-0: muster.dev/roles: '"
        + f"x={'9' * 5000}"[:57]
        + "...' is not ROLE=COUNT with "
        "a count from 1 up, as in prefill=2,decode=4",
    ),
    "roles that name one twice": (
        {"role": "x", "roles": "x=1,x=1"},
        "Pod default/a-0: muster.dev/roles: role x is named twice",
    ),
    "a role that roles lacks": (
        {"role": "y", "roles": "x=2"},
        "Pod default/a-0: muster.dev/roles: role y, which a member has, is not among x",
    ),
    "more members of a role than roles says": (
        {"role": "x", "roles": "x=1"},
        "Pod default/a-0: muster.dev/roles: x=1, but 2 members of it exist",
    ),
    "roles that do not add up": (
        {"role": "x", "roles": "x=2,y=1", "gang_size": "4"},
        "Pod default/a-0: muster.dev/roles: the sizes add up to 3, but gang-size is 4",
    ),
    "unknown level": (
        {"topology_required": "pod"},
        f"Pod default/a-0: muster.dev/topology-required: unknown level 'pod'; {LEVELS}",
    ),
    "unknown level of the gang": (
        {"gang_topology_preferred": "example.com/row"},
        "Pod default/a-0: muster.dev/gang-topology-preferred: unknown level 'example.com/row'; "
        + LEVELS,
    ),
    "group request without a group": (
        {"group_topology_required": "rack"},
        (
            "Pod default/a-0: muster.dev/group-topology-required: needs muster.dev/topology-group to name "
            "the group"
        ),
    ),
    "slices without a size": (
        {"topology_slices": "rack"},
        "Pod default/a-0: muster.dev/topology-slices: 'rack' is not LEVEL:SIZE, as in block:16,rack:4",
    ),
    "slices of an unknown level": (
        {"topology_slices": "row:1"},
        f"Pod default/a-0: muster.dev/topology-slices: unknown level 'row'; {LEVELS}",
    ),
    "slices that do not divide the role": (
        {"topology_slices": "rack:3"},
        "Pod default/a-0: muster.dev/topology-slices: slices of 3 do not divide the 2 members of the role",
    ),
    "slices that do not divide each other": (
        [pod(f"a-{i}", "a", topology_slices="block:4,rack:3") for i in range(4)],
        "Pod default/a-0: muster.dev/topology-slices: slices of 3 do not divide slices of 4",
    ),
    "slices with the inner level first": (
        {"topology_slices": "rack:2,block:1"},
        "Pod default/a-0: muster.dev/topology-slices: block is not inside rack; outermost level first",
    ),
    "members with different resources": (
        [pod("a-0", "a"), pod("a-1", "a", gpus=4)],
        (
            f"Pod default/a-1: spec.containers[].resources: requests 4 {keys.NVIDIA_GPU}, but pod a-0 of the "
            f"same role main requests 8; {ONE_ROLE}"
        ),
    ),
    "members with different selectors": (
        [pod("a-0", "a"), pod("a-1", "a", spec={"nodeSelector": {"x": "y"}})],
        (
            "Pod default/a-1: spec: node selector, affinity, tolerations, spread or host ports differ from "
            f"pod a-0 of the same role main; {ONE_ROLE}"
        ),
    ),
    "members with different priorities": (
        [pod("a-0", "a"), pod("a-1", "a", priority=7)],
        "Pod default/a-1: spec.priority: 7, but 0 on pod a-0; members of a gang have one priority",
    ),
    "bad model-bytes": (
        {"model_bytes": "140 GB"},
        "Pod default/a-0: muster.dev/model-bytes: '140 GB' is not a quantity such as 500m, 16Gi or 8",
    ),
    "negative model-bytes": (
        {"model_bytes": "-1"},
        "Pod default/a-0: muster.dev/model-bytes: '-1' is negative",
    ),
    "annotation of 1 MB": (
        {"flavor_spec": "x" * 1_000_000},
        "Pod default/a-0: muster.dev/flavor-spec: 1000000 characters; at most 32768 are read",
    ),
    "number without quotes": (
        {"gang_size": 2},
        "Pod default/a-0: muster.dev/gang-size: 2 is not text; put it in quotes",
    ),
    "flavor-spec that is no YAML": (
        {"flavor_spec": "- name: [x"},
        "Pod default/a-0: muster.dev/flavor-spec: neither JSON nor YAML at line 2",
    ),
    "flavor-spec that is no list": (
        {"flavor_spec": "name: x"},
        "Pod default/a-0: muster.dev/flavor-spec: expected a list of flavors, each with a name",
    ),
    "flavor-spec with a wrong field": (
        {"flavor_spec": "- {name: x, nodeselector: {a: b}}"},
        (
            "Pod default/a-0: muster.dev/flavor-spec[0].nodeselector: unknown field; known: name, "
            "resources, nodeSelector, deviceClass, minMemory, cards, members, overlay, costPerHour, "
            "performance"
        ),
    ),
    "flavor-spec without a name": (
        {"flavor_spec": "- {deviceClass: x}"},
        "Pod default/a-0: muster.dev/flavor-spec[0].name: None is not a flavor name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_mistake_is_one_sentence_and_harms_nobody_else(case: str) -> None:
    """The gang is blocked as InvalidRequest with this message; its neighbour is read as without it."""
    wrong, message = WRONG[case]
    pods = members(2, **wrong) if isinstance(wrong, dict) else wrong
    neighbour = [pod(f"b-{i}", "b", gang_size="2", flavors="h100,a100") for i in range(2)]
    state = state_of([*FLEET, *neighbour, *pods])
    gang = state.gang("default/a")
    assert gang is not None and gang.blocked is not None
    assert gang.blocked.code == Code.INVALID_REQUEST
    assert gang.blocked.message == message
    assert {m.pod for p in gang.podsets for m in p.members} == {p["metadata"]["name"] for p in pods}
    assert state.gang("default/b") == state_of([*FLEET, *neighbour]).gang("default/b")


def test_a_mistake_that_is_corrected_is_forgotten() -> None:
    """When the pod with the mistake is replaced the gang is whole again."""
    state = state_of([*FLEET, *members(2, gang_size="nonsense")])
    for one in members(2):
        state.apply("Pod", "MODIFIED", one)
    gang = state.gang("default/a")
    assert gang is not None and gang.blocked is None


def test_a_gang_that_runs_whole_is_not_stopped_by_a_mistake() -> None:
    """Its flavor is not in the dump, or was deleted: it runs, so `muster plan` calls it placed."""
    state = state_of([*FLEET, *(pod(f"a-{i}", "a", node="n1", flavors="gone") for i in range(2))])
    gang = state.gang("default/a")
    assert gang is not None and gang.blocked is None
    assert [answer.placed for answer in solve(state.snapshot()).assignments] == [True]
