"""One workload on the cards of twelve vendors, as ``make vendors`` shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.controlplane import Workloads
from simulations.local import LocalMuster
from simulations.vendors.run import Run
from simulations.vendors.table import PICTURE, TABLE, as_promised, document

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(writing: LocalMuster, managers: Workloads) -> Iterator[Run]:
    """The run on the cluster with the webhook, and nothing of it left afterwards."""
    if writing.pid is None:
        writing.start()
    found = Run(workloads=managers, tell=print)
    try:
        yield found
    finally:
        found.clean()


def test_groups_take_twelve_vendors_in_order_and_nothing_that_is_no_card(run: Run) -> None:
    """Each group is whole on the next flavor, written for it; the decoys stay empty; three cards are refused
    where no three are given. The table and the picture that are committed are those of this run."""
    outcome = run()
    assert as_promised(outcome), outcome
    assert len({pair.flavor.partition("-")[0] for pair in outcome.landings}) == 12
    assert "legal are 1, 2, 4, 8" in outcome.odd
    assert document(outcome) == (ROOT / TABLE).read_text(), "run `make vendors` and commit"
    assert outcome.picture == (ROOT / PICTURE).read_text(), "run `make vendors` and commit"
