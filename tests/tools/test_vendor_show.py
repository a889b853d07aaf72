"""The fleet of ``make vendors``, without a control plane: what is offered, and what only looks as if."""

from __future__ import annotations

from extender.tools.inputs import understand
from extender.tools.picture import draw
from simulations.vendors import fleet
from simulations.vendors.table import HALF, PICTURE, TABLE
from tests.architecture.tree import ROOT
from tests.tools.test_picture import pod as running_pod
from topology.resources import amount
from topology.vendors import VENDORS

MEMORY = amount("memory", fleet.MEMORY)


def test_every_vendor_offers_room_for_one_group_and_the_decoys_none() -> None:
    """Two nodes of each with eight cards that have the memory; no decoy has, though most say so."""
    states = {state.node.name: state.node for state in understand(fleet.nodes()).snapshot.nodes}
    for offer in fleet.OFFERS:
        for name in offer.nodes:
            cards = states.pop(name).accelerator
            assert cards is not None
            assert (cards.vendor, cards.device_class) == (offer.vendor, offer.device_class)
            assert cards.count == fleet.CARDS and (cards.memory_bytes or 0) >= MEMORY
    assert sorted(states) == sorted(map(fleet.decoy_node, fleet.DECOYS))
    for node in states.values():
        cards = node.accelerator
        enough = cards and cards.count >= fleet.CARDS and (cards.memory_bytes or 0) >= MEMORY
        assert not enough, node.name


def test_the_flavors_are_twelve_vendors_in_the_order_of_the_catalogue() -> None:
    """One a vendor; each says the same memory and number of cards."""
    offered = [offer.vendor for offer in fleet.OFFERS]
    assert offered == [vendor.name for vendor in VENDORS if vendor.name in offered]
    assert len(offered) == len(set(offered)) == 12
    asked = {(flavor["spec"]["minMemory"], flavor["spec"]["cards"]) for flavor in fleet.flavors()}
    assert asked == {(fleet.MEMORY, fleet.CARDS)}


def test_the_committed_picture_is_what_is_drawn_today() -> None:
    """With the first vendors' cards in use; the run on a control plane must draw the same."""
    pods = [
        running_pod(name, offer.resource, fleet.CARDS)
        for offer in fleet.OFFERS[:HALF]
        for name in offer.nodes
    ]
    drawn = draw(understand([*fleet.nodes(), *pods]).snapshot)
    assert drawn + "\n" == (ROOT / PICTURE).read_text(), "run `make vendors` and commit"


def test_the_committed_table_names_every_vendor_and_every_decoy() -> None:
    """The end-to-end test compares it with a run, word by word."""
    table = (ROOT / TABLE).read_text()
    for offer in fleet.OFFERS:
        assert f"| {offer.vendor} | {offer.device_class} |" in table
    assert all(f"`{fleet.decoy_node(path)}`" in table for path in fleet.DECOYS)
