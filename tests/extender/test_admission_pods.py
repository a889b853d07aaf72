"""What the webhook does with any pod: plain ones pass, ours are gated, broken ones are refused in words."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from extender.config import Config
from extender.wire import WireError
from scheduler import keys
from scheduler.rewrite import written
from tests.extender.patches import patched
from tests.extender.test_admission_choice import FULL, ON, Webhook, run
from tests.objects import Object, pod
from tests.properties.test_parsers import OBJECTS, damaged
from tests.scheduler.test_variants import member, owned
from topology.keys import NVIDIA_GPU


@settings(max_examples=150)
@given(obj=OBJECTS | damaged())
def test_any_pod_is_answered_or_refused_in_words(obj: Object) -> None:
    """A patch that can be applied, or one error; never an exception of ours."""

    async def scenario() -> None:
        webhook = Webhook(*FULL)
        body = {"request": {"uid": "u", "namespace": "default", "object": obj}}
        try:
            answer = (await webhook.admission.review(msgspec.json.encode(body)))["response"]
        except WireError:
            return
        patched(obj, json.loads(base64.b64decode(answer.get("patch", "W10="))))

    run(scenario)


PASSED: dict[str, tuple[Object, Config]] = {
    "plain": (pod("p"), ON),
    "of another scheduler": (
        pod("p", "g", flavors="ascend", spec={"schedulerName": "volcano"}),
        ON,
    ),
    "bound by its creator": (pod("p", "g", flavors="ascend", node="b"), ON),
}


@pytest.mark.parametrize("name", PASSED)
def test_other_pods_pass_unchanged(name: str) -> None:
    """Neither gate nor flavor."""

    async def scenario() -> None:
        obj, config = PASSED[name]
        webhook = Webhook(*FULL, config=config)
        found = await webhook.create(obj)
        del obj["metadata"]["uid"], obj["metadata"]["creationTimestamp"]
        assert found == obj

    run(scenario)


GATED: dict[str, tuple[Object, Config]] = {
    "the webhook only gates": (member(0), Config()),
    "no flavors": (owned(pod("p", "g")), ON),
    "an unknown flavor": (owned(pod("p", "g", flavors="ascend,gone")), ON),
    "a helper without cards": (
        owned(pod("r", "g", gpus=0, roles="main=1,router=1", role="router")),
        ON,
    ),
    "cannot be written": (
        owned(
            pod(
                "p",
                "g",
                flavors="ascend",
                spec={
                    "containers": [
                        {"name": name, "resources": {"limits": {NVIDIA_GPU: "4"}}} for name in "ab"
                    ]
                },
            )
        ),
        ON,
    ),
}


@pytest.mark.parametrize("name", GATED)
def test_pods_of_ours_that_no_flavor_is_written_into(name: str) -> None:
    """They are gated all the same, and the planner says what is wrong."""

    async def scenario() -> None:
        obj, config = GATED[name]
        webhook = Webhook(*FULL, config=config)
        found = await webhook.create(obj)
        assert found["spec"]["schedulingGates"] == [{"name": keys.GATE}]
        assert written(found) is None
        assert keys.ORIGINAL not in found["metadata"]["annotations"]

    run(scenario)


def test_a_namespace_that_is_left_alone() -> None:
    """``muster.dev/managed: "false"``; the selector of the webhook spares us the call."""

    async def scenario() -> None:
        unmanaged: Any = {
            "kind": "Namespace",
            "metadata": {"name": "default", "labels": {keys.MANAGED: "false"}},
        }
        webhook = Webhook(*FULL, unmanaged)
        found = await webhook.create(member(0))
        assert "schedulingGates" not in found["spec"] or not found["spec"]["schedulingGates"]

    run(scenario)
