"""``muster plan -f FILE...``: the decision that Muster would make, from manifests alone."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from extender import config
from extender.tools import table, yaml_text
from extender.tools.documents import read_documents, reports_bad_input
from extender.tools.inputs import Inputs, add_files, load
from scheduler.advice import lines
from scheduler.model import Gang, GangAssignment, Plan
from scheduler.plan_json import Advice, plan_document
from scheduler.policy import Policy
from scheduler.scale_out import scale_out
from scheduler.snapshot import Snapshot
from scheduler.solve import solve
from scheduler.solve.check import verify
from scheduler.solve.reasons import explain

ALL_PLACED, SOME_WAIT, BUG = 0, 1, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``muster plan``."""
    add_files(parser, required=True)
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "yaml"),
        default="table",
        help="default: table",
    )
    parser.add_argument(
        "--budget",
        type=_seconds,
        metavar="SECONDS",
        help="deterministic time of the solver (default 10)",
    )
    parser.add_argument(
        "--policy",
        metavar="FILE",
        help="settings of the decision, as under `policy` in the file of `muster serve --config`",
    )


@reports_bad_input
def run(args: argparse.Namespace) -> int:
    """Print the plan. 0: all gangs placed, 1: some wait, 3: the plan is wrong (a bug)."""
    inputs = load(args.filename)
    policy = read_policy(args.policy, inputs.policy, args.budget)
    decision = decide(inputs, policy)
    _warn(inputs, verbose=args.verbose)
    if decision.violations:
        sys.stderr.write(decision.bug_report)
        return BUG
    decision = replace(decision, advice=scale_out(decision.snapshot, decision.plan, policy))
    if args.output == "table":
        print("\n".join(_report(decision, table.width())))
    else:
        sys.stdout.write(_text(decision.document, args.output))
    placed = all(assignment.placed for assignment in decision.plan.assignments)
    return ALL_PLACED if placed else SOME_WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A checked plan with what it was made from."""

    snapshot: Snapshot
    plan: Plan
    violations: tuple[str, ...]
    seconds: float
    """Wall-clock time of the solver and the check."""
    advice: Advice = field(default_factory=dict)
    """Which nodes would start the gangs that wait for room, by their keys."""

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object of the contract."""
        return plan_document(self.snapshot, self.plan, self.seconds, self.advice)

    @property
    def gangs(self) -> Iterator[tuple[Gang, GangAssignment]]:
        """Each gang with the decision about it."""
        by_key = {gang.key: gang for gang in self.snapshot.gangs}
        return ((by_key[assignment.key], assignment) for assignment in self.plan.assignments)

    @property
    def bug_report(self) -> str:
        """What to tell the user about a plan that the checker refuses."""
        found = "".join(f"  {violation}\n" for violation in self.violations)
        return (
            "muster: this is a bug in Muster: the plan breaks its own rules and is not shown\n"
            f"{found}Please open an issue with these lines and the input files.\n"
        )


def decide(inputs: Inputs, policy: Policy) -> Decision:
    """Solve and check."""
    start = time.perf_counter()
    plan = solve(inputs.snapshot, policy)
    violations = verify(inputs.snapshot, plan, policy)
    return Decision(
        snapshot=inputs.snapshot,
        plan=plan,
        violations=violations,
        seconds=time.perf_counter() - start,
    )


def read_policy(path: str | None, policy: Policy, budget: int | None) -> Policy:
    """``policy`` changed by the ``policy`` settings in a file and by ``--budget``.

    The file is one of ``muster serve --config``, or only what stands under ``policy`` there. Raises
    ``InputError``.
    """
    for document in read_documents(path) if path is not None else ():
        settings = document.value.get("policy", document.value)
        try:
            policy = config.load({"policy": settings}, config.Config(policy=policy)).policy
        except config.ConfigError as error:
            raise document.error(str(error)) from None
    return policy if budget is None else replace(policy, budget_seconds=budget)


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds above 0")
    return int(text)


def _text(document: Mapping[str, Any], form: str) -> str:
    return yaml_text.write([document]) if form == "yaml" else json.dumps(document, indent=1) + "\n"


def _warn(inputs: Inputs, *, verbose: bool) -> None:
    for problem in (*inputs.problems, *inputs.snapshot.problems):
        print(f"muster: {problem}", file=sys.stderr)
    if verbose and inputs.ignored:
        shown = ", ".join(f"{count} {kind}" for kind, count in inputs.ignored.items())
        print(f"muster: ignored {shown}", file=sys.stderr)


def _report(decision: Decision, limit: int | None) -> Iterator[str]:
    """The plan for people: a table, what waits and why, and one line of totals."""
    headers = ("GANG", "MEMBERS", "FLAVOR (CHOICE)", "NODES", "DOMAINS")
    rows = [_row(gang, assignment) for gang, assignment in decision.gangs]
    if rows:
        yield table.render(headers, rows, limit)
        yield ""
    for gang, assignment in decision.gangs:
        if not assignment.placed or assignment.passed_over:
            colour = table.GREEN if assignment.placed else table.YELLOW
            yield table.paragraph(gang.key, explain(gang, assignment), limit, colour)
        for line in lines(decision.advice.get(gang.key, ())):
            yield table.paragraph("    scale-out", line, limit, table.DIM)
    yield _totals(decision)


def _row(gang: Gang, assignment: GangAssignment) -> tuple[str, ...]:
    running = sum(len(podset.running) for podset in gang.podsets)
    here = running + len(assignment.slots)
    if not assignment.placed:
        code = assignment.reason.code.value if assignment.reason else ""
        return gang.key, f"{here}/{gang.size}", f"waits: {code}", "", ""
    flavor = "-"
    if assignment.flavor is not None:
        flavor = f"{assignment.flavor} ({assignment.flavor_rank + 1} of {len(gang.flavors)})"
    nodes = table.names([slot.node for slot in assignment.slots]) or "running"
    domains = _domains(assignment)
    return gang.key, f"{here}/{gang.size}", flavor, nodes, domains


def _domains(assignment: GangAssignment) -> str:
    """The closest domain that holds all members, and how many of each closer level they use."""
    shown: list[str] = []
    for level, names in assignment.domains.items():
        if len(names) == 1:
            shown = [f"{level} {names[0].rpartition('/')[2]}"]
        else:
            shown.append(f"{len(names)} {level}s")
    return ", ".join(shown)


def _totals(decision: Decision) -> str:
    placed = sum(assignment.placed for assignment in decision.plan.assignments)
    total = len(decision.plan.assignments)
    counts = decision.document["snapshot"]
    return (
        f"{placed} of {total} gangs placed on {counts['nodes']} nodes with {counts['pods']} pods; "
        f"solver: {decision.plan.status.value} in {decision.seconds:.2f} s"
    )
