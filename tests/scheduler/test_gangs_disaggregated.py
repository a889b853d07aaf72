"""Slices of a DisaggregatedSet: prefill and decode are one gang, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from extender.tools.inputs import understand
from scheduler.gangs.unfold import unfold
from scheduler.model import Code
from tests.objects import Object, state_of
from tests.workloads.disaggregated import (
    DECODE,
    FLEET,
    PREFILL,
    Made,
    blocked,
    role,
    roles,
    whole_set,
)
from topology import keys

FIXTURES = Path(__file__).parents[1] / "fixtures/workloads"
RECORDED = FIXTURES / "disaggregated-set.json"
WITH_SLICES = FIXTURES / "disaggregated-slices.json"
"""One set of three slices, by the real manager of LWS v0.10."""


# -- what is a gang ----------------------------------------------------------------------------------


def test_slices_that_the_real_manager_made() -> None:
    """Three sets as LWS v0.9 makes them (a set is a slice there): 2 prefill and 4 decode each, whole."""
    recorded = json.loads(RECORDED.read_text())["items"]
    state = state_of([*FLEET, *recorded])
    gangs = {gang.name: gang for gang in state.gangs()}
    assert len(gangs) == 3
    for index, (name, gang) in enumerate(sorted(gangs.items())):
        assert name.startswith(f"chat-{index}-")
        assert (gang.source, gang.blocked) == ("disaggregatedset", None)
        assert roles(gang) == {"decode": (4, 4, 4), "prefill": (2, 2, 2)}
        assert gang.min_members == 6
        assert gang.workload == f"DisaggregatedSet/chat-{index}"
        leaders = {member.uid for podset in gang.podsets for member in podset.members}
        assert set(gang.roots) == leaders
        assert gang.incarnation in leaders


def test_slices_of_one_set_that_the_real_manager_made() -> None:
    """Three slices as LWS v0.10 makes them are three gangs of one workload, each whole by itself."""
    recorded = json.loads(WITH_SLICES.read_text())["items"]
    gangs = {gang.name: gang for gang in state_of([*FLEET, *recorded]).gangs()}
    assert [name.rpartition("-")[0] for name in sorted(gangs)] == ["chat-0", "chat-1", "chat-2"]
    for gang in gangs.values():
        assert roles(gang) == {"decode": (4, 4, 4), "prefill": (2, 2, 2)}
        assert (gang.workload, gang.blocked) == ("DisaggregatedSet/chat", None)


def test_the_emulation_makes_the_slices_of_the_real_manager() -> None:
    """LeaderWorkerSets of a set with slices: the same but for the revision, a hash of the manager's own."""
    recorded = json.loads(WITH_SLICES.read_text())["items"]
    [whole] = [item for item in recorded if item["kind"] == "DisaggregatedSet"]
    sets = [item for item in recorded if item["kind"] == "LeaderWorkerSet"]

    def said(lws: Object | Mapping[str, Any]) -> Any:
        labels = dict(lws["metadata"]["labels"])
        revision = labels.pop(keys.DISAGGREGATED_REVISION)
        template = lws["spec"]["leaderWorkerTemplate"]["workerTemplate"]
        inner = {k: v for k, v in template["metadata"]["labels"].items() if v != revision}
        return lws["metadata"]["name"].replace(revision, ""), labels, inner, lws["spec"]["replicas"]

    made = sorted(map(said, unfold(whole)), key=str)
    assert made == sorted(map(said, sets), key=str)
    assert len(made) == 6


def test_the_emulation_makes_what_the_real_manager_made() -> None:
    """LeaderWorkerSets of the recorded sets: roles, sizes, labels on them and on their pod templates.

    The recorded release has no slices, and the hash of a revision is the manager's own.
    """
    ours = {keys.DISAGGREGATED_SLICE, keys.DISAGGREGATED_REVISION, "app"}

    def said(lws: Object | Mapping[str, Any]) -> Any:
        template = lws["spec"]["leaderWorkerTemplate"]
        inner = template["workerTemplate"]
        labels = [lws["metadata"]["labels"], inner["metadata"]["labels"]]
        return (
            lws["spec"]["replicas"],
            template["size"],
            [{k: v for k, v in some.items() if k not in ours} for some in labels],
            [str(c["resources"]["limits"][keys.NVIDIA_GPU]) for c in inner["spec"]["containers"]],
        )

    recorded = json.loads(RECORDED.read_text())["items"]
    real = [said(item) for item in recorded if item["kind"] == "LeaderWorkerSet"]
    sets = [item for item in recorded if item["kind"] == "DisaggregatedSet"]
    made = [said(lws) for item in sets for lws in unfold(item)]
    assert len(made) == len(real) == 6
    for one in made:
        assert one in real


def test_what_exists_is_not_made_again() -> None:
    """Of a set with three slices one exists, and half of another: the rest, in the revision that is there."""
    of = whole_set(PREFILL, DECODE, slices=3)
    made = unfold(of)
    assert len(made) == 6
    known = [lws for lws in made if lws["metadata"]["name"].startswith(("pd-0-", "pd-1-"))][:3]
    for lws in known:
        lws["metadata"]["labels"][keys.DISAGGREGATED_REVISION] = "abcdef12"
    rest = [lws["metadata"]["name"] for lws in unfold(of, known)]
    assert rest == ["pd-1-abcdef12-decode", "pd-2-abcdef12-prefill", "pd-2-abcdef12-decode"]
    assert unfold({**of, "metadata": {"name": "other"}}, known)[0]["metadata"]["name"] != rest[0]


def test_a_set_that_is_not_applied_yet_has_its_pods() -> None:
    """``muster plan -f``: three slices of six, all of which are still to be created."""
    gangs = understand([*FLEET, whole_set(PREFILL, DECODE, slices=3)]).snapshot.gangs
    assert [(gang.source, gang.size, gang.blocked) for gang in gangs] == [
        ("disaggregatedset", 6, None)
    ] * 3


def test_a_slice_that_was_added_is_planned_beside_those_that_run() -> None:
    """A dump of two slices, and the set as it is going to be: three."""
    made = Made(whole_set(PREFILL, DECODE, slices=2))
    made.run()
    made.of = whole_set(PREFILL, DECODE, slices=3)
    dump = [*FLEET, made.of, *made.sets.values(), *made.pods.values()]
    gangs = {gang.name[:4]: gang for gang in understand(dump).snapshot.gangs}
    running = {name: sum(len(p.running) for p in gang.podsets) for name, gang in gangs.items()}
    assert running == {"pd-0": 6, "pd-1": 6, "pd-2": 0}


def test_every_slice_is_a_gang() -> None:
    """Identity: set, slice and revision; a label of the slice that is absent means the first."""
    made = Made(whole_set(PREFILL, DECODE, slices=3))
    names = [gang.name.rpartition("-")[0] for gang in made.state().gangs()]
    assert names == ["pd-0", "pd-1", "pd-2"]
    for part in range(3):
        assert roles(made.gang(part)) == {"decode": (4, 4, 4), "prefill": (2, 2, 2)}


def test_replicas_of_several_pods() -> None:
    """Leaders and workers of a role are PodSets that begin with the role's name."""
    made = Made(whole_set(role("prefill", 2, size=2), role("decode", 1, size=4)))
    gang = made.gang()
    assert gang.blocked is None
    assert roles(gang) == {
        "decode-leader": (1, 1, 1),
        "decode-worker": (3, 3, 3),
        "prefill-leader": (2, 2, 2),
        "prefill-worker": (2, 2, 2),
    }


def test_an_explicit_gang_is_first() -> None:
    """Our own annotation in a pod template takes the pod out of its slice."""
    template = {"muster.dev/gang": "mine"}
    made = Made(whole_set(role("prefill", 1, annotations=template), DECODE))
    found = {g.name.partition("-")[0]: g.source for g in made.state().gangs()}
    assert found == {"mine": "annotations", "pd": "disaggregatedset"}


# -- members that do not exist yet -------------------------------------------------------------------


def test_a_role_without_pods_is_waited_for() -> None:
    """The controller makes the roles one after the other; half a slice does not start."""
    made = Made(whole_set(PREFILL, DECODE))
    made.drop("decode")
    for known in (True, False):
        if not known:
            del made.sets[made.lws("decode")]
        gang = made.gang()
        assert roles(gang) == {"decode": (4, 4, 0), "prefill": (2, 2, 2)}
        assert "2 of 6 members exist; not created yet: 4 of role decode" in blocked(gang)


def test_replicas_that_are_not_there_yet_are_waited_for() -> None:
    """One decode pod, and one worker of a prefill replica, are still to come."""
    made = Made(whole_set(role("prefill", 2, size=2), DECODE))
    made.drop("decode-3", "prefill-1-1")
    gang = made.gang()
    assert roles(gang)["decode"] == (4, 4, 3)
    assert roles(gang)["prefill-worker"] == (2, 2, 1)
    assert "not created yet: 1 of role decode, 1 of role prefill-worker" in blocked(gang)


def test_a_rollout_goes_step_by_step() -> None:
    """The new revision counts what its LeaderWorkerSets want now; one role alone does not start."""
    made = Made(whole_set(PREFILL, DECODE))
    prefill, decode = made.lws("prefill"), made.lws("decode")
    made.drop("pd-")
    made.scale(prefill, 1)
    made.scale(decode, 0)
    made.grow(prefill, 1)
    assert "1 of 2 members exist; not created yet: 1 of role decode" in blocked(made.gang())
    made.scale(decode, 1)
    made.grow(decode, 1)
    gang = made.gang()
    assert (gang.blocked, roles(gang)) == (None, {"decode": (1, 1, 1), "prefill": (1, 1, 1)})


def test_an_autoscaled_role_may_want_none() -> None:
    """Its number is the autoscaler's: zero is meant, and before it has a LeaderWorkerSet it is one."""
    external = role("decode", 9, scaling={"mode": "External"})
    made = Made(whole_set(PREFILL, external))
    assert roles(made.gang()) == {"decode": (1, 1, 1), "prefill": (2, 2, 2)}
    made.drop("decode")
    decode = made.lws("decode")
    made.scale(decode, 0)
    assert roles(made.gang()) == {"prefill": (2, 2, 2)}
    del made.sets[decode]
    assert "1 of role decode" in blocked(made.gang())


def test_a_role_that_the_set_lost_is_not_waited_for() -> None:
    """The old revision runs on without a role that only the new one has."""
    made = Made(whole_set(PREFILL, DECODE))
    made.run()
    made.of = whole_set(PREFILL, DECODE, role("router", 1))
    gang = made.gang()
    assert (gang.blocked, roles(gang)) == (None, {"decode": (4, 4, 4), "prefill": (2, 2, 2)})


def test_late_workers_are_planned_with_their_leaders() -> None:
    """LeaderReady: workers come only when their leader is ready, so they are expected and late."""
    late: dict[str, Any] = {"startupPolicy": "LeaderReady"}
    made = Made(whole_set(role("prefill", 2, size=3, **late), DECODE))
    made.drop("prefill-0-", "prefill-1-")
    gang = made.gang()
    assert gang.blocked is None
    assert roles(gang)["prefill-worker"] == (4, 4, 0)
    (workers,) = [p for p in gang.podsets if p.role == "prefill-worker"]
    assert all(member.late and not member.uid for member in workers.members)
    names = [member.pod.rpartition("prefill-")[2] for member in workers.members]
    assert names == ["0-1", "0-2", "1-1", "1-2"]


def test_pods_without_any_owner_known() -> None:
    """Offline, or before the watch has the sets: the gang is what exists."""
    made = Made(whole_set(PREFILL, DECODE))
    gang = state_of([*FLEET, *made.pods.values()]).gangs()[0]
    assert (gang.blocked, roles(gang)) == (None, {"decode": (4, 4, 4), "prefill": (2, 2, 2)})


# -- lives -------------------------------------------------------------------------------------------


def test_roots_are_what_rebuilds_the_slice() -> None:
    """A leader of each replica; where a replica is not rebuilt whole, all of its pods."""
    made = Made(
        whole_set(role("prefill", 1, size=2), role("decode", 1, size=2, restartPolicy="None"))
    )
    prefill, decode = made.lws("prefill"), made.lws("decode")
    assert set(made.gang().roots) == {
        f"uid-{prefill}-0",
        f"uid-{decode}-0",
        f"uid-{decode}-0-1",
    }


def test_pods_of_the_last_life_are_no_members() -> None:
    """A worker that hangs on while its leader is gone for good: nobody of this life exists yet."""
    made = Made(whole_set(role("prefill", 1, size=2), role("decode", 1, size=2)))
    leader = f"{made.lws('prefill')}-0"
    made.drop("decode")
    del made.pods[leader]
    worker = made.pods[f"{leader}-1"]
    # The StatefulSet of workers is the leader's, and goes with it; while that takes, the leader owns it.
    owner = {"apiVersion": "v1", "kind": "Pod", "name": leader, "uid": "old", "controller": True}
    metadata = {**worker["metadata"], "ownerReferences": [owner]}
    made.pods[f"{leader}-1"] = {**worker, "metadata": metadata}
    gang = made.gang()
    assert gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING
    assert [podset.members for podset in gang.podsets] == [()]


# -- scaling -----------------------------------------------------------------------------------------


def test_decode_scaled_alone() -> None:
    """4 -> 6: the added members are wanted together, and those that run stay as they are."""
    made = Made(whole_set(PREFILL, DECODE))
    made.run()
    decode = made.lws("decode")
    made.scale(decode, 6)
    assert "6 of 8 members exist; not created yet: 2 of role decode" in blocked(made.gang())
    made.grow(decode, 6)
    gang = made.gang()
    assert (gang.blocked, gang.min_members) == (None, 8)
    assert roles(gang) == {"decode": (6, 6, 6), "prefill": (2, 2, 2)}
    assert sum(len(podset.running) for podset in gang.podsets) == 6


@pytest.mark.parametrize("first", ["prefill", "decode"])
def test_roles_that_are_scaled_together_start_together(first: str) -> None:
    """The controller scales one LeaderWorkerSet after the other. The pods of the first are not placed before
    those of the second exist: else the ratio would be lost when there is room for the first alone."""
    made = Made(whole_set(PREFILL, DECODE))
    made.run()
    made.of = whole_set(role("prefill", 4, gpus=4), role("decode", 8))
    sizes = {"prefill": 4, "decode": 8}
    made.scale(made.lws(first), sizes[first])
    made.grow(made.lws(first), sizes[first])
    [other] = sizes.keys() - {first}
    assert f"not created yet: {sizes[other] // 2} of role {other}" in blocked(made.gang())
    made.scale(made.lws(other), sizes[other])
    made.grow(made.lws(other), sizes[other])
    gang = made.gang()
    assert (gang.blocked, gang.min_members) == (None, 12)


def test_scaled_in_the_middle_of_a_rollout() -> None:
    """While there is another revision the controller goes step by step, and each step is what is wanted."""
    made = Made(whole_set(PREFILL, DECODE))
    made.run()
    old = made.lws("prefill")
    made.of = whole_set(role("prefill", 4, gpus=4), role("decode", 8))
    metadata = made.sets[old]["metadata"]
    labels = {**metadata["labels"], keys.DISAGGREGATED_REVISION: "other"}
    other = {**made.sets[old], "metadata": {**metadata, "name": "pd-0-other", "labels": labels}}
    made.sets["pd-0-other"] = other
    assert roles(made.gang()) == {"decode": (4, 4, 4), "prefill": (2, 2, 2)}
    made.scale("pd-0-other", 0)
    assert made.gang().blocked is None
    del made.sets["pd-0-other"]
    assert "not created yet: 4 of role decode, 2 of role prefill" in blocked(made.gang())


def test_members_above_what_is_wanted_are_no_error() -> None:
    """4 -> 2: until the controller has deleted them, the gang has the pods that exist."""
    made = Made(whole_set(PREFILL, DECODE))
    made.run()
    made.scale(made.lws("decode"), 2)
    gang = made.gang()
    assert (gang.blocked, roles(gang)["decode"]) == (None, (4, 4, 4))
