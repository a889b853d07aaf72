"""The exact joint answer: CP-SAT, entry by entry of the lexicographic vector.

Each entry is minimised with the earlier ones held at their values, starting from the best answer so far.
Time is CP-SAT's deterministic time, one worker, one seed: the same problem gives the same answer. An entry
that is not proven in its share of the budget keeps its best value and the bound that was reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ortools.sat.python import cp_model

from scheduler.solve.cpsat_model import Linear, Model
from scheduler.solve.cpsat_terms import expressions
from scheduler.solve.problem import Choice, Problem
from scheduler.solve.terms import age_term, class_sizes, evaluate, layout

_SHARE, _AGE_SHARE, _TAIL_SHARE = 0.5, 0.1, 0.05
"""Part of the remaining budget for one entry, for one gang of an age entry, and for one entry of
fragmentation, which matters least."""
_UNITS_PER_SECOND = 0.25
"""CP-SAT's deterministic time that a second buys on these models, measured on two busy cores."""
_VARIABLES_PER_UNIT = 50_000
"""Size of a model whose presolve takes about as long as one unit of deterministic time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Improved:
    """An answer at least as good as the start; ``bound`` is proven entry by entry."""

    choice: Choice
    bound: tuple[int, ...]


def improve(
    problem: Problem,
    start: Choice,
    floor: tuple[int, ...],
    budget_seconds: float,
    hopeless: frozenset[int] = frozenset(),
) -> Improved:
    """Improve ``start``. ``floor`` holds a bound of each entry that is known already, valid with the earlier
    entries at the values of ``start``; ``hopeless`` gangs cannot be placed by anybody."""
    search = _Search(problem, start, budget_seconds * _UNITS_PER_SECOND, hopeless)
    bound: list[int] = []
    kept = True
    for index, (name, entry) in enumerate(
        zip(layout(problem).names, expressions(search.model), strict=True)
    ):
        low = floor[index] if kept else 0
        before = search.vector[: index + 1]
        if before[index] > low and search.left > 0:
            if name.startswith("age"):
                low = max(low, search.oldest_first(name))
            else:
                share = _TAIL_SHARE if name.startswith(("opened", "broken", "left")) else _SHARE
                low = max(low, search.minimise(entry, share))
        kept = kept and search.vector[: index + 1] == before
        bound.append(min(low, search.vector[index]))
        search.model.cp.add(entry <= search.vector[index])
    return Improved(choice=search.best, bound=tuple(bound))


class _Search:
    """The model with the best answer so far and the time that is left."""

    def __init__(
        self, problem: Problem, start: Choice, units: float, hopeless: frozenset[int]
    ) -> None:
        self._problem, self._hopeless = problem, hopeless
        self.model = Model(problem, hopeless)
        self.best, self.vector = start, evaluate(problem, start)
        self.left = units
        """Deterministic time."""

    def minimise(self, entry: Linear, share: float) -> int:
        """Minimise one expression; its proven lower bound."""
        found, proven, used = _minimise(self.model, entry, self.best, self.left * share)
        self.left -= used
        if found is not None:
            vector = evaluate(self._problem, found)
            if vector < self.vector:
                self.best, self.vector = found, vector
        return proven

    def oldest_first(self, name: str) -> int:
        """An age entry, gang by gang: its weights are powers of two, so each gang that waits is a question
        of its own, whether it can be placed beside the older ones. The bound ends at the first doubt."""
        sizes = class_sizes(self._problem)
        numbered = enumerate(self._problem.gangs)
        terms = [(*age_term(gang, sizes[gang.priority]), number) for number, gang in numbered]
        bound, sound = 0, True
        for _, weight, number in sorted(
            (term for term in terms if term[0] == name), key=lambda t: -t[1]
        ):
            placed = self.model.placed[number]
            if not self.best.placed(self._problem, number):
                waits = number in self._hopeless
                if not waits and self.left > 0:
                    waits = self.minimise(1 - placed, _AGE_SHARE) == 1
                if not self.best.placed(self._problem, number):
                    sound = sound and waits
                    bound += weight * sound
                    continue
            self.model.cp.add(placed == 1)
        return bound


def _minimise(
    model: Model, entry: Linear, start: Choice, budget_units: float
) -> tuple[Choice | None, int, float]:
    """The best answer found, a proven bound, and the deterministic time that it took."""
    model.cp.minimize(entry)
    model.hint(start)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.linearization_level = 2
    solver.parameters.symmetry_level = 3
    solver.parameters.max_deterministic_time = budget_units
    status = solver.solve(model.cp)
    # Presolve takes time that CP-SAT's own clock does not see in full.
    used = solver.response_proto.deterministic_time + model.size / _VARIABLES_PER_UNIT
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        exact = status == cp_model.OPTIMAL
        value = solver.objective_value if exact else solver.best_objective_bound
        return model.choice(solver), round(value) if exact else math.ceil(value - 1e-6), used
    if status == cp_model.UNKNOWN:
        return None, 0, used
    # The start is a solution, so neither of these can be true of a correct model.
    raise AssertionError(f"CP-SAT answers {solver.status_name(status)}: {model.cp.validate()}")
