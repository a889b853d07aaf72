"""``muster annotate``: what the admission policy adds, written into manifests."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import pytest

from extender.tools import annotate, yaml_text

MEMBERSHIP = {"muster.dev/bind": "1", "muster.dev/member": "1"}


def _pod(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "annotations": {"muster.dev/gang": "g"}},
        "spec": {
            "containers": [
                {"name": "main", "resources": {"limits": {"nvidia.com/gpu": 8}}},
                {"name": "sidecar"},
            ],
            **spec,
        },
    }


def test_a_pod_gets_gate_membership_and_label() -> None:
    """Gate and label on the pod, membership in requests and limits of the first container only."""
    pod = annotate.annotate(_pod())
    assert pod["metadata"]["labels"] == {"muster.dev/gang": "g"}
    assert pod["spec"]["schedulingGates"] == [{"name": "muster.dev/gang"}]
    first, second = pod["spec"]["containers"]
    assert first["resources"] == {
        "limits": {"nvidia.com/gpu": 8, **MEMBERSHIP},
        "requests": MEMBERSHIP,
    }
    assert second == {"name": "sidecar"}


def test_templates_of_groups_need_no_annotation() -> None:
    """LeaderWorkerSet labels its pods, and by that they are ours; another template stays as it is."""
    template = {"spec": {"containers": [{"name": "main"}]}}
    lws = {"spec": {"leaderWorkerTemplate": {"size": 2, "workerTemplate": template}}}
    made = annotate.annotate({"kind": "LeaderWorkerSet", **lws})
    pod = made["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    assert pod["spec"]["schedulingGates"] == [{"name": "muster.dev/gang"}]
    assert "metadata" not in pod
    deployment = {"kind": "Deployment", "spec": {"template": template}}
    assert annotate.annotate(deployment) == deployment


def test_annotating_twice_changes_nothing_more() -> None:
    """The output of the command is a fixed point; other gates and labels stay."""
    pod = _pod(schedulingGates=[{"name": "example.org/quota"}])
    once = annotate.annotate(pod)
    assert [gate["name"] for gate in once["spec"]["schedulingGates"]] == [
        "example.org/quota",
        "muster.dev/gang",
    ]
    assert annotate.annotate(once) == once


@pytest.mark.parametrize(
    "wrap",
    [
        lambda pod: {"kind": "List", "apiVersion": "v1", "items": [pod]},
        lambda pod: {"kind": "Deployment", "spec": {"template": pod}},
        lambda pod: {
            "kind": "CronJob",
            "spec": {"jobTemplate": {"spec": {"template": pod}}},
        },
        lambda pod: {
            "kind": "LeaderWorkerSet",
            "spec": {"leaderWorkerTemplate": {"workerTemplate": pod, "size": 4}},
        },
    ],
)
def test_templates_inside_any_kind(wrap: Any) -> None:
    """A pod template is found wherever a kind keeps it, and everything around it stays."""
    assert annotate.annotate(wrap(_pod())) == wrap(annotate.annotate(_pod()))


def test_others_are_left_alone() -> None:
    """Plain pods, pods that already have a node and other objects come out as they went in."""
    plain = _pod()
    plain["metadata"]["annotations"] = {"example.org/note": "x"}
    others = [
        plain,
        _pod(nodeName="n1"),
        {"kind": "Service", "spec": {"ports": [{"port": 8000}]}},
    ]
    assert [annotate.annotate(obj) for obj in others] == others


def test_the_input_is_not_changed() -> None:
    """The manifest that was read keeps its values."""
    pod = _pod()
    before = copy.deepcopy(pod)
    annotate.annotate(pod)
    assert pod == before


def test_the_command_prints_all_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every document comes out again as YAML, annotated or not."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    file = tmp_path / "in.yaml"
    file.write_text(yaml_text.write([_pod(), service]))
    parser = argparse.ArgumentParser()
    annotate.add_arguments(parser)
    assert annotate.run(parser.parse_args(["-f", str(file)])) == 0
    printed = [value for _, value in yaml_text.read(capsys.readouterr().out)]
    assert printed == [annotate.annotate(_pod()), service]
