"""Lists of cards that plugins write on pods."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.hami import card_numbers, read_register
from topology.keys import (
    ASCEND_910,
    ASCEND_NPU,
    ASCEND_REAL,
    CARD_LISTS,
    DEVICE_LISTS,
    HAMI_ASCEND_ALLOCATED,
    ILUVATAR_DEVICES,
    ILUVATAR_REAL,
    KUNLUN_DEVICES,
)
from topology.occupancy import CardList, card_list, cards_held, cards_named


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


def config_map(document: object, name: str = "mindx-dl-deviceinfo-n1") -> dict[str, Any]:
    """A ConfigMap as Ascend's device plugin writes it."""
    text = document if isinstance(document, str) else json.dumps(document)
    return {"metadata": {"name": name, "namespace": "kube-system"}, "data": {"DeviceInfoCfg": text}}


def listed(**lists: str) -> dict[str, Any]:
    """The plugin's document with lists of ``Ascend910``; ``Unhealthy="..."`` and the like."""
    names = {
        f"huawei.com/Ascend910{f'-{key}' if key else ''}": value for key, value in lists.items()
    }
    return {"DeviceInfo": {"DeviceList": names, "UpdateTime": 1763713955}, "CheckCode": "e5cc"}


def test_the_cards_that_a_plugin_lists() -> None:
    """Free and unhealthy cards, and of which node; an empty list says that there are none."""
    free = {"": "Ascend910-4,Ascend910-5", "Unhealthy": "Ascend910-7", "Fault": "[]"}
    expected = CardList(free=(4, 5), unhealthy=(7,))
    assert card_list(config_map(listed(**free))) == ("n1", expected)
    assert card_list(config_map(listed(**{"": "", "Unhealthy": ""}))) == ("n1", CardList())


@pytest.mark.parametrize("document", ["", "{", "[]", {"DeviceInfo": []}, listed(Unhealthy="")])
def test_a_list_that_cannot_be_read(document: object) -> None:
    """What is damaged says nothing, and other ConfigMaps are none of ours."""
    assert card_list(config_map(document)) == ("n1", None)
    assert card_list(config_map(document, "kube-root-ca.crt")) is None


@given(st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_any_config_map_is_read(value: Any) -> None:
    """Total."""
    found = card_list({"metadata": {"name": "mindx-dl-deviceinfo-n1"}, "data": value})
    assert found is not None and found[0] == "n1"


def test_hami_names_cards_by_identifiers() -> None:
    """One list for each container, empty ones among them; the node's register has the numbers."""
    key = HAMI_ASCEND_ALLOCATED[0]
    document = ";id-5,Ascend910A,32768,100:id-4,Ascend910A,32768,100:;"
    assert cards_named({key: document}) == ("id-5", "id-4")
    assert cards_named({key: 7}) == cards_named({}) == ()
    register = [{"id": f"id-{n}", "type": "Ascend910A", "health": True, "index": n} for n in (4, 5)]
    first = {"id": "id-0", "type": "Ascend910A", "health": True}  # Go leaves out nought
    devices = read_register(json.dumps([first, *register]))
    assert devices is not None
    assert card_numbers(devices) == {"id-0": 0, "id-4": 4, "id-5": 5}
    old = read_register(json.dumps([{**each, "index": 0} for each in register]))
    assert old is not None and card_numbers(old) == {}  # without numbers they all seem to be 0


@given(st.dictionaries(st.sampled_from(HAMI_ASCEND_ALLOCATED), st.text() | st.none()))
def test_any_list_of_hami_is_read(annotations: dict[str, Any]) -> None:
    """Total."""
    assert isinstance(cards_named(annotations), tuple)


def iluvatar(every: object, free: object) -> dict[str, Any]:
    """A ConfigMap as Iluvatar's device plugin writes it; ``every``: identifiers of all boards."""
    data = {
        "DeviceInfoCfg": json.dumps({"DeviceInfo": every, "UpdateTime": 1}),
        "DeviceListCfg": json.dumps({"DeviceList": free, "UpdateTime": 1}),
    }
    return {"metadata": {"name": "ix-device-info-cm-n1"}, "data": data}


def test_iluvatar_s_cards_have_identifiers() -> None:
    """Their numbers are places in the order of identifiers, whatever the order in which they are listed."""
    every = {name: {"UUID": name} for name in ("GPU-c", "GPU-a", "GPU-b")}
    found = card_list(iluvatar(every, ["GPU-c", "GPU-b"]))
    assert found == ("n1", CardList(free=(1, 2), ids=("GPU-a", "GPU-b", "GPU-c")))


@pytest.mark.parametrize("free", [["GPU-a::0"], ["GPU-a", 5], {}])
def test_cards_that_are_shared_or_split_have_no_list(free: object) -> None:
    """The plugin names shares and halves of boards in another way; nothing is known of the boards then."""
    found = card_list(iluvatar({"GPU-a": {}}, free))
    assert found == ("n1", None if free else CardList(ids=("GPU-a",)))


@pytest.mark.parametrize(
    ("annotations", "devices"),
    [
        ({ILUVATAR_REAL: "GPU-b,GPU-a", ILUVATAR_DEVICES: "GPU-c"}, ("GPU-a", "GPU-b")),
        ({ILUVATAR_DEVICES: "GPU-c"}, ("GPU-c",)),
        ({ILUVATAR_DEVICES: "GPU-c,GPU-c"}, ()),
        ({ILUVATAR_DEVICES: 5}, ()),
        ({}, ()),
    ],
)
def test_the_devices_of_a_pod(annotations: dict[str, Any], devices: tuple[str, ...]) -> None:
    """What it has got comes before what a scheduler meant; a list that contradicts itself says nothing."""
    assert cards_named(annotations) == devices


@given(st.dictionaries(st.sampled_from(DEVICE_LISTS), st.text() | st.integers() | st.none()))
def test_any_annotation_of_devices_is_read(annotations: dict[str, Any]) -> None:
    """Total."""
    devices = cards_named(annotations)
    assert devices == tuple(sorted(set(devices)))
