"""MetaX: device plugin and labels of the MetaX GPU operator, and HAMi.

Sources: Project-HAMi/HAMi pkg/device/metax/device.go and charts/hami/values.yaml (names; C500: 65,536 MiB);
labels as the operator writes them (gpu.product=MXC500, gpu.memory=64GB); MetaX-MACA/vLLM-metax README.md.
"""

from __future__ import annotations

from topology.keys import METAX_GPU, METAX_MEMORY, METAX_PRODUCT, METAX_SGPU
from topology.vendors.catalogue import BESIDE, Engine, Sharing, Vendor

VENDOR = Vendor(
    name="metax",
    resources=(METAX_GPU,),
    classes={"metax-c500": 64, "metax-c550": 64},
    products={METAX_PRODUCT: {"*C500*": "metax-c500", "*C550*": "metax-c550"}},
    product_labels=(METAX_PRODUCT,),
    memory_labels=(METAX_MEMORY,),
    sharing=(Sharing(by=BESIDE, globs=(METAX_SGPU,), means="the cards are also split into sGPUs"),),
    engines={
        "*": Engine(
            package="vllm-metax",
            plugin="metax",
            image_key="metax",
            visible_devices=("CUDA_VISIBLE_DEVICES",),
            source="MetaX-MACA/vLLM-metax README.md, pyproject.toml",
        )
    },
)
