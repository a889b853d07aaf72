"""Texts of tools: what is read of them, and that one that says nothing is a problem."""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.agent import probes
from tests.scan.trees import SAMPLES, codes, load, put, scanned
from topology.scan import outputs
from topology.scan.accelerators import nvidia_query

DGX = load("dgx-h100")["tree"]
ROCE = load("roce-lldp")["tree"]
GB200 = load("gb200")["tree"]


def test_the_matrix_groups_accelerators_by_direct_links() -> None:
    """Two rings of HCCS on a 910A; PIX between them joins nothing."""
    names = [f"NPU{i}" for i in range(8)]
    rows = [
        [
            a,
            *(
                "X" if a == b else "HCCS" if i // 4 == k // 4 else "PIX"
                for k, b in enumerate(names)
            ),
        ]
        for i, a in enumerate(names)
    ]
    text = "\n".join("\t".join(row) for row in [["", *names], *rows])
    matrix = outputs.read_matrix(text)
    assert matrix.groups() == {name: i // 4 for i, name in enumerate(names)}
    assert len(matrix.links) == 28


def test_a_machine_with_one_gpu_has_a_matrix_without_links() -> None:
    """As an H200 alone prints it: no NIC, no peer, and no problem."""
    text = "\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-15\t0\n"
    matrix = outputs.read_matrix(text)
    assert (matrix.devices, matrix.links, matrix.groups()) == (("GPU0",), {}, {})
    query = "0, GPU-1, NVIDIA H200, 00000000:1B:00.0, 143771\n"
    tree = {
        "/sys/bus/pci/devices/0000:1b:00.0": {
            "vendor": "0x10de",
            "device": "0x2335",
            "class": "0x030200",
        },
        outputs.NVIDIA_MATRIX: text,
        outputs.NVIDIA_QUERY: query,
    }
    report = scanned(tree)
    (card,) = report.accelerators
    assert (card.model, card.uuid, card.memory_bytes) == ("NVIDIA H200", "GPU-1", 143771 << 20)
    assert codes(report) == []


@pytest.mark.parametrize(
    "path", [outputs.NVIDIA_MATRIX, outputs.NVIDIA_QUERY, outputs.NVML, outputs.LLDP, outputs.NCCL]
)
def test_a_probe_that_says_nothing_is_an_error(path: str) -> None:
    """Not an empty list: the tool is there and failed."""
    tree = {name: value for name, value in DGX.items() if not name.startswith(outputs.TOLD)}
    assert codes(scanned({**tree, path: ""})) == ["Unreadable"]
    assert codes(scanned({**tree, path: "error: no such device"})) == ["Unreadable"]


def test_what_may_not_be_read_is_told() -> None:
    """With its path: an agent without a right must not look like a node without hardware."""
    report = scanned(DGX, refused=("/etc/hccn.conf",))
    assert [p.detail for p in report.problems] == ["/etc/hccn.conf: permission denied"]


def test_a_card_that_the_driver_lost() -> None:
    """Seven of eight in nvidia-smi; and one that the bus does not have."""
    seven = "\n".join(DGX[outputs.NVIDIA_QUERY].splitlines()[:7])
    report = scanned(put(DGX, (outputs.NVIDIA_QUERY,), seven))
    assert codes(report) == ["AcceleratorMissing"]
    assert report.problems[0].detail.startswith("0000:df:00.0 (")
    nine = DGX[outputs.NVIDIA_QUERY] + "8, GPU-9, NVIDIA H100 80GB HBM3, 00000000:EE:00.0, 81559\n"
    assert codes(scanned(put(DGX, (outputs.NVIDIA_QUERY,), nine))) == ["AcceleratorMissing"]


def test_a_lost_card_is_no_other_model() -> None:
    """Where the kernel's files do not name it, it has the name of its likes, not that of our table."""
    seven = "\n".join(DGX[outputs.NVIDIA_QUERY].splitlines()[:7])
    bare = {
        path: value for path, value in DGX.items() if not path.startswith("/proc/driver/nvidia")
    }
    report = scanned({**bare, outputs.NVIDIA_QUERY: seven})
    assert codes(report) == ["AcceleratorMissing"]
    assert {card.model for card in report.accelerators} == {"NVIDIA H100 80GB HBM3"}


def fabric(index: int, **changes: object) -> str:
    """NVML's text with the fabric of one GPU changed."""
    told = json.loads(GB200[outputs.NVML])
    told[index]["fabric"] |= changes
    return json.dumps(told)


@pytest.mark.parametrize(
    "changes",
    [{"state": 2}, {"clusterUuid": "00000000-0000-0000-0000-000000000000"}, {"cliqueId": None}],
)
def test_a_fabric_that_is_not_ready_is_no_domain(changes: dict[str, object]) -> None:
    """State completed, a cluster and a clique; the other three cards still agree."""
    report = scanned(put(GB200, (outputs.NVML,), fabric(0, **changes)))
    assert report.accelerators[0].domain == ""
    assert report.scale_up == ""


def test_cards_of_two_domains_are_a_problem() -> None:
    """One tray stands in one NVLink domain."""
    report = scanned(put(GB200, (outputs.NVML,), fabric(0, cliqueId=1)))
    assert codes(report) == ["ScaleUpSplit"]
    assert report.scale_up == ""


def test_lldp_tells_switches_from_hosts() -> None:
    """The fixture's bond hears another host, which names its port by MAC as lldpd does."""
    leaves = outputs.read_lldp(ROCE[outputs.LLDP])
    assert {name: leaf.name for name, leaf in leaves.items()} == {
        "ens841np0": "leaf01", "ens842np0": "leaf02", "ens843np0": "leaf01", "ens844np0": "leaf02",
    }  # fmt: skip


def test_a_neighbour_that_does_not_say_what_it_can_is_a_switch() -> None:
    """As for documents of lldpcli: only one that says that it forwards nothing is none."""
    port = [{"id": [{"type": "ifname", "value": "swp1"}]}]
    for said, there in (
        ({}, True),
        ({"capability": [{"type": "Station", "enabled": True}]}, False),
    ):
        chassis = [{"name": [{"value": "leaf01"}], **said}]
        told = {"lldp": [{"interface": [{"name": "eth0", "chassis": chassis, "port": port}]}]}
        assert bool(outputs.read_lldp(json.dumps(told))) is there


def test_nccl_files_with_declarations_are_not_read() -> None:
    """No entity is expanded."""
    assert outputs.read_nccl('<!DOCTYPE x [<!ENTITY a "b">]><system><cpu/></system>') == {}


@given(
    st.text()
    | st.sampled_from(["[[]]", '{"lldp": [[]]}', "<a/>", "GPU0 GPU1 GPU2\nGPU1", "1,2,3:4,5,6"])
)
def test_any_text_is_read(content: str) -> None:
    """Readers of tools' texts never raise."""
    outputs.read_matrix(content).groups()
    outputs.read_lldp(content)
    outputs.read_nccl(content)
    outputs.read_nvml(content)
    outputs.read_hccn(content)
    nvidia_query(content)


def test_tools_that_fail_are_empty_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One prints, one fails, one hangs, one is not installed."""
    for name, script in (
        ("nvidia-smi", 'echo "$@"'),
        ("npu-smi", "echo lost; exit 1"),
        ("lldpcli", "exec sleep 60"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = probes.texts(seconds=0.5)
    assert found[outputs.NVIDIA_MATRIX] == "topo -m\n"
    assert found[outputs.NPU_MATRIX] == found[outputs.LLDP] == ""
    monkeypatch.setenv("PATH", "/nowhere")
    assert probes.texts() == {}


class FakeNvml:
    """As much of nvidia-ml-py 13 as the agent uses, for a tray of a GB200."""

    class c_nvmlGpuFabricInfo_v2_t(ctypes.Structure):  # noqa: N801 - the library's name
        """As there."""

        _fields_ = (
            ("version", ctypes.c_uint),
            ("clusterUuid", ctypes.c_uint8 * 16),
            ("status", ctypes.c_uint),
            ("cliqueId", ctypes.c_uint32),
            ("state", ctypes.c_uint8),
        )

    class Pci:
        """Of both devices the same."""

        busId = b"00000008:01:00.0"  # noqa: N815 - the library's name

    def nvmlDeviceGetGpuFabricInfoV(self, handle: int, info: object) -> None:  # noqa: N802 - as above
        """Fills the structure through the pointer, zero bytes in the UUID included."""
        found = info._obj  # type: ignore[attr-defined]  # of ctypes.byref
        found.clusterUuid[:] = bytes(range(16))
        found.state, found.cliqueId = 3, 7

    def __getattr__(self, name: str) -> object:
        answers = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": 0,
            "nvmlDeviceGetPciInfo": self.Pci,
            "nvmlDeviceGetName": b"NVIDIA GB200",
        }
        if name not in answers:
            raise AttributeError(name)  # an older driver
        return lambda *_: answers[name]


def test_nvml_is_asked_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the driver does not answer is left out; what it answers comes through the text unchanged."""
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    (told,) = outputs.read_nvml(probes.texts()[outputs.NVML])
    assert (told.pci, told.index, told.model) == ("0008:01:00.0", 0, "NVIDIA GB200")
    assert told.domain == "00010203-0405-0607-0809-0a0b0c0d0e0f.7"
    assert (told.uuid, told.memory_bytes) == ("", None)


class TestSamples:
    """Outputs of real machines."""

    __test__ = SAMPLES.is_dir()

    @pytest.mark.parametrize(
        ("name", "cards", "nics", "kinds"),
        [
            ("gke-a4-b200-8gpu-8nic", 8, 8, {"NV18", "PIX", "NODE", "SYS"}),
            ("oci-gb200-4gpu-8nic", 4, 6, {"NV18", "SYS"}),
            ("azure-gb300-4gpu-4nic", 4, 4, {"NV18", "NODE", "SYS"}),
        ],
    )
    def test_matrices(self, name: str, cards: int, nics: int, kinds: set[str]) -> None:
        """All cards in one group; every NIC of the legend; every kind of link."""
        matrix = outputs.read_matrix((SAMPLES / f"nvidia-smi/topo-m-{name}.txt").read_text())
        assert matrix.groups() == {f"GPU{i}": 0 for i in range(cards)}
        assert len(matrix.nics) == nics
        assert set(matrix.links.values()) == kinds

    @pytest.mark.parametrize("name", ["ndv4", "ndv5"])
    def test_nccl_files(self, name: str) -> None:
        """Eight GPUs and eight NICs, each GPU with a NIC below its switch."""
        devices = outputs.read_nccl((SAMPLES / f"nccl-xml/azure-{name}-topo.xml").read_text())
        found = [d for d in devices.values() if d.kind in (0x0302, 0x0207)]
        assert len(found) == 16 and all(d.numa is not None for d in found)

    def test_lldp(self) -> None:
        """Five switches of the second sample; of the first the switch and not the two hosts."""
        leaves = outputs.read_lldp((SAMPLES / "lldp/lldpcli-json0-2.json").read_text())
        assert {leaf.name for leaf in leaves.values()} == {
            "LEAF01",
            "LEAF02",
            "LEAF03",
            "LEAF04",
            "StorageSW",
        }
        leaves = outputs.read_lldp((SAMPLES / "lldp/lldpcli-json0-1.json").read_text())
        assert list(leaves) == ["enp129s0f0"]

    def test_a_real_h100(self) -> None:
        """Eight NDR ports with gaps in their numbers are compute NICs, the BlueField bond is none."""
        tree = json.loads((SAMPLES / "sysfs/gpud-sys-class-infiniband-h100.0.json").read_text())
        report = scanned(tree)
        assert [nic.device for nic in report.nics if nic.compute] == [
            f"mlx5_{i}" for i in (0, 1, 4, 5, 6, 7, 8, 9)
        ]
        assert len(report.nics) == 9 and codes(report) == []

    def test_other_drivers(self) -> None:
        """hfi1, mlx4 with two ports, mlx5, and an Ethernet interface, as procfs' fixtures have them."""
        raw = json.loads((SAMPLES / "sysfs/procfs-fixtures-infiniband.json").read_text())
        report = scanned({path: value.replace("SYMLINK ", "-> ") for path, value in raw.items()})
        assert [(nic.device or nic.netdev, nic.rate_gbps) for nic in report.nics] == [
            ("hfi1_0", 100), ("mlx4_0:1", 40), ("mlx4_0:2", 40), ("mlx5_0", 25), ("eth0", 1),
        ]  # fmt: skip
