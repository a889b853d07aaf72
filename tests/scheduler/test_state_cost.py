"""An event costs the work of what it changes: everything else is shared with the last snapshot."""

from __future__ import annotations

from tests.objects import node, pod, state_of
from tests.scheduler.test_state import WORLD
from topology import keys


def test_what_did_not_change_is_shared_with_the_last_snapshot() -> None:
    """A pod event makes one node and one gang anew; the others, and the tree, are the same objects."""
    objects = [node(f"n{i}", labels={keys.RACK: f"r{i // 4}"}) for i in range(16)]
    objects += [pod(f"{g}-{i}", g, topology_required="rack") for g in "abcd" for i in range(2)]
    state = state_of(objects)
    before = state.snapshot()
    state.apply("Pod", "MODIFIED", pod("a-0", "a", node="n5", topology_required="rack"))
    after = state.snapshot()
    assert after.tree is before.tree
    changed = [
        new.node.name for old, new in zip(before.nodes, after.nodes, strict=True) if old is not new
    ]
    assert changed == ["n5"]
    assert [
        new.name for old, new in zip(before.gangs, after.gangs, strict=True) if old is not new
    ] == ["a"]


def test_a_node_that_only_changes_its_health_keeps_tree_and_gangs() -> None:
    """Conditions, taints and cordons do not touch the levels."""
    objects = [node(f"n{i}", labels={keys.RACK: "r1"}) for i in range(4)]
    state = state_of([*objects, pod("a-0", "a", topology_required="rack")])
    before = state.snapshot()
    sick = node("n2", labels={keys.RACK: "r1"})
    sick["status"]["conditions"][0]["status"] = "False"
    state.apply("Node", "MODIFIED", sick)
    after = state.snapshot()
    assert after.tree is before.tree and after.gangs[0] is before.gangs[0]
    assert [s.node.name for s in after.nodes if not s.usable] == ["n2"]


def test_a_label_that_is_no_level_keeps_the_tree() -> None:
    """Feature discovery writes labels all the time; only those that say where a node stands count."""
    state = state_of([node(f"n{i}", labels={keys.RACK: "r1"}) for i in range(4)])
    before = state.snapshot()
    state.apply("Node", "MODIFIED", node("n2", labels={keys.RACK: "r1", "feature": "x"}))
    after = state.snapshot()
    assert after.tree is before.tree
    assert after.nodes[2].node.labels["feature"] == "x"
    state.apply("Node", "MODIFIED", node("n2", labels={keys.RACK: "r2", "feature": "x"}))
    assert state.snapshot().tree != before.tree


def test_the_same_object_again_changes_nothing() -> None:
    """A relist repeats every object; the generation, by which cycles are started, stays."""
    state = state_of(WORLD)
    generation = state.generation
    for obj in WORLD:
        state.apply(obj["kind"], "MODIFIED", obj)
    assert state.generation == generation
