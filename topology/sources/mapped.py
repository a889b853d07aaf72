"""From a fabric to what it says of nodes: shared by the sources that know switches and cables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from topology.fabric import Fabric, leaves_of, planes
from topology.model import PathStep, Problem
from topology.sources.survey import Position, Rank, Survey

_LEVELS = {1: "spine", 2: "core"}


def surveyed(
    fabric: Fabric,
    problems: Iterable[Problem] = (),
    scale_up: Mapping[str, str] = {},
    aliases: Mapping[str, str] = {},
) -> Survey:
    """The leaves of each host; around each leaf the parts of the fabric that hang together below a tier."""
    tiers = {switch.tier for switch in fabric.switches if switch.tier}
    around = [(_LEVELS.get(tier, f"tier-{tier}"), planes(fabric, tier)) for tier in sorted(tiers)]
    above = {
        leaf.name: tuple(
            PathStep(level=level, key=fabric.source, value=named[leaf.name])
            for level, named in reversed(around)
            if leaf.name in named
        )
        for leaf in fabric.leaves
    }
    leaves = leaves_of(fabric)
    return Survey(
        source=fabric.source,
        positions={
            host: Position(
                source=fabric.source,
                rank=Rank.FABRIC,
                leaves=leaves.get(host, frozenset()),
                scale_up=scale_up.get(host),
            )
            for host in sorted({*leaves, *scale_up})
        },
        aliases=aliases,
        above=above,
        problems=tuple(problems),
        fabric=fabric,
    )
