"""Cambricon MLU: the vendor's device plugin, and HAMi's virtual MLUs.

Sources: Cambricon/cambricon-k8s-device-plugin device-plugin/README.md, pkg/mlu (names, modes), pkg/nodeLabel
(the label ``Model`` has no domain, so it counts only beside a resource of Cambricon, and tells of the first
card); Project-HAMi/HAMi charts/hami/values.yaml, pkg/device/cambricon. HAMi's vmlu are ten slots a card.
Memory of no product is published by the plugin. No allocation rule: with its policies ``guaranteed`` and
``restricted``, which no object shows, the plugin refuses numbers other than 1, 2, 4, 8 (pkg/allocator).
"""

from __future__ import annotations

from topology.keys import (
    CAMBRICON_COUNT,
    CAMBRICON_MLU,
    CAMBRICON_PRODUCT,
    CAMBRICON_SMLU,
    CAMBRICON_TYPED,
    CAMBRICON_VMLU,
    HAMI_CAMBRICON,
)
from topology.vendors.catalogue import BESIDE, REGISTERED, RESOURCE, Engine, Sharing, Vendor

_PRODUCTS = {
    "*MLU370-X4*": "cambricon-mlu370-x4",
    "*MLU370-X8*": "cambricon-mlu370-x8",
    "*MLU370-S4*": "cambricon-mlu370-s4",
    "*MLU370*": "cambricon-mlu370",
    "*MLU290*": "cambricon-mlu290",
    "*MLU270*": "cambricon-mlu270",
    "*MLU220*": "cambricon-mlu220",
    "*MLU580*": "cambricon-mlu580",
    "*MLU590*": "cambricon-mlu590",
}

VENDOR = Vendor(
    name="cambricon",
    resources=(CAMBRICON_MLU, *CAMBRICON_TYPED, CAMBRICON_VMLU),
    classes=dict.fromkeys(_PRODUCTS.values()),
    products={
        CAMBRICON_PRODUCT: _PRODUCTS,
        REGISTERED: _PRODUCTS,
        RESOURCE: {f"*/mlu{n}*": f"cambricon-mlu{n}" for n in (220, 270, 290, 370, 580, 590)},
    },
    product_labels=(CAMBRICON_PRODUCT,),
    counts={CAMBRICON_COUNT: 1},
    slots=(CAMBRICON_VMLU,),
    registers=(HAMI_CAMBRICON,),
    sharing=(
        Sharing(by=BESIDE, globs=(CAMBRICON_SMLU,), means="cards are split into sMLUs on demand"),
    ),
    engines={
        "*": Engine(
            package="vllm-mlu",
            image_key="cambricon",
            source="Cambricon/vllm-mlu",
        )
    },
)
