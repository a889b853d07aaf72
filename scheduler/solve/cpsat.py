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
from scheduler.solve.terms import evaluate, layout

_SHARE, _TAIL_SHARE = 0.5, 0.05
"""Part of the remaining budget that one entry may use; less for fragmentation, the last resort of order."""
_UNITS_PER_SECOND = 0.25
"""CP-SAT's deterministic time that a second buys on these models, measured on two busy cores."""
_VARIABLES_PER_UNIT = 20_000
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
    model = Model(problem, hopeless)
    entries = expressions(model)
    best, vector = start, evaluate(problem, start)
    bound: list[int] = []
    left, kept = budget_seconds * _UNITS_PER_SECOND, True
    for index, (name, entry) in enumerate(zip(layout(problem).names, entries, strict=True)):
        share = _TAIL_SHARE if name.startswith(("opened", "left")) else _SHARE
        low = floor[index] if kept else 0
        if vector[index] <= low:
            bound.append(vector[index])
        elif left <= 0:
            bound.append(low)
        else:
            found, proven, used = _minimise(model, entry, best, left * share)
            left -= used
            if found is not None and evaluate(problem, found) < vector:
                kept = kept and evaluate(problem, found)[: index + 1] == vector[: index + 1]
                best, vector = found, evaluate(problem, found)
            bound.append(min(max(proven, low), vector[index]))
        model.cp.add(entry <= vector[index])
    return Improved(choice=best, bound=tuple(bound))


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
