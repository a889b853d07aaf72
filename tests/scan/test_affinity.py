"""Link kinds by the chain of bridges, compute NICs by rate and affinity, rails that stay where they are."""

from __future__ import annotations

import pytest

from tests.scan.trees import Tree, codes, load, put, scanned
from topology.scan.pci import PciDevice, kind_between
from topology.scan.report import Report

DGX = load("dgx-h100")["tree"]


def device(chain: str, numa: int | None = None) -> PciDevice:
    """A device below a chain of bridges, host bridge first."""
    return PciDevice(
        address="a", vendor="v", device="d", kind=0, numa=numa, chain=tuple(chain.split())
    )


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("pci0 port up down1", "pci0 port up down2", "PIX"),
        ("pci0 port up", "pci0 port up", "PIX"),
        ("pci0 port up down1 up2 down3", "pci0 port up down2", "PXB"),
        ("pci0 port1 up down1", "pci0 port2", "PHB"),
    ],
    ids=["switch", "functions", "two switches", "host bridge"],
)
def test_devices_are_as_near_as_their_chains_are_equal(one: str, other: str, kind: str) -> None:
    """The legend of nvidia-smi, counted in bridges; both ways."""
    assert kind_between(device(one), device(other)) == kind
    assert kind_between(device(other), device(one)) == kind


def test_without_a_common_chain_the_numa_node_tells() -> None:
    """One that is unknown is never the same as another."""
    near, far, unknown = device("pci0 p", 0), device("pci1 p", 1), device("pci2 p")
    assert kind_between(near, device("pci3 p", 0)) == "NODE"
    assert kind_between(near, far) == "SYS"
    assert kind_between(near, unknown) is None
    assert kind_between(unknown, device("pci4 p")) is None


def rails(report: Report) -> dict[str, int | None]:
    """Rail of each compute NIC."""
    return {nic.device: nic.rail for nic in report.nics if nic.compute}


def drop(tree: Tree, part: str) -> Tree:
    """The tree without everything that has ``part`` in its path."""
    return {path: value for path, value in tree.items() if part not in path}


WHOLE = {
    "mlx5_0": 0,
    "mlx5_3": 1,
    "mlx5_4": 2,
    "mlx5_5": 3,
    "mlx5_6": 4,
    "mlx5_9": 5,
    "mlx5_10": 6,
    "mlx5_11": 7,
}


def test_a_missing_nic_moves_no_rail() -> None:
    """mlx5_4 has fallen off the bus: the others keep their rails, which are those of their switches."""
    found = rails(scanned(drop(drop(DGX, "mlx5_4"), "0000:4f:00.0")))
    assert found == {name: rail for name, rail in WHOLE.items() if name != "mlx5_4"}


def test_a_missing_accelerator_leaves_its_nic_without_a_rail() -> None:
    """Nothing is beside mlx5_4 any more: it is told, and its rail is not guessed."""
    tree = drop(drop(DGX, "0000:52:00.0"), "/run/muster")
    report = scanned(tree)
    assert "mlx5_4" not in rails(report), "the switch is nobody's, so it is no compute NIC"
    assert len(rails(report)) == 7


def test_without_accelerators_there_are_no_rails() -> None:
    """The fastest ports are told as such, and nothing says in which order they stand."""
    tree = {
        path: v
        for path, v in DGX.items()
        if not (isinstance(v, dict) and v.get("vendor") == "0x10de")
    }
    report = scanned(drop(tree, "/run/muster"))
    assert set(rails(report).values()) == {None}
    assert codes(report) == []


def test_storage_ports_of_the_same_kind_are_no_compute_nics() -> None:
    """The DGX has twelve equal ports; four are not below a GPU's switch, whatever their rate."""
    assert rails(scanned(DGX)) == WHOLE


def test_virtual_functions_are_not_counted_beside_their_card() -> None:
    """A function of mlx5_0 that is given to pods neither makes a ninth rail nor is as good as a port."""
    path = "pci0000:15/0000:15:01.0/0000:16:00.0/0000:17:00.0/0000:18:00.1"
    parent = f"/sys/devices/{path[:-1]}0"
    tree = {
        **DGX,
        f"/sys/devices/{path}": {
            **DGX[parent],
            "device": "0x101e",
            "physfn": "-> ../0000:18:00.0",
        },
        "/sys/bus/pci/devices/0000:18:00.1": f"-> ../../../devices/{path}",
        f"/sys/devices/{path}/infiniband/mlx5_12": DGX[f"{parent}/infiniband/mlx5_0"],
        "/sys/class/infiniband/mlx5_12": f"-> ../../devices/{path}/infiniband/mlx5_12",
    }
    report = scanned(tree)
    assert rails(report) == WHOLE
    assert [nic.device for nic in report.nics if nic.virtual] == ["mlx5_12"]


def test_a_bond_is_one_port() -> None:
    """Its members are not told beside it, and it is no peer of faster ports."""
    report = scanned(load("roce-lldp")["tree"])
    names = {nic.netdev for nic in report.nics}
    assert "bond0" in names and not names & {"ens3f0np0", "ens3f1np1"}
    assert "mlx5_bond_0" not in rails(report)


SLOW = (
    "/sys/devices/pci0000:c7/0000:c7:01.0/0000:c8:00.0/0000:c9:00.0/0000:ce:00.0/infiniband/mlx5_10",
    "ports",
    "1",
)


@pytest.mark.parametrize(
    ("attribute", "value", "code"),
    [
        ("state", "1: DOWN", "LinkDown"),
        ("state", "2: INIT", "LinkDown"),
        ("rate", "200 Gb/sec (2X NDR)", "SlowLink"),
        ("rate", "", None),
        ("state", "", None),
        ("phys_state", "3: Disabled", None),
    ],
)
def test_a_port_that_is_not_as_its_peers(attribute: str, value: str, code: str | None) -> None:
    """Down, waiting for the subnet manager, slow; what is not known is no fault."""
    assert codes(scanned(put(DGX, (*SLOW, attribute), value))) == ([code] if code else [])


def test_an_unused_port_is_no_problem() -> None:
    """Each storage card of the DGX has one port without a cable: told as DOWN, and nothing is wrong."""
    report = scanned(DGX)
    assert [nic.device for nic in report.nics if nic.state == "DOWN"] == ["mlx5_2", "mlx5_8"]
    assert codes(report) == []
