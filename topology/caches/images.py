"""Models that are images (``oci://``, KServe's Modelcars): the kubelet's list of images on each node.

An image that is listed is there whole. The kubelet lists the 50 largest by default
(``nodeStatusMaxImages``), so one that is missing from the list counts as missing. Source: Kubernetes
NodeStatus.images; facts topology-cache 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topology.caches.claims import Claims, Copy, Entry, whole
from topology.caches.identity import read_name
from topology.untyped import mapping, sequence, text

NAME = "images"
KINDS = ("Node",)

_MOST = 100
_LARGE = 1_000_000_000
"""Images below this size in bytes are left out: no model that is worth going anywhere for."""


def read(_kind: str, obj: Mapping[str, Any]) -> Claims:
    """The claims of one node."""
    node = text(mapping(obj.get("metadata")).get("name"))
    sizes: dict[str, int] = {}
    for item in sequence(mapping(obj.get("status")).get("images"))[:_MOST]:
        image = mapping(item)
        size = whole(image.get("sizeBytes")) or 0
        if size < _LARGE:
            continue
        for name in sequence(image.get("names")):
            found = read_name(f"oci://{text(name)}") if text(name) else None
            if found is not None:
                sizes[found[0]] = max(size, sizes.get(found[0], 0))
    ordered = sorted(sizes.items())
    return Claims(
        copies=tuple(
            Copy(node=node, model=f"{NAME}:{name}", complete=True, bytes=size)
            for name, size in ordered
        ),
        entries=tuple(Entry(model=f"{NAME}:{name}", names=(name,)) for name, _ in ordered),
    )
