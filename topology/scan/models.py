"""Models in directories of the node: Hugging Face hub, ModelScope, KServe, plain folders.

Layouts: facts on cache locality 5.2 (huggingface_hub; KServe's ``models/<first 16 hex of sha256(uri)>``;
llmaz's loader writes the layout of the hub); modelscope pull requests 1197 and 1201, and its issue tracker
for ``snapshots`` of version 1.39. ModelScope writes ``.`` in names as ``___``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from topology.scan.files import Host
from topology.scan.report import Cache
from topology.untyped import mapping, text

COMPLETE, PARTIAL = "Complete", "Partial"

_INDEX = ".safetensors.index.json"
_WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
_NOT_WEIGHTS = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt"})
_TOKENIZERS = frozenset(
    {
        "tokenizer.json",
        "tokenizer.model",
        "vocab.json",
        "spiece.model",
        "tiktoken.model",
        "tekken.json",
    }
)
_HASH = re.compile(r"[0-9a-f]{16}")
_NUMBERED = re.compile(r"(.+)-[0-9]{5}-of-([0-9]{5})(\.safetensors|\.bin|\.gguf)")
_UNFINISHED = ".incomplete"
_MODELSCOPE_MARKS = frozenset({".msc", ".mdl", ".mv"})
_MODELSCOPE_TEMP = "._____temp"
_MAX_MODELS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What a folder of a checkpoint has and lacks."""

    present: int
    """Bytes of weights."""
    expected: int | None
    whole: bool


def read_models(host: Host, roots: Iterable[str]) -> tuple[Cache, ...]:
    """Every model below the given directories, by path; nothing for a directory that does not exist."""
    found = {cache.path: cache for root in sorted(set(roots)) for cache in _below(host, root)}
    return tuple(found[path] for path in sorted(found)[:_MAX_MODELS])


def _below(host: Host, root: str) -> Iterator[Cache]:
    names = host.names(root)
    for name in names:
        path = f"{root.rstrip('/')}/{name}"
        if name.startswith("models--"):
            yield from _hub(host, path, "/".join(name.split("--")[1:]))
        elif name in ("hub", "models") and "config.json" not in host.names(path):
            yield from _below(host, path)
        elif "--" in name and host.names(f"{path}/snapshots"):
            yield from _modelscope_snapshots(host, path, name)
        elif not name.startswith("."):
            yield from _folder(host, root, name)


def _hub(host: Host, path: str, name: str) -> Iterator[Cache]:
    """``refs/<revision>``, ``blobs/<hash>``, ``snapshots/<commit>/`` with links to blobs."""
    refs: dict[str, list[str]] = {}
    for ref in _files(host, f"{path}/refs"):
        refs.setdefault(host.text(f"{path}/refs/{ref}") or "", []).append(ref)
    blobs = host.names(f"{path}/blobs")
    unfinished = sum(
        host.size(f"{path}/blobs/{blob}") or 0 for blob in blobs if blob.endswith(_UNFINISHED)
    )
    loading = any(blob.endswith(_UNFINISHED) for blob in blobs)
    base = Cache(model=f"hf://{name}", path=path, state=PARTIAL, source="huggingface")
    commits = host.names(f"{path}/snapshots")
    for commit in commits:
        content = _content(host, f"{path}/snapshots/{commit}")
        whole = content.whole and not loading and commit in refs
        yield replace(
            _entry(base, content, whole=whole, more=unfinished),
            path=f"{path}/snapshots/{commit}",
            revision=commit,
            refs=tuple(sorted(refs.get(commit, ()))),
        )
    if not commits and blobs:
        yield replace(base, bytes_present=unfinished)


def _files(host: Host, folder: str, depth: int = 3) -> Iterator[str]:
    """Names of files, those in folders as ``pr/1``."""
    for name in host.names(folder):
        inside = tuple(_files(host, f"{folder}/{name}", depth - 1)) if depth else ()
        if inside:
            yield from (f"{name}/{one}" for one in inside)
        else:
            yield name


def _modelscope_snapshots(host: Host, path: str, name: str) -> Iterator[Cache]:
    """ModelScope since 1.39: ``org--name/snapshots/<revision>/``."""
    for revision in host.names(f"{path}/snapshots"):
        folder = f"{path}/snapshots/{revision}"
        content = _content(host, folder)
        model = f"ms://{'/'.join(name.split('--'))}"
        base = Cache(model=model, path=folder, state=PARTIAL, source="modelscope")
        yield replace(_entry(base, content, whole=content.whole), revision=revision)


def _folder(host: Host, root: str, name: str) -> Iterator[Cache]:
    """A checkpoint as a folder, or ModelScope's folders ``org/name`` of them."""
    path = f"{root.rstrip('/')}/{name}"
    entries = host.names(path)
    if _HASH.fullmatch(name):
        yield from _checkpoint(host, path, f"sha256://{name}", "kserve")
    elif _is_checkpoint(entries):
        yield from _checkpoint(host, path, f"host://{path}", "plain")
    else:
        for inner in entries:
            inside = host.names(f"{path}/{inner}")
            if _MODELSCOPE_MARKS.intersection(inside):
                model = f"ms://{name}/{inner}".replace("___", ".")
                yield from _checkpoint(host, f"{path}/{inner}", model, "modelscope")
            elif _is_checkpoint(inside):
                yield from _checkpoint(host, f"{path}/{inner}", f"host://{path}/{inner}", "plain")


def _is_checkpoint(entries: Iterable[str]) -> bool:
    return any(name == "config.json" or name.endswith((_INDEX, ".gguf")) for name in entries)


def _checkpoint(host: Host, path: str, model: str, source: str) -> Iterator[Cache]:
    entries = host.names(path)
    content = _content(host, path)
    loading = _MODELSCOPE_TEMP in entries or any(name.endswith(_UNFINISHED) for name in entries)
    base = Cache(model=model, path=path, state=PARTIAL, source=source)
    yield _entry(base, content, whole=content.whole and not loading)


def _entry(base: Cache, content: _Content, *, whole: bool, more: int = 0) -> Cache:
    if whole:
        present = content.present
        return replace(base, state=COMPLETE, bytes_present=present, bytes_expected=present)
    return replace(base, bytes_present=content.present + more, bytes_expected=content.expected)


def _content(host: Host, folder: str) -> _Content:
    """Complete: configuration, tokenizer, and every file that an index names (else some weights).

    The files of an index have together at least the bytes of tensors that it states: less is cut short.
    """
    names = host.names(folder)
    sizes = {
        name: size
        for name in names
        if name.endswith(_WEIGHTS) and name not in _NOT_WEIGHTS
        if (size := host.size(f"{folder}/{name}")) is not None
    }
    indices = [_index(host, f"{folder}/{name}") for name in names if name.endswith(_INDEX)]
    wanted = {name for shards, _ in indices if shards is not None for name in shards}
    cut = any(
        sum(sizes.get(name, 0) for name in shards or ()) < stated for shards, stated in indices
    )
    readable = all(shards is not None for shards, _ in indices)
    wanted |= {name for name in names if name.endswith(_WEIGHTS)} - _NOT_WEIGHTS
    wanted |= {one for name in names for one in _siblings(name)}
    total = sum(size for _, size in indices) or None
    gguf = any(name.endswith(".gguf") for name in sizes)
    described = gguf or (
        host.size(f"{folder}/config.json") is not None
        and any(
            host.size(f"{folder}/{name}") is not None for name in _TOKENIZERS.intersection(names)
        )
    )
    return _Content(
        present=sum(sizes.values()),
        expected=total,
        whole=all(sizes.values())
        and bool(sizes)
        and described
        and readable
        and not cut
        and wanted <= sizes.keys(),
    )


def _siblings(name: str) -> Iterator[str]:
    """All names of the numbered set that ``name`` is one of, e.g. model-00001-of-00003.safetensors."""
    numbered = _NUMBERED.fullmatch(name)
    if numbered:
        head, count, tail = numbered.groups()
        yield from (f"{head}-{n:05}-of-{count}{tail}" for n in range(1, int(count) + 1))


def _index(host: Host, path: str) -> tuple[set[str] | None, int]:
    """Files that the index of a sharded checkpoint names, and its bytes; None when it cannot be read."""
    try:
        document = mapping(json.loads(host.text(path) or ""))
    except (ValueError, RecursionError):
        return None, 0
    shards = {text(name) for name in mapping(document.get("weight_map")).values()} - {""}
    total = mapping(document.get("metadata")).get("total_size")
    return shards or None, total if type(total) is int and total > 0 else 0
