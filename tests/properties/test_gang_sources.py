"""Sources of gangs never raise, whatever other controllers write: a gang, or one sentence about it."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import foreign
from scheduler.gangs import GANGS
from scheduler.gangs.lws_pods import group
from scheduler.gangs.unfold import unfold
from scheduler.model import Code
from scheduler.state import ClusterState
from tests.objects import Object, node, pod
from tests.properties.damage import damaged
from tests.properties.test_parsers import JSON
from topology import keys
from topology.untyped import mapping, text

FLEET = [node(f"n{i}", "h100", {keys.BLOCK: "b", keys.RACK: f"r{i}"}) for i in (1, 2)]


def _group(kind: str, version: str, **spec: Any) -> Object:
    name, _, api = kind.partition(".")
    return {
        "apiVersion": f"{api}/{version}",
        "kind": name,
        "metadata": {"name": "g", "annotations": {"muster.dev/spread": "rack"}},
        "spec": spec,
    }


GROUPS: list[Object] = [
    _group(
        foreign.POD_GROUP,
        "v1beta1",
        schedulingPolicy={"gang": {"minCount": 2}},
        schedulingConstraints={"topology": [{"key": keys.RACK}]},
    ),
    _group(foreign.POD_GROUP_PLUGINS, "v1alpha1", minMember=2),
    _group(
        foreign.POD_GROUP_VOLCANO,
        "v1beta1",
        minMember=2,
        minTaskMember={"w": 1},
        networkTopology={"mode": "hard", "highestTierAllowed": 1},
        subGroupPolicy=[
            {
                "name": "p",
                "subGroupSize": 1,
                "labelSelector": {"matchLabels": {"app": "x"}},
                "matchLabelKeys": [keys.VOLCANO_PARTITION],
                "networkTopology": {"mode": "soft"},
            }
        ],
    ),
    _group(
        foreign.POD_GROUP_KAI,
        "v2alpha2",
        minMember=2,
        topologyConstraint={"requiredTopologyLevel": "block"},
        subGroups=[
            {"name": "outer", "topologyConstraint": {"preferredTopologyLevel": "rack"}},
            {"name": "w", "parent": "outer", "minMember": 1},
        ],
    ),
]

SET: Object = {
    "apiVersion": f"{keys.DISAGGREGATED_GROUP}/v1",
    "kind": "DisaggregatedSet",
    "metadata": {"name": "pd", "uid": "uid-pd", "annotations": {"muster.dev/flavors": "h100"}},
    "spec": {
        "slices": 1,
        "placementPolicy": {"type": "ExclusiveSlice", "topology": keys.RACK},
        "roles": [
            {
                "name": name,
                "metadata": {"annotations": {"muster.dev/role-min": "1"}},
                "spec": {
                    "replicas": replicas,
                    "startupPolicy": "LeaderReady",
                    "leaderWorkerTemplate": {
                        "size": size,
                        "workerTemplate": {"metadata": {}, "spec": {"containers": [{"name": "c"}]}},
                    },
                },
            }
            for name, replicas, size in (("prefill", 1, 2), ("decode", 2, 1))
        ],
    },
}
SETS = [dict(made) for made in unfold(SET)]
MEMBERS: list[Object] = [dict(made) for lws in SETS for made in group(lws, 0)]

_LABELS = {
    keys.SCHEDULER_PLUGINS_POD_GROUP: "g",
    keys.KAI_SUBGROUP: "w",
    keys.VOLCANO_PARTITION: "1",
    "app": "x",
}
PODS: list[Object] = [
    pod("k-0", labels=_LABELS, spec={"schedulingGroup": {"podGroupName": "g"}}),
    pod("s-0", labels=_LABELS),
    pod("e-0", labels={keys.LLMD_ROLE: "prefill", keys.KSERVE_SERVICE: "chat"}),
    *MEMBERS,
]
for annotation in (keys.VOLCANO_POD_GROUP, keys.KAI_POD_GROUP, keys.KUEUE_REQUIRED):
    made_ = pod(f"{len(PODS)}-0", labels=_LABELS if "kueue" not in annotation else {})
    made_["metadata"]["annotations"] = {
        annotation: "g" if "kueue" not in annotation else "rack",
        keys.VOLCANO_TASK: "w",
        keys.KUEUE_SLICES: '[{"topology": "rack", "size": 1}]',
        keys.KUEUE_PODSET_GROUP: "pair",
        keys.KUEUE_POD_GROUP_COUNT: "1",
    }
    PODS.append(made_)
OBJECTS = [*GROUPS, SET, *SETS, *PODS]

SAID = re.compile(r"(Pod|PodGroup|DisaggregatedSet|LeaderWorkerSet|OpenModel) [^:]*: \S")
"""Object and field."""


@st.composite
def worlds(draw: st.DrawFn) -> list[Object]:
    """The objects, two of them damaged in up to three places, some missing, in any order."""
    objects = draw(damaged(OBJECTS))
    gone = draw(st.lists(st.sampled_from(range(len(objects))), max_size=3))
    order = draw(st.permutations(range(len(objects))))
    return [objects[index] for index in order if index not in gone]


@settings(max_examples=200, deadline=None)
@given(objects=worlds(), running=st.sets(st.integers(0, len(PODS) - 1)))
def test_any_world_of_other_controllers_has_gangs(objects: list[Object], running: set[int]) -> None:
    """A snapshot, and for every wrong request the object and field that somebody wrote."""
    names = {PODS[index]["metadata"]["name"] for index in running}
    state = ClusterState()
    for obj in [*FLEET, *objects]:
        kind = foreign.kind_of(obj)
        name = text(mapping(obj.get("metadata")).get("name"))
        if kind == "Pod" and name in names and isinstance(obj.get("spec"), dict):
            obj["spec"]["nodeName"] = "n1"
        state.apply(kind if kind in foreign.KINDS else obj["kind"], "ADDED", obj)
    for gang in state.snapshot().gangs:
        if gang.blocked is not None and gang.blocked.code is Code.INVALID_REQUEST:
            assert SAID.match(gang.blocked.message), gang.blocked.message
    for source in GANGS:
        for one in state.pods.values():
            source.levels(one, state.objects)


@settings(max_examples=100, deadline=None)
@given(of=JSON.map(lambda value: {"kind": "DisaggregatedSet", "metadata": value, "spec": value}))
def test_anything_can_be_unfolded(of: Object) -> None:
    """LeaderWorkerSets with pods, whatever the DisaggregatedSet says."""
    for lws in unfold(of, [of]):
        for made in group(lws, 0):
            assert made["kind"] == "Pod"
