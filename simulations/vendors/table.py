"""What the run showed, as ``VENDORS.md``, and whether that is what was promised."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from simulations.vendors import fleet
from simulations.vendors.fleet import CARDS, DECOYS, MEMORY, ODD, OFFERS, SIZE, Offer

TABLE, PICTURE = "VENDORS.md", "VENDORS.svg"
_WIDTH = 110
HALF = 6
"""Groups that run when the picture is drawn: some vendors are full, some are not."""

_TEXT = """\
<!-- Written by `make vendors`, from a run on a real control plane. -->
# One workload, twelve vendors

A LeaderWorkerSet of vLLM whose groups have {size} pods. It names no vendor's resource: each of its flavors
asks for {cards} cards of at least {memory}. There are {nodes} nodes: two of every vendor, with the labels and
resources that its plugins write ([fixtures](tests/fixtures/vendors)), among nodes whose units are not what
they seem. The set grows by one group at a time. Muster chooses the flavor, its webhook writes resource and
image into the pods, kube-scheduler binds them.

| flavor | vendor | class | memory | pods request | image | nodes | better flavors |
|---|---|---|---|---|---|---|---|
{rows}

One group more waits:

{waiting}

After the {half}th group (`muster topology -o svg`):

![nodes in racks, their cards in the colour of the vendor, filled when in use]({picture})

## Anybody's cards

The same with one flavor, `{{minMemory: {memory}, cards: {cards}}}`, without a list of classes, and all groups
at once. One waits, and there is one on each of these classes:
{anybody}.

## Where nothing went

When all was placed, no pod stood on one of these nodes:

| node | what it has |
|---|---|
{decoys}

A group that asks for {odd} cards of vendors who give no {odd}:

{odd_text}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Where one group landed, as the cluster shows it."""

    group: str
    flavor: str
    rank: int
    """From 0."""
    resources: tuple[str, ...]
    """``name: number`` of the extended resources that its pods request; one, if all pods are alike."""
    images: tuple[str, ...]
    nodes: tuple[str, ...]
    passed_over: tuple[tuple[str, str], ...]
    """Better flavors, and why not these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the run showed."""

    landings: tuple[Landing, ...]
    waiting: str
    """What the group says for which no vendor is left."""
    anybody: tuple[str, ...]
    """Classes under the groups that ask for anybody's cards, sorted; each is on one."""
    odd: str
    """What the group says that asks for three cards of those who give no three."""
    used_decoys: tuple[str, ...]
    """Nodes with pods that are none of the vendors' whole nodes; must be empty."""
    picture: str


def document(outcome: Outcome) -> str:
    """``VENDORS.md``."""
    return _TEXT.format(
        size=SIZE,
        cards=CARDS,
        memory=MEMORY,
        odd=ODD,
        rows="\n".join(_row(offer, landing) for offer, landing in _pairs(outcome)),
        waiting=_quoted(outcome.waiting),
        anybody=textwrap.fill(", ".join(outcome.anybody), _WIDTH, break_on_hyphens=False),
        nodes=len(fleet.nodes()),
        decoys="\n".join(f"| `{fleet.decoy_node(path)}` | {why} |" for path, why in DECOYS.items()),
        odd_text=_quoted(outcome.odd),
        picture=PICTURE,
        half=HALF,
    )


def as_promised(outcome: Outcome) -> bool:
    """Every group is whole on the next vendor in order, with its cards and image; the decoys are empty."""
    return (
        len(outcome.landings) == len(OFFERS)
        and all(
            landing.flavor == offer.device_class
            and landing.rank == rank
            and landing.nodes == offer.nodes
            and landing.resources == (f"{offer.resource}: {CARDS}",)
            and landing.images == (offer.image,)
            and len(landing.passed_over) == rank
            for rank, (offer, landing) in enumerate(_pairs(outcome))
        )
        and sorted(outcome.anybody) == sorted(offer.device_class for offer in OFFERS)
        and outcome.used_decoys == ()
        and outcome.odd.count(f"{ODD} cards") >= 2
    )


def _pairs(outcome: Outcome) -> Iterator[tuple[Offer, Landing]]:
    return zip(OFFERS, outcome.landings, strict=True)


def _row(offer: Offer, landing: Landing) -> str:
    cells = (
        str(landing.rank + 1),
        offer.vendor,
        landing.flavor,
        f"{offer.memory_gib:g} GiB",
        ", ".join(f"`{text}`" for text in landing.resources),
        ", ".join(f"`{text}`" for text in landing.images),
        ", ".join(landing.nodes),
        _better(landing),
    )
    return f"| {' | '.join(cells)} |"


def _better(landing: Landing) -> str:
    """What was wrong with the flavors before, in the first words of each reason."""
    reasons = sorted({message.partition(" (")[0] for _, message in landing.passed_over})
    flavors = "1" if landing.rank == 1 else f"1 to {landing.rank}"
    return f"{flavors}: {', '.join(reasons)}" if reasons else "none"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False))
