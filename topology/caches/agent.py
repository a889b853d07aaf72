"""The scanner's own report: the model directories of a node in its ``NodeTopology``.

A directory is known by its model (``hf://org/name``), by its path (``host://path``), and, as KServe names
directories after a hash of the URI (``models/<16 hex digits>``), by that. Only ``Complete`` is a copy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from topology.caches.claims import NVME, TIERS, Claims, Copy, Entry, whole
from topology.caches.identity import HASH, read_name
from topology.untyped import mapping, seconds, sequence, text

NAME = "agent"
NODE = "NodeTopology"
KINDS = (NODE,)

_COMPLETE = "Complete"
_HASHED = re.compile(r".*/models/([0-9a-f]{16})/?")


def read(_kind: str, obj: Mapping[str, Any]) -> Claims:
    """The claims of one report; a copy without a time of its own is as old as the report."""
    node = text(mapping(obj.get("metadata")).get("name"))
    status = mapping(obj.get("status"))
    collected = seconds(status.get("collectedAt"))
    disks = _disks(status)
    copies, entries = [], []
    for item in sequence(status.get("caches")):
        cache = mapping(item)
        names = _names(cache)
        if not names:
            continue
        path, tier = text(cache.get("path")), text(cache.get("tier"))
        present, expected = whole(cache.get("bytesPresent")), whole(cache.get("bytesExpected"))
        # Two directories with one model are two copies: each has a key of its own, the better one counts.
        key = f"{NAME}:{node}:{path}:{names[0][0]}@{names[0][1]}"
        complete = text(cache.get("state")) == _COMPLETE
        if present is not None and expected is not None:
            complete = complete and present >= expected
        copies.append(
            Copy(
                node=node,
                model=key,
                complete=complete,
                bytes=present,
                tier=tier if tier in TIERS else NVME,
                observed_seconds=seconds(cache.get("checkedAt")) or collected or None,
                rate=_rate(path, disks),
            )
        )
        entries.append(Entry(model=key, names=names, bytes=expected))
    return Claims(
        copies=tuple(sorted(copies, key=lambda copy: (copy.model, repr(copy)))),
        entries=tuple(sorted(entries, key=lambda entry: (entry.model, repr(entry)))),
    )


def _names(cache: Mapping[str, Any]) -> tuple[tuple[str, str | None], ...]:
    path = text(cache.get("path"))
    model = read_name(text(cache.get("model")))
    revision = text(cache.get("revision")) or None
    names: list[tuple[str, str | None]] = []
    if model is not None:
        names.append((model[0], model[1] or revision))
    if path.startswith("/") and (where := read_name(path)) is not None:
        names.append(where)
    hashed = _HASHED.fullmatch(path)
    if hashed:
        names.append((f"{HASH}://{hashed[1]}", None))
    return tuple(dict(reversed(names)).items())[::-1]


def _disks(status: Mapping[str, Any]) -> dict[str, int]:
    """Measured rate in bytes per second by mount point."""
    found = {}
    for item in sequence(status.get("disks")):
        disk = mapping(item)
        rate = whole(disk.get("readBps"))
        if text(disk.get("mount")) and rate:
            found[text(disk.get("mount"))] = rate
    return found


def _rate(path: str, disks: Mapping[str, int]) -> int | None:
    """The rate of the disk that ``path`` is on."""
    mounts = [m for m in disks if path == m or path.startswith(f"{m.rstrip('/')}/")]
    return disks[max(mounts, key=len)] if mounts else None
