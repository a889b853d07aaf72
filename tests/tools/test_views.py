"""``muster topology``, ``muster status`` and ``muster explain`` on files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import muster

CASES = Path(__file__).parent / "cases"
CLUSTER = [
    part
    for name in ("fleet.yaml", "flavors.yaml", "busy.yaml", "gang.yaml")
    for part in ("-f", str(CASES / name))
]


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = muster.main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_topology_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Levels closest first with the domain's whole path, cards with how many are free."""
    code, out, _ = _run(capsys, "topology", *CLUSTER, "-o", "json")
    document = json.loads(out)
    assert code == 0
    assert sorted(document["nodes"]) == ["a1", "a2", "a3", "h1", "h2"]
    assert document["nodes"]["h2"] == {
        "levels": [
            {"level": "rack", "key": "topology.kubernetes.io/rack", "domain": "b1/r1"},
            {"level": "block", "key": "topology.kubernetes.io/block", "domain": "b1"},
        ],
        "scaleUp": None,
        "accelerators": {
            "class": "nvidia-h100-80gb",
            "count": 8,
            "free": 4,
            "memoryBytes": 80 * 2**30,
        },
        "problems": [],
    }
    assert document["problems"] == []


def test_topology_as_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per domain and node, with free and all cards."""
    code, out, _ = _run(capsys, "topology", *CLUSTER)
    assert code == 0
    assert out == (
        "5 nodes; levels: block > rack > host\n"
        "└─ block b1  5 nodes; 24/24 nvidia-a100-80gb free, 12/16 nvidia-h100-80gb free\n"
        "   ├─ rack r1  2 nodes; 12/16 nvidia-h100-80gb free\n"
        "   │  ├─ h1  8/8 nvidia-h100-80gb free\n"
        "   │  └─ h2  4/8 nvidia-h100-80gb free\n"
        "   ├─ rack r2  2 nodes; 16/16 nvidia-a100-80gb free\n"
        "   │  ├─ a1  8/8 nvidia-a100-80gb free\n"
        "   │  └─ a2  8/8 nvidia-a100-80gb free\n"
        "   └─ rack r3  8/8 nvidia-a100-80gb free\n"
        "      └─ a3  8/8 nvidia-a100-80gb free\n"
    )


def test_unknown_levels_are_left_out_and_problems_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A node without topology labels hangs at the root; what is wrong with it is said."""
    file = tmp_path / "node.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Node\nmetadata: {name: odd}\n"
        "spec: {unschedulable: true}\n"
        "status: {allocatable: {cpu: many, pods: 1}, conditions: [{type: Ready, status: 'False'}]}\n"
    )
    code, out, _ = _run(capsys, "topology", *CLUSTER, "-f", str(file))
    assert code == 0
    assert "└─ odd  not ready; cordoned; 1 problem\n" in out
    assert "problem: Node odd: " in out


def test_topology_shows_how_narrow_the_network_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a fabric map: what a node can send, and by level and domain what gets out while all send.

    Most nodes of the map have one link of 400 Gb/s. A leaf has 800 Gb/s of nodes below one uplink of 400.
    """
    drawn = CASES.parents[1] / "fixtures/topology/ibnetdiscover/fabric.txt"
    code, out, _ = _run(capsys, "topology", "-f", str(drawn), "-o", "json")
    network = json.loads(out)["network"]
    assert (code, network["nodeBytesPerSecond"]) == (0, 49_500_000_000)
    assert network["oversubscription"] == {"leaf": 2.0, "spine": 1.0}
    # Both leaves of the group together: 1,200 Gb/s of nodes, 800 of uplinks; half and half see 400.
    assert network["domains"][3] == {
        "level": "leaf",
        "domain": "CORE-{0,1}/SPINE-1-{0,1}/LEAF-1-{0,1}",
        "bisectionGbps": 400.0,
        "oversubscription": 1.5,
    }
    _, out, _ = _run(capsys, "topology", *CLUSTER, "-o", "json")
    assert "network" not in json.loads(out)


def test_status(capsys: pytest.CaptureFixture[str]) -> None:
    """Gangs, reservations and what is free per flavor and domain of the asked level."""
    code, out, _ = _run(capsys, "status", *CLUSTER, "--level", "rack")
    assert code == 0
    assert out.splitlines() == [
        "GANG          MEMBERS  PHASE  FLAVOR  DOMAIN  REASON  AGE",
        "default/chat  0/2      -      -       -       -       -",
        "",
        "no reservations",
        "",
        "FLAVOR  DOMAIN      FREE CARDS  FREE NODES",
        "a100    rack b1/r2  16/16       2/2",
        "a100    rack b1/r3  8/8         1/1",
        "h100    rack b1/r1  12/16       1/2",
    ]


def test_status_refuses_an_unknown_level(capsys: pytest.CaptureFixture[str]) -> None:
    """The levels that exist are named."""
    code, out, err = _run(capsys, "status", *CLUSTER, "--level", "shelf")
    assert (code, out) == (2, "")
    assert err == "muster: --level shelf: levels are block, rack, host\n"


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, by namespace and name, or with -n: the same text; an unknown gang is exit code 1."""
    texts = {
        _run(capsys, "explain", *CLUSTER, *gang)[:2]
        for gang in (["chat"], ["default/chat"], ["-n", "default", "chat"])
    }
    [(code, text)] = texts
    assert code == 0
    assert text.startswith("2 of 2 members placed, on a100 (choice 2 of 2)")
    assert "h100 passed over: 1 of 2 members fit" in text
    code, out, err = _run(capsys, "explain", *CLUSTER, "nobody")
    assert (code, out, err) == (1, "", "muster: there is no gang default/nobody\n")


def _waiting(tmp_path: Path) -> str:
    """A gang that needs four nodes of a flavor that has three, as Muster recorded it."""
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"big-{index}",
                "namespace": "default",
                "annotations": {
                    "muster.dev/gang": "big",
                    "muster.dev/gang-size": "4",
                    "muster.dev/flavors": "a100",
                },
            },
            "spec": {
                "containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "8"}}}]
            },
        }
        for index in range(4)
    ]
    advice = {"flavor": "a100", "nodes": 1, "like": "a1", "costPerHour": "9.5", "cheapest": True}
    record = {
        "apiVersion": "muster.dev/v1alpha1",
        "kind": "Gang",
        "metadata": {"name": "big", "namespace": "default"},
        "spec": {"gang": "big"},
        "status": {"phase": "Waiting", "reason": "Insufficient", "scaleOut": [advice]},
    }
    file = tmp_path / "big.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*pods, record]}))
    return str(file)


def test_explain_says_what_more_nodes_would_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Under the reason, a line for each flavor that more nodes would help: two of three are another's."""
    code, text, _ = _run(capsys, "explain", *CLUSTER, "-f", _waiting(tmp_path), "big")
    reason, *advice = text.splitlines()
    assert code == 0
    assert reason.startswith("waits: 4 of 4 members present")
    assert advice == ["    scale-out: a100: 3 more nodes like a1 would do"]


def test_status_shows_who_waits_for_nodes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As the service recorded it: flavor, number, and what that costs."""
    _, out, _ = _run(capsys, "status", *CLUSTER, "-f", _waiting(tmp_path))
    assert out.split("\n\n")[1].splitlines() == [
        "WAITS FOR NODES  FLAVOR  MORE NODES  LIKE  COST PER HOUR",
        "default/big      a100    1           a1    9.5 (cheapest)",
    ]


def test_explain_without_a_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A kubeconfig that cannot be read is one line and exit code 2."""
    code, out, err = _run(capsys, "explain", "chat", "--kubeconfig", str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
