"""DisaggregatedSets of the real manager: whole slices, roles near each other, scaled without harm.

The release of LeaderWorkerSet that the proxy of Go modules serves (v0.9) knows no `slices`: a slice is
a set of its own there. With `$MUSTER_LWS` at v0.10 three slices are those of one set.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from scheduler.keys import ROLE_MIN
from tests.e2e.rig import GANGS, Object
from tests.e2e.workload_rig import WorkloadRig
from topology.keys import BLOCK, DISAGGREGATED_NAME, DISAGGREGATED_SLICE, LWS_NAME, RACK, ZONE

pytestmark = pytest.mark.e2e

PREFILL, DECODE = 4, 1
"""Cards of one pod. Two prefill and four decode pods, a slice, need 12."""

WELL = {"Planned", "Binding", "Bound"}

Place = tuple[str, str, str]
"""Zone, block and rack."""

FABRIC: Mapping[Place, Sequence[int]] = {
    ("a", "a", "a1"): (8, 4),
    ("a", "a", "a2"): (3, 3),
    ("a", "b", "b1"): (2, 4),
    ("a", "b", "b2"): (2, 4),
    ("b", "c", "c1"): (8, 4),
    ("b", "c", "c2"): (3, 3),
}
"""Free cards of the nodes of each rack; plain pods have the others of 8. There is room for one slice in each
of two racks, and for one more in block b as a whole; the remainders beside them are for nobody."""


def slices(work: WorkloadRig, *names: str, prefill: int = 2, decode: int = 4) -> None:
    """Apply sets of so many prefill and decode pods."""
    sizes = {"prefill": (prefill, PREFILL), "decode": (decode, DECODE)}
    work.apply(*(work.disaggregated_set(name, **sizes) for name in names))


def three_slices(work: WorkloadRig) -> tuple[str, ...]:
    """Three slices, by the names that `pods` knows them by: of one set where the manager has slices."""
    kind = "customresourcedefinitions/disaggregatedsets.disaggregatedset.x-k8s.io"
    crd = work.cluster.api.get(f"/apis/apiextensions.k8s.io/v1/{kind}")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    names = tuple(f"chat-{number}" for number in range(3))
    if "slices" not in schema["spec"]["properties"]:
        slices(work, *names)
        return names
    made = work.disaggregated_set("chat", prefill=(2, PREFILL), decode=(4, DECODE))
    made["spec"]["slices"] = 3
    work.apply(made)
    return names


def build(work: WorkloadRig, fabric: Mapping[Place, Sequence[int]]) -> dict[str, Place]:
    """Nodes of the fabric, each with its place."""
    where = {}
    for place, free in fabric.items():
        labels = dict(zip((ZONE, BLOCK, RACK), place, strict=True))
        for node, cards in zip(work.cards("h100", len(free), labels=labels), free, strict=True):
            where[node] = place
            if cards < 8:
                work.create([busy(work, node, 8 - cards)])
    return where


def busy(work: WorkloadRig, node: str, cards: int) -> Object:
    """A plain pod that somebody has put on a node."""
    return work.pod(f"busy-{node}", gpus=cards, nodeName=node)


def has_room(free: Sequence[int]) -> bool:
    """Whether a slice fits on nodes with so many free cards: two prefill pods, and decode pods wherever."""
    return sum(cards // PREFILL for cards in free) >= 2 and sum(free) >= 2 * PREFILL + 4 * DECODE


def pods(work: WorkloadRig, name: str) -> list[Object]:
    """The pods of a set, or of one slice of a set with several: `<set>-<slice>`."""
    found = []
    for pod in work.pods():
        labels = pod["metadata"].get("labels", {})
        own = labels.get(DISAGGREGATED_NAME, "")
        if name in (own, f"{own}-{labels.get(DISAGGREGATED_SLICE)}"):
            found.append(pod)
    return found


def places(work: WorkloadRig, name: str) -> dict[str, str]:
    """Pods of a set and their nodes, of those that are bound; `prefill-0` for short."""
    return {
        "-".join(pod["metadata"]["name"].rsplit("-", 2)[1:]): pod["spec"]["nodeName"]
        for pod in pods(work, name)
        if "nodeName" in pod["spec"]
    }


def wait_places(work: WorkloadRig, name: str, count: int) -> dict[str, str]:
    """Places of a set once so many of its pods are bound, and its gang says so."""

    def there() -> bool:
        return len(places(work, name)) == count

    try:
        work.cluster.api.wait_for(f"{count} pods of {name}", there)
    except TimeoutError as error:
        raise AssertionError(
            f"{error}: {places(work, name)}, {work.kubectl('get', 'gangs', '-o', 'wide')}\n"
            f"{work.muster.tail()}"
        ) from None
    work.wait_phase(gang(work, name), "Bound", reason="")
    return places(work, name)


def gang(work: WorkloadRig, name: str) -> str:
    """The gang of a set, which is called as its LeaderWorkerSets without the role."""

    def known() -> str | None:
        found = pods(work, name)
        return found[0]["metadata"]["labels"][LWS_NAME].rpartition("-")[0] if found else None

    return work.cluster.api.wait_for(f"pods of {name}", known)


def phases(work: WorkloadRig, name: str, since: str) -> list[str]:
    """Every phase that the gang of a set has had since a version of the Gang objects."""
    query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "1"}
    path = f"{GANGS}/{work.name}/gangs"
    events = map(json.loads, str(work.cluster.api.request("GET", path, query=query)).splitlines())
    changes = [event["object"] for event in events]
    own = gang(work, name)
    return [obj["status"]["phase"] for obj in changes if obj["metadata"]["name"] == own]


def version(work: WorkloadRig) -> str:
    """The version of the Gang objects now."""
    listed = work.cluster.api.get(f"{GANGS}/{work.name}/gangs")
    return str(listed["metadata"]["resourceVersion"])


def sets_of(work: WorkloadRig, name: str) -> set[str]:
    """LeaderWorkerSets of a set: one for each role and revision."""
    return {pod["metadata"]["labels"][LWS_NAME] for pod in pods(work, name)}


def test_three_slices_on_a_fabric_of_three_tiers(work: WorkloadRig) -> None:
    """Each slice is whole, and its roles stand as near each other as this fabric allows: in one rack where a
    rack has room, else in one block. Without room the third waits whole, says why, and follows."""
    where = build(work, FABRIC)
    alone = {place for place, free in FABRIC.items() if has_room(free)}
    others = [
        {place for place in FABRIC.keys() - alone if place[:2] == block}
        for block in sorted({place[:2] for place in FABRIC})
    ]
    [block] = [racks for racks in others if has_room([n for rack in racks for n in FABRIC[rack]])]
    late = [node for node, place in where.items() if place in block]
    for node in late:
        work.cordon(node)

    bound = set(three_slices(work))
    api = work.cluster.api
    api.wait_for("two slices", lambda: sum(len(places(work, s)) == 6 for s in bound) == 2)
    [third] = [name for name in bound if not places(work, name)]
    status = work.wait_phase(gang(work, third), "Waiting", reason="Insufficient")
    assert "6 of 6 members present" in status["message"] and not status.get("members")
    racks = {
        name: {where[node] for node in wait_places(work, name, 6).values()}
        for name in bound - {third}
    }
    assert sorted(map(len, racks.values())) == [1, 1]
    assert set.union(*racks.values()) == alone

    for node in late:  # only the last of them has the room for the second prefill pod
        work.cordon(node, on=False)
    found = wait_places(work, third, 6)
    assert {where[node] for node in found.values()} <= block
    assert {name for name in bound if len(places(work, name)) == 6} == bound


def test_decode_scaled_alone(work: WorkloadRig) -> None:
    """4 -> 6: two more start beside those that run, which serve on. 6 -> 10 with room for two: all four wait,
    and start together when there is room for them. Never is the slice called broken."""
    where = build(work, {("a", "a", "a1"): (8, 6), ("a", "a", "a2"): (2,), ("a", "b", "b1"): (8,)})
    work.cordon(rest := next(node for node, place in where.items() if place[2] == "b1"))
    slices(work, "chat")
    first = wait_places(work, "chat", 6)
    since, names = version(work), sets_of(work, "chat")

    slices(work, "chat", decode=6)
    second = wait_places(work, "chat", 8)
    assert first.items() <= second.items()
    assert {where[node][2] for node in second.values()} == {"a1"}, "near those that run"

    slices(work, "chat", decode=10)
    status = work.wait_phase(gang(work, "chat"), "Bound", reason="Insufficient")
    assert status["message"].startswith("8 of 12 members run; waits: ")
    assert "2 of 4 members of role decode fit" in status["message"]
    assert (status["ready"], places(work, "chat")) == ("8/12", second)

    work.cordon(rest, on=False)
    third = wait_places(work, "chat", 12)
    assert second.items() <= third.items()
    assert {"Planned", "Bound"} <= set(phases(work, "chat", since)) <= WELL
    assert sets_of(work, "chat") == names, "the manager scales in place"


def test_both_roles_scaled_keep_their_ratio(work: WorkloadRig) -> None:
    """2 : 4 -> 4 : 8 with room for one prefill and two decode pods, or for four decode pods: nothing starts
    before all can; then both roles are doubled. Back to 2 : 4, what is left serves on."""
    where = build(work, {("a", "a", "a1"): (8, 6), ("a", "a", "a2"): (4,), ("a", "a", "a3"): (8,)})
    work.cordon(rest := next(node for node, place in where.items() if place[2] == "a3"))
    slices(work, "chat")
    first = wait_places(work, "chat", 6)
    since = version(work)

    slices(work, "chat", prefill=4, decode=8)
    status = work.wait_phase(gang(work, "chat"), "Bound", reason="Insufficient")
    assert "12 of 12 members present" in status["message"]
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert places(work, "chat") == first
        time.sleep(0.1)
    assert work.status(gang(work, "chat"))["phase"] == "Bound"

    work.cordon(rest, on=False)
    second = wait_places(work, "chat", 12)
    assert first.items() <= second.items()
    slices(work, "chat")
    assert wait_places(work, "chat", 6) == first
    assert {"Planned", "Bound"} <= set(phases(work, "chat", since)) <= WELL


def test_an_elastic_slice_grows_in_its_ratio(work: WorkloadRig) -> None:
    """2 : 4 wanted and 1 : 1 enough, on 8 cards: one prefill and two decode pods start, though two more
    decode pods would fit. The others wait for the next step, and start with room for all of it."""
    where = build(work, {("a", "a", "a1"): (8,), ("a", "a", "a2"): (5,)})
    work.cordon(rest := next(node for node, place in where.items() if place[2] == "a2"))
    made = work.disaggregated_set("chat", prefill=(2, PREFILL), decode=(4, DECODE))
    for role in made["spec"]["roles"]:
        pod = role["spec"]["leaderWorkerTemplate"]["workerTemplate"]
        pod["metadata"]["annotations"][ROLE_MIN] = "1"
    work.apply(made)
    work.cluster.api.wait_for("the first step", lambda: len(places(work, "chat")) == 3, timeout=30)
    status = work.wait_phase(gang(work, "chat"), "Bound", reason="")
    assert "3 of 6 members run (the next step is 4 decode and 2 prefill)" in status["message"]
    assert len(status["members"]) == 3
    first = places(work, "chat")
    assert Counter(name.partition("-")[0] for name in first) == {"prefill": 1, "decode": 2}

    work.cordon(rest, on=False)
    assert first.items() <= wait_places(work, "chat", 6).items()
