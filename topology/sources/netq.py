"""Answers of the NetQ API for Spectrum-X: ``topologyGraph`` (switches, links), ``computeNodes`` (NVLink).

As in NVIDIA/topograph, provider ``netq``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from topology.fabric import Adapter, Link, link, made
from topology.model import Problem
from topology.sources.mapped import surveyed
from topology.sources.survey import Document, Guids, Position, Rank, Source, Survey, known
from topology.untyped import mapping, sequence, text

NAME = "netq"
Object = Mapping[str, Any]


def recognises(value: Any) -> bool:
    """A list of graphs, or of compute nodes with the NVLink domain they are in."""
    return any(_is_graph(item) or "DomainUUID" in item for item in map(mapping, sequence(value)))


def _is_graph(item: Object) -> bool:
    return isinstance(item.get("links"), list) and isinstance(item.get("nodes"), list)


def read(document: Document, guids: Guids) -> Survey:
    """Leaves from the graph, scale-up domains from the compute nodes."""
    items = [mapping(item) for item in sequence(document.value)]
    domains = {
        text(item.get("Name")): text(item.get("DomainUUID"))
        for item in items
        if known(text(item.get("Name"))) and known(text(item.get("DomainUUID")))
    }
    graphs = [item for item in items if _is_graph(item)]
    if graphs:
        return _graph(document, graphs, domains)
    return Survey(
        source=NAME,
        positions={
            name: Position(source=NAME, rank=Rank.FABRIC, scale_up=domain)
            for name, domain in sorted(domains.items())
        },
        problems=tuple(_unhealthy(items)),
    )


def _unhealthy(items: list[Object]) -> Iterator[Problem]:
    for item in items:
        health = text(item.get("Health"))
        if health and health != "HEALTHY":
            subject = f"Node {text(item.get('Name'))}"
            yield Problem(subject=subject, field="Health", message=f"{NAME} says {health}")


def _graph(document: Document, graphs: list[Object], domains: Mapping[str, str]) -> Survey:
    devices = {
        text(device.get("id")): device
        for graph in graphs
        for device in _devices(graph)
        if text(device.get("id"))
    }
    names = {device: text(each.get("name")) or device for device, each in devices.items()}
    switches = {
        device: names[device].replace("/", "_")
        for device, each in devices.items()
        if each.get("device_type") == "switch"
    }
    adapters: dict[str, Adapter] = {}
    links: list[Link] = []
    lost = 0
    for graph in graphs:
        for cable in _cables(graph):
            ends = []
            for interface in map(mapping, sequence(cable.get("interfaces"))):
                device, port = text(interface.get("node")), text(interface.get("interface"))
                if device in switches:
                    ends.append((device, port))
                elif device in devices:
                    card = f"{device}:{port}"
                    adapters[card] = Adapter(id=card, host=names[device], device=port)
                    ends.append((card, port))
            if len(ends) == 2:
                links.append(link(ends[0], ends[1]))
            else:
                lost += 1
    problems = []
    if lost:
        message = f"{lost} links do not name two known devices; they are not used"
        problems.append(Problem(subject=f"{NAME} {document.name}", field="links", message=message))
    return surveyed(made(NAME, switches, adapters.values(), links), problems, domains)


def _devices(graph: Object) -> Iterator[Object]:
    """All devices: the graph's own, or those of its tiers."""
    for node in map(mapping, sequence(graph.get("nodes"))):
        inner = sequence(node.get("compounded_nodes"))
        yield from map(mapping, inner or ([node] if node.get("node_type") == "device" else []))


def _cables(graph: Object) -> Iterator[Object]:
    """Each cable: NetQ puts the cables between two devices into one link."""
    for bundle in map(mapping, sequence(graph.get("links"))):
        inner = sequence(bundle.get("compounded_links"))
        yield from map(mapping, inner or [bundle])


SOURCE = Source(name=NAME, recognises=recognises, read=read)
