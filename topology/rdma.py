"""Which resources of a node are RDMA devices, by name: nothing is concluded from a part of a word.

Source of the rows: facts on topology, section 2.3 (CoreWeave, AKS, the shared device plugin, GKE, AWS). What
they count differs (tokens, pod slots, devices), so only the kind is read. Names that SR-IOV plugins give
are free and therefore not here.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

from topology.keys import AWS_EFA, GKE_RDMA, RDMA_ANY, RDMA_IB, RDMA_ROCE, RDMA_SHARED_IB

INFINIBAND, ROCE, EFA, RDMA = "InfiniBand", "RoCE", "EFA", "RDMA"

_KINDS = (
    (RDMA_IB, INFINIBAND),
    (RDMA_SHARED_IB, INFINIBAND),
    (RDMA_ROCE, ROCE),
    (GKE_RDMA, ROCE),
    (AWS_EFA, EFA),
    (RDMA_ANY, RDMA),
)
"""(name or glob, kind); the first that matches counts."""


@lru_cache(maxsize=4096)
def kind_of(resource: str) -> str | None:
    """The kind of network that a resource stands for; None when it is no RDMA resource."""
    return next((kind for glob, kind in _KINDS if fnmatchcase(resource, glob)), None)


def rdma(resources: Iterable[str]) -> str | None:
    """The most telling kind among a node's resources; None when none of them is one."""
    found = {kind_of(name) for name in resources}
    return next((kind for kind in (INFINIBAND, ROCE, EFA, RDMA) if kind in found), None)
