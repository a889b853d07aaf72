"""``muster explain GANG``: why a gang waits, or sits where it sits."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from extender.tools import plan
from extender.tools.documents import reports_bad_input
from extender.tools.inputs import add_cluster, add_files, load
from scheduler.advice import ScaleOut, lines
from scheduler.gang_object import read_record
from scheduler.scale_out import Advisor, beside, wanted
from scheduler.solve.reasons import explain

FOUND, UNKNOWN_GANG = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``muster explain``."""
    parser.add_argument("gang", metavar="GANG", help="NAME or NAMESPACE/NAME")
    parser.add_argument("-n", "--namespace", help="namespace of the gang (default: default)")
    add_files(parser, required=False)
    add_cluster(parser)


@reports_bad_input
def run(args: argparse.Namespace) -> int:
    """Print the explanation. 0: printed, 1: there is no such gang."""
    namespace, name = _identity(args.gang, args.namespace)
    text = _planned(args, namespace, name) if args.filename else _live(args, namespace, name)
    if text is None:
        print(f"muster: there is no gang {namespace}/{name}", file=sys.stderr)
        return UNKNOWN_GANG
    print(text)
    return FOUND


def _identity(gang: str, namespace: str | None) -> tuple[str, str]:
    before, slash, after = gang.partition("/")
    return (before, after) if slash else (namespace or "default", gang)


def _planned(args: argparse.Namespace, namespace: str, name: str) -> str | None:
    inputs = load(args.filename)
    decision = plan.decide(inputs, inputs.policy)
    for gang, assignment in decision.gangs:
        if (gang.namespace, gang.name) == (namespace, name):
            text = explain(gang, assignment)
            if not wanted(assignment):
                return text
            advisor = Advisor(beside(decision.snapshot, decision.plan), inputs.policy)
            return _with_advice(text, advisor.advise(gang))
    return None


def _with_advice(text: str, advice: Iterable[ScaleOut]) -> str:
    return "\n".join((text, *(f"    scale-out: {line}" for line in lines(advice))))


def _live(args: argparse.Namespace, namespace: str, name: str) -> str | None:
    from extender.tools import live

    obj = live.gang(args, namespace, name)
    if obj is None:
        return None
    record = read_record(obj)
    if record is None or not record.message:
        return "Muster has not looked at this gang yet; is it running?"
    return _with_advice(record.message, record.scale_out)
