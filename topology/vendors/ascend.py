"""Huawei Ascend: MindCluster device plugin, Huawei CCE and HAMi names (Ascend/mind-cluster docs/en/scheduling/api)."""

from __future__ import annotations

from topology.keys import (
    ASCEND_310P,
    ASCEND_910,
    ASCEND_910_HAMI,
    ASCEND_CCE,
    ASCEND_CHIP,
    ASCEND_MEMORY,
    ASCEND_NPU,
    ASCEND_SUPER_POD,
)
from topology.vendors.catalogue import Product, Vendor

_GIB = 2**30

VENDOR = Vendor(
    name="ascend",
    # Four plugins, one kind of card each: several names of one vendor are aliases.
    resources=(ASCEND_910, ASCEND_NPU, ASCEND_310P, ASCEND_CCE, *ASCEND_910_HAMI),
    product_labels=(ASCEND_CHIP,),
    products=(
        Product(glob="910A*", device_class="ascend-910a", memory_bytes=32 * _GIB),
        Product(glob="910B4", device_class="ascend-910b4", memory_bytes=32 * _GIB),
        Product(glob="910B*", device_class="ascend-910b", memory_bytes=64 * _GIB),
        Product(glob="910C*", device_class="ascend-910c", memory_bytes=64 * _GIB),
        Product(glob="310P*", device_class="ascend-310p", memory_bytes=24 * _GIB),
        Product(glob="Ascend950*", device_class="ascend-950"),
    ),
    memory_label=ASCEND_MEMORY,
    memory_unit="Mi",
    scale_up=ASCEND_SUPER_POD,
)
