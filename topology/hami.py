"""HAMi's register of a node's devices: what stands behind the slots that HAMi advertises as cards.

HAMi splits every card into slots (ten by default) and advertises their number under the name of cards. The
devices themselves are in an annotation of the node, in one of two forms. Source: Project-HAMi/HAMi
pkg/device/devices.go (``DecodeNodeDevices``, ``UnMarshalNodeDevices``), docs/develop/protocol.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from topology.untyped import mapping, sequence, text

_MOST = 10_000
_FIELDS = (7, 9)
"""id, slots, MiB, cores, type, NUMA, health; newer plugins add index and mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of a register."""

    id: str
    product: str
    """As a label would have it: ``NVIDIA-NVIDIA A10`` gives ``NVIDIA-A10``, ``HCU-K100_AI`` ``K100_AI``."""
    healthy: bool
    whole: bool
    """False for a card in MIG mode, which is never given to a container as a whole."""
    index: int = 0
    """Number of the card on its node; older plugins do not say it, and Go leaves out nought."""


def read_register(document: str) -> tuple[Device, ...] | None:
    """The devices of one annotation; None when it is neither of the two forms, or lists no device."""
    found = _json(document) if document.lstrip().startswith("[") else _text(document)
    return tuple(found) if found else None


def _json(document: str) -> list[Device] | None:
    try:
        items = json.loads(document)
    except (ValueError, RecursionError):
        return None
    found = []
    for item in map(mapping, sequence(items)):
        if not text(item.get("id")):
            return None
        found.append(  # Go leaves out what is false
            Device(
                id=text(item.get("id")),
                product=_product(text(item.get("type"))),
                healthy=item.get("health") is True,
                whole=text(item.get("mode")) != "mig",
                index=_index(item.get("index")),
            )
        )
    return found


def _text(document: str) -> list[Device] | None:
    found = []
    for part in filter(None, document.strip().split(":")):
        fields = part.split(",")
        if len(fields) not in _FIELDS or not fields[0]:
            return None
        found.append(
            Device(
                id=fields[0],
                product=_product(fields[4]),
                healthy=fields[6].lower() in ("true", "t", "1"),
                whole=fields[-1] != "mig",
                index=int(fields[7]) if fields[7:] and re.fullmatch("[0-9]{1,4}", fields[7]) else 0,
            )
        )
    return found


def _index(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < _MOST else 0


def card_numbers(devices: Sequence[Device]) -> dict[str, int]:
    """Identifier -> number of the card; empty where two have the same number, as with older plugins."""
    found = {device.id: device.index for device in devices}
    return found if len(set(found.values())) == len(found) == len(devices) else {}


def allocated(document: str) -> tuple[str, ...]:
    """The devices of a pod in HAMi's annotation: ``id,type,memory,cores:`` each, ``;`` after a container."""
    parts = [part for container in document.split(";") for part in container.split(":") if part]
    return tuple(part.partition(",")[0] for part in parts)


def _product(kind: str) -> str:
    """HAMi's type without its word for the vendor, blanks as in labels."""
    _, dash, model = kind.partition("-")
    return (model if dash else kind).strip().replace(" ", "-")
