"""KServe: LocalModelNode (what a node holds), LocalModelCache and LocalModelNamespaceCache (models).

Source: kserve/kserve pkg/apis/serving/v1alpha1/local_model_*; facts topology-cache 5.1. The agent looks at
the files each minute, so a state is current. Copies of a namespace cache serve that namespace alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from topology.caches.claims import Claims, Copy, Entry, size
from topology.caches.identity import named, read_name
from topology.keys import KSERVE_GROUP
from topology.model import Problem
from topology.untyped import mapping, sequence, text

NAME = "kserve"
NODE = f"LocalModelNode.{KSERVE_GROUP}"
CACHE = f"LocalModelCache.{KSERVE_GROUP}"
NAMESPACE_CACHE = f"LocalModelNamespaceCache.{KSERVE_GROUP}"
KINDS = (NODE, CACHE, NAMESPACE_CACHE)

_ON_NODE = "ModelDownloaded"
_OF_CACHE = "NodeDownloaded"


def read(kind: str, obj: Mapping[str, Any]) -> Claims:
    """The claims of one object; ``ModelDownloaded`` and ``NodeDownloaded`` alone mean a complete copy."""
    metadata, spec, status = (mapping(obj.get(key)) for key in ("metadata", "spec", "status"))
    name = text(metadata.get("name"))
    if kind == NODE:
        states = mapping(status.get("modelStatus")).items()
        return Claims(
            copies=tuple(
                Copy(node=name, model=_key(str(model)), complete=state == _ON_NODE)
                for model, state in states
            ),
            entries=tuple(_listed(spec)),
        )
    namespace = text(metadata.get("namespace")) if kind == NAMESPACE_CACHE else ""
    key = _key(f"{namespace}/{name}" if namespace else name)
    uri, amount = text(spec.get("sourceModelUri")), spec.get("modelSize")
    found = read_name(uri, namespace or "default")
    shown = (
        f"{kind.partition('.')[0]} {namespace}/{name}" if namespace else f"LocalModelCache {name}"
    )
    problems = []
    if found is None:
        message = f"{uri!r} names no model; expected a URI such as hf://org/name"
        problems.append(Problem(subject=shown, field="spec.sourceModelUri", message=message))
    if amount is not None and size(amount) is None:
        message = f"{str(amount)[:60]!r} is no size such as 16Gi; the size counts as unknown"
        problems.append(Problem(subject=shown, field="spec.modelSize", message=message))
    entries = (_entry(key, found, namespace, size(amount)),) if found else ()
    states = mapping(status.get("nodeStatus")).items()
    return Claims(
        copies=tuple(
            Copy(node=str(node), model=key, complete=state == _OF_CACHE) for node, state in states
        ),
        entries=entries,
        problems=tuple(problems),
    )


def _listed(spec: Mapping[str, Any]) -> Iterator[Entry]:
    """The models that the node is to hold, with where they come from."""
    for item in sequence(spec.get("localModels")):
        model = mapping(item)
        namespace = text(model.get("namespace"))
        found = read_name(text(model.get("sourceModelUri")), namespace or "default")
        name = text(model.get("modelName"))
        if found and name:
            key = _key(f"{namespace}/{name}" if namespace else name)
            yield _entry(key, found, namespace, None)


def _entry(key: str, found: tuple[str, str | None], namespace: str, bytes_: int | None) -> Entry:
    name, revisions = named(found)
    return Entry(model=key, names=(name,), revisions=revisions, bytes=bytes_, namespace=namespace)


def _key(model: str) -> str:
    """``modelStatus`` names models ``name`` or ``namespace/name``."""
    return f"{NAME}:{model}"
