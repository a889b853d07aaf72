"""Intel Gaudi: the vendor's device plugin.

Sources: docs.habana.ai, Intel Gaudi Base Operator (the resource); Hugging Face, perf_train_gaudi (memory);
docs.vllm.ai/projects/gaudi (engine: Gaudi 2 and 3). Which labels its feature discovery writes is not
published: the product is known from a cloud's instance type, or from our label.
"""

from __future__ import annotations

from topology.keys import GAUDI, INSTANCE_TYPE
from topology.vendors.catalogue import Engine, Vendor

_ENGINE = Engine(
    package="vllm-gaudi",
    image_key="gaudi",
    visible_devices=("HABANA_VISIBLE_DEVICES",),
    source="docs.vllm.ai/projects/gaudi, faq",
)

VENDOR = Vendor(
    name="gaudi",
    resources=(GAUDI,),
    classes={"gaudi": None, "gaudi-1": 32, "gaudi-2": 96, "gaudi-3": 128},
    products={
        INSTANCE_TYPE: {
            "dl1.*": "gaudi-1",  # Amazon EC2 DL1
            "*gaudi2*": "gaudi-2",
            "*gaudi3*": "gaudi-3",  # IBM Cloud gx3d-160x1792x8gaudi3
        }
    },
    engines={"gaudi-[23]": _ENGINE},
)
