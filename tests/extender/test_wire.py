"""Extender v1 JSON: what kube-scheduler sends is read, everything else gets one clear sentence."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender import wire

POD = {"metadata": {"name": "a", "namespace": "d", "uid": "420c"}, "spec": {"containers": []}}


def args(**fields: object) -> bytes:
    """ExtenderArgs as Go writes them."""
    return json.dumps({"Pod": POD, "Nodes": None, "NodeNames": ["n1", "n2"]} | fields).encode()


def test_a_filter_request_is_read_as_go_sends_it() -> None:
    """Capitalised names outside, Kubernetes JSON inside, the nomination from the pod's status."""
    pod = POD | {"status": {"nominatedNodeName": "n2"}}
    request = wire.read_filter(args(Pod=pod))
    assert (request.uid, request.namespace, request.name) == ("420c", "d", "a")
    assert request.node_names == ("n1", "n2")
    assert request.nominated == "n2"


@pytest.mark.parametrize("case", [str.lower, str.upper, str.capitalize])
def test_any_letter_case_is_accepted(case: object) -> None:
    """Go matches JSON names case-insensitively, so do we (design section 8)."""
    body = {case(key): value for key, value in json.loads(args()).items()}  # type: ignore[operator]
    assert wire.read_filter(json.dumps(body).encode()).node_names == ("n1", "n2")


def test_whole_nodes_are_answered_with_whole_nodes() -> None:
    """nodeCacheCapable=false: an answer by names would reject all nodes."""
    nodes = {"items": [{"metadata": {"name": "n1"}}, {"metadata": {"name": "n2"}}]}
    request = wire.read_filter(args(Nodes=nodes, NodeNames=None))
    answer = json.loads(wire.write_filter(wire.FilterAnswer(nodes=("n2",)), request))
    assert [node["metadata"]["name"] for node in answer["Nodes"]["items"]] == ["n2"]
    assert "NodeNames" not in answer


BAD = {
    "not JSON": (b"hello", "filter: the body is not JSON"),
    "truncated": (args()[:40], "filter: the body is not JSON"),
    "no object": (b"[1]", "filter: the body is list, expected a JSON object"),
    "of the bind verb": (
        b'{"PodName":"a","PodNamespace":"d","PodUID":"1","Node":"n"}',
        "filter: Pod.metadata is missing; expected ExtenderArgs",
    ),
    "pod without metadata": (args(Pod={"spec": {}}), "filter: Pod.metadata is missing"),
    "pod without uid": (args(Pod={"metadata": {}}), "filter: Pod.metadata.uid is missing"),
    "names of the wrong type": (args(NodeNames=[1]), "filter: NodeNames is not a list of strings"),
    "no nodes at all": (args(NodeNames=None), "filter: neither NodeNames nor Nodes is given"),
}


@pytest.mark.parametrize(("body", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_filter_request_says_what_was_expected(body: bytes, message: str) -> None:
    """One sentence that names the verb and the field."""
    with pytest.raises(wire.WireError) as caught:
        wire.read_filter(body)
    assert str(caught.value).startswith(message)


def test_a_bind_request_without_a_node_names_the_field() -> None:
    """Every field of ExtenderBindingArgs is needed."""
    with pytest.raises(wire.WireError, match="bind: Node missing"):
        wire.read_bind(b'{"PodName":"a","PodNamespace":"d","PodUID":"1"}')


def test_scores_are_integers_on_the_wire() -> None:
    """One float and Go drops the whole answer silently."""
    assert wire.write_priorities([("n1", 10)]) == b'[{"Host":"n1","Score":10}]'


@pytest.mark.parametrize("form", ["NodeNameToMetaVictims", "NodeNameToVictims"])
def test_both_forms_of_victims_are_read_and_answered_in_meta_form(form: str) -> None:
    """kube-scheduler sends uids or whole pods, but expects uids in both modes."""
    pods = [{"UID": "v1"}] if "Meta" in form else [{"metadata": {"uid": "v1"}}]
    body = json.dumps({"Pod": POD, form: {"n1": {"Pods": pods, "NumPDBViolations": 1}}}).encode()
    request = wire.read_preempt(body)
    assert json.loads(wire.write_preempt(request, ["n1"])) == {
        "NodeNameToMetaVictims": {"n1": {"Pods": [{"UID": "v1"}], "NumPDBViolations": 1}}
    }
    assert json.loads(wire.write_preempt(request, [])) == {"NodeNameToMetaVictims": {}}


def test_a_preempt_request_without_victims_is_of_another_verb() -> None:
    """kube-scheduler always sends both fields, if need be as null; the body of `filter` has neither."""
    body = json.dumps({"Pod": POD, "NodeNameToVictims": None}).encode()
    assert wire.read_preempt(body).victims == {}
    with pytest.raises(wire.WireError, match="preempt: neither NodeNameToMetaVictims nor"):
        wire.read_preempt(json.dumps({"Pod": POD, "NodeNames": ["n1"]}).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=20,
)
KEYS = st.sampled_from(["Pod", "NodeNames", "Nodes", "NodeNameToMetaVictims", "metadata", "uid"])


@given(st.dictionaries(KEYS, JSON))
def test_reading_is_total(body: dict[str, object]) -> None:
    """Any JSON object is read or refused with a WireError; nothing else is ever raised."""
    raw = json.dumps(body).encode()
    for read in (wire.read_filter, wire.read_preempt, wire.read_bind):
        with contextlib.suppress(wire.WireError):
            read(raw)
