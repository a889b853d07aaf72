"""Owners in manifests stand for the pods that they are going to make."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.gangs.owners import expand

ANNOTATIONS = {"muster.dev/gang": "g", "example.org/note": "x"}


def _owner(
    kind: str = "StatefulSet", name: str = "web", group: str = "apps/v1", **spec: Any
) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}, "annotations": ANNOTATIONS},
        "spec": {"containers": [{"name": "main"}]},
    }
    selector = {"selector": {"matchLabels": {"app": name}}}
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}"},
        "spec": {"template": template, **selector, **spec},
    }


def _pod(name: str, controller: tuple[str, str] | None = None, **more: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "team",
        "labels": {"app": "web"},
    }
    if controller is not None:
        kind, owner = controller
        metadata["ownerReferences"] = [{"kind": kind, "name": owner, "controller": True}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, **more}


def _names(*objects: dict[str, Any]) -> list[str]:
    return [pod["metadata"]["name"] for pod in expand(objects).pods]


COUNTS = [
    ("StatefulSet", "apps/v1", {"replicas": 3}, 3),
    ("Deployment", "apps/v1", {"replicas": 2}, 2),
    ("ReplicaSet", "apps/v1", {}, 1),
    ("ReplicationController", "v1", {"replicas": 0}, 0),
    ("Job", "batch/v1", {"parallelism": 4}, 4),
    ("Job", "batch/v1", {"parallelism": 4, "completions": 3}, 3),
    ("Job", "batch/v1", {"parallelism": 4, "suspend": True}, 0),
    ("DaemonSet", "apps/v1", {"replicas": 4}, 0),
    ("Deployment", "example.org/v1", {"replicas": 4}, 0),
]


@pytest.mark.parametrize(("kind", "group", "spec", "count"), COUNTS)
def test_an_annotated_owner_becomes_its_pods(
    kind: str, group: str, spec: dict[str, Any], count: int
) -> None:
    """Pods are named ``<owner>-0`` and on, as many as the owner asks for; other kinds make none."""
    assert _names(_owner(kind, group=group, **spec)) == [f"web-{i}" for i in range(count)]


def test_a_made_pod_is_what_the_template_says() -> None:
    """Labels, annotations and spec come from the template, identity from the owner."""
    [pod] = expand([_owner(replicas=1)]).pods
    assert pod["metadata"]["namespace"] == "team"
    assert pod["metadata"]["labels"] == {"app": "web"}
    assert pod["metadata"]["annotations"] == ANNOTATIONS
    assert pod["metadata"]["ownerReferences"][0]["name"] == "web"
    assert pod["spec"] == {"containers": [{"name": "main"}]}


def test_an_owner_without_our_annotations_makes_nothing() -> None:
    """Plain workloads are not planned, so their missing pods do not matter."""
    owner = _owner(replicas=3)
    owner["spec"]["template"]["metadata"]["annotations"] = {"example.org/note": "x"}
    assert _names(owner) == []


EXISTING = [
    ("by name", [_pod("web-1")], ["web-1", "web-0", "web-2"]),
    ("by controller", [_pod("odd", ("StatefulSet", "web"))], ["odd", "web-0", "web-1"]),
    ("by selector", [_pod("odd")], ["odd", "web-0", "web-1"]),
    (
        "finished ones are made again",
        [_pod("odd", ("StatefulSet", "web"), status={"phase": "Failed"})],
        ["odd", "web-0", "web-1", "web-2"],
    ),
    (
        "a phase that is none has not finished",
        [_pod("odd", ("StatefulSet", "web"), status={"phase": []})],
        ["odd", "web-0", "web-1"],
    ),
    (
        "those of somebody else do not count",
        [_pod("odd", ("StatefulSet", "other"))],
        ["odd", "web-0", "web-1", "web-2"],
    ),
]


@pytest.mark.parametrize(
    ("pods", "names"),
    [case[1:] for case in EXISTING],
    ids=[case[0] for case in EXISTING],
)
def test_pods_that_exist_are_not_doubled(pods: list[dict[str, Any]], names: list[str]) -> None:
    """Of three wanted pods only those that are missing are made."""
    assert _names(_owner(replicas=3), *pods) == names


def test_a_deployment_counts_the_pods_of_its_replica_sets() -> None:
    """A Deployment, its ReplicaSet and their pods are one workload, also without the ReplicaSet."""
    deployment = _owner("Deployment", replicas=3)
    replica_set = _owner("ReplicaSet", name="web-5d", replicas=3)
    replica_set["metadata"]["ownerReferences"] = [
        {"kind": "Deployment", "name": "web", "uid": "uid-web", "controller": True}
    ]
    pods = [
        _pod("web-5d-x", ("ReplicaSet", "web-5d")),
        _pod("web-5d-y", ("ReplicaSet", "web-5d")),
    ]
    expected = ["web-5d-x", "web-5d-y", "web-0"]
    assert _names(deployment, replica_set, *pods) == expected
    assert _names(deployment, *pods) == expected


def test_pods_inherit_request_annotations_they_lack() -> None:
    """A pod's own annotation wins; of the template's only request annotations are handed down."""
    pod = _pod("web-0", ("StatefulSet", "web"))
    [seen] = expand([_owner(replicas=1), pod]).pods
    assert seen["metadata"]["annotations"] == {"muster.dev/gang": "g"}
    pod["metadata"]["annotations"] = {"muster.dev/gang": "own"}
    [seen] = expand([_owner(replicas=1), pod]).pods
    assert seen["metadata"]["annotations"] == {"muster.dev/gang": "own"}


@pytest.mark.parametrize("replicas", ["3", -1, 10**9, True, 1.5])
def test_a_wrong_count_is_a_problem(replicas: object) -> None:
    """An owner whose count is no count makes no pods and is named with the field."""
    expansion = expand([_owner(replicas=replicas), _pod("a")])
    assert [pod["metadata"]["name"] for pod in expansion.pods] == ["a"]
    [problem] = expansion.problems
    assert str(problem).startswith("StatefulSet team/web: spec.replicas:")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "template", "annotations", "labels", "selector"])
            | st.sampled_from(
                ["muster.dev/gang", "ownerReferences", "controller", "replicas", "name"]
            )
            | st.sampled_from(["matchLabels", "status", "phase", "namespace", "kind", "uid"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.lists(
        st.builds(
            lambda kind, group, rest: {**(rest if isinstance(rest, dict) else {}), "kind": kind,
                                       "apiVersion": group},
            st.sampled_from(["Pod", "Deployment", "Job"]),
            st.sampled_from(["v1", "apps/v1", "batch/v1"]),
            JSON,
        ),
        max_size=4,
    )
)  # fmt: skip
def test_no_object_raises(objects: list[dict[str, Any]]) -> None:
    """Whatever JSON an object holds, expansion answers."""
    expand(objects)
