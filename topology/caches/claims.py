"""What a cache source says, and what follows for one model on one node.

A source reads one object at a time into *claims*: a ``Copy`` is about a model on a node, an ``Entry`` about
the model itself. Both name the model by a key of the source; claims of one key are joined, whichever objects
they come from, and whatever the order in which these were seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from topology.model import Problem
from topology.resources import MAX_AMOUNT, parse_quantity

NVME = "nvme"
"""The tier of a copy on a node's disk when nothing else is said: what caches of models are made of."""
MEMORY = "memory"
TIERS = frozenset({MEMORY, NVME, "ssd", "hdd", "network"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A model on a node, as one object says."""

    node: str
    model: str
    """The source's key of the model."""
    complete: bool = False
    """Whether all files are there and ready; a download under way is not."""
    bytes: int | None = None
    """Bytes that are there; None when the source does not say."""
    tier: str = NVME
    observed_seconds: int | None = None
    """When this was found out, seconds since the epoch; None where the object is always current."""
    rate: int | None = None
    """Measured bytes per second of the disk; None: what the policy says of the tier."""
    worker: bool = False
    """Whether this is no copy but a cache worker that runs there, with an unknown part of the model."""
    parts: frozenset[str] = frozenset()
    """Parts of the model that are there, where completeness is a matter of ``Entry.parts``."""
    revisions: tuple[str, ...] = ()
    """All names of the revision that is there; empty where only the entry says, or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model, as one object says."""

    model: str
    """The source's key of the model."""
    names: tuple[str, ...]
    """Names (``identity.read_name``) under which gangs ask for it."""
    revisions: tuple[str, ...] = ()
    """All names of its revision; empty when it is not known which."""
    bytes: int | None = None
    """Size of the whole model."""
    namespace: str = ""
    """Only gangs of this namespace may use the copies; empty: all."""
    permille: int = 0
    """How much of the model the workers hold together, in thousandths."""
    parts: frozenset[str] = frozenset()
    """All parts of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """All that one object says."""

    copies: tuple[Copy, ...] = ()
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def models(self) -> frozenset[str]:
        """The keys that they are about."""
        copied = {copy.model for copy in self.copies}
        return frozenset(copied | {entry.model for entry in self.entries})


@dataclass(frozen=True, slots=True, kw_only=True)
class Residency:
    """A model on a node under one of its names: what a decision is made on."""

    model: str
    """Name as ``identity.read_name`` gives it."""
    node: str
    source: str
    """``NAME`` of the cache source."""
    revisions: tuple[str, ...] = ()
    """All names of the revision that is there; empty when it is not known which."""
    tier: str = NVME
    bytes: int | None = None
    """Of a complete copy the size of the model, of a worker that of the whole dataset; else what is there, as
    far as that is known."""
    complete: bool = False
    observed_seconds: int | None = None
    """See ``Copy``."""
    rate: int | None = None
    """See ``Copy``."""
    namespace: str = ""
    """See ``Entry``."""
    worker: bool = False
    """See ``Copy``; ``permille`` is then what all workers hold together."""
    permille: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the entries of one key say together about the model under one of its names."""

    common: Residency
    """With an empty node."""
    parts: frozenset[str]


def frame(source: str, name: str, entries: Iterable[Entry]) -> Frame | None:
    """The frame of one key's entries; None when none of them has the name."""
    known = [entry for entry in entries if name in entry.names]
    if not known:
        return None
    said = {entry.revisions for entry in known if entry.revisions}
    # Two revisions under one key: nobody knows which one is there, so it is none that can be asked for.
    revisions = min(said, default=()) if len(said) < 2 else (" or ".join(sum(sorted(said), ())),)
    return Frame(
        common=Residency(
            model=name,
            node="",
            source=source,
            revisions=revisions,
            bytes=max((e.bytes for e in known if e.bytes is not None), default=None),
            # Who may use it must be said alike by all.
            namespace=max(entry.namespace for entry in known),
            permille=min(entry.permille for entry in known),
        ),
        parts=frozenset[str]().union(*(entry.parts for entry in known)),
    )


def joined(framed: Frame, copies: Sequence[Copy]) -> Residency:
    """The model on the one node that ``copies`` are about.

    What two objects say is about the same copy: it is complete only if none denies it, and as old as the
    oldest of them.
    """
    common, first = framed.common, copies[0]
    parts = frozenset[str]().union(*(copy.parts for copy in copies))
    complete = (
        bool(framed.parts) and framed.parts <= parts
        if parts
        else all(copy.complete for copy in copies)
    )
    worker = any(copy.worker for copy in copies)
    whole = complete or worker
    return Residency(
        model=common.model,
        node=first.node,
        source=common.source,
        revisions=min(copy.revisions for copy in copies) or common.revisions,
        tier=min(copy.tier for copy in copies),
        bytes=_least(copy.bytes for copy in copies) or (common.bytes if whole else None),
        complete=complete,
        observed_seconds=_least(copy.observed_seconds for copy in copies),
        rate=_least(copy.rate for copy in copies),
        namespace=common.namespace,
        worker=worker,
        permille=common.permille,
    )


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


def size(value: object) -> int | None:
    """Bytes of a Kubernetes quantity, or of one with a ``B`` behind it as Fluid writes it (``340.00GiB``).

    None when it is none, or nothing.
    """
    shown = value.removesuffix("B") if isinstance(value, str) else value
    try:
        found = int(parse_quantity(shown))
    except ValueError:
        return None
    return min(found, MAX_AMOUNT) if found > 0 else None


def whole(value: Any) -> int | None:
    """``value`` if it is a JSON integer that can be a number of bytes."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_AMOUNT else None
