"""NVIDIA: device plugin and GPU feature discovery.

Sources: NVIDIA/k8s-device-plugin README.md and docs/gpu-feature-discovery/README.md; memory from NVIDIA's
data sheets of the products.
"""

from __future__ import annotations

from topology.keys import (
    NVIDIA_CLIQUE,
    NVIDIA_COUNT,
    NVIDIA_GPU,
    NVIDIA_MEMORY_MIB,
    NVIDIA_PRODUCT,
    NVIDIA_REPLICAS,
    NVIDIA_SHARING,
)
from topology.vendors.catalogue import GIB, Labels, Product, Vendor

# Labels are product names with dashes for blanks, e.g. NVIDIA-H100-80GB-HBM3. The first match counts.
_PRODUCTS = {
    "*GB300*": ("nvidia-gb300", 288),
    "*GB200*": ("nvidia-gb200", 186),
    "*GH200*144G*": ("nvidia-gh200-144gb", 144),
    "*GH200*": ("nvidia-gh200-96gb", 96),
    "*B300*": ("nvidia-b300", 288),
    "*B200*": ("nvidia-b200", 180),
    "*H200*": ("nvidia-h200", 141),
    "*H800*": ("nvidia-h800-80gb", 80),
    "*H100*NVL*": ("nvidia-h100-94gb", 94),
    "*H100*94GB*": ("nvidia-h100-94gb", 94),
    "*H100*": ("nvidia-h100-80gb", 80),
    "*H20": ("nvidia-h20-96gb", 96),
    "*H20-3e*": ("nvidia-h20-141gb", 141),
    "*A100*40GB*": ("nvidia-a100-40gb", 40),
    "*A100*": ("nvidia-a100-80gb", 80),
    "*A800*40GB*": ("nvidia-a800-40gb", 40),
    "*A800*": ("nvidia-a800-80gb", 80),
    "NVIDIA-A40": ("nvidia-a40", 48),
    "NVIDIA-A30": ("nvidia-a30", 24),
    "NVIDIA-A16": ("nvidia-a16", 16),
    "NVIDIA-A10": ("nvidia-a10", 24),
    "NVIDIA-A10G": ("nvidia-a10g", 24),
    "NVIDIA-L40S": ("nvidia-l40s", 48),
    "NVIDIA-L40": ("nvidia-l40", 48),
    "NVIDIA-L20": ("nvidia-l20", 48),
    "NVIDIA-L4": ("nvidia-l4", 24),
    "*RTX-PRO-6000-Blackwell*": ("nvidia-rtx-pro-6000", 96),
    "*RTX-6000-Ada*": ("nvidia-rtx-6000-ada", 48),
    "*RTX-5090*": ("nvidia-rtx-5090", 32),
    "*RTX-4090*": ("nvidia-rtx-4090", 24),
    "*RTX-3090*": ("nvidia-rtx-3090", 24),
    "*-T4": ("nvidia-t4", 16),
    "*V100*32GB*": ("nvidia-v100-32gb", 32),
    "*V100*": ("nvidia-v100-16gb", 16),
}


def _inflated(labels: Labels, count: int) -> str:
    """Time-slicing, MPS and MIG, and plugins such as HAMi's, advertise more units than there are cards."""
    product = labels.get(NVIDIA_PRODUCT, "")
    replicas, cards = labels.get(NVIDIA_REPLICAS, "1"), labels.get(NVIDIA_COUNT, "")
    if replicas not in ("", "0", "1"):
        return f"each is shared by {replicas} ({NVIDIA_REPLICAS})"
    if "-SHARED" in product or labels.get(NVIDIA_SHARING, "none") not in ("", "none"):
        return f"they are shared ({NVIDIA_SHARING}={labels.get(NVIDIA_SHARING, '')})"
    if "-MIG-" in product:
        return f"they are MIG slices ({NVIDIA_PRODUCT}={product})"
    if cards.isdigit() and count > int(cards[:9]) > 0:
        return f"the node has {cards} cards ({NVIDIA_COUNT})"
    return ""


VENDOR = Vendor(
    name="nvidia",
    resources=(NVIDIA_GPU,),
    products=tuple(
        Product(by=NVIDIA_PRODUCT, glob=glob, device_class=name, memory_bytes=gib * GIB)
        for glob, (name, gib) in _PRODUCTS.items()
    ),
    product_label=NVIDIA_PRODUCT,
    memory_label=NVIDIA_MEMORY_MIB,
    memory_unit="Mi",
    scale_up=NVIDIA_CLIQUE,
    inflated=_inflated,
)
