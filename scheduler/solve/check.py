"""The independent checker: every hard rule and the objective of a plan, computed again from scratch.

It shares no code with the solver (an import contract holds that), so a plan that passes was found right
twice. ``verify`` runs in every cycle before anything is reserved; it touches only the nodes that the plan
uses, except for rules that look at every running pod. Companions: ``check_facts`` (the values laid out),
``check_cards`` (vendors' rules about cards), ``check_match`` (kube-scheduler's filters),
``check_objective`` (the vector).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from scheduler.model import Gang, GangAssignment, Plan, PodSet, SolverStatus
from scheduler.policy import Policy
from scheduler.snapshot import Snapshot
from scheduler.solve.check_cards import card_rules
from scheduler.solve.check_facts import (
    Crowd,
    Facts,
    Standing,
    decided_form,
    keeps_ratio,
    meets_minimum,
    variant_for,
)
from scheduler.solve.check_match import admits, pod_rules
from scheduler.solve.check_objective import evaluate
from topology.model import Flavor
from topology.vendors import is_of_cards


def verify(snapshot: Snapshot, plan: Plan, policy: Policy = Policy()) -> tuple[str, ...]:
    """What is wrong with ``plan`` for ``snapshot``, in words that name gang and rule; empty is good.

    Of the policy only ``mixed_pairs`` and what it says about loading matter.
    """
    gangs = [gang.key for gang in snapshot.gangs]
    answers = [answer.key for answer in plan.assignments]
    if gangs != answers:
        return (f"assignments are not one for each gang in order: {answers} instead of {gangs}",)
    facts = Facts(snapshot, plan, policy)
    shape = tuple(
        f"{gang.key}: {text}"
        for gang, answer in zip(snapshot.gangs, plan.assignments, strict=True)
        for text in _shape(facts, gang, answer)
    )
    if shape:
        return shape  # the other rules rely on it
    places = (f"{s.gang.key}: {text}" for s in facts.placed if s.new for text in _places(facts, s))
    rules = (*_capacity(facts), *card_rules(facts), *pod_rules(facts))
    return (*places, *rules, *_objective(facts))


def _shape(facts: Facts, gang: Gang, answer: GangAssignment) -> Iterator[str]:
    reservation = facts.reserved.get(gang.key)
    if reservation is not None:
        if not answer.placed or sorted(answer.slots, key=repr) != sorted(
            reservation.slots, key=repr
        ):
            yield "is reserved, but the plan does not keep its slots"
    elif gang.blocked is not None:
        if answer.placed or answer.slots or answer.reason != gang.blocked:
            yield "is blocked, but the plan does not leave it waiting with that reason"
    else:
        form = decided_form(gang, answer)
        yield from _whole(form, answer)
        yield from _flavor_named(facts, gang, answer)
        yield from _rewritten(gang, answer)
        for role in sorted({slot.role for slot in answer.slots}):
            yield from _members(facts, form, answer, role)


def _whole(gang: Gang, answer: GangAssignment) -> Iterator[str]:
    """All or nothing."""
    new = Counter(slot.role for slot in answer.slots)
    enough = meets_minimum(gang, new)
    if answer.placed and not enough:
        yield "is placed below its minimum: not whole"
    if answer.placed and not keeps_ratio(gang, new):
        yield f"new members {dict(sorted(new.items()))} do not keep the ratio of its roles"
    if not answer.placed and answer.slots:
        yield "waits but has slots: not all or nothing"
    elif not answer.placed and enough:
        yield "waits though its minimum runs"
    if not answer.placed and answer.reason is None:
        yield "waits without a reason"
    if answer.placed and answer.reason is not None:
        yield "is placed but has a reason to wait"


def _flavor_named(facts: Facts, gang: Gang, answer: GangAssignment) -> Iterator[str]:
    """Flavor, rank and the flavors passed over agree with the gang's list."""
    names = [flavor.name for flavor in gang.flavors]
    nothing_new = answer.placed and not answer.slots and answer.flavor is None
    if not facts.decides(gang) or (nothing_new and answer.flavor_rank == 0):
        return  # it may run on nodes that serve none of its flavors any more, and cannot grow
    better = names
    if answer.placed and names:
        better = names[: max(answer.flavor_rank, 0)]
        rank = names.index(answer.flavor) if answer.flavor in names else -1
        if not (rank == answer.flavor_rank or 0 <= rank < answer.flavor_rank < len(names)):
            yield f"flavor rank {answer.flavor_rank} is not that of flavor {answer.flavor}"
    elif answer.flavor is not None or answer.flavor_rank != 0:
        yield f"flavor {answer.flavor} of rank {answer.flavor_rank} was not to be chosen"
    passed = [one.flavor for one in answer.passed_over]
    if sorted(passed) != sorted(better):
        yield f"passed over {passed}, but the better flavors are {better}"


def _rewritten(gang: Gang, answer: GangAssignment) -> Iterator[str]:
    """Pods are written anew only for a flavor that allows it, and never while a member runs."""
    variants = [one for one in gang.variants if one.flavor == answer.flavor]
    if variants and variants[0].refusal is not None:
        yield f"flavor {answer.flavor} is refused: {variants[0].refusal.message}"
    if variants and any(podset.running for podset in gang.podsets):
        yield f"flavor {answer.flavor} needs other pods, but members run"


def _members(facts: Facts, gang: Gang, answer: GangAssignment, role: str) -> Iterator[str]:
    """Each pending member has at most one slot, its own request, a rank of its own and a known node."""
    slots = [slot for slot in answer.slots if slot.role == role]
    podset = next((one for one in gang.podsets if one.role == role), None)
    if podset is None:
        yield f"slots of unknown role {role}"
        return
    left = Counter((member.pod, member.uid) for member in podset.pending)
    left.subtract(Counter((slot.pod, slot.uid) for slot in slots))
    twice = sorted(pod for (pod, _), count in left.items() if count < 0)
    if twice:
        yield f"slots for {twice}: not a pending member of role {role}, or it has a slot already"
    if any(slot.request != podset.request for slot in slots):
        yield f"a slot of role {role} reserves something else than the member requests"
    ranks = [slot.rank for slot in slots]
    size = max(podset.size, len(podset.members))
    if len(set(ranks)) < len(ranks) or any(not 0 <= rank < size for rank in ranks):
        yield f"ranks {sorted(ranks)} of role {role} are not distinct ranks below {size}"
    for slot in slots:
        if slot.node not in facts.index:
            yield f"node {slot.node} of {slot.pod} is not in the snapshot"


def _places(facts: Facts, standing: Standing) -> Iterator[str]:
    for crowd in standing.crowds:
        yield from _nodes(facts, standing, crowd)
        yield from _slices(facts, crowd)
    yield from _flavor(facts, standing)
    yield from _one_class(facts, standing)
    yield from _required(facts, standing)
    yield from _reported(facts, standing)


def _nodes(facts: Facts, standing: Standing, crowd: Crowd) -> Iterator[str]:
    for index in sorted(set(crowd.new)):
        state = facts.state(index)
        name, role = state.node.name, crowd.podset.role
        if not state.usable:
            yield f"node {name} of role {role} is not usable"
        if name in standing.gang.excluded_nodes:
            yield f"node {name} of role {role} is excluded for this gang"
        if not admits(crowd.podset.constraints, state.node):
            yield f"node {name} does not admit role {role} by selector, affinity or taint"


def _flavor(facts: Facts, standing: Standing) -> Iterator[str]:
    """Each node serves the flavor; decode members of a mixed pair may follow another one of the gang."""
    gang, answer = standing.gang, standing.answer
    if not gang.flavors:
        return
    first = [flavor.name for flavor in gang.flavors].index(answer.flavor or "")
    seconds = [first]
    if _mixture(facts, standing) and variant_for(gang, answer) is None:
        rewritten = {variant.flavor for variant in gang.variants}
        seconds += [i for i, one in enumerate(gang.flavors) if one.name not in rewritten]
    ranked = [second for second in seconds if max(first, second) == answer.flavor_rank]
    wrong = [[*_follow(facts, standing, first, second)] for second in ranked]
    if not wrong:
        yield f"flavor rank {answer.flavor_rank} is not that of flavor {answer.flavor}"
    elif all(wrong):
        yield from wrong[0]


def _follow(facts: Facts, standing: Standing, first: int, second: int) -> Iterator[str]:
    """What is wrong if decode members follow the flavor ``second`` and all others ``first``."""
    gang, written = standing.gang, variant_for(standing.gang, standing.answer) is not None
    for flavor in (gang.flavors[rank] for rank in sorted({first, second})):
        if flavor.members not in (None, gang.size) and not written:
            yield f"flavor {flavor.name} is for {flavor.members} members, the gang has {gang.size}"
    for crowd in standing.crowds:
        if not crowd.podset.follows_flavors:
            continue
        flavor = gang.flavors[second if crowd in standing.decode else first]
        role = crowd.podset.role
        if not _offers(flavor, crowd.podset) and not written:
            yield f"flavor {flavor.name} has other resources than role {role} requests"
        for index in sorted(set(crowd.all)):
            if not _serves(facts, index, flavor):
                name = facts.state(index).node.name
                yield f"node {name} of role {role} does not serve flavor {flavor.name}"


def _serves(facts: Facts, index: int, flavor: Flavor) -> bool:
    labels = facts.state(index).node.labels
    if any(labels.get(key) != value for key, value in flavor.node_selector.items()):
        return False
    cards = facts.accelerator(index)
    if flavor.device_class is not None and (
        cards is None or cards.device_class != flavor.device_class
    ):
        return False
    if flavor.min_memory_bytes is None:
        return True
    return cards is not None and (cards.memory_bytes or 0) >= flavor.min_memory_bytes


def _offers(flavor: Flavor, podset: PodSet) -> bool:
    """The flavor lists every extended resource that the member requests, and each with its amount."""
    asked = {name: need for name, need in podset.request.amounts.items() if need}
    extended = {name for name in asked if "/" in name}
    if flavor.cards is not None:
        cards = {name for name in extended if is_of_cards(name)}
        if cards != {flavor.card} or asked[flavor.card or ""] != flavor.cards:
            return False
        extended = set()  # what it asks for beside cards is its own affair
    if flavor.resources is None:
        return True
    listed = flavor.resources.amounts
    return extended <= set(listed) and all(
        asked.get(name, 0) == amount for name, amount in listed.items()
    )


def _mixture(facts: Facts, standing: Standing) -> bool:
    """Whether the gang stands on two device classes as a row of the policy allows it."""
    others = [crowd for crowd in standing.crowds if crowd not in standing.decode]
    classes = [sorted(facts.classes(side)) for side in (others, standing.decode)]
    return any(
        classes == [[pair.prefill], [pair.decode]] and pair.connector == standing.gang.connector
        for pair in facts.policy.mixed_pairs
    )


def _one_class(facts: Facts, standing: Standing) -> Iterator[str]:
    classes = facts.classes(standing.crowds)
    if len(classes) > 1 and not _mixture(facts, standing):
        yield f"members stand on more than one device class: {sorted(classes)}"


def _required(facts: Facts, standing: Standing) -> Iterator[str]:
    tree = facts.snapshot.tree
    for scope, request, crowds in standing.wishes:
        level = request.required
        if level is None or not any(crowd.new for crowd in crowds):
            continue
        nodes = tuple(node for crowd in crowds for node in crowd.all)
        if level not in tree.levels:
            yield f"required level {level} of {scope} does not exist"
            continue
        depth = tree.depth(level)
        domains = [tree.domains[depth][i] for i in sorted(facts.domains(depth, nodes))]
        names = [domain.name for domain in domains]
        if len(domains) > 1:
            yield f"required level {level} of {scope}: members are in {names}"
        elif not domains[0].known:
            yield f"required level {level} of {scope}: the {level} of {names} is unknown"


def _slices(facts: Facts, crowd: Crowd) -> Iterator[str]:
    tree = facts.snapshot.tree
    for part in crowd.podset.slices if crowd.new else ():
        where = f"slices {part.level}:{part.size} of role {crowd.podset.role}"
        if part.level not in tree.levels:
            yield f"{where}: the level does not exist"
            continue
        row = tree.domain_of[tree.depth(part.level)]
        standing = [int(row[node]) for node in crowd.all]
        for index, count in sorted(Counter(standing).items()):
            domain = tree.domains[tree.depth(part.level)][index]
            if count % part.size:
                yield f"{where}: {count} members are in {domain.name}, not a multiple of {part.size}"
            if not domain.known:
                yield f"{where}: the {part.level} of {domain.name} is unknown"
        by_rank = [] if crowd.running else standing
        parts = [by_rank[i : i + part.size] for i in range(0, len(by_rank), part.size)]
        if any(len(set(one)) > 1 for one in parts):
            yield f"{where}: {part.size} adjacent ranks are not in one domain"


def _reported(facts: Facts, standing: Standing) -> Iterator[str]:
    tree, told = facts.snapshot.tree, standing.answer.domains
    for depth, level in enumerate(tree.levels[:-1]):
        domains = [tree.domains[depth][i] for i in facts.domains(depth, standing.all)]
        names = {domain.name for domain in domains if domain.known}
        if not names <= set(told.get(level, ())) <= {domain.name for domain in domains}:
            yield f"domains of level {level} are {sorted(names)}, reported as {told.get(level, ())}"
    unknown = sorted(set(told) - set(tree.levels[:-1]))
    if unknown:
        yield f"domains reported for levels {unknown}, which do not exist"


def _capacity(facts: Facts) -> Iterator[str]:
    wanted: dict[int, Counter[str]] = {}
    for standing in facts.placed:
        for crowd in standing.crowds:
            for node in crowd.new:
                wanted.setdefault(node, Counter()).update(crowd.podset.request.amounts)
    for node, amounts in sorted(wanted.items()):
        state, held = facts.state(node), facts.reserved_on.get(node, {})
        for resource, need in sorted(amounts.items()):
            free = state.free[resource] - held.get(resource, 0)
            if need > max(free, 0):
                users = sorted(s.gang.key for s in facts.placed if node in s.new)
                yield (
                    f"{', '.join(users)}: capacity of node {state.node.name}: {need} {resource} "
                    f"requested, {free} free"
                )


def _objective(facts: Facts) -> Iterator[str]:
    plan, vector = facts.plan, evaluate(facts)
    if plan.objective != vector:
        yield f"objective {plan.objective} is not that of the places, {vector}"
    if plan.status is SolverStatus.OPTIMAL and plan.bound != plan.objective:
        yield f"plan is called optimal, but its bound is {plan.bound}"
    for bound, value in zip(plan.bound, plan.objective, strict=False):
        if bound > value:
            yield f"bound {plan.bound} is above the objective {plan.objective}"
        if bound != value:
            break
