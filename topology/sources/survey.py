"""What a source of topology says: the types that all sources give, whatever they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from topology.fabric import Fabric
from topology.model import PathStep, Problem


class Rank(IntEnum):
    """How much a source is believed, best first (facts on topology, section 7 no. 4)."""

    SCAN = 0
    """Seen on the node itself."""
    FABRIC = 1
    """Seen by the network: ibnetdiscover, UFM, NetQ, LLDP."""
    OBJECT = 2
    """Said by an object of the cluster, such as a HyperNode or a model that somebody wrote."""
    LABEL = 3
    """A provider's node labels."""
    REPORT = 4
    """Derived by another program from labels: Hermes."""
    PLACE = 5
    """Generic labels: region, zone, rack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where one source says that one node stands."""

    source: str
    """As it is named in problems, such as ``hermes`` or ``HyperNodes``."""
    rank: Rank
    path: tuple[PathStep, ...] = ()
    """Known levels, outermost first, the host left out."""
    leaves: frozenset[str] = frozenset()
    """The leaf switches on which the node hangs; which of them make a group follows from all nodes."""
    scale_up: str | None = None
    """Its NVLink or super-pod domain."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the node, as the source sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a source."""

    name: str
    """File or data key, such as ``fabric-1.txt``."""
    value: Any
    """A JSON value, or text that is neither JSON nor YAML."""

    @property
    def stem(self) -> str:
        """The name up to its first ``.json``, ``.txt`` and the like; LLDP names the node by it."""
        base = self.name.rpartition("/")[2]
        for ending in (".json", ".json0", ".yaml", ".yml", ".txt", ".out"):
            base = base.removesuffix(ending)
        return base


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one document says of the fleet."""

    source: str = ""
    positions: Mapping[str, Position] = field(default_factory=dict)
    """By name of the node as the source spells it."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Another name of a node -> its name in ``positions``."""
    above: Mapping[str, tuple[PathStep, ...]] = field(default_factory=dict)
    """Leaf switch -> the levels around it, outermost first."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the document."""
    fabric: Fabric | None = None
    """Switches, adapters and links, where the source knows them."""
    guids: Mapping[str, str] = field(default_factory=dict)
    """Node GUID of an adapter -> node; fabric maps find nodes by it whose adapters have no name."""
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Labels and allocatable amounts of nodes, where the source has them: ``{labels, allocatable}``."""


Guids = Mapping[str, str]
"""Node GUID of an adapter -> name of the node in which it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One format of documents: how it is recognised and what it says."""

    name: str
    recognises: Callable[[Any], bool]
    """Whether a JSON value, or text, is such a document. Total."""
    read: Callable[[Document, Guids], Survey]
    """Total: any value gives a Survey."""


_NO_CLUSTER = "00000000-0000-0000-0000-000000000000"
"""Cluster UUID of GPUs outside multi-node NVLink (NVML: GpuFabricInfo); every such node has it."""
_UNKNOWN = frozenset({"", "-", "n/a", "nil", "none", "null", "unknown", "no-imds-data"})


def known(value: str) -> str:
    """``value``, or nothing when it only says that nothing is known.

    Oracle's labeler writes ``no-imds-data``: read as a name it would put all such nodes together.
    """
    bare = value.strip().lower()
    return "" if bare in _UNKNOWN or bare.startswith(_NO_CLUSTER) else value


def path_of(source: str, steps: Sequence[tuple[str, str]]) -> tuple[PathStep, ...]:
    """A path of (level, value), outermost first; unknown values are left out."""
    return tuple(
        # A slash joins the values of a path in the names of domains.
        PathStep(level=level, key=source, value=value.replace("/", "_"))
        for level, value in steps
        if known(value)
    )
