"""AMD Instinct: device plugin, node labeller, HAMi.

Sources: ROCm/k8s-device-plugin docs/user-guide/configuration.md (names, partitions), cmd/k8s-node-labeller
(labels; one label for each product, and the plain one only where there is one product); memory from AMD's
data sheets. With the naming strategy ``single`` partitions have the name of cards; with ``mixed`` a card that
is not partitioned is called ``spx``.
"""

from __future__ import annotations

from topology.keys import (
    AMD_GPU,
    AMD_HAMI,
    AMD_MEMORY,
    AMD_OLD_MEMORY,
    AMD_OLD_PRODUCT,
    AMD_PARTITION,
    AMD_PRODUCT,
    AMD_SPX,
    HAMI_AMD,
)
from topology.vendors.catalogue import BESIDE, Engine, Sharing, Vendor

_PRODUCTS = {
    "*MI355X*": "amd-mi355x",
    "*MI350X*": "amd-mi350x",
    "*MI325*": "amd-mi325x",
    "*MI308X*": "amd-mi308x",
    "*MI300X*": "amd-mi300x",
    "*MI300A*": "amd-mi300a",
    "*MI250X*": "amd-mi250x",
    "*MI250*": "amd-mi250",
    "*MI210*": "amd-mi210",
    "*MI100*": "amd-mi100",
}

VENDOR = Vendor(
    name="amd",
    resources=(AMD_GPU, *AMD_SPX),
    classes={
        "amd-mi355x": 288,
        "amd-mi350x": 288,
        "amd-mi325x": 256,
        "amd-mi308x": 192,
        "amd-mi300x": 192,
        "amd-mi300a": 128,
        "amd-mi250x": 64,  # of a die: the unit that is advertised
        "amd-mi250": 64,
        "amd-mi210": 64,
        "amd-mi100": 32,
    },
    products={AMD_PRODUCT: _PRODUCTS, AMD_OLD_PRODUCT: _PRODUCTS},
    product_labels=(AMD_PRODUCT, AMD_OLD_PRODUCT),
    per_product=f"{AMD_OLD_PRODUCT}.",
    memory_labels=(AMD_MEMORY, AMD_OLD_MEMORY),
    registers=(HAMI_AMD,),
    sharing=(
        Sharing(by=AMD_PARTITION, globs=("[!s]*",), means="cards are partitioned"),
        Sharing(by=BESIDE, globs=(AMD_HAMI,), means="HAMi splits each card"),
    ),
    engines={
        "*": Engine(
            package="",
            image_key="rocm",
            visible_devices=("HIP_VISIBLE_DEVICES",),
            source="vLLM documentation, ROCm",
        )
    },
)
