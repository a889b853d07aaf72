"""The request language, nodes: which ones a gang may use, as kube-scheduler's own filters mean it.

The extender sees only nodes that passed those filters, so the planner must not propose others.
"""

from __future__ import annotations

import pytest

from scheduler.model import (
    Code,
    Constraints,
    NodeTerm,
    PodTerm,
    Requirement,
    SpreadTerm,
    Toleration,
)
from tests.builders import fleet, gang, nodes_of, occupy, podset, running_pod
from tests.solve.deciding import decide, waits
from topology import keys


@pytest.mark.parametrize("flag", ["cordoned", "notready", "quarantined", "tainted"])
def test_nodes_that_cannot_be_used(flag: str) -> None:
    """Nodes that are cordoned, not ready, tainted or quarantined take nobody."""
    wish = gang("llama", members=2)
    assert nodes_of(decide(fleet("r1(n1 n2) r2(n3)"), wish), "llama") == "n1 n2"
    # n2 is out, so the gang reaches over to the other rack.
    assert nodes_of(decide(fleet(f"r1(n1 n2!{flag}) r2(n3)"), wish), "llama") == "n1 n3"


def test_a_tolerated_taint_is_no_taint() -> None:
    """A toleration opens a tainted node, and only for its key, value and effect."""
    drawn = fleet("r1(n1!tainted)")
    assert waits(decide(drawn, gang("llama")), "llama") == Code.NO_NODES
    for toleration, opens in (
        (Toleration(key="dedicated", operator="Exists"), True),
        (Toleration(operator="Exists"), True),
        (Toleration(key="dedicated", value="other", effect="NoSchedule"), True),
        (Toleration(key="dedicated", value="mine"), False),
        (Toleration(key="dedicated", operator="Exists", effect="NoExecute"), False),
    ):
        tolerant = gang("llama", constraints=Constraints(tolerations=(toleration,)))
        assert (waits(decide(drawn, tolerant), "llama") is None) == opens, toleration


def test_a_cordoned_node_is_not_opened_by_a_toleration() -> None:
    """Toleration of everything does not bring a gang onto a cordoned node."""
    constraints = Constraints(tolerations=(Toleration(operator="Exists"),))
    plan = decide(fleet("r1(n1!cordoned)"), gang("llama", constraints=constraints))
    assert waits(plan, "llama") is not None


@pytest.mark.parametrize(
    ("requirement", "nodes"),
    [
        (Requirement(key="disk", operator="In", values=("ssd", "nvme")), "n2"),
        (Requirement(key="disk", operator="NotIn", values=("ssd",)), "n1"),
        (Requirement(key="disk", operator="Exists"), "n2"),
        (Requirement(key="disk", operator="DoesNotExist"), "n1"),
        (Requirement(key="gen", operator="Gt", values=("3",)), "n2"),
        (Requirement(key="gen", operator="Lt", values=("4",)), "n1"),
    ],
)
def test_node_affinity(requirement: Requirement, nodes: str) -> None:
    """Required node affinity with each of its operators."""
    drawn = fleet("r1(n1{gen=3} n2{disk=ssd,gen=4})")
    affinity = Constraints(node_affinity=(NodeTerm(labels=(requirement,)),))
    assert nodes_of(decide(drawn, gang("llama", constraints=affinity)), "llama") == nodes
    # Alternatives are tried one by one; a term without requirements matches no node.
    either = Constraints(node_affinity=(NodeTerm(), NodeTerm(labels=(requirement,))))
    assert nodes_of(decide(drawn, gang("llama", constraints=either)), "llama") == nodes
    nowhere = Constraints(node_affinity=(NodeTerm(),))
    assert waits(decide(drawn, gang("llama", constraints=nowhere)), "llama") == Code.NO_NODES


def test_node_affinity_by_name_and_selector() -> None:
    """``matchFields`` on the name of the node, and the plain node selector."""
    drawn = fleet("r1(n1 n2{disk=ssd} n3{disk=ssd})")
    by_name = NodeTerm(
        fields=(Requirement(key=keys.MATCH_FIELD_NAME, operator="In", values=("n3",)),)
    )
    for constraints, nodes in (
        (Constraints(node_selector={"disk": "ssd"}), ("n2", "n3")),
        (Constraints(node_affinity=(by_name,)), ("n3",)),
        (Constraints(node_selector={"disk": "hdd"}, node_affinity=(by_name,)), ("",)),
    ):
        plan = decide(drawn, gang("llama", constraints=constraints))
        assert nodes_of(plan, "llama") in nodes


def test_excluded_nodes() -> None:
    """A node that kube-scheduler refused for this gang is left out for it, not for others."""
    drawn = fleet("r1(n1 n2) r2(n3)")
    assert nodes_of(decide(drawn, gang("a", members=2)), "a") == "n1 n2"
    plan = decide(drawn, gang("a", members=2, excluded=["n1"]), gang("b"))
    assert (nodes_of(plan, "a"), nodes_of(plan, "b")) == ("n2 n3", "n1")


# Other pods

APP = (Requirement(key="app", operator="In", values=("x",)),)


def near(key: str) -> PodTerm:
    """A term about pods with the label ``app=x`` in the namespace default."""
    return PodTerm(topology_key=key, selector=APP, namespaces=("default",))


def test_anti_affinity_among_members() -> None:
    """Anti-affinity to its own labels: at most one member in each domain of the key."""
    drawn = fleet("r1(n1[16] n2) r2(n3)")
    x = {"app": "x"}
    assert nodes_of(decide(drawn, gang("llama", members=2, labels=x)), "llama") == "n1 n1"
    alone = Constraints(anti_affinity=(near(keys.HOSTNAME),))
    plan = decide(drawn, gang("llama", members=2, labels=x, constraints=alone))
    assert nodes_of(plan, "llama") == "n1 n2"
    # The same for another label of the nodes: one in each rack.
    alone = Constraints(anti_affinity=(near("rack"),))
    plan = decide(drawn, gang("llama", members=2, labels=x, constraints=alone))
    assert nodes_of(plan, "llama").split()[1] == "n3"
    plan = decide(drawn, gang("llama", members=3, labels=x, constraints=alone))
    assert waits(plan, "llama") == Code.INSUFFICIENT


def test_anti_affinity_works_both_ways_with_running_pods() -> None:
    """Neither the gang's own anti-affinity nor that of a running pod is broken."""
    drawn = fleet("r1(n1 n2) r2(n3[12])")
    assert nodes_of(decide(drawn, gang("llama")), "llama") in ("n1", "n2")
    # A pod with the label runs on n1, and the gang wants none of them in its rack.
    labelled = occupy(drawn, "n1", running_pod("one", labels={"app": "x"}))
    alone = Constraints(anti_affinity=(near("rack"),))
    assert nodes_of(decide(labelled, gang("llama", constraints=alone)), "llama") == "n3"
    # A pod on n1 wants no pod with the label in its rack, and the gang has the label.
    jealous = occupy(drawn, "n1", running_pod("one", anti_affinity=(near("rack"),)))
    assert nodes_of(decide(jealous, gang("llama", labels={"app": "x"})), "llama") == "n3"
    # Another namespace is not meant.
    elsewhere = gang("llama", labels={"app": "x"}, namespace="other")
    assert nodes_of(decide(jealous, elsewhere), "llama") in ("n1", "n2")


def test_anti_affinity_between_gangs_planned_together() -> None:
    """Two gangs of one decision keep clear of each other where one of them asks for it."""
    drawn = fleet("r1(n1[16]) r2(n2)")
    a, b = gang("a", labels={"app": "x"}), gang("b")
    plan = decide(drawn, a, b)
    assert nodes_of(plan, "a") == nodes_of(plan, "b") == "n1"  # one rack stays idle
    b = gang("b", constraints=Constraints(anti_affinity=(near(keys.HOSTNAME),)))
    plan = decide(drawn, a, b)
    assert {nodes_of(plan, "a"), nodes_of(plan, "b")} == {"n1", "n2"}


def test_a_node_without_the_key_does_not_restrict_anti_affinity() -> None:
    """``topologyKey`` is a label: without it anti-affinity holds nothing, affinity cannot be had."""
    drawn = fleet("r1(n1[16])")
    x = {"app": "x"}
    free = Constraints(anti_affinity=(near("shelf"),))
    plan = decide(drawn, gang("llama", members=2, labels=x, constraints=free))
    assert nodes_of(plan, "llama") == "n1 n1"
    bound = Constraints(affinity=(near("shelf"),))
    plan = decide(drawn, gang("llama", members=2, labels=x, constraints=bound))
    assert waits(plan, "llama") is not None


def test_affinity_to_running_pods() -> None:
    """Required affinity: only near a running pod that matches."""
    drawn = fleet("r1(n1 n2) r2(n3[12] n4[12])")
    assert nodes_of(decide(drawn, gang("llama")), "llama") in ("n1", "n2")
    beside = Constraints(affinity=(near("rack"),))
    labelled = occupy(drawn, "n4", running_pod("one", labels={"app": "x"}))
    plan = decide(labelled, gang("llama", members=2, constraints=beside))
    assert set(nodes_of(plan, "llama").split()) == {"n3", "n4"}
    assert waits(decide(drawn, gang("llama", constraints=beside)), "llama") is not None


def test_affinity_to_its_own_labels_starts_a_series() -> None:
    """Affinity to its own labels with nobody running: all members in one domain of the key."""
    drawn = fleet("r1(n1 n2[8-8]) r2(n3[12] n4[12])")
    x, beside = {"app": "x"}, Constraints(affinity=(near("rack"),))
    plan = decide(drawn, gang("llama", members=3, labels=x))
    assert waits(plan, "llama") is None
    plan = decide(drawn, gang("llama", members=2, labels=x, constraints=beside))
    assert set(nodes_of(plan, "llama").split()) == {"n3", "n4"}
    plan = decide(drawn, gang("llama", members=3, labels=x, constraints=beside))
    assert waits(plan, "llama") is not None


def test_topology_spread_of_pods() -> None:
    """``DoNotSchedule`` spread: the final skew between the domains of the key stays in its limit."""
    drawn = fleet("r1(n1 n2 n3 n4) r2(n5[12] n6[12])")
    x = {"app": "x"}
    assert set(nodes_of(decide(drawn, gang("llama", members=4, labels=x)), "llama").split()) == {
        "n1", "n2", "n3", "n4",
    }  # fmt: skip
    even = Constraints(spread=(SpreadTerm(topology_key="rack", max_skew=1, selector=APP),))
    plan = decide(drawn, gang("llama", members=4, labels=x, constraints=even))
    assert {"n5", "n6"} < set(nodes_of(plan, "llama").split())
    # Two and three are even enough, one node less in r2 makes it one and four.
    plan = decide(drawn, gang("llama", members=5, labels=x, constraints=even))
    assert waits(plan, "llama") is None
    fewer = fleet("r1(n1 n2 n3 n4) r2(n5)")
    plan = decide(fewer, gang("llama", members=5, labels=x, constraints=even))
    assert waits(plan, "llama") is not None


def test_a_spread_key_that_no_node_has() -> None:
    """Topology spread over a label that no node has: the gang waits, others do not."""
    nowhere = Constraints(spread=(SpreadTerm(topology_key="shelf", max_skew=1, selector=APP),))
    drawn = occupy(fleet("r1(n1 n2)"), "n1", running_pod("one", labels={"app": "x"}))
    plan = decide(drawn, gang("a", constraints=nowhere), gang("b"))
    assert waits(plan, "a") is not None and waits(plan, "b") is None


def test_host_ports() -> None:
    """Two pods with one host port do not share a node, with running pods or each other."""
    drawn = fleet("r1(n1[16] n2)")
    assert nodes_of(decide(drawn, gang("llama", members=2)), "llama") == "n1 n1"
    port = Constraints(host_ports=("TCP/8080",))
    plan = decide(drawn, gang("llama", members=2, constraints=port))
    assert set(nodes_of(plan, "llama").split()) == {"n1", "n2"}
    used = occupy(drawn, "n1", running_pod("one", host_ports=("TCP/8080",)))
    assert nodes_of(decide(used, gang("llama", constraints=port)), "llama") == "n2"
    other = Constraints(host_ports=("UDP/8080",))
    assert waits(decide(used, gang("llama", members=3, constraints=other)), "llama") is not None
    assert nodes_of(decide(used, gang("llama", members=2, constraints=other)), "llama")


def test_running_pods_use_capacity() -> None:
    """Cards, cores and pod slots that running pods use are gone."""
    drawn = fleet("r1(n1 n2[8-1])")
    assert nodes_of(decide(drawn, gang("llama", podset("main", 1, gpus=8))), "llama") == "n1"
    busy = occupy(drawn, "n1", running_pod("one", {"cpu": 60_000}))
    plan = decide(busy, gang("llama", podset("main", 1, gpus=7, cpu=8)))
    assert nodes_of(plan, "llama") == "n2"


def test_a_zero_request_fits_an_overcommitted_node() -> None:
    """A node whose memory is over-committed still takes pods that ask for none of it."""
    drawn = occupy(fleet("r1(n1)"), "n1", running_pod("one", {"memory": 1}))
    assert nodes_of(decide(drawn, gang("llama")), "llama") == "n1"
