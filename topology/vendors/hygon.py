"""Hygon: the HCU plugin of version 3, the older DCU plugin, and the dynamic mode of both with HAMi.

Sources: HYGON-AI/k8s-hcu-device-plugin README.md (names, modes), k8s-hcu-label-node README.md (labels, of
the first card only); Project-HAMi/HAMi charts/hami/values.yaml and pkg/device/hygon (slots, registers; a
K100_AI registers 65,520 MiB); HYGON-AI/vllm-plugin-das (engine). Pre-split and MIG cards have names of their
own (hcu-share-*, hcu-mig-*) and are no cards.
"""

from __future__ import annotations

from topology.keys import (
    HAMI_HYGON,
    HYGON_CORES,
    HYGON_DCU,
    HYGON_HCU,
    HYGON_MEMORY,
    HYGON_OLD_MEMORY,
    HYGON_OLD_PRODUCT,
    HYGON_PARTS,
    HYGON_PRODUCT,
    HYGON_SLOTS,
)
from topology.vendors.catalogue import BESIDE, REGISTERED, Engine, Sharing, Vendor

_PRODUCTS = {"*K100_AI*": "hygon-k100-ai"}

VENDOR = Vendor(
    name="hygon",
    resources=(HYGON_HCU, HYGON_DCU, *HYGON_SLOTS),
    classes={"hygon-k100-ai": 64},
    products={HYGON_PRODUCT: _PRODUCTS, HYGON_OLD_PRODUCT: _PRODUCTS, REGISTERED: _PRODUCTS},
    product_labels=(HYGON_PRODUCT, HYGON_OLD_PRODUCT),
    memory_labels=(HYGON_MEMORY, HYGON_OLD_MEMORY),
    counts=dict.fromkeys(HYGON_CORES, 100),
    slots=HYGON_SLOTS,
    registers=HAMI_HYGON,
    sharing=(
        Sharing(
            by=BESIDE,
            globs=HYGON_PARTS,
            means="the plugin lists physical cards also where they are split",
        ),
    ),
    engines={
        "*": Engine(
            package="vllm-plugin-das",
            image_key="hygon",
            source="HYGON-AI/vllm-plugin-das",
        )
    },
)
