"""Presets of topology labels by provider, outermost first. Sources: the named provider's documentation."""

from __future__ import annotations

from collections.abc import Iterable

from topology.keys import (
    AWS_LAYER_1,
    AWS_LAYER_2,
    AWS_LAYER_3,
    AWS_LAYER_4,
    BLOCK,
    COREWEAVE_FABRIC,
    COREWEAVE_LEAFGROUP,
    COREWEAVE_SUPERPOD,
    GKE_BLOCK,
    GKE_OLD_CLUSTER,
    GKE_OLD_RACK,
    GKE_SUBBLOCK,
    OCI_ISLAND,
    OCI_LOCAL_BLOCK,
    OCI_NETWORK_BLOCK,
    RACK,
    REGION,
    TOPOGRAPH_CORE,
    TOPOGRAPH_LEAF,
    TOPOGRAPH_OLD_CORE,
    TOPOGRAPH_OLD_LEAF,
    TOPOGRAPH_SPINE,
    TOPOGRAPH_TIER,
    UNIFABRIC_CORE,
    UNIFABRIC_LEAF,
    UNIFABRIC_SPINE,
    ZONE,
)
from topology.model import HOST
from topology.sources.hierarchy import Hierarchy, LevelKey

_USUAL = ("region", "zone", "core", "block", "spine", "rack", "leaf")
WORDS = frozenset({*_USUAL, HOST})
"""Level names that are used where a source's level is known by one; else the label key is the name."""

_PLACE = (LevelKey(level="region", key=REGION), LevelKey(level="zone", key=ZONE))


def preset(name: str, levels: Iterable[tuple[str, str]], needs: str | None = None) -> Hierarchy:
    """A preset of (level, label key), outermost first; region and zone stand in front of its own."""
    own = tuple(LevelKey(level=level, key=key) for level, key in levels)
    place = tuple(key for key in _PLACE if key not in own)
    return Hierarchy(
        name=f"preset {name}",
        keys=(*place, *own),
        needs=frozenset({needs} if needs else {key.key for key in own}),
    )


def _fabric(name: str, core: str, spine: str, leaf: str) -> Hierarchy:
    return preset(name, (("core", core), ("spine", spine), ("leaf", leaf)))


PRESETS: tuple[Hierarchy, ...] = (
    # Topograph 1.x: tier 0 is the closest - NVIDIA/topograph docs/reference/node-labels.md
    _fabric("topograph", *(f"{TOPOGRAPH_TIER}{tier}" for tier in (2, 1, 0))),
    _fabric("topograph-0.5", TOPOGRAPH_CORE, TOPOGRAPH_SPINE, TOPOGRAPH_LEAF),
    # Topograph 0.1: what it calls block is the leaf switch - topograph v0.1.0 docs/engines/k8s.md
    _fabric("topograph-0.1", TOPOGRAPH_OLD_CORE, TOPOGRAPH_SPINE, TOPOGRAPH_OLD_LEAF),
    preset("gke", (("block", GKE_BLOCK), ("rack", GKE_SUBBLOCK))),
    preset("gke-old", (("block", GKE_OLD_CLUSTER), ("rack", GKE_OLD_RACK))),
    # AWS: layer 1 is the broadest; some types have a fourth at the bottom - EKS ml-workload-topology
    preset(
        "aws-4",
        (
            (AWS_LAYER_1, AWS_LAYER_1),
            ("core", AWS_LAYER_2),
            ("spine", AWS_LAYER_3),
            ("leaf", AWS_LAYER_4),
        ),
        needs=AWS_LAYER_4,
    ),
    _fabric("aws", AWS_LAYER_1, AWS_LAYER_2, AWS_LAYER_3),
    _fabric("coreweave", COREWEAVE_FABRIC, COREWEAVE_SUPERPOD, COREWEAVE_LEAFGROUP),
    _fabric("oci", OCI_ISLAND, OCI_NETWORK_BLOCK, OCI_LOCAL_BLOCK),
    _fabric("unifabric", UNIFABRIC_CORE, UNIFABRIC_SPINE, UNIFABRIC_LEAF),
    preset("kubernetes", (("region", REGION), ("zone", ZONE), ("block", BLOCK), ("rack", RACK))),
)
"""A node uses the first one of which it has a label: the levels of two are never mixed on a node, since
nothing says which of them is the outer one."""


def usual_order(level: str) -> tuple[int, str]:
    """Sort key that puts broader levels first where no source says more."""
    return (_USUAL.index(level) if level in _USUAL else len(_USUAL), level)


_WORD_OF_KEY = {key.key: key.level for entry in PRESETS for key in entry.keys}
"""Later presets win: the three layers of AWS are the usual ones."""


def level_name(key: str) -> str:
    """The level word for a label key: a preset's, its last part when that is one, else the key itself."""
    if key == HOST:
        return f"{HOST} label"  # somebody's own label, not the level that every node has
    last = key.rpartition("/")[2]
    return _WORD_OF_KEY.get(key, last if last in WORDS - {HOST} else key)


def keys_of(word: str) -> tuple[str, ...]:
    """The label keys that presets know for a level word, in their order."""
    return tuple(
        dict.fromkeys(
            key.key for entry in PRESETS for key in entry.keys if level_name(key.key) == word
        )
    )
