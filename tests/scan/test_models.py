"""Only a whole copy of a model is Complete, in every layout that is found on nodes."""

from __future__ import annotations

import json

import pytest

from tests.scan.trees import Tree, put
from topology.scan.files import Host, Recorded
from topology.scan.models import read_models
from topology.scan.report import Cache

COMMIT = "0e9e39f249a16976918f6564b8830bc894c89659"
INDEX = json.dumps(
    {
        "metadata": {"total_size": 1000},
        "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"},
    }
)
FILES: Tree = {
    "config.json": "{}",
    "tokenizer.json": "{}",
    "model.safetensors.index.json": INDEX,
    "model-1.safetensors": 600,
    "model-2.safetensors": 410,
}
HUB: Tree = {
    "refs": {"main": f"{COMMIT}\n", "refs": {"pr": {"1": COMMIT}}},
    "blobs": {"b-config": "{}", "b-token": "{}", "b-index": INDEX, "b-1": 600, "b-2": 410},
    "snapshots": {
        COMMIT: {
            "config.json": "-> ../../blobs/b-config",
            "tokenizer.json": "-> ../../blobs/b-token",
            "model.safetensors.index.json": "-> ../../blobs/b-index",
            "model-1.safetensors": "-> ../../blobs/b-1",
            "model-2.safetensors": "-> ../../blobs/b-2",
        }
    },
}


def read(tree: Tree) -> tuple[Cache, ...]:
    """The models below /m."""
    return read_models(Host(Recorded({"/m": tree})), ("/m",))


def only(tree: Tree) -> Cache:
    """The one model of a tree."""
    (cache,) = read(tree)
    return cache


def without(tree: Tree, *path: str) -> Tree:
    """The tree without what is at ``path``."""
    head, *rest = path
    if not rest:
        return {name: value for name, value in tree.items() if name != head}
    return {**tree, head: without(tree[head], *rest)}


def test_a_whole_copy_in_the_hub_s_layout() -> None:
    """Name, commit, the names that stand for it, and the bytes of its weights."""
    cache = only({"models--meta-llama--Llama-3": HUB})
    assert cache == Cache(
        model="hf://meta-llama/Llama-3",
        revision=COMMIT,
        refs=("main", "refs/pr/1"),
        path=f"/m/models--meta-llama--Llama-3/snapshots/{COMMIT}",
        bytes_expected=1010,
        bytes_present=1010,
        state="Complete",
        source="huggingface",
    )


@pytest.mark.parametrize(
    ("path", "present"),
    [
        (("blobs", "b-2"), 600),
        (("snapshots", COMMIT, "model-1.safetensors"), 410),
        (("blobs", "b-config"), 1010),
        (("snapshots", COMMIT, "tokenizer.json"), 1010),
        (("refs",), 1010),
        (("blobs", "b-index"), 1010),
    ],
    ids=["blob", "shard", "configuration", "tokenizer", "ref", "index"],
)
def test_whatever_is_missing_makes_it_partial(path: tuple[str, ...], present: int) -> None:
    """A blob behind a link, a shard, the configuration, the tokenizer, the name, the index."""
    cache = only({"models--o--n": without(HUB, *path)})
    assert (cache.state, cache.bytes_present) == ("Partial", present)


@pytest.mark.parametrize("size", [0, 1, 399])
def test_a_file_that_was_cut_short_makes_it_partial(size: int) -> None:
    """All files are there, but have fewer bytes than the index has tensors: 600 + 399 of 1000."""
    cut = only({"models--org--name": {**HUB, "blobs": {**HUB["blobs"], "b-2": size}}})
    assert (cut.state, cut.bytes_present, cut.bytes_expected) == ("Partial", 600 + size, 1000)


def test_an_empty_file_of_weights_makes_it_partial() -> None:
    """A checkpoint without an index states no bytes, but a file without any is not whole."""
    plain = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": 0}
    assert only({"llama": plain}).state == "Partial"


def test_a_download_under_way_is_partial() -> None:
    """With the bytes so far, also where every file that is there is whole."""
    cache = only({"models--o--n": put(HUB, ("blobs", "b-3.incomplete"), 50)})
    assert (cache.state, cache.bytes_present, cache.bytes_expected) == ("Partial", 1060, 1000)
    started = only({"models--o--n": {"blobs": {"x.incomplete": 7}, "refs": {}}})
    assert (started.state, started.bytes_present, started.revision) == ("Partial", 7, "")


def test_two_revisions_are_two_copies() -> None:
    """The one whose name was moved on is not what anybody asks for by name."""
    tree = put(HUB, ("snapshots", "0ld"), HUB["snapshots"][COMMIT])
    states = {cache.revision: cache.state for cache in read({"models--o--n": tree})}
    assert states == {COMMIT: "Complete", "0ld": "Partial"}


@pytest.mark.parametrize(
    ("tree", "model", "source"),
    [
        ({"llama": FILES}, "host:///m/llama", "plain"),
        ({"models": {"0123456789abcdef": FILES}}, "sha256://0123456789abcdef", "kserve"),
        ({"Qwen": {"Qwen2___5-7B": {**FILES, ".msc": ""}}}, "ms://Qwen/Qwen2.5-7B", "modelscope"),
        ({"hub": {"models": {"Qwen": {"Q": {**FILES, ".mdl": ""}}}}}, "ms://Qwen/Q", "modelscope"),
        ({"Qwen--Q": {"snapshots": {"master": FILES}}}, "ms://Qwen/Q", "modelscope"),
        ({"team": {"llama": FILES}}, "host:///m/team/llama", "plain"),
        ({"chat": {"chat.gguf": 9}}, "host:///m/chat", "plain"),
    ],
    ids=["plain", "kserve", "modelscope", "modelscope hub", "modelscope 1.39", "team", "gguf"],
)
def test_other_layouts(tree: Tree, model: str, source: str) -> None:
    """KServe's hash, ModelScope's three layouts, plain folders, one file of everything."""
    cache = only(tree)
    assert (cache.model, cache.source, cache.state) == (model, source, "Complete")


@pytest.mark.parametrize(
    "more",
    [
        {"._____temp": {"model-2.safetensors": 3}},
        {"model-3.safetensors.incomplete": 3},
        {"model.safetensors.index.json": "{"},
        {"model-00001-of-00002.safetensors": 3},
    ],
    ids=["modelscope", "incomplete", "index", "numbered"],
)
def test_signs_of_a_copy_that_is_not_whole(more: Tree) -> None:
    """ModelScope's folder of downloads, an unfinished file, an index cut short, a set with a gap."""
    assert only({"llama": {**FILES, **more}}).state == "Partial"


def test_folders_that_are_no_models() -> None:
    """Locks, data sets, empty folders and files are passed over; so is a directory that is not there."""
    assert (
        read({".locks": {"x": ""}, "datasets--o--n": {"blobs": {"a": 1}}, "notes.txt": "hi"}) == ()
    )
    assert read_models(Host(Recorded({})), ("/nowhere",)) == ()
