"""A network as a fabric map shows it: switches, adapters of hosts, links. Frozen values and what follows.

The tier of a switch is its distance from the hosts: 0 is a leaf, which has an adapter of a host. Adapters
that switches themselves have for collective operations are not hosts (NVIDIA SHARP aggregation nodes).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One switch."""

    id: str
    """Unique in the fabric, such as its node GUID."""
    name: str
    tier: int | None = None
    """0 for a leaf; None when no link says how far it is from the hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One channel adapter or network card."""

    id: str
    """Unique in the fabric, such as its node GUID."""
    description: str = ""
    host: str | None = None
    """Name of its node; None when the fabric does not know it."""
    device: str = ""
    """Its name on the host, such as ``mlx5_5``."""
    aggregation: bool = False
    """Part of a switch, not of a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A cable between two ports, named once: ``a`` is the smaller id."""

    a: str
    b: str
    a_port: str = ""
    b_port: str = ""
    kind: str = ""
    """Width and speed as the source names them, such as ``4xNDR``."""
    gbps: int | None = None
    """Data rate in Gb/s of one direction."""


TIERS: Mapping[int, str] = {0: "leaf", 1: "spine", 2: "core"}
"""The level whose domains are left through the uplinks of a tier of switches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """How narrow the way out of the domains of a level is: its narrowest switch."""

    level: str
    down: int
    """Gb/s of its cables towards hosts."""
    up: int
    """Gb/s of its cables away from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """One network. Parts are in the order of their ids."""

    source: str
    switches: tuple[Switch, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    links: tuple[Link, ...] = ()
    uplinks: tuple[Uplink, ...] = ()
    """One for each level that is left through switches with cables up and down."""
    host_gbps: int | None = None
    """Gb/s of all cables of a host, the (lower) median of the hosts; None where nothing is known of them."""

    @property
    def leaves(self) -> tuple[Switch, ...]:
        """Switches with an adapter of a host."""
        return tuple(switch for switch in self.switches if switch.tier == 0)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of the hosts, sorted."""
        return tuple(sorted({adapter.host for adapter in self.adapters if adapter.host}))


def made(
    source: str, switches: Mapping[str, str], adapters: Iterable[Adapter], links: Iterable[Link]
) -> Fabric:
    """A fabric of switches (id -> name), adapters and links, with the tiers found and links named once."""
    cards = sorted({card.id: card for card in adapters}.values(), key=lambda card: card.id)
    cables = sorted(set(links), key=lambda link: (link.a, link.a_port, link.b, link.b_port))
    tiers = _tiers(switches, cards, cables)
    named = Counter(switches.values())
    return Fabric(
        source=source,
        switches=tuple(
            Switch(
                id=switch,
                # Unmanaged switches keep the description that they were made with, all the same one.
                name=name if named[name] == 1 else told_apart(name, switch),
                tier=tiers.get(switch),
            )
            for switch, name in sorted(switches.items())
        ),
        adapters=tuple(cards),
        links=tuple(cables),
        uplinks=_uplinks(tiers, {card.id for card in cards if not card.aggregation}, cables),
        host_gbps=_host_gbps(cards, cables),
    )


def told_apart(name: str, switch: str) -> str:
    """The name of a switch whose name others have as well."""
    return f"{name} ({switch})"


def link(a: tuple[str, str], b: tuple[str, str], kind: str = "", gbps: int | None = None) -> Link:
    """The link between two (id, port), whichever end saw it."""
    low, high = sorted((a, b))
    return Link(a=low[0], a_port=low[1], b=high[0], b_port=high[1], kind=kind, gbps=gbps)


def _tiers(
    switches: Mapping[str, str], adapters: Iterable[Adapter], links: Iterable[Link]
) -> dict[str, int]:
    """Distance of each switch from the nearest host, 0 where an adapter hangs on it."""
    hosts = {adapter.id for adapter in adapters if not adapter.aggregation}
    beside: dict[str, set[str]] = {}
    for cable in links:
        beside.setdefault(cable.a, set()).add(cable.b)
        beside.setdefault(cable.b, set()).add(cable.a)
    ring = {switch for switch in switches if beside.get(switch, set()) & hosts}
    tiers: dict[str, int] = {}
    tier = 0
    while ring:
        tiers |= dict.fromkeys(ring, tier)
        ring = {
            other
            for switch in ring
            for other in beside.get(switch, ())
            if other in switches and other not in tiers
        }
        tier += 1
    return tiers


def _uplinks(
    tiers: Mapping[str, int], hosts: Collection[str], links: Iterable[Link]
) -> tuple[Uplink, ...]:
    height = {**dict.fromkeys(hosts, -1), **tiers}
    down: dict[str, int] = {}
    up: dict[str, int] = {}
    for cable in links:
        low, high = sorted((cable.a, cable.b), key=lambda end: height.get(end, -2))
        if cable.gbps and low in height and height[low] < height[high]:
            up[low] = up.get(low, 0) + cable.gbps
            down[high] = down.get(high, 0) + cable.gbps
    found: dict[str, Uplink] = {}
    for switch in sorted(tiers.keys() & down.keys() & up.keys()):
        level = TIERS.get(tiers[switch], "")
        one = Uplink(level=level, down=down[switch], up=up[switch])
        other = found.get(level, one)
        if level and one.down * other.up >= other.down * one.up:
            found[level] = one
    return tuple(found[level] for level in TIERS.values() if level in found)


def _host_gbps(adapters: Iterable[Adapter], links: Iterable[Link]) -> int | None:
    host = {card.id: card.host for card in adapters if card.host and not card.aggregation}
    found: dict[str, int] = {}
    for cable in links:
        for end in (cable.a, cable.b):
            if (name := host.get(end)) and cable.gbps:
                found[name] = found.get(name, 0) + cable.gbps
    return sorted(found.values())[(len(found) - 1) // 2] if found else None


def leaves_of(fabric: Fabric) -> dict[str, frozenset[str]]:
    """The leaf switches of each host, by name."""
    leaf = {switch.id: switch.name for switch in fabric.leaves}
    host = {card.id: card.host for card in fabric.adapters if card.host and not card.aggregation}
    found: dict[str, set[str]] = {}
    for cable in fabric.links:
        for end, other in ((cable.a, cable.b), (cable.b, cable.a)):
            if (name := host.get(end)) and other in leaf:
                found.setdefault(name, set()).add(leaf[other])
    return {name: frozenset(found[name]) for name in sorted(found)}


def planes(fabric: Fabric, tier: int) -> dict[str, str]:
    """For each leaf, the part of the fabric that hangs together without switches above ``tier``.

    A part is named by its first switch of that tier. Leaves of one part reach each other below it.
    """
    inside = {s.id: s for s in fabric.switches if s.tier is not None and s.tier <= tier}
    beside: dict[str, list[str]] = {}
    for cable in fabric.links:
        if cable.a in inside and cable.b in inside:
            beside.setdefault(cable.a, []).append(cable.b)
            beside.setdefault(cable.b, []).append(cable.a)
    named: dict[str, str] = {}
    seen: set[str] = set()
    for start in sorted(inside):
        if start in seen:
            continue
        part, edge = {start}, [start]
        while edge:
            fresh = [other for other in beside.get(edge.pop(), ()) if other not in part]
            part.update(fresh)
            edge.extend(fresh)
        seen |= part
        tops = sorted(inside[switch].name for switch in part if inside[switch].tier == tier)
        if tops:
            named |= {inside[s].name: tops[0] for s in part if inside[s].tier == 0}
    return named


def set_name(names: Iterable[str]) -> str:
    """One name for a set: what all share in front, the rest in braces, as a shell would write it."""
    ordered = sorted(set(names))
    if len(ordered) < 2:
        return "".join(ordered)
    shared = _shared(ordered[0], ordered[-1])
    return f"{shared}{{{','.join(name[len(shared) :] for name in ordered)}}}"


def _shared(first: str, last: str) -> str:
    """What the first and the last of sorted names, and so all, begin with; numbers are not cut."""
    length = next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    return re.sub(r"[0-9]+$", "", first[:length])
