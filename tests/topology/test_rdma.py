"""RDMA resources are known by their names; a part of a word proves nothing."""

from __future__ import annotations

import pytest

from topology import keys
from topology.rdma import kind_of, rdma


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        (keys.RDMA_IB, "InfiniBand"),
        (keys.RDMA_SHARED_IB, "InfiniBand"),
        (keys.RDMA_ROCE, "RoCE"),
        ("rdma/hca_shared_devices_a", "RDMA"),
        ("networking.gke.io.networks/rdma-3", "RoCE"),
        (keys.AWS_EFA, "EFA"),
        ("example.com/library-slots", None),
        ("example.com/rdma", None),
        ("ib", None),
    ],
)
def test_kinds(resource: str, kind: str | None) -> None:
    """The letters ib inside "library" are no InfiniBand."""
    assert kind_of(resource) == kind


def test_the_most_telling_kind_of_a_node_counts() -> None:
    """A shared device plugin says RDMA, its neighbour says which."""
    assert rdma(["cpu", "rdma/hca", keys.RDMA_IB]) == "InfiniBand"
    assert rdma(["cpu", "example.com/library-slots"]) is None
