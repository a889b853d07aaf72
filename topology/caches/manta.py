"""Manta: the chunks on each node (NodeTracker) and those that a model consists of (Torrent).

A chunk of a tracker is named after its repository, ``org--name--<object hash>--<number>``; a copy is complete
when every chunk of the Torrent is there. Source: InftyAI/Manta api/v1alpha1, pkg/dispatcher; facts
topology-cache 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from topology.caches.claims import Claims, Copy, Entry, whole
from topology.caches.identity import read_name
from topology.keys import MANTA_GROUP
from topology.untyped import mapping, sequence, text

NAME = "manta"
NODE = f"NodeTracker.{MANTA_GROUP}"
TORRENT = f"Torrent.{MANTA_GROUP}"
KINDS = (NODE, TORRENT)

_DASHES = "--"
_TAIL = 2
"""Parts of a chunk's name behind the repository: the hash of its file, and its number."""
_HUB = "Huggingface"
_DEFAULT_REVISION = "main"


def read(kind: str, obj: Mapping[str, Any]) -> Claims:
    """The claims of one object."""
    metadata, spec, status = (mapping(obj.get(key)) for key in ("metadata", "spec", "status"))
    if kind == NODE:
        return Claims(copies=tuple(_copies(text(metadata.get("name")), spec)))
    hub = mapping(spec.get("hub"))
    repository = text(hub.get("repoID"))
    found = read_name(f"hf://{repository}") if text(hub.get("name")) in ("", _HUB) else None
    # A single file of a repository is not the model that the repository's name stands for.
    if not repository or found is None or hub.get("filename") is not None:
        return Claims()
    chunks = [
        (text(mapping(chunk).get("name")), whole(mapping(chunk).get("sizeBytes")))
        for item in sequence(mapping(status.get("repo")).get("objects"))
        for chunk in sequence(mapping(item).get("chunks"))
    ]
    total = sum(size or 0 for name, size in chunks if name)
    revision = text(hub.get("revision")) or _DEFAULT_REVISION
    stem = repository.replace("/", _DASHES)
    entry = Entry(
        model=f"{NAME}:{stem}",
        names=(found[0],),
        revisions=() if revision == _DEFAULT_REVISION else (revision,),
        bytes=total or None,
        parts=frozenset(name.removeprefix(f"{stem}{_DASHES}") for name, _ in chunks if name),
    )
    return Claims(entries=(entry,))


def _copies(node: str, spec: Mapping[str, Any]) -> Iterator[Copy]:
    """One copy of each repository that has chunks here, whole or not."""
    found: dict[str, dict[str, int]] = {}
    for item in sequence(spec.get("chunks")):
        chunk = mapping(item)
        parts = text(chunk.get("chunkName")).split(_DASHES)
        stem, rest = _DASHES.join(parts[:-_TAIL]), _DASHES.join(parts[-_TAIL:])
        size = whole(chunk.get("sizeBytes"))
        if stem and size is not None:
            found.setdefault(stem, {})[rest] = size
    for stem, chunks in sorted(found.items()):
        yield Copy(
            node=node, model=f"{NAME}:{stem}", bytes=sum(chunks.values()), parts=frozenset(chunks)
        )
