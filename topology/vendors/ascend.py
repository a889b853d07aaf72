"""Huawei Ascend: names of the MindCluster plugin, Huawei CCE and HAMi.

Sources: Ascend/mind-cluster docs/en/scheduling/api (k8s.md, ascend_device_plugin.md); Project-HAMi/HAMi
charts/hami/templates/scheduler/device-configmap.yaml (memory, names); vllm-ascend, guide for Volcano (CCE
names), README.md and Dockerfiles (engine).
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
    ASCEND_CCE_310,
    ASCEND_CHIP,
    ASCEND_HAMI_PARTS,
    ASCEND_INFER_CARD,
    ASCEND_MEMORY,
    ASCEND_NPU,
    ASCEND_NPU_CORE,
    ASCEND_SOFT_SHARE,
    ASCEND_SUPER_POD,
    HAMI_ASCEND,
    PREDICATE_TIME,
)
from topology.vendors.catalogue import BESIDE, RESOURCE, Engine, HandOff, RuleRow, Sharing, Vendor

_IMAGE = "quay.io/ascend/vllm-ascend"
_VISIBLE = ("ASCEND_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES")


def _engine(key: str) -> Engine:
    return Engine(
        package="vllm-ascend",
        plugin="ascend",
        image_key=key,
        image=_IMAGE,
        visible_devices=_VISIBLE,
        source="vllm-project/vllm-ascend README.md, Dockerfile*",
    )


# Two rings of four, no traffic between them. A half node has one.
_910A = CardRule(counts=(1, 2, 4, 8), group=4, noun="ring", one_per_node=True)
# Without the chip's name: legal in every generation. In a super-pod there is only A3, a node of more than
# eight may be one.
_ANY_910 = CardRule(counts=(1, 2, 4, 8, 16), group=4, noun="ring", one_per_node=True)
_ANY_910_BIG = CardRule(counts=(1, 2, 4, 8, 16), group=4, noun="ring", whole_node=True)
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
    RuleRow(classes="ascend-910b*", cards=9, rule=_BOX_16),  # with 8 cards all are connected
    _typed("ascend-910c", "module-a3-16", _A3_SERVER),  # a server outside a super-pod
    RuleRow(classes="ascend-910c", rule=_A3),
    _typed("ascend-950*", "350-Atlas-4p-*", _350_BOARDS),
    _typed("ascend-950*", "350-Atlas-*", _350),
    _typed("ascend-950*", "850-Atlas-*", CardRule(counts=(1, 2, 4, 8), one_per_node=True)),
    _typed("ascend-950*", "950-*", _950),
    # Also where the type is unknown: legal in all of them.
    RuleRow(classes="ascend-950*", rule=_850),
    RuleRow(classes="ascend-310p", labels={ASCEND_INFER_CARD: "card-300i-duo"}, rule=_DUO),
    RuleRow(classes="ascend-310p", rule=_310P),
    RuleRow(classes="ascend-910", labels={ASCEND_SUPER_POD: "?*"}, rule=_A3),
    RuleRow(classes="ascend-910", cards=9, rule=_ANY_910_BIG),
    RuleRow(classes="ascend-910", rule=_ANY_910),
)

VENDOR = Vendor(
    name="ascend",
    # Different plugins, one kind of card: all these are aliases.
    resources=(
        ASCEND_910,
        ASCEND_NPU,
        ASCEND_310P,
        ASCEND_310,
        ASCEND_CCE,
        ASCEND_CCE_310,
        *ASCEND_910_HAMI,
    ),
    renamable=True,  # deviceNameCustomization.json
    classes={
        "ascend-910": None,
        "ascend-910a": 32,
        "ascend-910b": 64,
        "ascend-910b-32gb": 32,
        "ascend-910c": 64,  # of a die, which is the unit that is scheduled
        "ascend-310": None,
        "ascend-310p": 24,
        "ascend-950": None,
        "ascend-950pr": None,
        "ascend-950dt": None,
    },
    families={"ascend-910": "ascend-910*", "ascend-950": "ascend-950*"},
    products={
        ASCEND_CHIP: {
            "*910A*": "ascend-910a",
            "*910Pro*": "ascend-910a",
            "*910B4": "ascend-910b-32gb",
            "*910B[1-4]*": "ascend-910b",  # B1, B2, B3 and B4-1
            "*910B": "ascend-910",  # also a name of the first generation
            "*910": "ascend-910",
            "*910C*": "ascend-910c",
            "*910_93*": "ascend-910c",
            "*310P*": "ascend-310p",
            "*950PR*": "ascend-950pr",
            "*950DT*": "ascend-950dt",
            "*950*": "ascend-950",
        },
        # Written by hand, so a weaker sign than the chip's name, but one that must not contradict it.
        ASCEND_ACCELERATOR_TYPE: {
            "module-910b-*": "ascend-910b",
            "card-910b-*": "ascend-910b",
            "module-a3-*": "ascend-910c",
            "module": "ascend-910a",
            "half": "ascend-910a",
            "*-Atlas-*": "ascend-950",
        },
        # The plain name alone does not tell the generations apart.
        RESOURCE: {
            ASCEND_910: "ascend-910",
            ASCEND_310: "ascend-310",
            ASCEND_CCE_310: "ascend-310",
            ASCEND_310P: "ascend-310p",
            ASCEND_NPU: "ascend-950",
            ASCEND_CCE: "ascend-910b",
            "*/Ascend910A": "ascend-910a",
            "*/Ascend910B4": "ascend-910b-32gb",
            "*/Ascend910B*": "ascend-910b",
            "*/Ascend910C": "ascend-910c",
        },
    },
    product_labels=(ASCEND_CHIP,),
    memory_labels=(ASCEND_MEMORY,),
    memory_unit="Mi",
    scale_up=ASCEND_SUPER_POD,
    rules=_RULES,
    registers=HAMI_ASCEND,
    sharing=(
        Sharing(by=ASCEND_SOFT_SHARE, globs=("true",), means="chips are shared by pods"),
        Sharing(by=BESIDE, globs=(ASCEND_NPU_CORE,), means="chips are split into vNPUs on demand"),
        Sharing(by=BESIDE, globs=ASCEND_HAMI_PARTS, means="HAMi splits each chip"),
    ),
    handoff=HandOff(
        # Physical numbers, for the 950 logical ones. Names: component/ascend-for-volcano, common/util.
        devices={
            ASCEND_910: "Ascend910-{index}",
            ASCEND_NPU: "npu-{index}",
            ASCEND_310P: "Ascend310P-{index}",
        },
        time=PREDICATE_TIME,
        when="-volcanoType=true of the device plugin (not its default)",
        source="Ascend/mind-cluster component/ascend-device-plugin/pkg/server/plugin.go",
    ),
    engines={  # vllm-ascend docs/source/faqs.md: not for the 910A
        "ascend-910b*": _engine("ascend-a2"),
        "ascend-910c": _engine("ascend-a3"),
        "ascend-310p": _engine("ascend-310p"),
        "ascend-950*": _engine("ascend-950"),
    },
)
