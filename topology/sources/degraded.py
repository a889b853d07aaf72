"""CoreWeave's labels that say what a node's links are and what they should be (docs.coreweave.com).

``ib.coreweave.cloud/NAME.current`` with another value than ``NAME.expected``, and a speed of 0G, mean a
degraded node. A missing one of the two says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from topology.keys import COREWEAVE_LINKS, COREWEAVE_NEW_LINKS, COREWEAVE_SPEED
from topology.model import Problem
from topology.sources.hierarchy import Labels

_LINKS = (COREWEAVE_LINKS, COREWEAVE_NEW_LINKS)
_CURRENT, _EXPECTED = ".current", ".expected"


def problems(name: str, labels: Labels) -> Iterator[Problem]:
    """What is degraded on a node, by key."""
    if labels.get(COREWEAVE_SPEED) == "0G":
        yield _problem(name, COREWEAVE_SPEED, "0G: its links are down")
    for key in sorted(key for key in labels if _CURRENT in key and key.startswith(_LINKS)):
        expected = labels.get(key.replace(_CURRENT, _EXPECTED))
        if expected is not None and expected != labels[key]:
            yield _problem(name, key, f"{labels[key]!r} instead of {expected!r}: degraded")


def _problem(name: str, key: str, message: str) -> Problem:
    return Problem(subject=f"Node {name}", field=key, message=message)
