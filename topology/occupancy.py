"""Which cards of a node are taken, where its vendor's plugin or scheduler says it: on the pods, or in a list.

Sources: Ascend/mind-cluster component/ascend-device-plugin (pkg/server/plugin.go, pkg/common/common.go):
names such as ``Ascend910-0,Ascend910-1``; Project-HAMi/HAMi pkg/device/kunlun/device.go: such as ``0,1,2,3``.
Lists of a node: Ascend/mind-cluster docs/en/scheduling/api/ascend_device_plugin.md, the ConfigMap
``mindx-dl-deviceinfo-NODE``; Deep-Spark/ix-device-plugin pkg/kube, pkg/dpm/device.go: the ConfigMap
``ix-device-info-cm-NODE``, all cards in ``DeviceInfoCfg`` and the free ones in ``DeviceListCfg``. Iluvatar's
cards have identifiers; their numbers here are their places in the order of these. HAMi's lists name cards by
identifiers (``hami``), which its register numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from topology.hami import allocated
from topology.keys import (
    ASCEND_CARD_LIST,
    ASCEND_CARDS,
    CARD_LISTS,
    DEVICE_LISTS,
    HAMI_ASCEND_ALLOCATED,
    ILUVATAR_CARD_LIST,
)
from topology.untyped import mapping, sequence, text

_CARD = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*-)?([0-9]{1,4})")
_MOST = 1024
"""Cards of one list that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardList:
    """What a plugin says of the cards of its node. It says so some time after a pod has got its cards."""

    free: tuple[int, ...] = ()
    unhealthy: tuple[int, ...] = ()
    """Not allocatable."""
    ids: tuple[str, ...] = ()
    """Identifiers of all cards in the order of their numbers, where the plugin uses identifiers."""


def card_list(obj: Mapping[str, Any]) -> tuple[str, CardList | None] | None:
    """The node that a ConfigMap is about, and its list (None: cannot be read); None for other ConfigMaps."""
    name = text(mapping(obj.get("metadata")).get("name"))
    for prefix, read in ((ASCEND_CARD_LIST, _ascend), (ILUVATAR_CARD_LIST, _iluvatar)):
        if name.startswith(prefix):
            return name.removeprefix(prefix), read(mapping(obj.get("data")))
    return None


def _ascend(data: Mapping[str, Any]) -> CardList | None:
    lists = mapping(mapping(_document(data, "DeviceInfoCfg").get("DeviceInfo")).get("DeviceList"))
    resource = next((each for each in ASCEND_CARDS if isinstance(lists.get(each), str)), "")
    free, unhealthy = _numbers(lists.get(resource)), _numbers(lists.get(f"{resource}-Unhealthy"))
    if free is None or unhealthy is None:
        return None
    return CardList(free=free, unhealthy=unhealthy)


def _iluvatar(data: Mapping[str, Any]) -> CardList | None:
    """Boards that are split, and cards that are shared, are in the second list under other names."""
    ids = tuple(sorted(map(str, mapping(_document(data, "DeviceInfoCfg").get("DeviceInfo")))))
    free = _document(data, "DeviceListCfg").get("DeviceList")
    names = {each for each in sequence(free) if isinstance(each, str)}
    if not ids or len(ids) > _MOST or len(names) != len(sequence(free)) or not names <= set(ids):
        return None
    return CardList(free=tuple(n for n, name in enumerate(ids) if name in names), ids=ids)


def _document(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(text(data.get(key))))
    except (ValueError, RecursionError):
        return {}


def cards_held(annotations: Mapping[str, Any]) -> tuple[int, ...]:
    """The numbers of the cards, ascending; empty where nobody says it, or not in a way that is understood."""
    for key in CARD_LISTS:
        value = annotations.get(key)
        if isinstance(value, str) and value:
            return _numbers(value) or ()
    return ()


def cards_named(annotations: Mapping[str, Any]) -> tuple[str, ...]:
    """The identifiers of its cards; empty where nobody says it, or not in a way that is understood."""
    for key in DEVICE_LISTS:
        value = annotations.get(key)
        if isinstance(value, str) and value:
            names = value.split(",", _MOST)
            return tuple(sorted(names)) if len(set(names)) == len(names) else ()
    documents = (annotations.get(key) for key in HAMI_ASCEND_ALLOCATED)
    return next((allocated(each) for each in documents if isinstance(each, str) and each), ())


def _numbers(value: object) -> tuple[int, ...] | None:
    """The different numbers of a list of cards, ascending; None for anything else."""
    if not isinstance(value, str):
        return None
    found = [_CARD.fullmatch(part.strip()) for part in value.split(",", _MOST)] if value else []
    numbers = {int(card[1]) for card in found if card}
    return tuple(sorted(numbers)) if len(numbers) == len(found) else None
