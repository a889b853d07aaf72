"""Rows of UFM's ``/ufmRest/resources/ports``: one for each port of an InfiniBand fabric.

Ports of hosts have a description with "Computer" (as Volcano's discoverer takes it, volcano-sh/volcano
pkg/controllers/hypernode/discovery/ufm); ``peer_node_name`` is then the leaf switch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topology.fabric import Adapter, Link, link, made
from topology.model import Problem
from topology.sources.mapped import surveyed
from topology.sources.survey import Document, Guids, Source, Survey, known
from topology.untyped import mapping, sequence, text

NAME = "ufm"
_COMPUTER, _SWITCH = "Computer", "Switch"


def recognises(value: Any) -> bool:
    """A list of rows, one of which names a system and its peer."""
    return any({"system_name", "peer_node_name"} <= mapping(row).keys() for row in sequence(value))


def read(document: Document, guids: Guids) -> Survey:
    """The leaves of the hosts, and links between switches where rows tell them."""
    switches: dict[str, str] = {}
    adapters: list[Adapter] = []
    links: list[Link] = []
    aliases: dict[str, set[str]] = {}
    lost = 0
    rows = [mapping(row) for row in sequence(document.value)]
    listed = {text(row.get("system_name")) for row in rows if _SWITCH in _kind(row)}
    known_switches = listed | {
        text(row.get("peer_node_name")) for row in rows if _COMPUTER in _kind(row)
    }
    for index, row in enumerate(rows):
        system, peer = text(row.get("system_name")), text(row.get("peer_node_name"))
        kind, description = _kind(row), text(row.get("node_description"))
        port = _port(row, index)
        if not known(system) or not known(peer):
            lost += _COMPUTER in kind
        elif _COMPUTER in kind:
            guid = text(row.get("node_guid") or row.get("guid")).removeprefix("0x").lower()
            host = guids.get(guid, system)
            card = f"{system} {description} {port}"
            switches.setdefault(peer, peer)
            adapters.append(Adapter(id=card, description=description, host=host, device=port))
            links.append(link((card, port), (peer, text(row.get("peer_port_name")))))
            if description.split():
                aliases.setdefault(description.split()[0], set()).add(host)
        elif _SWITCH in kind:
            switches.setdefault(system, system)
            if _SWITCH in text(row.get("peer_node_description")) or peer in known_switches:
                switches.setdefault(peer, peer)
                peer_port = text(row.get("peer_port_name"))
                # Without the other port's name the row of the other end is about the same cable.
                if peer_port or peer not in listed or system < peer:
                    links.append(link((system, port), (peer, peer_port)))
    problems = []
    if lost:
        message = f"{lost} rows of hosts have no system_name or peer_node_name; they are not used"
        problems.append(Problem(subject=f"{NAME} {document.name}", field="rows", message=message))
    clear = {alias: min(hosts) for alias, hosts in aliases.items() if len(hosts) == 1}
    return surveyed(made(NAME, switches, adapters, links), problems, aliases=clear)


def _kind(row: Mapping[str, Any]) -> str:
    return text(row.get("description"))


def _port(row: Mapping[str, Any], index: int) -> str:
    """The port's name or number; rows without either are told apart by their position."""
    return text(row.get("name")) or text(row.get("dname")) or str(row.get("number", index))


SOURCE = Source(name=NAME, recognises=recognises, read=read)
