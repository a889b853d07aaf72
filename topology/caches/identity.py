"""One name for a model, however somebody writes it.

- ``hf://org/name``, ``ms://org/name``: a repository of Hugging Face or ModelScope, with a revision behind
  ``@`` (llmaz and Muster) or ``:`` (KServe). Text without a scheme is a repository of Hugging Face.
- ``s3://``, ``oss://``, ``gs://``, ``http(s)://`` and others: the path without slashes at its end. A model
  below a path that is cached is cached with it (KServe's ``MatchStorageURI``).
- ``pvc://claim/path`` belongs to a namespace: ``pvc://namespace:claim/path``, as OME writes it.
- ``host://path``: a directory of the node.
- ``oci://image:tag``: an image.

Models of different schemes are different models: the same weights on two hubs have different files.
Sources: KServe docs model-serving/storage/providers/hf; OME docs concepts/models; facts topology-cache 5.1.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HUBS = frozenset({"hf", "ms"})
_ALIASES = {"huggingface": "hf", "modelscope": "ms"}
_LONGEST = 2048
HASH = "sha256"
"""Scheme of the name ``sha256://<16 hex digits>`` of a KServe model by its directory."""


@lru_cache(maxsize=4096)
def read_name(text: str, namespace: str = "default") -> tuple[str, str | None] | None:
    """(name, revision) of a model as somebody in ``namespace`` writes it; None when it names none."""
    matched = _URI.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if matched is None:
        bare = text.strip()
        if not bare or len(text) > _LONGEST or "://" in bare:
            return None
        matched = _URI.fullmatch(f"{'host' if bare.startswith('/') else 'hf'}://{bare}")
    if matched is None:
        return None
    scheme = _ALIASES.get(matched[1].lower(), matched[1].lower())
    path = "/".join(part for part in matched[2].split("/") if part)
    revision = None
    if scheme in _HUBS:
        path, _, given = path.replace(":", "@", 1).partition("@")
        revision = given or None
    elif scheme == "pvc" and ":" not in path.partition("/")[0]:
        path = f"{namespace}:{path}"
    return (f"{scheme}://{path}", revision) if path.strip(":") else None


@lru_cache(maxsize=4096)
def names_of(text: str, namespace: str) -> tuple[tuple[str, ...], str | None]:
    """The names under which a gang's model may be known, the best first, and the revision that is asked for.

    After its own name come the paths above it, and that of KServe's directory for it.
    """
    found = read_name(text, namespace)
    if found is None:
        return (), None
    name, revision = found
    scheme, _, path = name.partition("://")
    parts = path.split("/")
    above = [] if scheme in _HUBS else range(len(parts) - 1, 0, -1)
    outer = (f"{scheme}://{'/'.join(parts[:length])}" for length in above)
    return (name, *outer, hashed(text.strip())), revision


def hashed(uri: str) -> str:
    """The name by KServe's directory ``models/<first 16 hex digits of the URI's SHA-256>``."""
    return f"{HASH}://{hashlib.sha256(uri.encode(errors='replace')).hexdigest()[:16]}"


def scheme_of(text: str) -> str:
    """The scheme of a model's name; empty when it names none."""
    found = read_name(text)
    return found[0].partition("://")[0] if found else ""


def same_revision(asked: str | None, there: tuple[str, ...]) -> bool:
    """Whether what is there can be the revision that is asked for: when both are named, only if it is."""
    return asked is None or not there or asked in there


def named(found: tuple[str, str | None]) -> tuple[str, tuple[str, ...]]:
    """The result of ``read_name`` as the names and revisions of an entry are."""
    name, revision = found
    return name, (revision,) if revision else ()
