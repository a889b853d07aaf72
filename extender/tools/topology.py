"""``muster topology``: the fleet as Muster understands it, as a tree, as JSON or as a picture."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from extender.tools import table
from extender.tools.documents import reports_bad_input
from extender.tools.domains import flags, free_cards, label, parts, scale_up_domains
from extender.tools.inputs import Inputs, add_cluster, add_files, load_or_ask
from scheduler.snapshot import NodeState, Snapshot
from topology.cost import compute_ports
from topology.fabric import Fabric
from topology.model import SCALE_UP, Node


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``muster topology``."""
    add_files(parser, required=False)
    add_cluster(parser)
    parser.add_argument(
        "-o", "--output", choices=("tree", "json", "svg"), default="tree", help="default: tree"
    )


@reports_bad_input
def run(args: argparse.Namespace) -> int:
    """Print the fleet of the files, or of the cluster when none is given."""
    inputs = load_or_ask(args)
    if args.output == "json":
        print(json.dumps(topology_document(inputs), indent=1))
    elif args.output == "svg":
        from extender.tools import picture

        print(picture.draw(inputs.snapshot, inputs.problems))
    else:
        print("\n".join(_lines(inputs)))
    return 0


def topology_document(inputs: Inputs) -> dict[str, Any]:
    """The JSON object of design section 4."""
    free = free_cards(inputs.snapshot)
    names = {f"Node {state.node.name}" for state in inputs.snapshot.nodes}
    of_nodes: dict[str, list[str]] = {}
    others = []
    for problem in (*inputs.problems, *inputs.snapshot.problems):
        if problem.subject in names:  # also where two sources disagree about it
            of_nodes.setdefault(problem.subject, []).append(str(problem))
        else:
            others.append(str(problem))
    from extender.tools.network import network_document

    fabrics, network = list(fabric_counts(inputs.snapshot)), network_document(inputs.snapshot)
    return {
        "nodes": {
            state.node.name: _node_document(
                state.node,
                free[state.node.name],
                of_nodes.get(f"Node {state.node.name}", []),
            )
            for state in inputs.snapshot.nodes
        },
        **({"fabrics": fabrics} if fabrics else {}),
        **({"network": network} if network else {}),
        "problems": others,
    }


def fabric_counts(snapshot: Snapshot) -> Iterator[Mapping[str, Any]]:
    """How large the networks are that fabric maps show, all of one source together."""
    by_source: dict[str, list[Fabric]] = {}
    for fabric in snapshot.fabrics:
        by_source.setdefault(fabric.source, []).append(fabric)
    for source, fabrics in sorted(by_source.items()):
        switches = {switch.id: switch.tier for fabric in fabrics for switch in fabric.switches}
        adapters = {card.id: card.aggregation for fabric in fabrics for card in fabric.adapters}
        links = {cable for fabric in fabrics for cable in fabric.links}
        yield {
            "source": source,
            "switches": len(switches),
            "leaves": sum(tier == 0 for tier in switches.values()),
            "hosts": len({host for fabric in fabrics for host in fabric.hosts}),
            "adapters": len(adapters),
            "aggregationNodes": sum(adapters.values()),
            "links": dict(sorted(Counter(cable.kind or "unknown" for cable in links).items())),
        }


def _node_document(node: Node, free: int, problems: list[str]) -> dict[str, Any]:
    values = [step.value for step in node.path]
    levels = [
        {"level": step.level, "key": step.key, "domain": "/".join(values[: index + 1])}
        for index, step in enumerate(node.path)
    ]
    cards = node.accelerator
    return {
        "levels": levels[::-1],
        "scaleUp": node.scale_up,
        **({"rdma": node.rdma} if node.rdma else {}),
        **({"network": ports} if (ports := node_ports(node)) else {}),
        "accelerators": cards
        and {
            "class": cards.device_class,
            "count": cards.count,
            "free": free,
            "memoryBytes": cards.memory_bytes,
        },
        "problems": problems,
    }


def node_ports(node: Node) -> dict[str, Any]:
    """Ports that accelerators talk through and that are up: their sum in Gb/s, and their rails."""
    ports = compute_ports(node)
    if not ports:
        return {}
    rails = sorted({port.rail for port in ports if port.rail is not None})
    return {"gbps": sum(port.rate_gbps or 0 for port in ports), "rails": rails}


def _lines(inputs: Inputs) -> Iterator[str]:
    snapshot = inputs.snapshot
    yield f"{len(snapshot.nodes)} nodes; levels: {' > '.join(snapshot.levels)}"
    free = free_cards(snapshot)
    yield from _branches(snapshot, free, 0, 0, len(snapshot.nodes), "")
    states = {state.node.name: state for state in snapshot.nodes}
    for domain, names in scale_up_domains(snapshot).items():
        counts = _counts([states[name] for name in names], free)
        yield f"{SCALE_UP} {domain}: {counts}"
    for fabric in fabric_counts(snapshot):
        links = ", ".join(f"{count} {kind}" for kind, count in fabric["links"].items())
        yield (
            f"{fabric['source']}: {fabric['switches']} switches, {fabric['leaves']} of them leaves; "
            f"{fabric['adapters']} adapters, {fabric['hosts']} hosts; links: {links or 'none'}"
        )
    for problem in (*inputs.problems, *snapshot.problems):
        yield table.paint(f"problem: {problem}", table.YELLOW)


def _branches(
    snapshot: Snapshot, free: dict[str, int], depth: int, lo: int, hi: int, indent: str
) -> Iterator[str]:
    """One line per domain of level ``depth`` and below in the node range ``[lo, hi)``."""
    found = list(parts(snapshot, depth, lo, hi))
    for index, (level, first, end) in enumerate(found):
        last = index == len(found) - 1
        states = snapshot.nodes[first:end]
        title, counts = label(snapshot, level, first), _counts(states, free)
        yield f"{indent}{'└─ ' if last else '├─ '}{title}  {counts}"
        if level < len(snapshot.levels) - 1:
            inner = indent + ("   " if last else "│  ")
            yield from _branches(snapshot, free, level + 1, first, end, inner)


def _counts(states: Sequence[NodeState], free: dict[str, int]) -> str:
    """Cards by class: how many there are and how many are free; for one node also what is wrong."""
    total: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for state in states:
        if state.node.accelerator:
            total[state.node.accelerator.device_class] += state.node.accelerator.count
            left[state.node.accelerator.device_class] += free[state.node.name]
    cards = ", ".join(f"{left[name]}/{total[name]} {name} free" for name in sorted(total))
    words = [cards] if cards else []
    if len(states) == 1:
        node = states[0].node
        words += [f"{SCALE_UP} {node.scale_up}"] if node.scale_up else []
        words += flags(node)
    else:
        words.insert(0, f"{len(states)} nodes")
    return "; ".join(words)
