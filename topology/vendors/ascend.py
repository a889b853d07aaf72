"""Huawei Ascend: names of the MindCluster plugin, Huawei CCE and HAMi.

Sources: Ascend/mind-cluster docs/en/scheduling/api (k8s.md, ascend_device_plugin.md); Project-HAMi/HAMi
charts/hami/templates/scheduler/device-configmap.yaml (memory); vllm-ascend, guide for Volcano (CCE name).
"""

from __future__ import annotations

from topology.keys import (
    ASCEND_310,
    ASCEND_310P,
    ASCEND_910,
    ASCEND_910_HAMI,
    ASCEND_ACCELERATOR_TYPE,
    ASCEND_CCE,
    ASCEND_CHIP,
    ASCEND_MEMORY,
    ASCEND_NPU,
    ASCEND_SUPER_POD,
)
from topology.vendors.catalogue import GIB, RESOURCE, Product, Vendor

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
)
