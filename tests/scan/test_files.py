"""Links are followed inside the root only, on a recorded tree and on a real one alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from extender.agent.root import Overlay, Root
from topology.scan.files import MAX_TEXT, Files, Host, Recorded, whole

TREE = {
    "/sys/devices/pci0000:00/0000:00:01.0/vendor": "0x10de\n",
    "/sys/bus/pci/devices/0000:00:01.0": "-> ../../../devices/pci0000:00/0000:00:01.0",
    "/absolute": "-> /sys/devices",
    "/above": "-> ../../../../sys/devices",
    "/a": "-> b",
    "/b": "-> a",
    "/dangling": "-> nowhere",
}


def real(folder: Path) -> Root:
    """The same tree on disk, below a folder that also has things outside of it."""
    root = folder / "host"
    for path, content in TREE.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            target.symlink_to(content.removeprefix("-> "))
        else:
            target.write_text(content)
    return Root(root)


@pytest.fixture(params=["recorded", "real"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """The tree in memory and on disk."""
    return Recorded(TREE) if request.param == "recorded" else real(tmp_path)


@pytest.mark.parametrize(
    ("path", "vendor"),
    [
        ("/sys/bus/pci/devices/0000:00:01.0/vendor", 0x10DE),
        ("/absolute/pci0000:00/0000:00:01.0/vendor", 0x10DE),
        ("/above/pci0000:00/0000:00:01.0/vendor", 0x10DE),
        ("/sys/../../sys/devices/pci0000:00/0000:00:01.0/vendor", 0x10DE),
        ("/a/vendor", None),
        ("/dangling", None),
        ("/sys", None),
        ("/nowhere", None),
    ],
)
def test_links_are_followed_inside_the_root(files: Files, path: str, vendor: int | None) -> None:
    """Relative links, absolute ones, ``..`` above the root, circles, and ends in nothing."""
    assert Host(files).number(path) == vendor


def test_folders_are_listed_through_links(files: Files) -> None:
    """Sorted, and nothing for what is no folder."""
    host = Host(files)
    assert host.names("/sys/bus/pci/devices/0000:00:01.0") == ("vendor",)
    assert host.names("/") == ("a", "above", "absolute", "b", "dangling", "sys")
    assert host.names("/dangling") == host.names("/a") == ()
    assert host.real("/sys/bus/pci/devices/0000:00:01.0/..") == "/sys/devices/pci0000:00"


def test_a_link_out_of_the_root_leads_nowhere(tmp_path: Path) -> None:
    """A captured tree, or a hostile host, cannot make the agent read its own files."""
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "host"
    root.mkdir()
    (root / "absolute").symlink_to(tmp_path / "secret")
    (root / "relative").symlink_to("../secret")
    host = Host(Root(root))
    assert host.text("/absolute") is None
    assert host.text("/relative") is None
    assert Root(root).read("/absolute") is None, "not even when asked for directly"


def test_special_and_huge_files_do_not_hold_up(tmp_path: Path) -> None:
    """A pipe that nobody writes to, a file larger than the limit, bytes that are no text."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").write_bytes(b"x" * (MAX_TEXT + 10))
    (tmp_path / "bytes").write_bytes(b"\xff\x00a")
    root = Root(tmp_path)
    assert root.read("/pipe") is None
    assert len(root.read("/huge") or "") == MAX_TEXT
    assert root.size("/huge") == MAX_TEXT + 10
    assert root.read("/bytes") == "�\0a"
    assert root.size("/pipe") is None
    assert root.read("/no\0name") is None


def test_the_kernel_s_own_files_are_read() -> None:
    """Files below /proc/sys refuse large buffers; the running kernel has one that never changes."""
    boot = Root(Path("/")).read("/proc/sys/kernel/random/boot_id")
    assert boot is not None and len(boot.strip()) == 36


def test_texts_lie_over_the_files() -> None:
    """What a tool printed counts before a file of that name."""
    overlay = Overlay(Recorded({"/a": "file", "/b": "file", "/c": "-> b"}), {"/a": "text"})
    host = Host(overlay)
    assert [host.text(f"/{name}") for name in "abc"] == ["text", "file", "file"]
    assert host.size("/b") == 4 and host.space("/b") is None and host.refused() == ()


@pytest.mark.parametrize(
    ("content", "number"),
    [("7", 7), ("0x10", 16), ("-1", -1), ("", None), ("x", None), ("1.5", None), (None, None),
     ("9" * 21, None), ("010", 10)],
)  # fmt: skip
def test_numbers(content: str | None, number: int | None) -> None:
    """Decimal or ``0x``, all of the file."""
    assert whole(content) == number
