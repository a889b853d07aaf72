"""The text that ``ibnetdiscover`` of infiniband-diags prints: one InfiniBand fabric, port by port.

    Switch  65 "S-2c5eab0300b87b40"  # "MF0;LEAF-04:MQM9701/U1" enhanced port 0 lid 73 lmc 0
    [1]  "H-e09d7303007a4bd8"[1](e09d7303007a4bd8)  # "host-1 mlx5_5" lid 647 4xNDR

Every cable is printed at both of its ends. The name of a host is the first word of its adapter's description;
an adapter with the factory's description is found by its node GUID, which scanner reports know.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from topology.fabric import Adapter, Fabric, Link, link, made
from topology.model import Problem
from topology.sources.mapped import surveyed
from topology.sources.survey import Document, Guids, Source, Survey
from topology.untyped import text

NAME = "ibnetdiscover"

_DEVICE = re.compile(r'^(Switch|Ca|Rt)\s+\d+\s+"([^"]+)"\s*(?:#\s*"([^"]*)")?', re.ASCII)
_PORT = re.compile(
    # A port of a chassis (option -g) has its number on the outside as well: [1][ext 5].
    r'^\[(\d+)\](?:\[ext \d+\])?(?:\([0-9a-fA-F]+\))?\s+"([^"]+)"\[(\d+)\]',
    re.ASCII,
)
_PEER = re.compile(r'#.*"([^"]*)" lid \d+', re.ASCII)
_RATE = re.compile(r"^(\d+)x([A-Z]+[0-9]*)$", re.ASCII)
_KIND = re.compile(r'^(?:Switch|Ca|Rt)\s+\d+\s+"[SHR]-', re.MULTILINE | re.ASCII)
_AGGREGATION = "Aggregation Node"
_FACTORY = re.compile(r"^MT\d+\b|\bMellanox Technologies\b|^\s*$", re.ASCII)
_NO_NAMES = frozenset({"localhost", "localhost.localdomain", "(none)"})
"""What Linux calls every host that was not given a name."""
_MANAGED = re.compile(r"^[^;]*;([^:]+)(?::.*)?$")
"""What the agent of a managed switch writes: ``SYSTEM;NAME:MODEL/UNIT``."""

_TENTH_GBPS_OF_LANE = {
    # InfiniBand Trade Association, data rate of one lane in tenths of Gb/s
    "SDR": 25,
    "DDR": 50,
    "QDR": 100,
    "FDR10": 100,
    "FDR": 140,
    "EDR": 250,
    "HDR": 500,
    "NDR": 1000,
    "XDR": 2000,
}


def recognises(value: Any) -> bool:
    """Text with a line for a switch, an adapter or a router."""
    return isinstance(value, str) and _KIND.search(value) is not None


def read(document: Document, guids: Guids) -> Survey:
    """The fabric, and the leaves of its hosts."""
    fabric, lost = fabric_of(text(document.value), guids)
    problems = []
    subject = f"{NAME} {document.name}"
    if lost:
        shown = text(document.value).splitlines()[lost[0] - 1][:60]
        message = f"not understood: {len(lost)} lines, the first is line {lost[0]}: {shown!r}"
        problems.append(Problem(subject=subject, field="lines", message=message))
    nameless = sum(1 for card in fabric.adapters if not card.host and not card.aggregation)
    if nameless:
        message = (
            f"factory descriptions and node GUIDs that no scanner report knows: "
            f"{nameless} adapters; the leaves of their hosts are incomplete"
        )
        problems.append(Problem(subject=subject, field="adapters", message=message))
    unnamed = sorted({card.id for card in fabric.adapters if card.host in _NO_NAMES})
    if unnamed:
        message = (
            f"{len(unnamed)} adapters are of hosts without a name (localhost), the first is {unnamed[0]}; "
            "only scanner reports can tell by the node GUID which nodes these are"
        )
        problems.append(Problem(subject=subject, field="adapters", message=message))
    if not fabric.leaves:
        message = "no switch has the adapter of a host: it says of no node where it stands"
        problems.append(Problem(subject=subject, field="switches", message=message))
    return surveyed(fabric, problems)


def fabric_of(printed: str, guids: Guids) -> tuple[Fabric, list[int]]:
    """The fabric, and the numbers of the lines that make no sense."""
    switches: dict[str, str] = {}
    adapters: list[Adapter] = []
    links: list[Link] = []
    lost: list[int] = []
    beside: dict[str, str] = {}
    at = ""
    for number, line in enumerate(printed.splitlines(), 1):
        if line.startswith("["):
            port = _PORT.match(line)
            if port is None or not at:
                lost.append(number)
            else:
                links.append(_link(at, port, line))
                beside.setdefault(port[2], line)
        elif line.startswith(("Switch", "Ca", "Rt")):
            device = _DEVICE.match(line)
            kind, at, description = (device[1], device[2], device[3] or "") if device else ("",) * 3
            if not device:
                lost.append(number)
            elif kind == "Ca":
                adapters.append(_adapter(at, description, guids))
            else:
                switches[at] = _name(description) or at
    ends = {end for each in links for end in (each.a, each.b)}
    seen = {card.id for card in adapters} | switches.keys()
    for stranger in sorted(ends - seen):  # printed at one end only, with its description
        described = _PEER.search(beside.get(stranger, ""))
        description = described[1] if described else ""
        if stranger.startswith("H-"):
            adapters.append(_adapter(stranger, description, guids))
        else:
            switches[stranger] = _name(description) or stranger
    return made(NAME, switches, adapters, links), lost


def _adapter(device: str, description: str, guids: Guids) -> Adapter:
    guid = device.removeprefix("H-").lower()
    words = description.split()
    factory = _FACTORY.search(description) is not None
    return Adapter(
        id=device,
        description=description,
        host=guids.get(guid) or (None if factory or _AGGREGATION in description else words[0]),
        device="" if factory else " ".join(words[1:]),
        aggregation=_AGGREGATION in description,
    )


def _name(description: str) -> str:
    """The name of a switch without its system, model and unit."""
    managed = _MANAGED.match(description)
    return (managed[1] if managed else description).strip().replace("/", "_")


def _link(at: str, port: re.Match[str], line: str) -> Link:
    kind, gbps = _rate(line.rsplit(maxsplit=1)[-1])
    return link((at, port[1]), (port[2], port[3]), kind, gbps)


@lru_cache(maxsize=64)
def _rate(word: str) -> tuple[str, int | None]:
    """Width and speed at the end of a line, and the data rate in Gb/s that they mean."""
    rate = _RATE.match(word)
    if rate is None:
        return "", None
    lane = _TENTH_GBPS_OF_LANE.get(rate[2])
    return word, int(rate[1]) * lane // 10 if lane else None


SOURCE = Source(name=NAME, recognises=recognises, read=read)
