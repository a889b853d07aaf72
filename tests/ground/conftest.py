"""One real cluster for all ground tests; its kube-scheduler asks our scriptable extender."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from scheduler import keys
from simulations.controlplane import Binaries, Cluster, temporary_cluster
from tests.ground.extender import Extender
from tests.ground.rig import Rig, create_priorities

_NUMBERS = count()

FILTER_TIMEOUT_SECONDS = 10  # the machine may be busy
BIND_TIMEOUT_SECONDS = 3
"""Short, so that a bind timeout does not take 30 s here."""


def scheduler_config(url: str) -> dict[str, Any]:
    """Two extender entries with a managed resource each, as in design section 8."""
    return {
        "percentageOfNodesToScore": 5,  # so that 150 nodes are enough to be sampled
        "extenders": [
            {
                "urlPrefix": url,
                "filterVerb": "filter",
                "preemptVerb": "preempt",
                "nodeCacheCapable": True,
                "httpTimeout": f"{FILTER_TIMEOUT_SECONDS}s",
                "managedResources": [{"name": keys.RESOURCE_MEMBER, "ignoredByScheduler": True}],
            },
            {
                "urlPrefix": url,
                "bindVerb": "bind",
                "nodeCacheCapable": True,
                "httpTimeout": f"{BIND_TIMEOUT_SECONDS}s",
                "managedResources": [{"name": keys.RESOURCE_BIND, "ignoredByScheduler": True}],
            },
        ],
    }


@pytest.fixture(scope="package")
def ground(control_plane: Binaries) -> Iterator[tuple[Cluster, Extender]]:
    """The cluster and the extender, shared by all ground tests."""
    extender = Extender()
    with temporary_cluster(scheduler_config(extender.url), binaries=control_plane) as cluster:
        extender.api = cluster.api
        create_priorities(cluster)
        yield cluster, extender
    extender.close()


@pytest.fixture
def rig(ground: tuple[Cluster, Extender], request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An empty namespace, an empty node pool and an extender that accepts everything."""
    cluster, extender = ground
    extender.reset()
    name = request.node.name.removeprefix("test_").partition("[")[0].replace("_", "-")[:40]
    namespace = f"{name}-{next(_NUMBERS)}"
    cluster.api.create_namespace(namespace)
    rig = Rig(cluster, extender, namespace)
    yield rig
    extender.reset()
    rig.clean()
