"""OME: node labels that say which base models are there, and the base models with their source.

Source: sgl-project/ome pkg/constants/constants.go, pkg/apis/ome/v1beta1/model.go; facts topology-cache 5.1.
Only ``Ready`` is a copy (ome issue 521). Without its object a model is known as ``ome://name`` or
``ome://namespace/name`` alone, which gangs may ask for, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from topology.caches.claims import Claims, Copy, Entry
from topology.caches.identity import named, read_name
from topology.keys import OME_CLUSTER_MODEL, OME_GROUP, OME_LABELS, OME_MODEL
from topology.untyped import mapping, text

NAME = "ome"
CLUSTER_MODEL = f"ClusterBaseModel.{OME_GROUP}"
MODEL = f"BaseModel.{OME_GROUP}"
KINDS = ("Node", CLUSTER_MODEL, MODEL)

_READY = "Ready"


def read(kind: str, obj: Mapping[str, Any]) -> Claims:
    """The claims of a node's labels, or of a base model."""
    metadata = mapping(obj.get("metadata"))
    own_name = text(metadata.get("name"))
    if kind == "Node":
        return _labels(own_name, mapping(metadata.get("labels")))
    storage = mapping(mapping(obj.get("spec")).get("storage"))
    namespace = (text(metadata.get("namespace")) or "default") if kind == MODEL else ""
    own = _entry(namespace, own_name)
    found = read_name(text(storage.get("storageUri")), namespace or "default")
    name, revisions = named(found) if found else ("", ())
    # The label's own claim has no names of others: here they come together under one key.
    return Claims(
        entries=(replace(own, names=(*own.names, *filter(None, (name,))), revisions=revisions),)
    )


def _labels(node: str, labels: Mapping[str, Any]) -> Claims:
    copies, entries = [], []
    for key in sorted(key for key in map(str, labels) if key.startswith(OME_LABELS)):
        first, _, rest = key.removeprefix(OME_LABELS).partition(".")
        if first == OME_CLUSTER_MODEL and rest:
            entry = _entry("", rest)
        elif rest.startswith(f"{OME_MODEL}.") and first:
            entry = _entry(first, rest.removeprefix(f"{OME_MODEL}."))
        else:
            continue
        entries.append(entry)
        copies.append(Copy(node=node, model=entry.model, complete=labels.get(key) == _READY))
    return Claims(copies=tuple(copies), entries=tuple(entries))


def _entry(namespace: str, name: str) -> Entry:
    path = f"{namespace}/{name}" if namespace else name
    return Entry(model=f"{NAME}:{path}", names=(f"{NAME}://{path}",), namespace=namespace)
