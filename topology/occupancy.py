"""Which cards of a node are taken, where its vendor's plugin or scheduler says it: on the pods, or in a list.

Sources: Ascend/mind-cluster component/ascend-device-plugin (pkg/server/plugin.go, pkg/common/common.go):
names such as ``Ascend910-0,Ascend910-1``; Project-HAMi/HAMi pkg/device/kunlun/device.go: such as ``0,1,2,3``.
Lists of a node: Ascend/mind-cluster docs/en/scheduling/api/ascend_device_plugin.md, the ConfigMap
``mindx-dl-deviceinfo-NODE``. HAMi's lists name cards by identifiers (``hami``), which its register numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from topology.hami import allocated
from topology.keys import ASCEND_CARD_LIST, ASCEND_CARDS, CARD_LISTS, HAMI_ASCEND_ALLOCATED
from topology.untyped import mapping, text

_CARD = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*-)?([0-9]{1,4})")
_MOST = 1024
"""Cards of one list that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardList:
    """What a plugin says of the cards of its node. It says so some time after a pod has got its cards."""

    free: tuple[int, ...] = ()
    unhealthy: tuple[int, ...] = ()
    """Not allocatable."""


def card_list(obj: Mapping[str, Any]) -> tuple[str, CardList | None] | None:
    """The node that a ConfigMap is about, and its list (None: cannot be read); None for other ConfigMaps."""
    name = text(mapping(obj.get("metadata")).get("name"))
    if not name.startswith(ASCEND_CARD_LIST):
        return None
    try:
        document = json.loads(text(mapping(obj.get("data")).get("DeviceInfoCfg")))
    except (ValueError, RecursionError):
        document = None
    lists = mapping(mapping(mapping(document).get("DeviceInfo")).get("DeviceList"))
    resource = next((each for each in ASCEND_CARDS if isinstance(lists.get(each), str)), "")
    free, unhealthy = _numbers(lists.get(resource)), _numbers(lists.get(f"{resource}-Unhealthy"))
    node = name.removeprefix(ASCEND_CARD_LIST)
    if free is None or unhealthy is None:
        return node, None
    return node, CardList(free=free, unhealthy=unhealthy)


def cards_held(annotations: Mapping[str, Any]) -> tuple[int, ...]:
    """The numbers of the cards, ascending; empty where nobody says it, or not in a way that is understood."""
    for key in CARD_LISTS:
        value = annotations.get(key)
        if isinstance(value, str) and value:
            return _numbers(value) or ()
    return ()


def cards_named(annotations: Mapping[str, Any]) -> tuple[str, ...]:
    """The identifiers of the cards that HAMi gave a pod; empty where there is no such list."""
    documents = (annotations.get(key) for key in HAMI_ASCEND_ALLOCATED)
    return next((allocated(each) for each in documents if isinstance(each, str) and each), ())


def _numbers(value: object) -> tuple[int, ...] | None:
    """The different numbers of a list of cards, ascending; None for anything else."""
    if not isinstance(value, str):
        return None
    found = [_CARD.fullmatch(part.strip()) for part in value.split(",", _MOST)] if value else []
    numbers = {int(card[1]) for card in found if card}
    return tuple(sorted(numbers)) if len(numbers) == len(found) else None
