"""Public samples of real systems parse with nothing lost, where they are at hand (not in the repository).

The numbers are those that ``topology-samples/README.md`` and the facts beside it state, or were counted
in the files by other means (``grep -c``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extender.tools.documents import read_objects
from extender.tools.inputs import load, understand
from extender.tools.topology import topology_document
from scheduler.snapshot import Snapshot
from tests.topology.source_fixtures import described
from topology.fabric import leaves_of
from topology.sources.ibnetdiscover import fabric_of

SAMPLES = Path(__file__).parents[2] / "../shared/data/topology-samples"
HERMES = SAMPLES / "hermes"


def look(*names: str) -> Snapshot:
    """What is understood of sample files together."""
    return load([str(SAMPLES / name) for name in names]).snapshot


def places(snapshot: Snapshot) -> dict[str, str]:
    """Path of each node in the words of the fixtures."""
    found: dict[str, str] = described(snapshot)["nodes"]
    return found


def ndr() -> None:
    """40 switches, 31 of them leaves; 582 adapters, 40 of these aggregation nodes; every link 4x NDR; 122
    hosts, 109 on four leaves, 11 on three, 2 on two; leaf groups of the rail-optimised fabric."""
    printed = (SAMPLES / "ib/ibnetdiscover-ndr-dgx.out").read_text()
    fabric, lost = fabric_of(printed, {})
    assert lost == []
    assert (len(fabric.switches), len(fabric.leaves), len(fabric.adapters)) == (40, 31, 582)
    assert {switch.tier for switch in fabric.switches} == {0, 1}
    assert sum(card.aggregation for card in fabric.adapters) == 40
    assert Counter((cable.kind, cable.gbps) for cable in fabric.links) == {("4xNDR", 400): 1114}
    # Each cable is printed at both ends: 1,064 lines between switches, 582 and 582 for adapters.
    assert len(fabric.links) == (1064 + 582 + 582) // 2
    leaves = leaves_of(fabric)
    assert Counter(map(len, leaves.values())) == {4: 109, 3: 11, 2: 2}
    (counted,) = topology_document(load([str(SAMPLES / "ib/ibnetdiscover-ndr-dgx.out")]))["fabrics"]
    assert counted == {
        "source": "ibnetdiscover",
        "switches": 40,
        "leaves": 31,
        "hosts": 122,
        "adapters": 582,
        "aggregationNodes": 40,
        "links": {"4xNDR": 1114},
    }
    sizes = Counter(
        path.rpartition("leaf=")[2]
        for path in places(look("ib/ibnetdiscover-ndr-dgx.out")).values()
    )
    assert sum(sizes.values()) == 122
    assert sizes["A09-P1-IBLEAF-{01-03,02-03,03-03,04-03}"] == 18
    assert sizes["B09-P1-IBLEAF-{01-08,02-08,03-08,04-08}"] == 14 + 2, "two have lost two rails"
    assert len(sizes) == 8


def ndr_by_guid() -> None:
    """Adapters with the factory's description find their host by node GUID."""
    printed = (SAMPLES / "ib/ibnetdiscover-ndr-dgx.out").read_text()
    nameless = [
        card for card in fabric_of(printed, {})[0].adapters if not (card.host or card.aggregation)
    ]
    guids = {card.id.removeprefix("H-"): "found-by-guid" for card in nameless}
    fabric, _ = fabric_of(printed, guids)
    assert len(nameless) == printed.count('\nCa\t1 "H-') - 40 - (252 + 146 + 68 + 2 + 2 + 3)
    assert not [card for card in fabric.adapters if not (card.host or card.aggregation)]


def bad_fabric() -> None:
    """An adapter without a port: one Problem, no fleet."""
    snapshot = look("ib/ibnetdiscover-bad.out")
    assert snapshot.nodes == ()
    assert [problem.field for problem in snapshot.problems] == ["switches"]


def gke() -> None:
    """Two blocks that Hermes calls one fabric are two, from the report alone and beside the nodes."""
    for name in ("scan-gke-with-annotations.json", "scan-gke-labels-only.json"):
        alone = look(f"hermes/out/{name}")
        beside = look(f"hermes/in/nodelist-{name.removeprefix('scan-')}", f"hermes/out/{name}")
        for snapshot in (alone, beside):
            blocks = Counter(path.split()[1] for path in places(snapshot).values())
            assert blocks == {
                "block=a1b2c3d4e5f60718293a4b5c6d7e8f90": 3,
                "block=ffeeddccbbaa99887766554433221100": 1,
            }
        assert any("nodes of 2 blocks" in problem.message for problem in alone.problems)
        assert not [problem for problem in beside.problems if problem.subject.startswith("Node")]


def coreweave() -> None:
    """Seven nodes, six in one fabric, leaf groups 11 and 12; one has dead links."""
    for names in (
        ["hermes/out/scan-coreweave.json"],
        ["hermes/out/scan-coreweave-detailed.json"],
        ["hermes/in/nodelist-coreweave.json"],
        ["hermes/in/nodelist-coreweave.json", "hermes/out/scan-coreweave.json"],
    ):
        snapshot = look(*names)
        groups = Counter(path.partition("core=")[2] for path in places(snapshot).values())
        assert groups == {
            "us-east-02a-fab1 spine=3 leaf=11": 3,
            "us-east-02a-fab1 spine=3 leaf=12": 3,
            "": 1,
        }
        assert {p.subject for p in snapshot.problems} == {"Node g00005"}


def generic() -> None:
    """The library is no InfiniBand, the Ascend node has its cards, JSON and YAML say the same."""
    nodes = "hermes/in/nodelist-generic.json"
    snapshot = look(nodes, "hermes/out/scan-generic.json")
    states = {state.node.name: state.node for state in snapshot.nodes}
    assert {name: node.rdma for name, node in states.items()} == {
        "n0": "RDMA", "n1": "InfiniBand", "n2": None, "n3-library-false-positive": None, "ascend-0": None,
    }  # fmt: skip
    card = states["ascend-0"].accelerator
    assert card is not None and (card.vendor, card.count) == ("ascend", 8)
    assert [problem.subject for problem in snapshot.problems] == ["Node n3-library-false-positive"]
    assert places(snapshot) == places(look(nodes, "hermes/out/scan-generic.yaml"))


def openshift() -> None:
    """Parts of addresses are no blocks."""
    snapshot = look("hermes/out/scan-openshift.json")
    assert set(places(snapshot).values()) == {""}
    assert ["derived from addresses" in problem.message for problem in snapshot.problems] == [True]


def selected() -> None:
    """``select-nodes``: two and four nodes of CoreWeave, two of GKE in one subblock."""
    assert set(places(look("hermes/out/select-nodes-gke-2.json")).values()) == {
        "zone=us-central1-b block=a1b2c3d4e5f60718293a4b5c6d7e8f90 rack=11112222333344445555666677778888"
    }
    assert len(places(look("hermes/out/select-nodes-coreweave-2.json"))) == 2
    assert len(places(look("hermes/out/select-nodes-coreweave-4.json"))) == 4


def netq() -> None:
    """Three switches, eight hosts, 79 cables; both compute nodes are in one NVLink domain."""
    snapshot = look("netq/topologyGraph.json")
    (fabric,) = snapshot.fabrics
    assert (len(fabric.switches), len(fabric.hosts), len(fabric.links)) == (3, 8, 8 * 4 + 28 + 19)
    assert len(fabric.adapters) == 8 * 4
    assert Counter(places(snapshot).values()) == {
        "spine=net-unit-s1 leaf=net-unit-l1": 4,
        "spine=net-unit-s1 leaf=net-unit-l2": 4,
    }
    assert set(places(look("netq/computeNodes.json")).values()) == {
        "^ 3fbfc98b-7f95-4749-ab11-bd351a2aab3e"
    }


def ufm() -> None:
    """30 rows: eight hosts on eight leaves in two groups, two hosts with a port less."""
    snapshot = look("ufm/ports-volcano-test.json")
    (fabric,) = snapshot.fabrics
    assert (len(fabric.adapters), len(fabric.leaves), len(fabric.hosts)) == (30, 8, 8)
    assert Counter(places(snapshot).values()) == {"leaf=leaf{0,1,2,3}": 4, "leaf=leaf{4,5,6,7}": 4}
    assert [p.subject for p in snapshot.problems] == ["Node node4", "Node node7"]


def lldp() -> None:
    """Switches that name their ports are leaves; a host at the other end is not."""
    assert list(places(look("lldp/lldpcli-json0-1.json")).values()) == [
        "leaf=DaoCloud_ShangPu_H3C_D01_AccessSwitch"
    ]
    assert list(places(look("lldp/lldpcli-json0-2.json")).values()) == [
        "leaf={LEAF01,LEAF02,LEAF03,LEAF04,StorageSW}"
    ]


def models() -> None:
    """Nodes, leaves and NVLink domains of Topograph's models, as drawn at the head of each file."""
    for name, nodes, leaves, domains in (
        ("dual-xclr-regular", 96, 12, 2), ("medium", 8, 4, 4), ("nvl72", 72, 4, 4), ("small-tree", 6, 2, 2),
    ):  # fmt: skip
        found = places(look(f"models/{name}.yaml")).values()
        assert len(found) == nodes
        assert len({path.partition(" ^ ")[0] for path in found}) == leaves
        assert len({path.partition(" ^ ")[2] for path in found}) == domains


def hypernodes() -> None:
    """Six HyperNodes: four racks in two spines, filled by label."""
    objects = read_objects([str(SAMPLES / "cr/volcano-hypernodes-4rack-2spine.yaml")])
    assert len(objects) == 6
    nodes: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"n{i}",
                "labels": {"type": "kwok", "topology-rack": f"rack-{i % 4}"},
            },
        }
        for i in range(8)
    ]
    found = places(understand([*objects, *nodes]).snapshot)
    assert found == {f"n{i}": f"spine=spine-{i % 4 // 2} rack=rack-{i % 4}" for i in range(8)}


def topologies() -> None:
    """Kueue's and KAI's Topology name the same levels."""
    for name in ("kueue-topology", "kai-topology"):
        assert look(f"cr/{name}.yaml").levels == (
            "cloud.provider.com/topology-block", "cloud.provider.com/topology-rack", "host",
        )  # fmt: skip


CHECKS: tuple[Callable[[], None], ...] = (
    ndr, ndr_by_guid, bad_fabric, gke, coreweave, generic, openshift, selected, netq, ufm, lldp, models,
    hypernodes, topologies,
)  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nothing_of_a_sample_is_lost(check: Callable[[], None]) -> None:
    """See the check's own text."""
    if SAMPLES.exists():
        check()


def test_every_report_of_hermes_names_its_nodes() -> None:
    """As many nodes as the report says, where the samples are at hand."""
    for path in sorted(HERMES.glob("out/scan-*.json")):
        total = json.loads(path.read_text())["total_nodes"]
        assert len(look(f"hermes/out/{path.name}").nodes) == total
