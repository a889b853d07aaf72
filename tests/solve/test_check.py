"""The checker refuses: for each rule a plan that breaks just that rule, with the words that name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scheduler.model import (
    Code,
    Constraints,
    Gang,
    GangAssignment,
    PassedOver,
    Plan,
    PodTerm,
    Reason,
    Requirement,
    SolverStatus,
    SpreadTerm,
    Toleration,
)
from scheduler.snapshot import Snapshot
from scheduler.solve.check import verify
from scheduler.solve.check_facts import Facts
from scheduler.solve.check_objective import evaluate
from tests.builders import (
    Fleet,
    answer,
    flavor,
    fleet,
    gang,
    occupy,
    podset,
    reserved,
    running_pod,
    snapshot,
)
from topology import keys
from topology.resources import Resources

REASON = Reason(code=Code.INSUFFICIENT, message="does not fit")


def by_hand(picture: Snapshot, places: dict[str, str], rank: int = 0) -> Plan:
    """A plan that puts the pending members of each gang, role by role, on nodes; the others wait."""
    answers = tuple(_answer(picture, each, places.get(each.name), rank) for each in picture.gangs)
    return scored(picture, Plan(assignments=answers))


def _answer(picture: Snapshot, of: Gang, nodes: str | None, rank: int) -> GangAssignment:
    held = next((one for one in picture.reservations if one.key == of.key), None)
    if held is not None:
        return held
    names = [each.name for each in of.flavors]
    if of.blocked is not None or nodes is None:
        passed = (
            () if of.blocked else tuple(PassedOver(flavor=each, reason=REASON) for each in names)
        )
        return GangAssignment(
            namespace=of.namespace, gang=of.name, passed_over=passed, reason=of.blocked or REASON
        )
    running = [member.node for each in of.podsets for member in each.running]
    used = [picture.tree.nodes.index(str(node)) for node in [*nodes.split(), *running]]
    return replace(
        reserved(_first(of, len(nodes.split())), nodes),
        flavor=names[rank] if names else None,
        flavor_rank=rank,
        passed_over=tuple(PassedOver(flavor=each, reason=REASON) for each in names[:rank]),
        domains={
            level: tuple(sorted({picture.tree.domain(level, node).name for node in used}))
            for level in picture.levels[:-1]
        },
    )


def _first(of: Gang, count: int) -> Gang:
    """The gang with only its first ``count`` pending members."""
    sets = []
    for each in of.podsets:
        pending = each.pending[:count]
        count -= len(pending)
        sets.append(replace(each, members=(*each.running, *pending)))
    return replace(of, podsets=tuple(sets))


def scored(picture: Snapshot, plan: Plan) -> Plan:
    """The plan with the objective that it has, so that only the rule under test is broken."""
    return replace(plan, objective=evaluate(Facts(picture, plan)))


def alone(key: str) -> Constraints:
    """Anti-affinity to the label ``app=x`` in domains of ``key``."""
    selector = (Requirement(key="app", operator="In", values=("x",)),)
    return Constraints(
        anti_affinity=(PodTerm(topology_key=key, selector=selector, namespaces=("default",)),)
    )


def beside(key: str) -> Constraints:
    """Affinity to the label ``app=x`` in domains of ``key``."""
    return Constraints(affinity=alone(key).anti_affinity)


EVEN = Constraints(spread=(SpreadTerm(topology_key="rack", max_skew=1, selector=()),))
X = {"app": "x"}
FLEET = "r1(n1 n2{disk=ssd}) r2(n3@a100) ?(n4)"

# rule -> (fleet, fields of a gang that may stand there, fields that break the rule, nodes, words)
RULES: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str]] = {
    "gang minimum": (FLEET, {"members": 3, "least": 2}, {"members": 3}, "n1 n2", "not whole"),
    "capacity": (
        FLEET,
        {"members": 2, "gpus": 4},
        {"members": 2},
        "n1 n1",
        "capacity of node n1: 16",
    ),
    "cores": (
        FLEET,
        {"cpu": 64},
        {"cpu": 65},
        "n1",
        "capacity of node n1: 65000 cpu requested, 64000",
    ),
    "cordoned": ("r1(n1)", {}, {}, "n1", "not usable"),
    "not ready": ("r1(n1)", {}, {}, "n1", "not usable"),
    "quarantined": ("r1(n1)", {}, {}, "n1", "not usable"),
    "excluded": (FLEET, {"excluded": ["n2"]}, {"excluded": ["n1"]}, "n1", "is excluded"),
    "selector": (
        FLEET,
        {"constraints": Constraints(node_selector={"disk": "ssd"})},
        {"constraints": Constraints(node_selector={"disk": "nvme"})},
        "n2",
        "does not admit",
    ),
    "taint": (
        "r1(n1!tainted)",
        {"constraints": Constraints(tolerations=(Toleration(operator="Exists"),))},
        {},
        "n1",
        "does not admit",
    ),
    "flavor": (
        FLEET,
        {"flavors": ["h100"]},
        {"flavors": ["a100"]},
        "n1",
        "does not serve flavor a100",
    ),
    "pinned flavor": (
        "r1(n1@a100 n2@h100)",
        {"members": 2, "gpus": 4, "flavors": ["h100"], "running": ["n2"]},
        {"members": 2, "gpus": 4, "flavors": ["h100"], "running": ["n1"]},
        "n2",
        "does not serve flavor h100",
    ),
    "flavor resources": (
        FLEET,
        {"flavors": [flavor("h100", resources=Resources({keys.NVIDIA_GPU: 8}))]},
        {"flavors": [flavor("h100", resources=Resources({keys.NVIDIA_GPU: 4}))]},
        "n1",
        "other resources",
    ),
    "flavor members": (
        FLEET,
        {"flavors": [flavor("h100", members=1)]},
        {"flavors": [flavor("h100", members=2)]},
        "n1",
        "is for 2 members, the gang has 1",
    ),
    "device class": (
        FLEET,
        {"members": 2, "follows_flavors": False},
        {"members": 2},
        "n1 n3",
        "one device",
    ),
    "required": (
        FLEET,
        {"members": 2},
        {"members": 2, "required": "rack"},
        "n1 n4",
        "required level rack of gang",
    ),
    "required unknown": (FLEET, {"required": "host"}, {"required": "rack"}, "n4", "is unknown"),
    "required of role": (
        FLEET,
        {"members": 2},
        {"podsets": [podset("main", 2, required="rack")]},
        "n1 n4",
        "required level rack of role main",
    ),
    "required of group": (
        FLEET,
        {"podsets": [podset("a", 1, group="g"), podset("b", 1, group="g")]},
        {"podsets": [podset(role, 1, group="g", group_required="rack") for role in ("a", "b")]},
        "n1 n4",
        "required level rack of group g",
    ),
    "slices": (
        "r1(n1 n2 n3) r2(n4)",
        {"members": 4},
        {"members": 4, "slices": "rack:4"},
        "n1 n2 n3 n4",
        "not a multiple of 4",
    ),
    "slices by rank": (
        "r1(n1 n2) r2(n3 n4)",
        {"members": 4},
        {"members": 4, "slices": "rack:2"},
        "n1 n3 n2 n4",
        "2 adjacent ranks are not in one domain",
    ),
    "anti-affinity": (
        FLEET,
        {"members": 2, "gpus": 4, "labels": X},
        {"members": 2, "gpus": 4, "labels": X, "constraints": alone(keys.HOSTNAME)},
        "n1 n1",
        "anti-affinity",
    ),
    "affinity": (
        FLEET,
        {"members": 2, "labels": X},
        {"members": 2, "labels": X, "constraints": beside("rack")},
        "n1 n4",
        "affinity of role main by rack is not satisfied",
    ),
    "spread": (FLEET, {"members": 2}, {"members": 2, "constraints": EVEN}, "n1 n2", "has skew 2"),
    "spread key": (FLEET, {}, {"constraints": EVEN}, "n4", "without label rack"),
    "host port": (
        FLEET,
        {"members": 2, "gpus": 4},
        {"members": 2, "gpus": 4, "constraints": Constraints(host_ports=("TCP/80",))},
        "n1 n1",
        "host port TCP/80",
    ),
}
SEVERAL = {"slices", "anti-affinity", "affinity", "pinned flavor"}
"""These cannot be broken once: a second domain, member or rule is always hurt as well."""
FLAGS = {"cordoned": "cordoned", "not ready": "notready", "quarantined": "quarantined"}


def _wish(fields: dict[str, Any]) -> Gang:
    rest = {name: value for name, value in fields.items() if name != "podsets"}
    return gang("g", *fields.get("podsets", ()), **rest)


@pytest.mark.parametrize("rule", RULES)
def test_a_plan_that_breaks_one_rule_is_refused(rule: str) -> None:
    """The same places are fine without the rule and refused with it, in words that name it."""
    drawing, fine, broken, nodes, words = RULES[rule]
    picture = snapshot(fleet(drawing), _wish(fine))
    assert verify(picture, by_hand(picture, {"g": nodes})) == ()
    if rule in FLAGS:
        drawing = drawing.replace("n1", f"n1!{FLAGS[rule]}")
    picture = snapshot(fleet(drawing), _wish(broken))
    violations = verify(picture, by_hand(picture, {"g": nodes}))
    assert violations and all("default/g" in each for each in violations)
    assert any(words in each for each in violations), violations
    assert len(violations) == 1 or rule in SEVERAL, violations


def _changed(plan: Plan, **changes: Any) -> Plan:
    answers = tuple(
        replace(each, **changes) if each.gang == "g" else each for each in plan.assignments
    )
    return replace(plan, assignments=answers)


def _slots(plan: Plan, at: int, **changes: Any) -> Plan:
    slots = list(answer(plan, "g").slots)
    slots[at] = replace(slots[at], **changes)
    return _changed(plan, slots=tuple(slots))


# What is wrong with the form of an answer -> the change to a good plan, and words of the refusal.
FORMS: dict[str, tuple[Callable[[Plan], Plan], str]] = {
    "no answer": (
        lambda plan: replace(plan, assignments=plan.assignments[:1]),
        "one for each gang",
    ),
    "two answers": (
        lambda plan: replace(plan, assignments=(*plan.assignments, plan.assignments[0])),
        "one for each gang",
    ),
    "half": (lambda plan: _changed(plan, slots=answer(plan, "g").slots[:1]), "not whole"),
    "waits with slots": (
        lambda plan: _changed(plan, placed=False, reason=REASON),
        "not all or nothing",
    ),
    "silent": (
        lambda plan: _changed(plan, placed=False, slots=(), flavor=None, flavor_rank=0),
        "without a reason",
    ),
    "placed with reason": (lambda plan: _changed(plan, reason=REASON), "has a reason to wait"),
    "pod twice": (
        lambda plan: _slots(plan, 1, pod="g-main-0", uid="uid-g-main-0"),
        "has a slot already",
    ),
    "foreign pod": (lambda plan: _slots(plan, 1, pod="other"), "not a pending member"),
    "role": (lambda plan: _slots(plan, 1, role="worker"), "unknown role worker"),
    "rank twice": (lambda plan: _slots(plan, 1, rank=0), "distinct ranks"),
    "rank": (lambda plan: _slots(plan, 1, rank=2), "distinct ranks"),
    "node": (lambda plan: _slots(plan, 1, node="n9"), "n9 of g-main-1 is not in the snapshot"),
    "request": (lambda plan: _slots(plan, 1, request=Resources({"pods": 1})), "something else"),
    "flavor": (
        lambda plan: _changed(plan, flavor="h100"),
        "flavor rank 1 is not that of flavor h100",
    ),
    "rank of flavor": (lambda plan: _changed(plan, flavor_rank=0), "flavor rank 0"),
    "passed over": (lambda plan: _changed(plan, passed_over=()), "the better flavors are ['h100']"),
    "domains": (lambda plan: _changed(plan, domains={"rack": ("r1",)}), "domains of level rack"),
    "levels": (
        lambda plan: _changed(plan, domains={**answer(plan, "g").domains, "row": ("x",)}),
        "levels ['row']",
    ),
    "objective": (
        lambda plan: replace(plan, objective=(*plan.objective[:-1], 7)),
        "not that of the places",
    ),
    "not proven": (
        lambda plan: replace(plan, status=SolverStatus.OPTIMAL, bound=(0,) * len(plan.objective)),
        "called optimal",
    ),
    "bound": (lambda plan: replace(plan, bound=(9, *plan.objective[1:])), "above the objective"),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_of_the_wrong_form_is_refused(form: str) -> None:
    """A good plan passes; each change of its form is refused by name."""
    wish = gang("g", members=2, flavors=["h100", "a100"])
    picture = snapshot(fleet("r1(n1@h100) r2(n3@a100 n4@a100)"), gang("a", gpus=9), wish)
    plan = by_hand(picture, {"g": "n3 n4"}, rank=1)
    assert verify(picture, plan) == ()
    change, words = FORMS[form]
    violations = verify(picture, change(plan))
    assert any(words in each for each in violations), violations


def test_a_gang_whose_minimum_runs_does_not_wait() -> None:
    """A gang that runs at its minimum is placed, also without new members."""
    picture = snapshot(fleet("r1(n1)"), gang("g", members=2, least=1, running=["n1"]))
    assert verify(picture, by_hand(picture, {"g": ""})) == ()
    assert "waits though its minimum runs" in verify(picture, by_hand(picture, {}))[0]


def test_reserved_and_blocked_gangs_are_fixed() -> None:
    """A reserved gang keeps its slots, and nobody gets them; a blocked gang keeps its reason."""
    held, blocked = gang("a"), replace(gang("b"), blocked=REASON)
    slots = [reserved(held, "n1")]
    picture = snapshot(fleet("r1(n1 n2)"), held, blocked, gang("g"), reservations=slots)
    plan = by_hand(picture, {"g": "n2"})
    assert verify(picture, plan) == ()
    assert "capacity of node n1" in verify(picture, by_hand(picture, {"g": "n1"}))[0]
    moved = tuple(replace(one, slots=(), gang=one.gang) for one in plan.assignments[:1])
    bad = replace(plan, assignments=(*moved, *plan.assignments[1:]))
    assert "does not keep its slots" in verify(picture, bad)[0]
    free = replace(plan.assignments[1], reason=replace(REASON, message="another"))
    bad = replace(plan, assignments=(plan.assignments[0], free, plan.assignments[2]))
    assert "is blocked" in verify(picture, bad)[0]


def test_pods_of_others_are_seen() -> None:
    """Anti-affinity and ports of running pods, and of gangs placed by the same plan, count."""
    drawn = fleet("r1(n1 n2) r2(n3)")

    def refused(fleet_: Fleet, *gangs: Gang, **places: str) -> str:
        picture = snapshot(fleet_, *gangs)
        return " ".join(verify(picture, by_hand(picture, places)))

    labelled = occupy(drawn, "n2", running_pod("one", labels=X, host_ports=("TCP/80",)))
    jealous = occupy(drawn, "n2", running_pod("one", anti_affinity=alone("rack").anti_affinity))
    ported = gang("g", constraints=Constraints(host_ports=("TCP/80",)))
    assert "anti-affinity" in refused(labelled, gang("g", constraints=alone("rack")), g="n1")
    assert "anti-affinity" in refused(jealous, gang("g", labels=X), g="n1")
    assert not refused(labelled, gang("g", constraints=alone("rack")), g="n3")
    assert not refused(labelled, gang("g", constraints=beside("rack")), g="n1")
    assert "affinity" in refused(labelled, gang("g", constraints=beside("rack")), g="n3")
    assert "host port" in refused(labelled, ported, g="n2")
    pair = gang("a", labels=X), gang("g", constraints=alone("rack"))
    assert "anti-affinity" in refused(drawn, *pair, a="n1", g="n2")
    assert not refused(drawn, *pair, a="n1", g="n3")
