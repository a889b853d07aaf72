"""Where a copy of a model lies tells how fast it loads; what the report says is what caches read."""

from __future__ import annotations

import pytest

from tests.scan.trees import Tree, scanned
from topology.caches.claims import TIERS
from topology.scan.report import document

CHECKPOINT: Tree = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": 7}


def block(name: str, **files: object) -> Tree:
    """A block device below /sys."""
    return {f"/sys/class/block/{name}": files}


@pytest.mark.parametrize(
    ("mount", "devices", "disk", "copy"),
    [
        ("/dev/nvme0n1p1 /m ext4", {}, "nvme", "nvme"),
        ("/dev/sdb /m ext4", block("sdb", queue={"rotational": "0"}), "ssd", "ssd"),
        ("/dev/sdb /m ext4", block("sdb", queue={"rotational": "1"}), "hdd", "hdd"),
        ("/dev/vdb /m ext4", block("vdb", queue={"rotational": "1"}), "unknown", None),
        ("/dev/vdb /m ext4", block("vdb", queue={"rotational": "0"}), "ssd", "ssd"),
        ("/dev/md0 /m xfs", block("md0", slaves={"nvme0n1": "", "nvme1n1": ""}), "nvme", "nvme"),
        (
            "/dev/md0 /m xfs",
            {**block("md0", slaves={"nvme0n1": "", "sda": ""}), **block("sda", queue={"rotational": "1"})},
            "hdd",
            "hdd",
        ),
        ("filer:/x /m nfs4", {}, "network", "network"),
        ("s3 /m fuse.juicefs", {}, "network", "network"),
        ("tmpfs /m tmpfs", {}, "tmpfs", "memory"),
    ],
)  # fmt: skip
def test_the_tier_of_a_copy(mount: str, devices: Tree, disk: str, copy: str | None) -> None:
    """By the device below; an array is as slow as its slowest disk; a virtual disk may say anything."""
    report = document(
        scanned({"/proc/1/mounts": f"{mount} rw 0 0\n", "/m/llama": CHECKPOINT, **devices}, "/m")
    )
    assert report["disks"] == [{"mount": "/m", "tier": disk}]
    (cache,) = report["caches"]
    assert cache.get("tier") == copy
    assert copy is None or copy in TIERS, "caches know it by this word"


def test_the_deepest_mount_counts() -> None:
    """A model below two mounts lies on the inner one; what only looks like it is elsewhere."""
    mounts = "/dev/nvme0n1 / ext4 rw 0 0\ntmpfs /m/ram tmpfs rw 0 0\n"
    tree = {"/proc/1/mounts": mounts, "/m/ram/a": CHECKPOINT, "/m/ramble": CHECKPOINT}
    report = scanned(tree, "/m", "/m/ram")
    assert {cache.path: cache.tier for cache in report.caches} == {
        "/m/ram/a": "memory",
        "/m/ramble": "nvme",
    }
