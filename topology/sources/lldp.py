"""``lldpcli show neighbors -f json0`` of one host: which switch is at the other end of each interface.

The output does not say whose it is: the document is named after its node (``NODE.json``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from topology.fabric import Adapter, Link, link, made
from topology.model import Problem
from topology.sources.mapped import surveyed
from topology.sources.survey import Document, Guids, Source, Survey, known
from topology.untyped import mapping, sequence, text

NAME = "lldp"
_FORWARDS = frozenset({"Bridge", "Router"})


def recognises(value: Any) -> bool:
    """The whole output, ``{"lldp": [...]}``."""
    top = mapping(value)
    return "kind" not in top and isinstance(top.get("lldp"), list)


def read(document: Document, guids: Guids) -> Survey:
    """The switches on which the host hangs.

    A neighbour is a switch when it forwards and names the port itself. A host that runs lldpd names its
    port by the MAC address (lldpd's default), so other hosts on the same wire are no leaves.
    """
    node = document.stem
    switches: dict[str, str] = {}
    adapters: list[Adapter] = []
    links: list[Link] = []
    for name, chassis, port in _neighbours(document.value):
        switch = known(_value(chassis, "name")) or known(_value(chassis, "id"))
        kind = text(_first(port.get("id")).get("type"))
        if not switch or kind == "mac" or not _forwards(chassis):
            continue
        card = f"{node}:{name}"
        switches[switch] = switch
        adapters.append(Adapter(id=card, host=node, device=name, description=name))
        links.append(link((card, name), (switch, _value(port, "id"))))
    problems = []
    if not links:
        message = "no neighbour is a switch that names its port: the leaf of the node is unknown"
        problems.append(Problem(subject=f"Node {node}", field=NAME, message=message))
    return surveyed(made(NAME, switches, adapters, links), problems)


def _neighbours(value: Any) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(interface, chassis, port) of every neighbour."""
    for part in sequence(mapping(value).get("lldp")):
        for interface in map(mapping, sequence(mapping(part).get("interface"))):
            name = text(interface.get("name"))
            if name:
                yield name, _first(interface.get("chassis")), _first(interface.get("port"))


def _first(value: Any) -> Mapping[str, Any]:
    """In json0 everything is a list."""
    return next(map(mapping, sequence(value)), {})


def _value(of: Mapping[str, Any], key: str) -> str:
    return text(_first(of.get(key)).get("value")).replace("/", "_")


def _forwards(chassis: Mapping[str, Any]) -> bool:
    """Whether it bridges or routes; true where it says nothing of what it can."""
    capabilities = [mapping(each) for each in sequence(chassis.get("capability"))]
    return not capabilities or any(
        text(each.get("type")) in _FORWARDS and each.get("enabled") is True for each in capabilities
    )


SOURCE = Source(name=NAME, recognises=recognises, read=read)
