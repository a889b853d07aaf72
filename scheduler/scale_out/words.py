"""Advice in words and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from scheduler.advice import ScaleOut
from scheduler.match import Cause, cause, untolerated
from scheduler.scale_out.case import Case
from scheduler.scale_out.places import path_of
from scheduler.scale_out.trial import Places
from scheduler.snapshot import NodeState
from topology.model import Flavor, Node
from topology.resources import CPU, MEMORY, Resources, parse_quantity

_DOMAINS = 4
"""Domains that a message names."""


def known(case: Case, places: Places, *, proven: bool) -> ScaleOut:
    """So many copies of nodes that the cluster has."""
    like = places[0][0]
    nodes = sum(count for _, count in places)
    domains: Counter[str] = Counter()
    for node, count in places if case.levels else ():
        domains["/".join(value for _, value in path_of(node, case.levels))] += count
    selector = dict(case.selector)
    if len(domains) == 1:
        selector |= {
            step.key: step.value
            for step in like.path
            if step.level in case.levels and like.labels.get(step.key) == step.value
        }
    cost = _cost(case.flavor, nodes)
    level = case.levels[-1] if case.levels else ""
    where = _where(level, domains)
    return ScaleOut(
        flavor=case.name,
        message=(
            f"{'' if proven else 'at most '}{_count(nodes)} like {like.name} would do"
            f"{where}{_priced(cost)}"
        ),
        nodes=nodes,
        at_most=not proven,
        cost_per_hour=cost,
        like=like.name,
        level=level,
        domains=dict(sorted(domains.items())),
        node_selector=selector,
        resources=like.allocatable,
    )


def unknown(case: Case) -> ScaleOut:
    """The cluster has no node to count with: a node for each member is enough."""
    members, request = case.needed()
    cost = _cost(case.flavor, members)
    flavor = case.flavor
    what = f" of {flavor.device_class}" if flavor and flavor.device_class else ""
    whose = "of this flavor" if flavor else "that its pods could use"
    shared = case.gang.topology.required
    together = f", all in one {shared}" if shared in case.levels else ""
    return ScaleOut(
        flavor=case.name,
        message=(
            f"the cluster has no node {whose} to count with; at most {_count(members)}{what} would "
            f"do, one for each member with {_amounts(request)} free{together}{_priced(cost)}"
        ),
        nodes=members,
        at_most=True,
        cost_per_hour=cost,
        node_selector=dict(case.selector),
        resources=request,
    )


def hopeless(case: Case, node: Node) -> ScaleOut:
    """No number of nodes like the ones that the cluster has would do."""
    return ScaleOut(
        flavor=case.name,
        message=f"no number of nodes like {node.name} would do: {_obstacle(case, node)}",
        like=node.name,
        node_selector=dict(case.selector),
    )


def with_cheapest(advice: Sequence[ScaleOut]) -> tuple[ScaleOut, ...]:
    """The advice with a mark at the lowest price; at the better flavor where two are equal."""
    prices = [Decimal(one.cost_per_hour) for one in advice if one.cost_per_hour is not None]
    if not prices:
        return tuple(advice)
    first = next(
        index
        for index, one in enumerate(advice)
        if one.cost_per_hour is not None and Decimal(one.cost_per_hour) == min(prices)
    )
    return tuple(replace(one, cheapest=index == first) for index, one in enumerate(advice))


def _count(nodes: int) -> str:
    return f"{nodes} more {'node' if nodes == 1 else 'nodes'}"


def _where(level: str, domains: Mapping[str, int]) -> str:
    if not domains:
        return ""
    if len(domains) == 1:
        return f" in {level} {next(iter(domains))}"
    shown = [f"{count} in {level} {name}" for name, count in sorted(domains.items())]
    more = [f"the rest in {len(shown) - _DOMAINS} others"] if len(shown) > _DOMAINS else []
    return f" ({', '.join(shown[:_DOMAINS] + more)})"


def _cost(flavor: Flavor | None, nodes: int) -> str | None:
    if flavor is None or flavor.cost_per_hour is None:
        return None
    total: Fraction = parse_quantity(flavor.cost_per_hour) * nodes
    return f"{(Decimal(total.numerator) / Decimal(total.denominator)).normalize():f}"


def _priced(cost: str | None) -> str:
    return "" if cost is None else f", for {cost} per hour"


def _obstacle(case: Case, node: Node) -> str:
    """What keeps the members from an empty node like this."""
    state = NodeState(node=node, free=node.allocatable)
    for podset in case.following:
        short = node.allocatable.shortfall(podset.request)
        if short.amounts:
            has = {name: node.allocatable[name] for name in short}
            return (
                f"a member needs {_amounts(Resources({n: podset.request[n] for n in short}))}, "
                f"such a node has {_amounts(Resources(has))}"
            )
        why = cause(podset.constraints, state)
        if why is Cause.TAINT:
            taint = untolerated(node.taints, podset.constraints.tolerations)
            shown = f"{taint.key}={taint.value}:{taint.effect}" if taint else "it has"
            return f"its pods do not tolerate the taint {shown}"
        if why:
            rule = "selector" if why is Cause.SELECTOR else "affinity"
            return f"the pods' node {rule} excludes it"
    stands = {step.level for step in node.path}
    unknown = next((level for level in case.required if level not in stands), None)
    if unknown is not None:
        return f"the gang requires a {unknown}, and that of such a node is not known"
    return "they break a slice, or a rule about cards or other pods"


def _amounts(resources: Resources) -> str:
    """The amounts that decide: extended resources, else cpu and memory."""
    asked = [name for name in resources if "/" in name] or [
        name for name in resources if name in (CPU, MEMORY)
    ]
    texts = resources.quantities()
    shown = " and ".join(f"{texts[name]} {name}" for name in asked or resources)
    return shown or "a place for a pod"
