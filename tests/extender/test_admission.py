"""The webhook's patch: the gate as the shipped policy sets it (tests/manifests compares them live), parts."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from extender.admission import gated, patch_of, read_review, write_review
from extender.wire import WireError
from scheduler.keys import GANG, GATE, RESOURCE_BIND, RESOURCE_MEMBER, ROLE
from tests.extender.patches import patched

Object = dict[str, Any]
BOTH = {RESOURCE_BIND: "1", RESOURCE_MEMBER: "1"}


def pod(*, annotations: Object | None = None, labels: Object | None = None, **spec: Any) -> Object:
    """A pod of two containers."""
    metadata: Object = {"name": "p", "annotations": annotations, "labels": labels}
    return {
        "metadata": {key: value for key, value in metadata.items() if value is not None},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}], **spec},
    }


def made(before: Object) -> Object:
    """The pod after the patch that gates it."""
    return patched(before, patch_of(before, gated(before)))


@pytest.mark.parametrize("annotations", [{GANG: "g"}, {ROLE: "r"}, {GANG: ""}, None])
def test_a_pod_becomes_a_gated_member(annotations: Object | None) -> None:
    """Gate and membership resources, in the first container only; twice is the same as once."""
    changed = made(pod(annotations=annotations))
    assert changed["spec"]["schedulingGates"] == [{"name": GATE}]
    assert changed["spec"]["containers"] == [
        {"name": "a", "resources": {"requests": BOTH, "limits": BOTH}},
        {"name": "b"},
    ]
    assert patch_of(changed, gated(changed)) == []


def test_what_the_user_wrote_stays() -> None:
    """Foreign gates, labels and resources are kept, the label is set beside them."""
    mine = pod(
        annotations={GANG: "g"},
        labels={"app": "x"},
        schedulingGates=[{"name": "other"}],
        containers=[{"name": "a", "resources": {"limits": {"cpu": "1"}, "claims": []}}],
    )
    before = copy.deepcopy(mine)
    changed = made(mine)
    assert changed["spec"]["schedulingGates"] == [{"name": "other"}, {"name": GATE}]
    resources = changed["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "1", **BOTH}, "requests": BOTH, "claims": []}
    assert changed["metadata"]["labels"] == {"app": "x", GANG: "g"}
    assert mine == before


PARTS: dict[str, tuple[Object, Object]] = {
    "labels": ({"metadata": {"labels": {"a": "b"}}}, {"metadata": {}}),
    "annotations": ({"metadata": {}}, {"metadata": {"annotations": {"a": "b"}}}),
    "selector": ({"spec": {"nodeSelector": {"a": "b"}}}, {"spec": {"nodeSelector": {"c": "d"}}}),
    "tolerations": ({}, {"spec": {"tolerations": [{"operator": "Exists"}]}}),
    "runtime class": ({"spec": {"runtimeClassName": "x"}}, {"spec": {"runtimeClassName": "y"}}),
    "container": (
        {"spec": {"containers": [{"name": "a"}, {"name": "b", "image": "i", "args": ["x"]}]}},
        {
            "spec": {
                "containers": [
                    {"name": "a", "env": [{"name": "E"}], "command": ["c"]},
                    {"name": "b", "image": "j", "resources": {"limits": {"cpu": "1"}}},
                ]
            }
        },
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_that_may_change_is_in_the_patch(name: str) -> None:
    """Added, replaced and removed: the patch makes the one pod into the other, in both directions."""
    base = pod()
    one, other = ({k: {**base[k], **part.get(k, {})} for k in base} for part in PARTS[name])
    assert patched(one, patch_of(one, other)) == other
    assert patched(other, patch_of(other, one)) == one
    assert patch_of(one, one) == []


def test_empty_is_the_same_as_absent() -> None:
    """The API server writes ``resources: {}``; nothing is to be changed about that."""
    assert patch_of(pod(labels={}, tolerations=[]), pod()) == []


def test_a_review_is_answered_with_a_patch() -> None:
    """Always allowed; the patch travels as base64 of JSON."""
    mine = pod(annotations={GANG: "g"})
    body = {"request": {"uid": "r1", "namespace": "a", "object": mine, "dryRun": True}}
    review = read_review(json.dumps(body).encode())
    assert (review.uid, review.namespace, review.dry_run) == ("r1", "a", True)
    answer = write_review(review, gated(review.pod))["response"]
    assert answer["uid"] == "r1" and answer["allowed"] and answer["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(answer["patch"])) == patch_of(mine, gated(mine))
    assert write_review(review, review.pod)["response"] == {"uid": "r1", "allowed": True}


@pytest.mark.parametrize(
    "request_",
    [
        1,
        {"uid": "u", "object": None},
        {"object": {"metadata": {}, "spec": {}}},
        {"uid": "u", "object": {"metadata": {"annotations": {GANG: "g"}}, "spec": []}},
        {"uid": "u", "object": {"metadata": {"annotations": {GANG: "g"}}, "spec": {}}},
        {
            "uid": "u",
            "object": {"metadata": {"annotations": {GANG: "g"}}, "spec": {"containers": []}},
        },
    ],
)
def test_what_is_no_review_is_one_clear_error(request_: object) -> None:
    """Never a traceback: the text says what was expected."""
    with pytest.raises(WireError, match="^mutate: expected an AdmissionReview v1 of a Pod"):
        read_review(json.dumps({"request": request_}).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"{", b"\xff"])
def test_what_is_not_json_is_one_clear_error(body: bytes) -> None:
    """Truncated, empty, not an object, not UTF-8."""
    with pytest.raises(WireError, match="^mutate: expected an AdmissionReview v1 of a Pod"):
        read_review(body)
