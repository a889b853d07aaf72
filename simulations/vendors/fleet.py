"""The fleet of ``make vendors``: two nodes of each of twelve vendors, and nodes that are not what they seem.

What a node looks like comes from ``tests/fixtures/vendors``, where the catalogue is proved: labels,
annotations and amounts as the vendors' plugins write them. This is a program of the checkout only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scheduler import keys
from simulations.fleet import Device, Fleet, Pool
from topology.keys import BLOCK, LWS_GROUP, RACK
from topology.vendors import vendor_of

Object = dict[str, Any]

NAMESPACE, SET, ANY, POOL = "serving", "vllm", "any", "show.muster.example"
SIZE, CARDS, MEMORY, ODD = 2, 8, "40Gi", 3
_FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "vendors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A vendor's whole nodes. Its flavor has the name of its class."""

    path: str
    """Of its fixture: vendor and name."""

    @property
    def vendor(self) -> str:
        """As in the catalogue."""
        return self.path.partition("/")[0]

    @property
    def device_class(self) -> str:
        """What the catalogue calls its cards."""
        return str(_read(self.path)["expect"]["class"])

    @property
    def memory_gib(self) -> float:
        """Of one card."""
        return float(_read(self.path)["expect"]["memoryGiB"])

    @property
    def resource(self) -> str:
        """By what its cards are requested."""
        [name] = [name for name in _read(self.path)["allocatable"] if "/" in name]
        return str(name)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of its nodes."""
        return tuple(f"{self.vendor}-{number}" for number in range(SIZE))

    @property
    def image(self) -> str:
        """Of vLLM for its cards: the public one, else one's own."""
        vendor = vendor_of(self.vendor)
        engine = vendor.engine(self.device_class) if vendor else None
        return (engine and engine.image) or f"vllm-{self.vendor}"


OFFERS = tuple(
    Offer(path=path)
    for path in (
        "nvidia/a100-80",
        "amd/whole",
        "gaudi/operator",
        "ascend/910b3",
        "iluvatar/whole",
        "biren/operator-memory",
        "kunlunxin/whole",
        "cambricon/operator-memory",
        "hygon/whole",
        "mthreads/operator",
        "metax/whole",
        "enflame/whole",
    )
)
"""In the order of the flavors."""

DECOYS = {
    "nvidia/hami": "HAMi splits 8 cards, one of them ill, into 80 slots: 7 cards",
    "nvidia/shared": "time-slicing",
    "nvidia/replicas": "each card is advertised ten times",
    "nvidia/mig-single": "MIG slices under the name of cards",
    "nvidia/slice-by-memory": "slices, by their memory",
    "nvidia/a10": "too little memory",
    "nvidia/two-vendors": "cards of two vendors: quarantined",
    "amd/single": "partitions under the name of cards",
    "ascend/contradiction": "chip name and type contradict each other: quarantined",
    "ascend/910a": "too little memory, and rings of four",
    "iluvatar/time-slicing": "time-slicing",
    "biren/svi": "four cards are split",
    "kunlunxin/vxpu": "virtual cards",
    "cambricon/env-share": "more units than cards",
    "hygon/share": "shares",
    "metax/sgpu": "slices",
    "enflame/drs": "whole cards that are sliced as well",
}
"""Node of the fixtures -> why no group may be there."""

ODD_FIXTURES = ("kunlunxin/whole", "ascend/910a")
"""Whose plugins give no three cards."""


def nodes() -> tuple[Object, ...]:
    """Node objects: of each vendor as many as a group has members, two vendors a rack, and the decoys."""
    whole = [
        _pool(offer.vendor, offer.path, SIZE, f"rack-{number // 2 + 1}")
        for number, offer in enumerate(OFFERS)
    ]
    decoys = [
        _pool(decoy_node(path).removesuffix("-0"), path, 1, "rack-of-decoys") for path in DECOYS
    ]
    return Fleet(pools=(*whole, *decoys)).nodes()


def decoy_node(path: str) -> str:
    """The name of a decoy's node."""
    return f"not-{path.replace('/', '-')}-0"


def flavors() -> list[Object]:
    """A flavor for each vendor: the same memory and number of cards, and the image for its cards."""
    return [
        {
            "apiVersion": keys.API_VERSION,
            "kind": "Flavor",
            "metadata": {"name": offer.device_class},
            "spec": {
                "deviceClass": offer.device_class,
                "minMemory": MEMORY,
                "cards": CARDS,
                "overlay": {"image": offer.image},
            },
        }
        for offer in OFFERS
    ]


def group() -> Object:
    """A LeaderWorkerSet of one group that asks for these flavors in order."""
    names = ",".join(offer.device_class for offer in OFFERS)
    return _group(SET, {keys.FLAVORS: names})


def any_group() -> Object:
    """As many as there are vendors and one more, which ask for such cards of anybody."""
    spec = [{"name": ANY, "minMemory": MEMORY, "cards": CARDS}]
    found = _group(ANY, {keys.FLAVOR_SPEC: yaml.safe_dump(spec)})
    found["spec"]["replicas"] = len(OFFERS) + 1
    return found


def odd_group() -> Object:
    """One that asks for three cards each, on classes that are never given by three."""
    classes = [_read(path)["expect"]["class"] for path in ODD_FIXTURES]
    spec = [{"name": name, "deviceClass": name, "cards": ODD} for name in classes]
    return _group(f"{SET}-odd", {keys.FLAVOR_SPEC: yaml.safe_dump(spec)})


def _group(name: str, annotations: Object) -> Object:
    """Leader and worker of vLLM over two nodes, without a word of cards."""
    serve = (
        f"vllm serve Qwen/Qwen3-235B-A22B --tensor-parallel-size {CARDS} --pipeline-parallel-size"
        f" {SIZE} --nnodes {SIZE} --node-rank $LWS_WORKER_INDEX --master-addr $LWS_LEADER_ADDRESS"
    )
    leader, worker = (
        {
            "metadata": {"annotations": annotations},
            "spec": {
                "nodeSelector": {POOL: "yes"},
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {"name": "vllm", "image": "vllm", "command": ["sh", "-c"], "args": [command]}
                ],
            },
        }
        for command in (serve, f"{serve} --headless")
    )
    return {
        "apiVersion": f"{LWS_GROUP}/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "leaderWorkerTemplate": {
                "size": SIZE,
                "leaderTemplate": leader,
                "workerTemplate": worker,
            },
        },
    }


def _pool(name: str, path: str, count: int, rack: str) -> Pool:
    labels = {POOL: "yes", RACK: rack, BLOCK: "block-1"}
    return Pool(prefix=name, count=count, device=_device(path), labels=labels)


def _device(path: str) -> Device:
    found = _read(path)
    return Device(
        resources=found["allocatable"],
        labels=found["labels"],
        annotations=found.get("annotations", {}),
    )


def _read(path: str) -> Object:
    found: Object = yaml.safe_load((_FIXTURES / f"{path}.yaml").read_text())
    return found
