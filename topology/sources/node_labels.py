"""Presets of topology labels by provider, outermost first. Sources: the named provider's documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable

from topology.keys import (
    ASCEND_RACK,
    ASCEND_SUPER_POD,
    AWS_CAPACITY_BLOCK,
    AWS_LAYER_1,
    AWS_LAYER_2,
    AWS_LAYER_3,
    AWS_LAYER_4,
    BLOCK,
    COREWEAVE_FABRIC,
    COREWEAVE_LEAFGROUP,
    COREWEAVE_NEW_FABRIC,
    COREWEAVE_NEW_LEAFGROUP,
    COREWEAVE_RACK,
    COREWEAVE_SUPERPOD,
    CRUSOE_PARTITION,
    CRUSOE_POD,
    GKE_BLOCK,
    GKE_OLD_CLUSTER,
    GKE_OLD_RACK,
    GKE_OLD_ZONE,
    GKE_PLACEMENT,
    GKE_SUBBLOCK,
    OCI_HOST_BLOCK,
    OCI_HOST_RACK,
    OCI_ISLAND,
    OCI_LOCAL_BLOCK,
    OCI_NETWORK_BLOCK,
    OLD_REGION,
    OLD_ZONE,
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
    UNIFABRIC_TIER,
    VOLCANO_HYPERCLUSTER,
    VOLCANO_HYPERNODE,
    VOLCANO_TOR,
    ZONE,
)
from topology.model import HOST, PathStep
from topology.sources.hierarchy import Hierarchy, Labels, LevelKey

PLACES = ("region", "zone")
"""Levels that are outside all others, whoever names them."""
_TIER = re.compile(r"tier-([0-9]{1,5})", re.ASCII)
_USUAL = (*PLACES, "core", "block", "spine", "rack", "leaf")
WORDS = frozenset({*_USUAL, HOST})
"""Level names that are used where a source's level is known by one; else the label key is the name."""

_PLACE = (
    LevelKey(level="region", key=REGION, also=(OLD_REGION,)),
    LevelKey(level="zone", key=ZONE, also=(OLD_ZONE, GKE_OLD_ZONE)),
)
_DEEPEST = 16
"""Levels of a fabric that are looked for, as many as Kueue allows."""

_Level = tuple[str, str] | tuple[str, str, str]


def preset(name: str, levels: Iterable[_Level], needs: Iterable[str] = ()) -> Hierarchy:
    """A preset of (level, label key), outermost first; region and zone stand in front of its own.

    A third word is another key for the same level. ``needs``: of these labels a node must have one, by
    default of all.
    """
    own = tuple(LevelKey(level=level[0], key=level[1], also=level[2:]) for level in levels)
    named = {key.level for key in own}
    place = tuple(key for key in _PLACE if key.level not in named)
    needed = frozenset(needs) or frozenset(name for key in own for name in key.names)
    return Hierarchy(name=f"preset {name}", keys=(*place, *own), needs=needed)


def _fabric(name: str, core: str, spine: str, leaf: str, needs: Iterable[str] = ()) -> Hierarchy:
    return preset(name, (("core", core), ("spine", spine), ("leaf", leaf)), needs)


def _tiers(name: str, prefix: str, closest: int) -> Hierarchy:
    """Labels with a number at the end: leaf, spine, core, and beyond them the key itself."""
    words = {closest: "leaf", closest + 1: "spine", closest + 2: "core"}
    tiers = range(closest + _DEEPEST - 1, closest - 1, -1)
    return preset(name, ((words.get(tier, f"{prefix}{tier}"), f"{prefix}{tier}") for tier in tiers))


GENERIC = Hierarchy(
    name="preset kubernetes",
    keys=(*_PLACE, LevelKey(level="block", key=BLOCK), LevelKey(level="rack", key=RACK)),
    needs=frozenset({REGION, ZONE, OLD_REGION, OLD_ZONE, BLOCK, RACK}),
)

PRESETS: tuple[Hierarchy, ...] = (
    # Topograph 1.x: tier 0 is the closest - NVIDIA/topograph docs/reference/node-labels.md
    _tiers("topograph", TOPOGRAPH_TIER, 0),
    # Topograph 0.1: what it calls block is the leaf switch - topograph v0.1.0 docs/engines/k8s.md
    _fabric(
        "topograph-0.1",
        TOPOGRAPH_OLD_CORE,
        TOPOGRAPH_SPINE,
        TOPOGRAPH_OLD_LEAF,
        needs=(TOPOGRAPH_OLD_CORE, TOPOGRAPH_OLD_LEAF),
    ),
    _fabric("topograph-0.5", TOPOGRAPH_CORE, TOPOGRAPH_SPINE, TOPOGRAPH_LEAF),
    preset("gke", (("block", GKE_BLOCK), ("rack", GKE_SUBBLOCK))),
    preset("gke-old", (("block", GKE_OLD_CLUSTER), ("rack", GKE_OLD_RACK))),
    preset("gke-placement", (("block", GKE_PLACEMENT),)),
    # AWS: layer 1 is the broadest; some types have a fourth at the bottom - EKS ml-workload-topology
    preset(
        "aws-4",
        (
            (AWS_LAYER_1, AWS_LAYER_1),
            ("core", AWS_LAYER_2),
            ("spine", AWS_LAYER_3),
            ("leaf", AWS_LAYER_4),
        ),
        needs=(AWS_LAYER_4,),
    ),
    _fabric("aws", AWS_LAYER_1, AWS_LAYER_2, AWS_LAYER_3),
    preset("aws-capacity-block", (("block", AWS_CAPACITY_BLOCK),)),
    # CoreWeave: leaf group numbers are counted anew in every fabric - Hermes platforms.rs, docs
    preset(
        "coreweave",
        (
            ("core", COREWEAVE_FABRIC, COREWEAVE_NEW_FABRIC),
            ("spine", COREWEAVE_SUPERPOD),
            ("leaf", COREWEAVE_LEAFGROUP, COREWEAVE_NEW_LEAFGROUP),
        ),
    ),
    preset("coreweave-rack", (("rack", COREWEAVE_RACK),)),
    # Oracle: a local block has 8-32 nodes, an island 2,000 - oci-hpc-oke labeler-configmap.yaml
    preset(
        "oci",
        (
            ("core", OCI_ISLAND),
            ("spine", OCI_NETWORK_BLOCK, OCI_HOST_BLOCK),
            ("leaf", OCI_LOCAL_BLOCK),
        ),
        needs=(OCI_ISLAND, OCI_NETWORK_BLOCK, OCI_LOCAL_BLOCK),
    ),
    preset("oci-host", (("spine", OCI_HOST_BLOCK), ("rack", OCI_HOST_RACK))),
    # Crusoe: nodes of a pod hang on the same leaves - docs.nvidia.com/topograph/providers/crusoe
    preset("crusoe", (("core", CRUSOE_PARTITION), ("leaf", CRUSOE_POD))),
    _fabric("unifabric", UNIFABRIC_CORE, UNIFABRIC_SPINE, UNIFABRIC_LEAF),
    _tiers("unifabric-tiers", UNIFABRIC_TIER, 1),  # tier 1 is the closest - docs/design
    # Volcano: a hypernode is a super-pod, a hypercluster several of them - docs/user-guide
    preset(
        "volcano",
        (
            (VOLCANO_HYPERCLUSTER, VOLCANO_HYPERCLUSTER),
            (VOLCANO_HYPERNODE, VOLCANO_HYPERNODE),
            ("leaf", VOLCANO_TOR),
        ),
    ),
    # Ascend 950: racks in a super-pod - Ascend/mind-cluster
    preset(
        "ascend",
        ((ASCEND_SUPER_POD, ASCEND_SUPER_POD), ("rack", ASCEND_RACK)),
        needs=(ASCEND_RACK,),
    ),
    GENERIC,
)
"""A node uses the first one of which it has a label: the levels of two are never mixed on a node, since
nothing says which of them is the outer one. Azure has no such labels."""


def applying(presets: Iterable[Hierarchy], labels: Labels) -> Hierarchy | None:
    """The preset that a node uses; None when it has no label of any."""
    return next((preset for preset in presets if preset.applies(labels)), None)


def preset_path(labels: Labels) -> tuple[PathStep, ...]:
    """The path that the labels of a node give, outermost first."""
    hierarchy = applying(PRESETS, labels)
    return tuple(hierarchy.steps(labels)) if hierarchy else ()


def usual_order(level: str) -> tuple[int, str]:
    """Sort key that puts broader levels first where no source says more."""
    if level in _USUAL:
        return _USUAL.index(level), level
    tier = _TIER.fullmatch(level)  # the higher, the broader
    return len(_USUAL), f"tier-{10**6 - int(tier[1]):06}" if tier else level


WORD_OF_KEY = {name: key.level for entry in PRESETS for key in entry.keys for name in key.names}
"""Label keys of presets. Later presets win: the three layers of AWS are the usual ones."""


def level_name(key: str) -> str:
    """The level word for a label key: a preset's, its last part when that is one, else the key itself."""
    if key == HOST:
        return f"{HOST} label"  # somebody's own label, not the level that every node has
    last = key.rpartition("/")[2]
    return WORD_OF_KEY.get(key, last if last in WORDS - {HOST} else key)


def keys_of(word: str) -> tuple[str, ...]:
    """The label keys that presets know for a level word, in their order."""
    return tuple(
        dict.fromkeys(
            name
            for entry in PRESETS
            for key in entry.keys
            for name in key.names
            if level_name(name) == word
        )
    )
