"""Node labels that say that something is wrong: placeholders instead of places, links that are degraded.

A placeholder such as Oracle's ``no-imds-data`` in a label of a preset means that a level is not known.
CoreWeave's labels say what a node's links are and what they should be (docs.coreweave.com):
``ib.coreweave.cloud/NAME.current`` with another value than ``NAME.expected``, and a speed of 0G, mean a
degraded node. A missing one of the two says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from topology.keys import COREWEAVE_LINKS, COREWEAVE_NEW_LINKS, COREWEAVE_SPEED
from topology.model import Problem
from topology.sources.hierarchy import Labels
from topology.sources.node_labels import WORD_OF_KEY
from topology.sources.survey import known

_LINKS = (COREWEAVE_LINKS, COREWEAVE_NEW_LINKS)
_CURRENT, _EXPECTED = ".current", ".expected"


def problems(name: str, labels: Labels) -> Iterator[Problem]:
    """What is unknown or degraded on a node, by key."""
    for key in sorted(labels.keys() & WORD_OF_KEY.keys()):
        if labels[key] and not known(labels[key]):
            message = f"{labels[key]!r} is a placeholder: its {WORD_OF_KEY[key]} is unknown"
            yield _problem(name, key, message)
    if labels.get(COREWEAVE_SPEED) == "0G":
        yield _problem(name, COREWEAVE_SPEED, "0G: its links are down")
    for key in sorted(key for key in labels if _CURRENT in key and key.startswith(_LINKS)):
        expected = labels.get(key.replace(_CURRENT, _EXPECTED))
        if expected is not None and expected != labels[key]:
            yield _problem(name, key, f"{labels[key]!r} instead of {expected!r}: degraded")


def _problem(name: str, key: str, message: str) -> Problem:
    return Problem(subject=f"Node {name}", field=key, message=message)
