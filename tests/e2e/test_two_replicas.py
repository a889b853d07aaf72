"""One active planner by Lease: a rolling update runs two, and the second neither plans nor binds."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator

import pytest

from simulations.local import LocalMuster
from tests.e2e.rig import Rig

pytestmark = pytest.mark.e2e


@pytest.fixture
def second(rig: Rig) -> Iterator[LocalMuster]:
    """Another `muster serve` on the same cluster; kube-scheduler still asks the first."""
    second = LocalMuster(rig.cluster, name="muster-second")
    second.start(ready=False)
    yield second
    second.stop()
    rig.muster.configure_scheduler()


def answers(muster: LocalMuster) -> str:
    """Body of `/readyz`, whatever the status; empty while nobody listens."""
    try:
        return muster.get("/readyz").decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return ""


def test_the_second_replica_stands_by_and_takes_over(rig: Rig, second: LocalMuster) -> None:
    """It says that another one leads, answers verbs with 503, and goes on when the first is killed."""
    rig.cluster.api.wait_for(
        "the second to be synced", lambda: answers(second) == "another replica leads\n", timeout=30
    )
    pod = {"metadata": {"name": "x", "namespace": "x", "uid": "x"}}
    args = json.dumps({"Pod": pod, "NodeNames": ["n"]}).encode()
    status, body = second.post("/filter", args)
    assert status == 503
    assert b"does not lead" in body
    rig.add_nodes(4)
    rig.gang("before", 2)
    rig.wait_phase("before", "Bound")

    rig.muster.kill()
    rig.gang("after", 2)
    second.wait_ready()
    second.configure_scheduler()
    rig.wait_bound("after", 2)
    rig.wait_phase("after", "Bound")
