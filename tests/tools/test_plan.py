"""``muster plan`` as a user runs it: files in, a table or JSON out, an exit code.

block b1
  rack r1   h1 (8 H100), h2 (8 H100, 4 of them busy)
  rack r2   a1 (8 A100), a2 (8 A100)
  rack r3   a3 (8 A100)
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import muster
from extender.tools.inputs import load
from scheduler import snapshot_json
from scheduler.policy import Policy

CASES = Path(__file__).parent / "cases"
CLUSTER = tuple(str(CASES / name) for name in ("fleet.yaml", "flavors.yaml", "busy.yaml"))
GANG = str(CASES / "gang.yaml")


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``muster plan``."""
    try:
        code = muster.main(["plan", *arguments])
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def _files(*paths: object) -> list[str]:
    return [part for path in paths for part in ("-f", str(path))]


def _plan(capsys: pytest.CaptureFixture[str], *paths: object) -> tuple[int, dict[str, Any]]:
    code, out, _ = _run(capsys, *_files(*paths), "-o", "json")
    return code, json.loads(out)


def _write(tmp_path: Path, *objects: dict[str, Any]) -> Path:
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return file


def _pod(name: str, *, gpus: str = "8", **annotations: str) -> dict[str, Any]:
    """A pending member; ``gang_size="2"`` becomes the annotation ``muster.dev/gang-size: "2"``."""
    limits = {"nvidia.com/gpu": gpus}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "annotations": {
                f"muster.dev/{key.replace('_', '-')}": value for key, value in annotations.items()
            },
        },
        "spec": {"containers": [{"name": "main", "resources": {"limits": limits}}]},
    }


def test_the_json_of_a_gang_that_falls_back(capsys: pytest.CaptureFixture[str]) -> None:
    """H100 has one whole node free, so the second flavor is chosen and the first one explained."""
    code, document = _plan(capsys, *CLUSTER, GANG)
    assert code == 0
    [gang] = document["gangs"]
    [passed] = gang.pop("passedOver")
    assert (passed["flavor"], passed["reason"]) == ("h100", "Insufficient")
    assert passed["message"].startswith("1 of 2 members fit")
    assert gang == {
        "namespace": "default",
        "name": "chat",
        "status": "placed",
        "flavor": "a100",
        "flavorRank": 1,
        "members": [
            {"pod": "chat-0", "role": "main", "rank": 0, "node": "a1"},
            {"pod": "chat-1", "role": "main", "rank": 1, "node": "a2"},
        ],
        "domains": {"block": ["b1"], "rack": ["b1/r2"]},
        "loadSeconds": None,
        "reason": None,
        # 268 MB from one host to the other through one 400G rail
        "network": {"crossings": {"block": 0, "rack": 0, "host": 1}, "milliseconds": 6},
    }
    assert document["solver"]["status"] == "optimal"
    assert document["solver"]["objective"] == document["solver"]["bound"]
    assert document["snapshot"] == {"nodes": 5, "pods": 3}


def test_yaml_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """``-o yaml`` is the JSON document in YAML."""
    _, document = _plan(capsys, *CLUSTER, GANG)
    _, out, _ = _run(capsys, *_files(*CLUSTER, GANG), "-o", "yaml")
    written = yaml.safe_load(out)
    for each in (document, written):
        each["solver"].pop("seconds")
    assert written == document


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per gang: members, flavor with its place in the wish list, nodes, closest domain."""
    code, out, err = _run(capsys, *_files(*CLUSTER, GANG))
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == [
        "GANG          MEMBERS  FLAVOR (CHOICE)  NODES   DOMAINS",
        "default/chat  2/2      a100 (2 of 2)    a1, a2  rack r2",
        "",
    ]
    assert "1 of 1 gangs placed on 5 nodes with 3 pods; solver: optimal in" in out


def test_a_gang_that_waits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 1, and a reason with numbers, in JSON and in the table."""
    pods = [_pod(f"big-{i}", gang="big", gang_size="4", flavors="a100") for i in range(4)]
    file = _write(tmp_path, *pods)
    code, document = _plan(capsys, *CLUSTER, file)
    [gang] = document["gangs"]
    assert (code, gang["status"], gang["members"]) == (1, "waiting", [])
    assert gang["reason"]["code"] == "Insufficient"
    assert gang["reason"]["numbers"]["membersNeeded"] == 4
    code, out, _ = _run(capsys, *_files(*CLUSTER, file))
    assert code == 1
    assert "default/big  0/4      waits: Insufficient" in out
    assert gang["reason"]["message"] in out
    [advice] = gang["scaleOut"]
    assert (advice["flavor"], advice["nodes"], advice["like"]) == ("a100", 1, "a1")
    assert f"\n    scale-out: a100: {advice['message']}\n" in out


def test_a_flavor_of_other_resources_needs_the_webhook(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With its configuration in the input, new pods are planned as it would write them."""
    pods = [_pod(f"g-{i}", gang="g", flavors="quarter", gpus="1") for i in range(2)]
    spec = {"resources": {"nvidia.com/gpu": 2}, "deviceClass": "nvidia-a100-80gb"}
    quarter = {
        "apiVersion": "muster.dev/v1alpha1",
        "kind": "Flavor",
        "metadata": {"name": "quarter"},
        "spec": spec,
    }
    file = _write(tmp_path, *pods, quarter)
    code, found = _plan(capsys, *CLUSTER, file)
    assert (code, found["gangs"][0]["passedOver"][0]["reason"]) == (1, "ResourcesDiffer")
    (tmp_path / "with").mkdir()
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "muster-flavors"},
    }
    file = _write(tmp_path / "with", *pods, quarter, webhook)
    code, found = _plan(capsys, *CLUSTER, file)
    assert (code, found["gangs"][0]["flavor"]) == (0, "quarter")
    assert [member["pod"] for member in found["gangs"][0]["members"]] == ["g-0", "g-1"]


def test_a_group_of_two_can_be_planned_as_one_of_four(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A LeaderWorkerSet that is only written down: Muster would change its size to four half nodes."""
    flavors = [
        {"name": "two", "deviceClass": "nvidia-h100-80gb", "cards": 8, "members": 2},
        {"name": "four", "deviceClass": "nvidia-a100-80gb", "cards": 4, "members": 4},
    ]
    worker = _pod("w", flavor_spec=json.dumps(flavors))
    del worker["spec"]["containers"][0]["resources"]
    lws: dict[str, Any] = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "vllm"},
        "spec": {"replicas": 1, "leaderWorkerTemplate": {"size": 2, "workerTemplate": worker}},
    }
    code, found = _plan(capsys, *CLUSTER, _write(tmp_path, lws))
    [gang] = found["gangs"]
    assert (code, gang["flavor"], len(gang["members"])) == (0, "four", 4)
    lws["spec"]["replicas"] = 2  # the other group would restart
    code, found = _plan(capsys, *CLUSTER, _write(tmp_path, lws))
    assert code == 1
    assert {p["reason"] for gang in found["gangs"] for p in gang["passedOver"]} == {
        "Insufficient",
        "CannotRewrite",
    }


def test_running_members_and_pods_use_capacity(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of four running members and two places, only pending members are in the plan."""
    running = _pod("g-0", gang="g", gang_size="2", flavors="a100")
    running["spec"]["nodeName"] = "a3"
    pending = _pod("g-1", gang="g", gang_size="2", flavors="a100")
    code, document = _plan(capsys, *CLUSTER, _write(tmp_path, running, pending))
    [gang] = document["gangs"]
    assert code == 0
    assert [(member["pod"], member["node"]) for member in gang["members"]] == [("g-1", "a1")]


def test_a_manifest_and_its_pod_in_a_dump_are_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A dump beside the manifest that was applied: the pod counts once, as it is in the cluster."""
    manifest = _pod("g-0", gang="g", gang_size="1", flavors="a100")
    real = copy.deepcopy(manifest)
    real["metadata"]["uid"] = "u1"
    real["spec"]["nodeName"] = "a3"
    for order in ((manifest, real), (real, manifest)):
        _, document = _plan(capsys, *CLUSTER, _write(tmp_path, *order))
        [gang] = document["gangs"]
        assert (gang["status"], gang["members"]) == ("placed", [])


def test_plain_pods_and_unknown_kinds_are_not_planned(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Pods without our annotations and kinds that mean nothing here make no gang; -v counts them."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    file = _write(tmp_path, _pod("plain"), service, service)
    code, out, err = _run(capsys, *_files(*CLUSTER, file), "-o", "json", "-v")
    assert (code, json.loads(out)["gangs"]) == (0, [])
    assert "ignored 2 Service" in err


def test_a_planned_gang_of_the_dump_keeps_its_places(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A Gang object in phase Planned is a reservation: its gang keeps a1, another one gets a2."""
    request = {"nvidia.com/gpu": "8", "pods": "1"}
    slot = {"pod": "old-0", "uid": "u-old", "role": "main", "rank": 0, "node": "a1"}
    record = {
        "apiVersion": "muster.dev/v1alpha1",
        "kind": "Gang",
        "metadata": {"name": "old", "namespace": "default"},
        "spec": {"gang": "old"},
        "status": {"phase": "Planned", "flavor": "a100", "members": [{**slot, "request": request}]},
    }
    old, new = (_pod(f"{n}-0", gang=n, gang_size="1", flavors="a100") for n in ("old", "new"))
    old["metadata"]["uid"] = "u-old"
    code, document = _plan(capsys, *CLUSTER, _write(tmp_path, record, old, new))
    places = {gang["name"]: gang["members"][0]["node"] for gang in document["gangs"]}
    assert (code, places["old"]) == (0, "a1")
    assert places["new"] != "a1"


def test_a_stored_snapshot_gives_the_same_plan(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What ``/debug/snapshot`` stores is planned as it is, and by itself only."""
    _, document = _plan(capsys, *CLUSTER, GANG)
    file = tmp_path / "snapshot.json"
    snapshot = load([*CLUSTER, GANG]).snapshot
    file.write_text(json.dumps(snapshot_json.dump(snapshot, Policy())))
    code, replayed = _plan(capsys, file)
    for each in (document, replayed):
        each["solver"].pop("seconds")
    assert (code, replayed) == (0, document)
    code, out, err = _run(capsys, *_files(file, GANG))
    assert (code, out) == (2, "")
    assert "a Snapshot is planned by itself" in err


def test_two_processes_give_equal_bytes() -> None:
    """Apart from ``seconds``: hash seeds and process state have no influence."""
    outputs = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "muster", "plan", *_files(*CLUSTER, GANG), "-o", "json"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        out = subprocess.run(command, env=environment, check=True, capture_output=True).stdout
        outputs.add(b"\n".join(line for line in out.splitlines() if b'"seconds"' not in line))
    assert len(outputs) == 1


SYNTAX = "apiVersion: v1\nkind: [Pod\n"
UNREADABLE = [
    (["-f", "nowhere.yaml"], "muster: nowhere.yaml: cannot be read: No such file or directory\n"),
    ([], "the following arguments are required: -f/--filename"),
    (["-f", GANG, "-o", "svg"], "invalid choice: 'svg'"),
    (["-f", GANG, "--budget", "soon"], "'soon' is not a whole number of seconds above 0"),
    (["-f", GANG, "--budget", "0"], "'0' is not a whole number of seconds above 0"),
    (["-f", GANG, "--policy", "nowhere.yaml"], "muster: nowhere.yaml: cannot be read"),
]


@pytest.mark.parametrize(("arguments", "message"), UNREADABLE)
def test_what_cannot_be_read_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Files and options that make no sense: one line on standard error, nothing on output."""
    code, out, err = _run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_syntax_error_names_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """File, document and line."""
    file = tmp_path / "bad.yaml"
    file.write_text(f"apiVersion: v1\nkind: Pod\nmetadata: {{}}\n---\n{SYNTAX}")
    code, out, err = _run(capsys, "-f", str(file))
    assert (code, out) == (2, "")
    assert err.startswith(f"muster: {file}: document 2, line 7: ")


def test_policy_file_and_budget(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Settings as in the file of ``muster serve``; an unknown one is named with its file."""
    file = tmp_path / "config.yaml"
    for text in ("policy: {budget_seconds: 5}", "budget_seconds: 5"):
        file.write_text(text)
        assert _run(capsys, *_files(*CLUSTER, GANG), "--policy", str(file), "--budget", "3")[0] == 0
    file.write_text("policy: {budgte_seconds: 5}")
    code, out, err = _run(capsys, *_files(*CLUSTER, GANG), "--policy", str(file))
    assert (code, out) == (2, "")
    assert f"{file}: document 1, line 1: unknown setting policy.budgte_seconds" in err


def _gang_of_two(**changes: str) -> list[dict[str, Any]]:
    asked = {"gang": "bad", "gang_size": "2", **changes}
    return [_pod(f"bad-{i}", **asked) for i in range(2)]


def _sizes_differ() -> list[dict[str, Any]]:
    first, second = _gang_of_two()
    second["metadata"]["annotations"]["muster.dev/gang-size"] = "3"
    return [first, second]


def _resources_differ() -> list[dict[str, Any]]:
    first, second = _gang_of_two()
    second["spec"]["containers"][0]["resources"]["limits"] = {"nvidia.com/gpu": "4"}
    return [first, second]


BAD_REQUESTS = {
    "unknown flavor": (_gang_of_two(flavors="h200"), ("flavors", "h200")),
    "size smaller than members": (_gang_of_two(gang_size="1"), ("gang-size", "2")),
    "conflicting sizes": (_sizes_differ(), ("gang-size", "3")),
    "size zero": (_gang_of_two(gang_size="0"), ("gang-size", "0")),
    "size negative": (_gang_of_two(gang_size="-2"), ("gang-size", "-2")),
    "size not a number": (_gang_of_two(gang_size="two"), ("gang-size", "two")),
    "unknown level": (
        _gang_of_two(gang_topology_required="shelf"),
        ("gang-topology-required", "shelf"),
    ),
    "malformed flavor-spec": (_gang_of_two(flavor_spec="{]"), ("flavor-spec",)),
    "different resources, no role": (_resources_differ(), ("bad-1", "nvidia.com/gpu")),
    "a huge annotation": (_gang_of_two(flavor_spec="x" * 1_000_000), ("flavor-spec",)),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_waits_and_hurts_nobody_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str
) -> None:
    """The gang waits as InvalidRequest with a message that names the field; the other is placed."""
    pods, words = BAD_REQUESTS[case]
    code, document = _plan(capsys, *CLUSTER, GANG, _write(tmp_path, *copy.deepcopy(pods)))
    bad, good = document["gangs"]
    assert (code, bad["name"], bad["status"], bad["members"]) == (1, "bad", "waiting", [])
    assert bad["reason"]["code"] == "InvalidRequest"
    message = bad["reason"]["message"]
    assert all(word in message for word in words), message
    assert len(message) <= 1000
    assert good["status"] == "placed"
    assert [member["node"] for member in good["members"]] == ["a1", "a2"]


def test_missing_members(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A gang of three of which two exist waits for its third member."""
    pods = [_pod(f"g-{i}", gang="g", gang_size="3") for i in range(2)]
    code, document = _plan(capsys, *CLUSTER, _write(tmp_path, *pods))
    [gang] = document["gangs"]
    assert (code, gang["reason"]["code"]) == (1, "MembersMissing")
