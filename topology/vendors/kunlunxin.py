"""Kunlunxin: whole cards, and HAMi's virtual ones, which have another name.

Sources: Project-HAMi/HAMi charts/hami/values.yaml (names), pkg/device/kunlun/device.go (98,304 MiB a card;
annotation of the pod); baidu/vLLM-Kunlun README.md (P800 is the one product that it knows, as HAMi does).
Rules: Project-HAMi/website docs/developers/kunlunxin-topology.md, HAMi pkg/device/kunlun/topo.go.
No plugin labels nodes with the product; a node whose cards are something else needs our label.
"""

from __future__ import annotations

from topology.allocation import CardRule
from topology.keys import KUNLUN_DEVICES, KUNLUN_VXPU, KUNLUN_XPU
from topology.vendors.catalogue import BESIDE, RESOURCE, Engine, HandOff, RuleRow, Sharing, Vendor

# Two wings of four; eight cards are both. HAMi falls back to pairs and quads across the wings where no wing
# has room (topo.go, against its own documentation); this is not promised here.
_WINGS = CardRule(counts=(1, 2, 4, 8), group=4, noun="wing")

VENDOR = Vendor(
    name="kunlunxin",
    resources=(KUNLUN_XPU,),
    classes={"kunlunxin-p800": 96},
    products={RESOURCE: {KUNLUN_XPU: "kunlunxin-p800"}},
    rules=(RuleRow(classes="kunlunxin-*", rule=_WINGS),),
    sharing=(
        Sharing(by=BESIDE, globs=(KUNLUN_VXPU,), means="the cards are also split into vXPUs"),
    ),
    handoff=HandOff(
        devices={KUNLUN_DEVICES: "{index}"},
        when="HAMi's scheduler binds the pod",
        source="Project-HAMi/HAMi pkg/device/kunlun/device.go",
    ),
    engines={
        "kunlunxin-p800": Engine(
            package="vllm-kunlun",
            plugin="kunlun",
            image_key="kunlunxin",
            visible_devices=("XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
            source="baidu/vLLM-Kunlun README.md, docs/source/faqs.md",
        )
    },
)
