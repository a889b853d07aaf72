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
        key = f"{NAME}:{path}:{names[0]}"
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
                revisions=_revisions(cache),
            )
        )
        entries.append(Entry(model=key, names=names))
    return Claims(
        copies=tuple(sorted(copies, key=repr)), entries=tuple(sorted(set(entries), key=repr))
    )


def _revisions(cache: Mapping[str, Any]) -> tuple[str, ...]:
    """The commit, and the branches and tags that stand for it."""
    model = read_name(text(cache.get("model")))
    said = (model[1] if model else None, text(cache.get("revision")))
    refs = (text(ref) for ref in sequence(cache.get("refs")))
    return tuple(sorted({name for name in (*said, *refs) if name}))


def _names(cache: Mapping[str, Any]) -> tuple[str, ...]:
    path = text(cache.get("path"))
    model = read_name(text(cache.get("model")))
    where = read_name(path) if path.startswith("/") else None
    hashed = _HASHED.fullmatch(path)
    found = [one[0] for one in (model, where) if one is not None]
    found += [f"{HASH}://{hashed[1]}"] if hashed else []
    return tuple(dict.fromkeys(found))


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
