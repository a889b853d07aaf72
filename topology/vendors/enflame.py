"""Enflame GCU: device plugin, GCU feature discovery, GCUShare and HAMi.

Sources: Project-HAMi/HAMi pkg/device/enflame/device.go, charts/hami/values.yaml (names; its annotations
of pods are about shares, whole cards are chosen by the kubelet); EnflameTechnology, GCU feature discovery
(labels, memory in MiB; vgcu.* on nodes with virtual cards); EnflameTechnology/vllm-gcu setup.py. Memory of
the products is what the label says.
"""

from __future__ import annotations

from topology.keys import (
    ENFLAME_COUNT,
    ENFLAME_GCU,
    ENFLAME_MEMORY_MIB,
    ENFLAME_PRODUCT,
    ENFLAME_SHARED,
)
from topology.vendors.catalogue import BESIDE, Engine, Sharing, Vendor

VENDOR = Vendor(
    name="enflame",
    resources=(ENFLAME_GCU,),
    classes={"enflame-s60": None, "enflame-t10": None, "enflame-t20": None, "enflame-i20": None},
    products={
        ENFLAME_PRODUCT: {
            "*S60*": "enflame-s60",
            "*T10*": "enflame-t10",
            "*T20*": "enflame-t20",
            "*I20*": "enflame-i20",
        }
    },
    product_labels=(ENFLAME_PRODUCT,),
    memory_labels=(ENFLAME_MEMORY_MIB,),
    memory_unit="Mi",
    counts={ENFLAME_COUNT: 1},
    sharing=(Sharing(by=BESIDE, globs=ENFLAME_SHARED, means="the cards are also shared"),),
    engines={
        "*": Engine(
            package="vllm-gcu",
            image_key="enflame",
            source="EnflameTechnology/vllm-gcu setup.py",
        )
    },
)
