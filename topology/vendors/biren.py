"""Biren: the vendor's device plugin and HAMi's.

Sources: BirenTechnology/k8s-device-plugin README.md, pkg/brgpu/runc.go: a card that is split for SVI is
advertised as 1-2-gpu or 1-4-gpu and no more as gpu; Project-HAMi/HAMi pkg/device/biren (register);
BIRENSUPA/vllm-supa README.md (engine). No plugin labels nodes with the product or its memory: the operator
names the class with our label.
"""

from __future__ import annotations

from topology.keys import BIREN_GPU, HAMI_BIREN
from topology.vendors.catalogue import Engine, Vendor

VENDOR = Vendor(
    name="biren",
    resources=(BIREN_GPU,),
    classes={"biren-gpu": None, "biren-106": None, "biren-110": None, "biren-166": None},
    registers=(HAMI_BIREN,),
    engines={
        "*": Engine(
            package="vllm-supa",
            image_key="biren",
            visible_devices=("SUPA_VISIBLE_DEVICES",),
            source="BIRENSUPA/vllm-supa README.md; images come from the vendor",
        )
    },
)
