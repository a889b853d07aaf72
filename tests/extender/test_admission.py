"""The webhook's patch, as the shipped policy would change the pod (tests/manifests compares them live)."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from extender.admission import pod_patch, review
from extender.wire import WireError
from scheduler.keys import (
    GANG,
    GATE,
    REQUEST_ANNOTATIONS,
    RESOURCE_BIND,
    RESOURCE_MEMBER,
    ROLE,
    ROLLBACK,
)

Object = dict[str, Any]
BOTH = {RESOURCE_BIND: "1", RESOURCE_MEMBER: "1"}


def pod(*, annotations: Object | None = None, labels: Object | None = None, **spec: Any) -> Object:
    """A pod of two containers."""
    metadata: Object = {"name": "p", "annotations": annotations, "labels": labels}
    return {
        "metadata": {key: value for key, value in metadata.items() if value is not None},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}], **spec},
    }


def patched(pod: Object) -> Object:
    """The pod after the patch; ``add`` of a whole value is all that the webhook uses."""
    changed = copy.deepcopy(pod)
    for step in pod_patch(pod):
        assert step["op"] == "add"
        *path, last = step["path"].split("/")[1:]
        at: Any = changed
        for part in path:
            at = at[int(part)] if part.isdigit() else at[part]
        at[last] = step["value"]
    return changed


@pytest.mark.parametrize("key", sorted(REQUEST_ANNOTATIONS))
def test_a_pod_with_a_request_becomes_a_gated_member(key: str) -> None:
    """Gate and membership resources, in the first container only."""
    changed = patched(pod(annotations={key: "x"}))
    assert changed["spec"]["schedulingGates"] == [{"name": GATE}]
    assert changed["spec"]["containers"] == [
        {"name": "a", "resources": {"requests": BOTH, "limits": BOTH}},
        {"name": "b"},
    ]


@pytest.mark.parametrize(
    "plain",
    [
        pod(),
        pod(annotations={}),
        pod(annotations={"example.com/gang": "g"}),
        pod(annotations={ROLLBACK: "delete"}),
        pod(labels={GANG: "g"}),
        pod(annotations={GANG: "g"}, nodeName="n1"),
    ],
)
def test_other_pods_pass_unchanged(plain: Object) -> None:
    """No request annotation, or bound by its creator."""
    assert pod_patch(plain) == []


def test_what_the_user_wrote_stays() -> None:
    """Foreign gates, labels and resources are kept, the label is set beside them."""
    mine = pod(
        annotations={GANG: "g"},
        labels={"app": "x"},
        schedulingGates=[{"name": "other"}],
        containers=[{"name": "a", "resources": {"limits": {"cpu": "1"}, "claims": []}}],
    )
    changed = patched(mine)
    assert changed["spec"]["schedulingGates"] == [{"name": "other"}, {"name": GATE}]
    resources = changed["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "1", **BOTH}, "requests": BOTH, "claims": []}
    assert changed["metadata"]["labels"] == {"app": "x", GANG: "g"}


@pytest.mark.parametrize("annotations", [{GANG: "g"}, {ROLE: "r"}, {GANG: ""}])
def test_the_patch_is_idempotent(annotations: Object) -> None:
    """The API server may call twice: a member is not changed again."""
    assert pod_patch(patched(pod(annotations=annotations))) == []


def test_a_review_answers_with_a_patch_unless_the_namespace_is_unmanaged() -> None:
    """Always allowed; the patch travels as base64 of JSON."""
    mine = pod(annotations={GANG: "g"})
    body = {"request": {"uid": "r1", "namespace": "a", "object": mine}}
    answer = review(json.dumps(body).encode(), lambda namespace: namespace == "b")["response"]
    assert answer["uid"] == "r1" and answer["allowed"]
    assert json.loads(base64.b64decode(answer["patch"])) == pod_patch(mine)
    body["request"]["namespace"] = "b"
    answer = review(json.dumps(body).encode(), lambda namespace: namespace == "b")["response"]
    assert answer == {"uid": "r1", "allowed": True}


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
        review(json.dumps({"request": request_}).encode(), lambda _: False)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"{", b"\xff"])
def test_what_is_not_json_is_one_clear_error(body: bytes) -> None:
    """Truncated, empty, not an object, not UTF-8."""
    with pytest.raises(WireError, match="^mutate: expected an AdmissionReview v1 of a Pod"):
        review(body, lambda _: False)
