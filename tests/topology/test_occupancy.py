"""Lists of cards that plugins write on pods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.keys import ASCEND_910, ASCEND_NPU, ASCEND_REAL, CARD_LISTS, KUNLUN_DEVICES
from topology.occupancy import cards_held


@pytest.mark.parametrize(
    ("annotations", "cards"),
    [
        ({ASCEND_REAL: "Ascend910-3,Ascend910-2"}, (2, 3)),
        ({ASCEND_NPU: "npu-0"}, (0,)),
        ({KUNLUN_DEVICES: "0,1, 2"}, (0, 1, 2)),
        # What the containers have got comes before what a scheduler meant.
        ({ASCEND_910: "Ascend910-0", ASCEND_REAL: "Ascend910-7"}, (7,)),
        ({ASCEND_REAL: "Ascend910-0,Ascend910-0"}, ()),  # a list that contradicts itself
        ({ASCEND_REAL: "8f1e-4cd3-0"}, ()),  # an identifier, not a number of a card
        ({ASCEND_REAL: "Ascend910-2c-100-0_1"}, ()),  # a slice of a card
        ({ASCEND_REAL: ""}, ()),
        ({}, ()),
    ],
)
def test_the_cards_of_a_pod(annotations: dict[str, Any], cards: tuple[int, ...]) -> None:
    """Names with a number, or numbers; whatever else is there says nothing."""
    assert cards_held(annotations) == cards


@given(st.dictionaries(st.sampled_from(CARD_LISTS), st.text() | st.integers() | st.none()))
def test_any_annotation_is_read(annotations: dict[str, Any]) -> None:
    """Total: whatever stands there, the answer is a list of different numbers."""
    cards = cards_held(annotations)
    assert cards == tuple(sorted(set(cards)))
