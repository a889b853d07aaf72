"""What is wrong on nodes, counted for the metrics when somebody reads them."""

from __future__ import annotations

from collections import Counter

from scheduler.state import ClusterState
from topology.model import SCALE_UP

DISAGREE, OTHER = "SourcesDisagree", "Other"
"""Codes of a node's problems that have none of their own: sources of topology that contradict each other."""


def node_problems(state: ClusterState) -> Counter[str]:
    """Problems of nodes by code: a scanner's word such as LinkDown, else one of the two above."""
    levels = {*state.levels, SCALE_UP}
    found: Counter[str] = Counter()
    for problem in state.problems():
        if problem.subject.startswith("Node "):
            word = problem.field.isalpha() and problem.field[:1].isupper()
            other = DISAGREE if problem.field in levels else OTHER
            found[problem.field if word else other] += 1
    return found
