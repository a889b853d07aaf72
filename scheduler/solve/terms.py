"""What a good plan is: the lexicographic vector, every entry an integer to be minimised.

Most important first; "placed" means that a gang runs at its minimum or above.

1. ``waiting``, ``age``, ``members`` for each priority, highest first: gangs that wait; which of them
   (the oldest weighs more than all younger ones together, in chunks of 30 gangs so that entries stay
   small); members of placed gangs that get no place (elastic gangs).
2. ``flavor`` and ``mixed`` for each priority: the sum of the ranks of the flavors taken; gangs
   with new members that mix two device classes.
3. ``gang``, ``group``, ``role``: steps from the preferred level outwards until one domain holds all
   running and new members; one step more than there are levels when none does.
4. ``spread``: domains shared by two gangs of one workload, at the level that they are spread over.
5. ``used <level>``, outermost first: domains that the members of gangs with new members use; then
   ``transfer``: milliseconds that the reference transfer of key-value caches (``topology.cost``) takes
   longer than inside a host, over all decode members of these gangs, each from the nearest prefill member
   of its gang.
6. ``load``: seconds until the slowest new member has loaded its model, each gang as if it loaded alone, over
   all gangs; then ``fetch``: nodes of new members that have no copy of their model.
7. ``opened <level>``, outermost first: domains whose accelerators were all idle and that are opened;
   then ``broken``: groups of cards (rings, modules; ``topology.allocation``) that were wholly free for sure
   and no longer are, even if the new pods get the best cards;
   then ``left``: cards left free on the nodes that are used (best fit).

A new term is one more entry in ``layout`` and one more line in ``evaluate``, one cost per domain in
``count`` or one expression in ``cpsat_terms``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from scheduler.match import IntArray
from scheduler.solve.problem import Choice, Form, GangRow, Problem, Wish

AGE_CHUNK = 30
"""Gangs per age entry: an entry stays below 2**30."""


@dataclass(frozen=True)
class Layout:
    """Names and positions of the entries of one problem's vector."""

    names: tuple[str, ...]

    @cached_property
    def at(self) -> dict[str, int]:
        """Position of each entry."""
        return {name: position for position, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)


def layout(problem: Problem) -> Layout:
    """The entries of ``problem``'s vector in order."""
    sizes = class_sizes(problem)
    names: list[str] = []
    for priority, size in sizes.items():
        names.append(f"waiting {priority}")
        names += [f"age {priority} {chunk}" for chunk in range(-(-size // AGE_CHUNK))]
        names.append(f"members {priority}")
    names += [f"{kind} {priority}" for priority in sizes for kind in ("flavor", "mixed")]
    names += ["gang", "group", "role", "spread"]
    names += [f"used {level}" for level in problem.levels]
    names += ["transfer", "load", "fetch"]
    names += [f"opened {level}" for level in problem.levels]
    return Layout((*names, "broken", "left"))


def before_load(problem: Problem) -> int:
    """Entries from ``spread`` on that come before ``load``."""
    entries = layout(problem)
    return entries.at["load"] - entries.at["spread"]


def class_sizes(problem: Problem) -> dict[int, int]:
    """Gangs to plan per priority, highest first."""
    sizes: dict[int, int] = {}
    for gang in sorted(problem.gangs, key=lambda gang: -gang.priority):
        sizes[gang.priority] = sizes.get(gang.priority, 0) + 1
    return sizes


def age_term(gang: GangRow, class_size: int) -> tuple[str, int]:
    """Name and weight of the age entry that grows when ``gang`` waits."""
    chunk, position = divmod(gang.age, AGE_CHUNK)
    length = min(AGE_CHUNK, class_size - chunk * AGE_CHUNK)
    return f"age {gang.priority} {chunk}", 1 << (length - 1 - position)


def evaluate(problem: Problem, choice: Choice) -> tuple[int, ...]:
    """The vector of ``choice``; shape (entries of ``layout``,)."""
    entries = layout(problem)
    vector = [0] * len(entries)
    sizes = class_sizes(problem)
    for number, gang in enumerate(problem.gangs):
        for name, amount in own_terms(problem, choice, number, sizes[gang.priority]):
            vector[entries.at[name]] += amount
    vector[entries.at["spread"]] += _met(problem, choice)
    for depth, level in enumerate(problem.levels):
        vector[entries.at[f"opened {level}"]] = opened_domains(problem, choice, depth)
    vector[entries.at["broken"]] = broken_groups(problem, choice)
    vector[entries.at["left"]] = _left(problem, choice)
    return tuple(vector)


def own_terms(
    problem: Problem, choice: Choice, number: int, class_size: int
) -> Iterator[tuple[str, int]]:
    """What one gang adds to the entries whatever other gangs do."""
    gang = problem.gangs[number]
    if not choice.placed(problem, number):
        yield f"waiting {gang.priority}", 1
        yield age_term(gang, class_size)
        return
    option = choice.options[number]
    form = gang.form_of(option)
    new = {role: sum(choice.counts[role].values()) for role in form.roles}
    yield f"members {gang.priority}", sum(problem.roles[role].pending - new[role] for role in new)
    rank, mixed = gang.options[option].cost if option is not None else (0, 0)
    yield f"flavor {gang.priority}", rank
    yield "gang", steps(problem, choice, form.whole)
    yield "group", sum(steps(problem, choice, wish) for wish in form.groups)
    yield "role", sum(steps(problem, choice, wish) for wish in form.each)
    if gang.spread is not None and gang.rivals:
        used = domains(problem, choice, form.roles, gang.spread)
        yield "spread", sum(gang.rivals.get(domain, 0) for domain in used)
    if any(new.values()):
        yield f"mixed {gang.priority}", mixed
        for depth, level in enumerate(problem.levels):
            yield f"used {level}", len(domains(problem, choice, form.roles, depth))
        places = [choice.counts[role] for role in form.roles]
        yield "transfer", transfers(problem, form, places)
        yield from zip(("load", "fetch"), loads(gang, form, places), strict=True)


def transfers(problem: Problem, form: Form, places: Sequence[Mapping[int, int]]) -> int:
    """How much longer (in ms) key-value caches travel to all decode members than inside a host: each pays for
    every level at which it has no prefill member in its domain. ``places`` are those of the new members of
    each role of the form."""
    if not form.decode:
        return 0
    new = dict(zip(form.roles, places, strict=True))
    total = 0
    for of, cost in zip(problem.domain_of, problem.leaving, strict=True):
        near = {
            int(of[node])
            for role in form.prefill
            for nodes in (problem.roles[role].running, new[role])
            for node in nodes
        }
        total += cost * sum(
            count
            for role in form.decode
            for nodes in (problem.roles[role].running, new[role])
            for node, count in nodes.items()
            if int(of[node]) not in near
        )
    return total


def loads(gang: GangRow, form: Form, places: Sequence[Mapping[int, int]]) -> tuple[int, int]:
    """Seconds until the slowest new member has its model, and nodes that fetch it; ``places`` are those of
    the new members of each role of the form."""
    if gang.load is None:
        return 0, 0
    pairs = zip(form.roles, places, strict=True)
    return gang.load.cost({node for role, nodes in pairs if role in form.loads for node in nodes})


def domains(problem: Problem, choice: Choice, roles: Iterable[int], depth: int) -> set[int]:
    """Domains of one level that the running and new members of ``roles`` use."""
    of = problem.domain_of[depth]
    found: set[int] = set()
    for role in roles:
        for nodes in (problem.roles[role].running, choice.counts[role]):
            found.update(int(of[node]) for node in nodes)
    return found


def steps(problem: Problem, choice: Choice, wish: Wish) -> int:
    """Levels, from the preferred one outwards, at which no single domain holds all members."""
    if wish.preferred is None:
        return 0
    depths = range(wish.preferred + 1)
    return sum(len(domains(problem, choice, wish.roles, depth)) > 1 for depth in depths)


def _met(problem: Problem, choice: Choice) -> int:
    """Domains shared by two planned gangs of one workload, counted per pair."""
    placed = [
        (gang, domains(problem, choice, gang.roles, gang.spread))
        for number, gang in enumerate(problem.gangs)
        if gang.spread is not None and choice.placed(problem, number)
    ]
    return sum(
        len(used & also)
        for (one, used), (other, also) in combinations(placed, 2)
        if one.workload == other.workload
    )


def opened_domains(problem: Problem, choice: Choice, depth: int) -> int:
    """Idle domains of a level in which a new member takes cards."""
    of, idle = problem.domain_of[depth], problem.idle[depth]
    return len(
        {
            int(of[node])
            for role, counts in zip(problem.roles, choice.counts, strict=True)
            for node in counts
            if role.cards[node] and idle[of[node]]
        }
    )


def broken_groups(problem: Problem, choice: Choice) -> int:
    """Groups of cards that the new members break or fill."""
    taken: dict[int, IntArray] = {}
    for role, counts in zip(problem.roles, choice.counts, strict=True) if problem.groups else ():
        for node, count in counts.items():
            taken[node] = taken.get(node, 0) + role.request * count
    return problem.broken(problem.free, taken)


def _left(problem: Problem, choice: Choice) -> int:
    taken: dict[int, int] = {}
    for role, counts in zip(problem.roles, choice.counts, strict=True):
        for node, count in counts.items():
            taken[node] = taken.get(node, 0) + count * int(role.cards[node])
    return sum(int(problem.spare[node]) - cards for node, cards in taken.items())
