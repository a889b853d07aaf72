"""Iluvatar CoreX: the vendor's device plugin and feature discovery, and HAMi with gpu-manager.

Sources: Deep-Spark/ix-device-plugin README.md (time-slicing, split boards) and pkg/kube (hand-off);
Deep-Spark/ix-feature-discovery README.md (labels); Project-HAMi/HAMi pkg/device/iluvatar/device.go and
charts/hami/templates/scheduler/device-configmap.yaml (names, a vCore is 1 % of a card, a vMem 256 MiB).

A BI-V150 is a board of two chips of 32 GiB. The plugin advertises boards, or with ``splitboard`` chips;
ixsmi calls a chip BI-V150S, and such units count as cards of 32 GiB, never as boards. Other memory is what
the label or the vMem says, since no size is published.
"""

from __future__ import annotations

from topology.keys import (
    HAMI_ILUVATAR,
    ILUVATAR_COUNT,
    ILUVATAR_DEVICES,
    ILUVATAR_GPU,
    ILUVATAR_MEMORY_MIB,
    ILUVATAR_PRODUCT,
    ILUVATAR_VCORE,
    ILUVATAR_VGPU,
    ILUVATAR_VMEM,
    PREDICATE_TIME,
)
from topology.vendors.catalogue import RESOURCE, Engine, HandOff, Vendor

VENDOR = Vendor(
    name="iluvatar",
    resources=(ILUVATAR_GPU, *ILUVATAR_VGPU),
    renamable=True,  # its ConfigMap ix-config
    classes={
        "iluvatar-bi-v100": None,
        "iluvatar-bi-v150": None,
        "iluvatar-bi-v150s": 32,
        "iluvatar-mr-v50": None,
        "iluvatar-mr-v100": None,
    },
    products={
        ILUVATAR_PRODUCT: {
            "*BI-V150S*": "iluvatar-bi-v150s",
            "*BI-V150*": "iluvatar-bi-v150",
            "*BI-V100*": "iluvatar-bi-v100",
            "*MR-V100*": "iluvatar-mr-v100",
            "*MR-V50*": "iluvatar-mr-v50",
        },
        RESOURCE: {
            "*/BI-V150-vgpu": "iluvatar-bi-v150",
            "*/BI-V100-vgpu": "iluvatar-bi-v100",
            "*/MR-V100-vgpu": "iluvatar-mr-v100",
            "*/MR-V50-vgpu": "iluvatar-mr-v50",
        },
    },
    product_labels=(ILUVATAR_PRODUCT,),
    memory_labels=(ILUVATAR_MEMORY_MIB,),
    memory_unit="Mi",
    counts={ILUVATAR_COUNT: 1, **dict.fromkeys(ILUVATAR_VCORE, 100)},
    memory_parts=dict.fromkeys(ILUVATAR_VMEM, 256),
    slots=ILUVATAR_VGPU,
    registers=HAMI_ILUVATAR,
    handoff=HandOff(
        devices={ILUVATAR_DEVICES: "{id}"},
        time=PREDICATE_TIME,
        when="usevolcano: true of the device plugin",
        source="Deep-Spark/ix-device-plugin pkg/kube/kubecache.go, pkg/dpm/device.go",
    ),
    engines={
        "*": Engine(
            package="vllm-iluvatar",
            image_key="iluvatar",
            visible_devices=("CUDA_VISIBLE_DEVICES",),
            source="deep-spark/vllm-iluvatar",
        )
    },
)
