"""The entries of ``terms`` as linear expressions over the model's variables, in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations

import numpy as np
from ortools.sat.python import cp_model

from scheduler.match import IntArray
from scheduler.solve.cpsat_model import Linear, Model, weighted
from scheduler.solve.problem import Choice, Form, GangRow, Problem, Wish
from scheduler.solve.terms import age_term, class_sizes, layout, loads


def expressions(model: Model) -> list[Linear]:
    """One expression per entry of ``layout``; a placed gang costs what ``evaluate`` says it costs."""
    problem = model.problem
    entries = layout(problem)
    parts: list[list[tuple[Linear, int]]] = [[] for _ in entries.names]

    def add(name: str, expression: Linear, weight: int = 1) -> None:
        parts[entries.at[name]].append((expression, weight))

    sizes = class_sizes(problem)
    for number, gang in enumerate(problem.gangs):
        for name, expression, weight in _own(model, number, gang, sizes[gang.priority]):
            add(name, expression, weight)
    for expression, weight in _shared(model):
        add("spread", expression, weight)
    hosts = _opened_hosts(model)
    for depth, level in enumerate(problem.levels):
        for mark in _opened(model, depth, hosts):
            add(f"opened {level}", mark)
    for before, whole in _groups(model):
        add("broken", before - whole)
    for expression, weight in _left(model):
        add("left", expression, weight)
    return [weighted(entry) for entry in parts]


def _own(
    model: Model, number: int, gang: GangRow, class_size: int
) -> Iterator[tuple[str, Linear, int]]:
    """What one gang adds, as ``terms.own_terms``: entry, expression, weight."""
    problem, placed = model.problem, model.placed[number]
    if not gang.runs:
        name, weight = age_term(gang, class_size)
        yield f"waiting {gang.priority}", 1 - placed, 1
        yield name, 1 - placed, weight
    for take, option in zip(model.takes[number], gang.options, strict=False):
        yield f"flavor {gang.priority}", take, option.rank
    if gang.options and all(option.mixed for option in gang.options):
        yield f"mixed {gang.priority}", model.grows[number], 1
    else:  # running members are on one class at most: who mixes gets new members
        for take, option in zip(model.takes[number], gang.options, strict=False):
            yield f"mixed {gang.priority}", take, option.cost[1]
    for index, form in enumerate(gang.forms):
        taken = placed if gang.runs else model.forms[number][index]
        pending = sum(problem.roles[role].pending for role in form.roles)
        yield f"members {gang.priority}", taken, pending
        for role in form.roles:
            yield f"members {gang.priority}", model.total(role), -1
        yield from _level_terms(model, number, form)


def _level_terms(model: Model, number: int, form: Form) -> Iterator[tuple[str, Linear, int]]:
    for kind, wishes in (("gang", (form.whole,)), ("group", form.groups), ("role", form.each)):
        for wish in wishes:
            for torn in _steps(model, number, wish):
                yield kind, torn, 1
    yield from ((name, expression, 1) for name, expression in _loads(model, number, form))
    for depth, level in enumerate(model.problem.levels):
        for mark in _used(model, number, form, depth):
            yield f"used {level}", mark, 1
        if form.decode:
            for far in _far(model, number, form, depth):
                yield "transfer", far, model.problem.leaving[depth]


def _steps(model: Model, number: int, wish: Wish) -> list[Linear]:
    """For each level up to the preferred one, 1 when no single domain holds all members."""
    found: list[Linear] = []
    for depth in range((wish.preferred if wish.preferred is not None else -1) + 1):
        running = model.running(wish.roles, depth)
        if len(running) > 1:
            found.append(model.placed[number])
            continue
        stands = model.stands(wish.roles, depth)
        others = [domain for domain in stands if domain not in running]
        if not others or len(stands) + len(running) < 2:
            continue

        def split(
            choice: Choice, depth: int = depth, known: frozenset[int] = frozenset(running)
        ) -> int:
            of = model.problem.domain_of[depth]
            nodes = [node for role in wish.roles for node in choice.counts[role]]
            return int(len(known | {int(of[node]) for node in nodes}) > 1)

        torn = model.integer(0, 1, split)
        found.append(torn)
        if running:
            for domain in others:
                model.cp.add(stands[domain] <= torn)
        else:
            _chosen(model, wish, depth, [(domain, stands[domain]) for domain in others], torn)
    return found


def _chosen(
    model: Model,
    wish: Wish,
    depth: int,
    stands: Sequence[tuple[int, cp_model.IntVar]],
    torn: cp_model.IntVar,
) -> None:
    """Unless torn, only one domain, the chosen one, is used."""
    of = model.problem.domain_of[depth]

    def first(domain: int, choice: Choice) -> int:
        used = [int(of[node]) for role in wish.roles for node in choice.counts[role]]
        return int(bool(used) and min(used) == domain)

    home = [model.integer(0, 1, partial(first, domain)) for domain, _ in stands]
    model.cp.add_at_most_one(home)
    for (_, stand), mine in zip(stands, home, strict=True):
        model.cp.add(stand <= mine + torn)


def _used(model: Model, number: int, form: Form, depth: int) -> list[Linear]:
    running = model.running(form.roles, depth)
    marks = model.stands(form.roles, depth)
    found: list[Linear] = [mark for domain, mark in marks.items() if domain not in running]
    return [*found, *(model.grows[number] for _ in running)]


def _far(model: Model, number: int, form: Form, depth: int) -> Iterator[Linear]:
    """For each domain the decode members there, if no prefill member is there and the gang grows."""
    of = model.problem.domain_of[depth]
    running, near = model.running(form.decode, depth), model.running(form.prefill, depth)
    places, mates = model.domains(form.decode, depth), model.domains(form.prefill, depth)
    pending = sum(model.problem.roles[role].pending for role in form.decode)
    for domain in sorted({*running, *places} - near.keys()):
        here = running.get(domain, 0)
        company = model.integer(0, 1, partial(_accompanied, of, form, domain))
        present = [(model.total(role, mates.get(domain, ())), 1) for role in form.prefill]
        model.cp.add(company <= weighted(present))
        far = model.integer(0, pending + here, partial(_lonely, of, form, domain, here))
        members = [(model.total(role, places.get(domain, ())), 1) for role in form.decode]
        members += [(model.grows[number], here), (company, -(pending + here))]
        model.cp.add(weighted(members) <= far)
        yield far


def _loads(model: Model, number: int, form: Form) -> Iterator[tuple[str, Linear]]:
    """Seconds until the slowest new member has its model, and the nodes that fetch it."""
    gang = model.problem.gangs[number]
    load = gang.load
    if load is None:
        return
    nodes = sorted({node for role in form.loads for node in model.members[role]})
    marks = {node: model.mark(form.loads, (node,), ("loads", form.loads, node)) for node in nodes}
    reads = [(marks[node], 1) for node in nodes if load.reads[node]]
    yield from (("fetch", mark) for mark, _ in reads)
    most = max((*load.readers, *(int(load.own[node]) for node in nodes)))
    if not most:
        return

    def slowest(choice: Choice) -> int:
        return loads(gang, form, [choice.counts[role] for role in form.roles])[0]

    seconds = model.integer(0, most, slowest)
    for node in nodes:
        if load.own[node]:
            model.cp.add(seconds >= int(load.own[node]) * marks[node])
    limit = min(len(reads), len(load.readers) - 1)
    model.cp.add(weighted(reads) <= limit)
    for count in range(1, limit + 1):
        if load.readers[count] > load.readers[count - 1]:

            def more(choice: Choice, count: int = count) -> int:
                places = [choice.counts[role] for role in form.roles]
                return int(loads(gang, form, places)[1] >= count)

            mark = model.integer(0, 1, more)
            model.cp.add(weighted(reads) <= count - 1 + (limit - count + 1) * mark)
            model.cp.add(seconds >= load.readers[count] * mark)
    yield "load", seconds


def _inside(of: IntArray, roles: Sequence[int], domain: int, choice: Choice) -> int:
    counts = (item for role in roles for item in choice.counts[role].items())
    return sum(count for node, count in counts if of[node] == domain)


def _accompanied(of: IntArray, form: Form, domain: int, choice: Choice) -> int:
    return int(_inside(of, form.prefill, domain, choice) > 0)


def _lonely(of: IntArray, form: Form, domain: int, here: int, choice: Choice) -> int:
    grows = any(choice.counts[role] for role in form.roles)
    if not grows or _inside(of, form.prefill, domain, choice):
        return 0
    return here + _inside(of, form.decode, domain, choice)


def _shared(model: Model) -> list[tuple[Linear, int]]:
    problem = model.problem
    uses: list[tuple[int, dict[int, Linear]]] = []
    found: list[tuple[Linear, int]] = []
    for number, gang in enumerate(problem.gangs):
        if gang.spread is None:
            continue
        used: dict[int, Linear] = dict(model.stands(gang.roles, gang.spread))
        used.update(
            (domain, model.placed[number]) for domain in model.running(gang.roles, gang.spread)
        )
        found += [(used[d], count) for d, count in (gang.rivals or {}).items() if d in used]
        uses.append((number, used))
    for (one, mine), (other, theirs) in combinations(uses, 2):
        if problem.gangs[one].workload != problem.gangs[other].workload:
            continue
        for domain in sorted(mine.keys() & theirs.keys()):
            found.append((_both(model, (one, other), domain, (mine[domain], theirs[domain])), 1))
    return found


def _both(
    model: Model, numbers: tuple[int, int], domain: int, marks: tuple[Linear, Linear]
) -> cp_model.IntVar:
    gangs = [(number, model.problem.gangs[number]) for number in numbers]

    def meet(choice: Choice) -> int:
        return int(all(_stands(model, choice, number, gang, domain) for number, gang in gangs))

    shared = model.integer(0, 1, meet)
    model.cp.add(marks[0] + marks[1] - 1 <= shared)
    return shared


def _stands(model: Model, choice: Choice, number: int, gang: GangRow, domain: int) -> bool:
    of = model.problem.domain_of[gang.spread or 0]
    return choice.placed(model.problem, number) and any(
        of[node] == domain
        for role in gang.roles
        for nodes in (choice.counts[role], model.problem.roles[role].running)
        for node in nodes
    )


def _opened_hosts(model: Model) -> dict[int, cp_model.IntVar]:
    """Idle host -> 1 when a new member takes cards there."""
    problem = model.problem
    takers: dict[int, list[int]] = {}
    for index, members in enumerate(model.members):
        for node in members:
            if problem.roles[index].cards[node] and problem.idle[-1][problem.domain_of[-1, node]]:
                takers.setdefault(node, []).append(index)
    return {
        node: model.mark(roles, (node,), ("opened", node)) for node, roles in sorted(takers.items())
    }


def _opened(model: Model, depth: int, hosts: dict[int, cp_model.IntVar]) -> list[cp_model.IntVar]:
    problem = model.problem
    of = problem.domain_of[depth]
    inside: dict[int, list[int]] = {}
    for node in hosts:
        if problem.idle[depth][of[node]]:
            inside.setdefault(int(of[node]), []).append(node)
    if depth == len(problem.levels) - 1:
        return list(hosts.values())
    found = []
    for nodes in inside.values():

        def opened(choice: Choice, nodes: tuple[int, ...] = tuple(nodes)) -> int:
            return int(
                any(
                    role.cards[node] and node in counts
                    for role, counts in zip(problem.roles, choice.counts, strict=True)
                    for node in nodes
                )
            )

        mark = model.integer(0, 1, opened)
        for node in nodes:
            model.cp.add(hosts[node] <= mark)
        found.append(mark)
    return found


def _groups(model: Model) -> Iterator[tuple[int, cp_model.IntVar]]:
    """For each node where new members may take cards of groups: those that are wholly free, and those that
    still are with the new members."""
    problem = model.problem
    users: dict[int, list[int]] = {}
    for index, members in enumerate(model.members):
        for node in members:
            users.setdefault(node, []).append(index)
    for group in problem.groups:
        for node in np.flatnonzero(group.nodes).tolist():
            before = int(problem.whole(problem.free[[node]], [node])[0])
            if not before or node not in users:
                continue
            whole = model.integer(0, before, partial(_whole, problem, node))
            for index, cards in group.units:
                needs = [
                    (model.members[role][node], int(problem.roles[role].request[index]))
                    for role in users[node]
                ]
                room = int(problem.free[node, index])
                model.cp.add(weighted([*needs, (whole, group.size // cards)]) <= room)
            yield before, whole


def _whole(problem: Problem, node: int, choice: Choice) -> int:
    row = problem.free[[node]].copy()
    for role, counts in zip(problem.roles, choice.counts, strict=True):
        row[0] -= role.request * counts.get(node, 0)
    return int(problem.whole(row, [node])[0])


def _left(model: Model) -> list[tuple[Linear, int]]:
    problem = model.problem
    users: dict[int, list[int]] = {}
    found: list[tuple[Linear, int]] = []
    for index, members in enumerate(model.members):
        for node, count in members.items():
            users.setdefault(node, []).append(index)
            if problem.roles[index].cards[node]:
                found.append((count, -int(problem.roles[index].cards[node])))
    for node, roles in sorted(users.items()):
        if problem.spare[node]:
            found.append((model.mark(roles, (node,), ("touched", node)), int(problem.spare[node])))
    return found
