"""Node labels that name a scale-up domain: NVLink or a super-pod, larger than a node (facts, section 2.1)."""

from __future__ import annotations

from topology.keys import (
    ASCEND_SUPER_POD,
    AWS_ULTRASERVER,
    COREWEAVE_NVLINK,
    NVIDIA_CLIQUE,
    OCI_NVLINK,
    OPENFUYAO_SUPER_POD,
    TOPOGRAPH_ACCELERATOR,
    TOPOGRAPH_DOMAIN,
    UNIFABRIC_SCALE_UP,
    UNIFABRIC_SCALE_UP_TIER,
)
from topology.sources.hierarchy import Labels
from topology.sources.survey import known

SCALE_UP = (
    NVIDIA_CLIQUE,  # by the driver on the node, so the best
    ASCEND_SUPER_POD,  # by the device plugin on the node
    AWS_ULTRASERVER,
    OCI_NVLINK,
    COREWEAVE_NVLINK,
    TOPOGRAPH_DOMAIN,
    TOPOGRAPH_ACCELERATOR,
    OPENFUYAO_SUPER_POD,
    UNIFABRIC_SCALE_UP,
    UNIFABRIC_SCALE_UP_TIER,
)
"""Label keys, best first; a new one is a line here."""


def domain(labels: Labels) -> str | None:
    """The scale-up domain that a node's labels name; None when none does."""
    return next((value for key in SCALE_UP if (value := known(labels.get(key, "")))), None)
