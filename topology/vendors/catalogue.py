"""The form of a catalogue entry. How a node is read by it: ``topology.vendors.reading``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from topology.allocation import CardRule
from topology.model import Accelerator

RESOURCE = "resource"
"""Instead of a label's name: the name of the resource that counts the cards."""
BESIDE = "beside"
"""Instead of a label's name: the names of the other resources that the node has some of."""
REGISTERED = "registered"
"""Instead of a label's name: the product in HAMi's register."""


def like(text: str, glob: str) -> bool:
    """Whether what a plugin or a person wrote matches, in whatever case it was written."""
    return fnmatchcase(text.lower(), glob.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """Nodes of a class like ``classes``, with such labels and at least so many cards, follow ``rule``."""

    classes: str
    rule: CardRule
    cards: int = 0
    """Cards installed, the least number."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Label -> glob for its value."""

    def fits(self, accelerator: Accelerator, labels: Mapping[str, str]) -> bool:
        """Whether the row is about a node with these cards and labels."""
        return (
            fnmatchcase(accelerator.device_class, self.classes)
            and self.cards <= accelerator.size
            and all(like(labels.get(key, ""), glob) for key, glob in self.labels.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """A sign that units are not whole cards: the value of ``by`` is like one of ``globs``."""

    by: str
    globs: tuple[str, ...]
    means: str
    """What it is, as the end of a sentence on the units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOff:
    """How a scheduler tells the vendor's plugin which devices a pod gets: annotations of the pod at bind."""

    devices: Mapping[str, str]
    """Annotation -> one device in its list, with ``{index}`` or ``{id}``; commas between. Of several
    annotations that is meant which has the name of the requested resource."""
    time: str = ""
    """Annotation with a time, nanoseconds since the epoch; the pod with the oldest is served first."""
    node: str = ""
    """Annotation with the name of the node."""
    when: str
    """The setting under which the plugin reads them."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What vLLM needs on some classes of a vendor. A class without an engine is not supported by vLLM."""

    package: str
    """Python package of the platform; empty where vLLM itself has it."""
    plugin: str = ""
    """Its name in ``VLLM_PLUGINS``, where known."""
    image_key: str
    """Which build of the image: classes with different keys cannot share one."""
    image: str = ""
    """Repository of public images, where there are some."""
    visible_devices: tuple[str, ...] = ()
    """Environment variables that choose devices inside a container."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How one vendor's plugins show cards on a node, and what else the vendor's cards need."""

    name: str
    resources: tuple[str, ...]
    """Every name under which whole cards are advertised; all others of these domains are parts of cards."""
    renamable: bool = False
    """Whether its plugin can call the cards otherwise; then its product labels tell whose they are."""
    classes: Mapping[str, int | None] = field(default_factory=dict)
    """Device class -> GiB of one card that the product is sold with, None where the label has to tell. A name
    ends with the memory where a product was sold with more than one size."""
    families: Mapping[str, str] = field(default_factory=dict)
    """Class -> glob of the classes that are kinds of it; of other classes those with its name and a dash."""
    products: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Label (or ``RESOURCE``, ``REGISTERED``) -> glob -> class. In each the first glob that matches counts;
    what different labels say must agree."""
    product_labels: tuple[str, ...] = ()
    """The first that is there names the product where no glob matches."""
    per_product: str = ""
    """Prefix of labels of which there is one for each product on the node."""
    memory_labels: tuple[str, ...] = ()
    memory_unit: str = ""
    """Unit of a memory label's bare number, e.g. ``Mi``."""
    memory_parts: Mapping[str, int] = field(default_factory=dict)
    """Resource that counts parts of all cards' memory -> MiB of a part; read beside one of ``counts``."""
    scale_up: str = ""
    """Label of the NVLink or super-pod domain."""
    rules: tuple[RuleRow, ...] = ()
    """Allocation rules inside a node; the first row that fits counts, without one any cards go together."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Label or resource that tells how many cards there are -> what it counts for each card."""
    slots: tuple[str, ...] = ()
    """Those of ``resources`` that are always HAMi's slots, of which a card has several."""
    registers: tuple[str, ...] = ()
    """Annotations of nodes with HAMi's register of this vendor's devices."""
    sharing: tuple[Sharing, ...] = ()
    handoff: HandOff | None = None
    """None where the kubelet chooses: a scheduler decides on numbers only."""
    engines: Mapping[str, Engine] = field(default_factory=dict)
    """Glob of classes -> what vLLM needs there; the first that matches counts."""

    def device(self, resource: str) -> tuple[str, str] | None:
        """The annotation that names the devices of pods with this resource, and the form of one device."""
        known = self.handoff.devices if self.handoff else {}
        if len(known) == 1:
            return next(iter(known.items()))
        return (resource, known[resource]) if resource in known else None

    def engine(self, device_class: str) -> Engine | None:
        """What vLLM needs on a class; None where it does not run."""
        found = (one for glob, one in self.engines.items() if fnmatchcase(device_class, glob))
        return next(found, None)
