"""Huawei Ascend: names of the MindCluster plugin, Huawei CCE and HAMi.

Sources of names: Ascend/mind-cluster docs/en/scheduling/api (k8s.md, ascend_device_plugin.md);
Project-HAMi/HAMi charts/hami/templates/scheduler/device-configmap.yaml (memory);
vllm-ascend, guide for Volcano (CCE name).
Source of the allocation rules: the same docs, 03_ascend_ai_processor_based_affinity.md, and the code of
component/ascend-for-volcano. What a rule says of gangs is what is said there of distributed jobs.
"""

from __future__ import annotations

from topology.allocation import CardRule, Reach, Wide
from topology.keys import (
    ASCEND_310,
    ASCEND_310P,
    ASCEND_910,
    ASCEND_910_HAMI,
    ASCEND_ACCELERATOR_TYPE,
    ASCEND_CCE,
    ASCEND_CHIP,
    ASCEND_INFER_CARD,
    ASCEND_MEMORY,
    ASCEND_NPU,
    ASCEND_SUPER_POD,
)
from topology.vendors.catalogue import GIB, RESOURCE, Product, RuleRow, Vendor

_MEMORY_GIB = {
    "ascend-910a": 32,
    "ascend-910b": 64,
    "ascend-910b-32gb": 32,
    "ascend-910c": 64,  # of a die, which is the unit that is scheduled
    "ascend-310p": 24,
}


def _rows(by: str, classes: dict[str, str]) -> tuple[Product, ...]:
    return tuple(
        Product(
            by=by,
            glob=glob,
            device_class=name,
            memory_bytes=_MEMORY_GIB[name] * GIB if name in _MEMORY_GIB else None,
        )
        for glob, name in classes.items()
    )


# Two rings of four, no traffic between them. A half node has one.
_910A = CardRule(counts=(1, 2, 4, 8), group=4, noun="ring", one_per_node=True)
# Without the chip's name: legal in every generation.
_ANY_910 = CardRule(counts=(1, 2, 4, 8, 16), group=4, noun="ring", one_per_node=True)
# Two rings of eight. (An even split has to take the same places of both rings; a split of five to seven of
# each is planned as a whole ring, so that it can.)
_BOX_16 = CardRule(
    counts=(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16), group=8, noun="ring", wide=Wide.EVEN
)
# Modules of two dies. Several pods of a gang on a node cannot talk to each other: a gang takes whole nodes.
_MODULES = (1, 2, 4, 6, 8, 10, 12, 14, 16)
_A3_SERVER = CardRule(counts=_MODULES, group=2, noun="module", whole_node=True)
_A3 = CardRule(counts=_MODULES, group=2, noun="module", whole_node=True, reach=Reach.SCALE_UP)
# Any cards of a node, or of a gang's node all; the rack level of the 950 (``ra-block``) is not looked at.
_850 = CardRule(counts=(1, 2, 4, 8), whole_node=True, reach=Reach.SCALE_UP)
_950 = CardRule(counts=(1, 2, 3, 4, 5, 6, 7, 8), whole_node=True, reach=Reach.SCALE_UP)
# 350: only the boards of four have groups; numbers that do not fit these get cards without affinity.
_350 = CardRule(one_per_node=True)
_350_BOARDS = CardRule(group=4, noun="board", one_per_node=True)
# Duo: two chips on a card. Replicas of a distributed job must be on one node.
_310P = CardRule(reach=Reach.NODE)
_DUO = CardRule(group=2, noun="card", wide=Wide.LOOSE, reach=Reach.NODE)


def _typed(classes: str, glob: str, rule: CardRule) -> RuleRow:
    return RuleRow(classes=classes, labels={ASCEND_ACCELERATOR_TYPE: glob}, rule=rule)


_RULES = (
    RuleRow(classes="ascend-910a", rule=_910A),
    RuleRow(classes="ascend-910b*", cards=16, rule=_BOX_16),  # with 8 cards all are connected
    _typed("ascend-910c", "module-a3-16", _A3_SERVER),  # a server outside a super-pod
    RuleRow(classes="ascend-910c", rule=_A3),
    _typed("ascend-950", "350-Atlas-4p-*", _350_BOARDS),
    _typed("ascend-950", "350-Atlas-*", _350),
    _typed("ascend-950", "850-Atlas-*", CardRule(counts=(1, 2, 4, 8), one_per_node=True)),
    _typed("ascend-950", "950-*", _950),
    RuleRow(
        classes="ascend-950", rule=_850
    ),  # also where the type is unknown: legal in all of them
    RuleRow(classes="ascend-310p", labels={ASCEND_INFER_CARD: "card-300i-duo"}, rule=_DUO),
    RuleRow(classes="ascend-310p", rule=_310P),
    RuleRow(classes="ascend-910", rule=_ANY_910),
)

VENDOR = Vendor(
    name="ascend",
    # Different plugins, one kind of card: all these are aliases.
    resources=(ASCEND_910, ASCEND_NPU, ASCEND_310P, ASCEND_310, ASCEND_CCE, *ASCEND_910_HAMI),
    products=(
        *_rows(
            ASCEND_CHIP,
            {
                "910A*": "ascend-910a",
                "910B4": "ascend-910b-32gb",
                "910B*": "ascend-910b",  # B1, B2, B3 and B4-1
                "910C*": "ascend-910c",
                "910_93*": "ascend-910c",
                "310P*": "ascend-310p",
                "Ascend950*": "ascend-950",
            },
        ),
        # Written by hand, so a weaker sign than the chip's name, but one that must not contradict it.
        *_rows(
            ASCEND_ACCELERATOR_TYPE,
            {
                "module-910b-*": "ascend-910b",
                "card-910b-*": "ascend-910b",
                "module-a3-*": "ascend-910c",
                "module": "ascend-910a",
                "half": "ascend-910a",
                "*-Atlas-*": "ascend-950",
            },
        ),
        # The plain name alone does not tell the generations apart.
        *_rows(
            RESOURCE,
            {
                ASCEND_910: "ascend-910",
                ASCEND_310: "ascend-310",
                ASCEND_310P: "ascend-310p",
                ASCEND_NPU: "ascend-950",
                ASCEND_CCE: "ascend-910b",
                "*/Ascend910A": "ascend-910a",
                "*/Ascend910B4": "ascend-910b-32gb",
                "*/Ascend910B*": "ascend-910b",
                "*/Ascend910C": "ascend-910c",
            },
        ),
    ),
    product_label=ASCEND_CHIP,
    memory_label=ASCEND_MEMORY,
    memory_unit="Mi",
    scale_up=ASCEND_SUPER_POD,
    rules=_RULES,
)
