"""Which cards of its node a running pod holds, where its vendor's plugin or scheduler wrote it on the pod.

Sources: Ascend/mind-cluster component/ascend-device-plugin (pkg/server/plugin.go, pkg/common/common.go):
names such as ``Ascend910-0,Ascend910-1``; Project-HAMi/HAMi pkg/device/kunlun/device.go: such as ``0,1,2,3``.
HAMi's own lists name cards by identifiers whose place in the node only HAMi knows: they are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from topology.keys import CARD_LISTS

_CARD = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*-)?([0-9]{1,4})")
_MOST = 1024
"""Cards of one list that are read."""


def cards_held(annotations: Mapping[str, Any]) -> tuple[int, ...]:
    """The numbers of the cards, ascending; empty where nobody says it, or not in a way that is understood."""
    for key in CARD_LISTS:
        value = annotations.get(key)
        if isinstance(value, str) and value:
            found = [_CARD.fullmatch(part.strip()) for part in value.split(",", _MOST)]
            numbers = {int(card[1]) for card in found if card}
            return tuple(sorted(numbers)) if len(numbers) == len(found) else ()
    return ()
