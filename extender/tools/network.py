"""The network part of ``muster topology -o json``: what cables and ports say of rates, rails and narrow ways.

Fields that nothing is known for are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scheduler.snapshot import Snapshot
from topology.cost import oversubscribed, rate
from topology.graph import Network

Document = dict[str, Any]
MOST_CABLES = 4096
"""Of larger fabrics only switches are told: the narrowest cut of every domain would take minutes."""


def network_document(snapshot: Snapshot) -> Document:
    """``{nodeBytesPerSecond, oversubscription: {level: ratio}, domains: [...]}``; empty if nothing is known.

    ``nodeBytesPerSecond``: what most nodes can send. ``domains``: Gb/s between the halves of each, and of its
    adapters by what gets out while all send.
    """
    nodes = tuple(state.node for state in snapshot.nodes)
    sends = rate(nodes, snapshot.fabrics)
    ratios = oversubscribed(snapshot.fabrics)
    found: Document = {}
    if sends is not None:
        found["nodeBytesPerSecond"] = sends
    if ratios:
        found["oversubscription"] = {level: float(ratio) for level, ratio in ratios.items()}
    if 0 < sum(len(fabric.links) for fabric in snapshot.fabrics) <= MOST_CABLES:
        network = Network(nodes=nodes, tree=snapshot.tree, fabrics=snapshot.fabrics)
        domains = list(_domains(snapshot, network))
        found |= {"domains": domains} if domains else {}
    return found


def _domains(snapshot: Snapshot, network: Network) -> Iterator[Document]:
    """The known domains of several nodes whose cables are known."""
    tree = snapshot.tree
    for level, domains in zip(tree.levels[:-1], tree.domains, strict=False):
        for domain in domains:
            names = tree.nodes[domain.lo : domain.hi]
            across = network.bisection(names) if domain.known and len(names) > 1 else None
            if across is None:
                continue
            narrow = network.oversubscription(names)
            yield {
                "level": level,
                "domain": domain.name,
                "bisectionGbps": round(across, 3),
                **({} if narrow is None else {"oversubscription": round(float(narrow), 3)}),
            }
