"""NVIDIA: k8s-device-plugin and GPU feature discovery (docs/gpu-feature-discovery of NVIDIA/k8s-device-plugin)."""

from __future__ import annotations

from topology.keys import (
    NVIDIA_CLIQUE,
    NVIDIA_GPU,
    NVIDIA_GPU_SHARED,
    NVIDIA_MEMORY_MIB,
    NVIDIA_PRODUCT,
    NVIDIA_REPLICAS,
)
from topology.vendors.catalogue import Labels, Product, Vendor

_GIB = 2**30


def _whole(labels: Labels) -> bool:
    """Time-slicing, MPS and MIG advertise more units than there are cards."""
    product = labels.get(NVIDIA_PRODUCT, "")
    replicas = labels.get(NVIDIA_REPLICAS, "1")
    return replicas in ("", "0", "1") and "-SHARED" not in product and "-MIG-" not in product


VENDOR = Vendor(
    name="nvidia",
    resources=(NVIDIA_GPU,),
    shared=(NVIDIA_GPU_SHARED,),
    product_labels=(NVIDIA_PRODUCT,),
    # Labels are sanitised product names, e.g. NVIDIA-H100-80GB-HBM3: match by pattern.
    products=(
        Product(glob="*GB300*", device_class="nvidia-gb300"),
        Product(glob="*GB200*", device_class="nvidia-gb200"),
        Product(glob="*B200*", device_class="nvidia-b200", memory_bytes=180 * _GIB),
        Product(glob="*GH200*", device_class="nvidia-gh200", memory_bytes=96 * _GIB),
        Product(glob="*H200*", device_class="nvidia-h200-141gb", memory_bytes=141 * _GIB),
        Product(glob="*H800*", device_class="nvidia-h800-80gb", memory_bytes=80 * _GIB),
        Product(glob="*H100*NVL*", device_class="nvidia-h100-94gb", memory_bytes=94 * _GIB),
        Product(glob="*H100*", device_class="nvidia-h100-80gb", memory_bytes=80 * _GIB),
        Product(glob="*H20*", device_class="nvidia-h20-96gb", memory_bytes=96 * _GIB),
        Product(glob="*A100*40GB*", device_class="nvidia-a100-40gb", memory_bytes=40 * _GIB),
        Product(glob="*A100*", device_class="nvidia-a100-80gb", memory_bytes=80 * _GIB),
        Product(glob="*A800*", device_class="nvidia-a800-80gb", memory_bytes=80 * _GIB),
        Product(glob="*A30*", device_class="nvidia-a30", memory_bytes=24 * _GIB),
        Product(glob="*A10G*", device_class="nvidia-a10g", memory_bytes=24 * _GIB),
        Product(glob="*A10", device_class="nvidia-a10", memory_bytes=24 * _GIB),
        Product(glob="*L40S*", device_class="nvidia-l40s", memory_bytes=48 * _GIB),
        Product(glob="*L40*", device_class="nvidia-l40", memory_bytes=48 * _GIB),
        Product(glob="*L4", device_class="nvidia-l4", memory_bytes=24 * _GIB),
        Product(glob="*RTX*4090*", device_class="nvidia-rtx-4090", memory_bytes=24 * _GIB),
        Product(glob="*T4", device_class="nvidia-t4", memory_bytes=16 * _GIB),
        Product(glob="*V100*32GB*", device_class="nvidia-v100-32gb", memory_bytes=32 * _GIB),
        Product(glob="*V100*", device_class="nvidia-v100-16gb", memory_bytes=16 * _GIB),
    ),
    memory_label=NVIDIA_MEMORY_MIB,
    memory_unit="Mi",
    scale_up=NVIDIA_CLIQUE,
    counts_cards=_whole,
)
