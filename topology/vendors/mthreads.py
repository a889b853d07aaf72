"""Moore Threads: the vendor's cloud native toolkit and HAMi.

Sources: Project-HAMi/HAMi pkg/device/mthreads/device.go (names; a card has 16 sgpu-cores, an sgpu-memory
is 512 MiB; MTT S4000: 48 GiB; annotations of the pod) and pull request 2988 (``gpu`` for whole cards; S5000:
80 GiB); MooreThreads/vllm-musa README.md. Labels of nodes are not published: the operator names the class
with our label.
"""

from __future__ import annotations

from topology.keys import (
    MTHREADS_CORE,
    MTHREADS_DEVICES,
    MTHREADS_GPU,
    MTHREADS_MEMORY,
    MTHREADS_NODE,
    MTHREADS_TIME,
    MTHREADS_VGPU,
)
from topology.vendors.catalogue import Engine, HandOff, Vendor

VENDOR = Vendor(
    name="mthreads",
    resources=(MTHREADS_GPU, MTHREADS_VGPU),
    classes={"mthreads-s4000": 48, "mthreads-s5000": 80},
    counts={MTHREADS_CORE: 16},
    memory_parts={MTHREADS_MEMORY: 512},
    handoff=HandOff(
        devices={MTHREADS_DEVICES: "{index}"},
        time=MTHREADS_TIME,
        node=MTHREADS_NODE,
        when="HAMi's scheduler binds the pod",
        source="Project-HAMi/HAMi pkg/device/mthreads/device.go",
    ),
    engines={
        "*": Engine(
            package="vllm-musa",
            plugin="musa",
            image_key="musa",
            image="registry.mthreads.com/mcconline/inference/vllm/vllm-openai",
            visible_devices=("MUSA_VISIBLE_DEVICES",),
            source="MooreThreads/vllm-musa README.md",
        )
    },
)
