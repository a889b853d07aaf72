"""``muster status``: gangs, reservations, and the free capacity per flavor and domain."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from extender.tools import table
from extender.tools.documents import InputError, reports_bad_input
from extender.tools.domains import free_cards
from extender.tools.inputs import Inputs, add_cluster, add_files, load_or_ask
from scheduler.gang_object import object_name, read_record
from scheduler.snapshot import NodeState, Snapshot
from topology.model import Flavor, Node

Rows = Sequence[tuple[str, ...]]

_CLEAR = "\x1b[2J\x1b[H"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``muster status``."""
    add_files(parser, required=False)
    add_cluster(parser)
    parser.add_argument("--level", help="level of the domains (default: the outermost)")
    parser.add_argument(
        "-w",
        "--watch",
        nargs="?",
        type=float,
        const=2.0,
        metavar="SECONDS",
        help="show it again every 2 (or SECONDS) seconds",
    )


@reports_bad_input
def run(args: argparse.Namespace) -> int:
    """Print the tables once, or again and again with ``--watch``."""
    while True:
        inputs = load_or_ask(args)
        text = "\n".join(_lines(inputs, args.level, datetime.now(UTC)))
        print(f"{_CLEAR}{text}" if args.watch and sys.stdout.isatty() else text, flush=True)
        if not args.watch:
            return 0
        time.sleep(args.watch)


def _lines(inputs: Inputs, level: str | None, now: datetime) -> Iterator[str]:
    limit = table.width()
    parts = (
        (
            ("GANG", "MEMBERS", "PHASE", "FLAVOR", "DOMAIN", "REASON", "AGE"),
            _gangs(inputs, now),
            "no gangs",
        ),
        (
            ("WAITS FOR NODES", "FLAVOR", "MORE NODES", "LIKE", "COST PER HOUR"),
            _scale_out(inputs),
            "",
        ),
        (("RESERVED FOR", "PLACES", "NODES"), _reservations(inputs.snapshot), "no reservations"),
        (
            ("FLAVOR", "DOMAIN", "FREE CARDS", "FREE NODES"),
            _capacity(inputs, _depth(inputs.snapshot, level)),
            "no accelerators",
        ),
    )
    shown = [part for part in parts if part[1] or part[2]]
    for index, (headers, rows, nothing) in enumerate(shown):
        if index:
            yield ""
        yield table.render(headers, rows, limit) if rows else nothing


def _depth(snapshot: Snapshot, level: str | None) -> int:
    if level is None:
        return 0
    if level not in snapshot.levels:
        raise InputError(f"--level {level}: levels are {', '.join(snapshot.levels)}")
    return snapshot.levels.index(level)


def _gangs(inputs: Inputs, now: datetime) -> Rows:
    rows = []
    for gang in inputs.snapshot.gangs:
        obj = inputs.gang_objects.get(f"{gang.namespace}/{object_name(gang.name)}", {})
        status: Mapping[str, Any] = obj.get("status") or {}
        running = sum(len(podset.running) for podset in gang.podsets)
        rows.append(
            (
                gang.key,
                f"{running}/{gang.size}",
                str(status.get("phase") or "-"),
                str(status.get("flavor") or "-"),
                str(status.get("domain") or "-"),
                str(status.get("reason") or (gang.blocked.code.value if gang.blocked else "-")),
                _age((obj.get("metadata") or {}).get("creationTimestamp"), now),
            )
        )
    return rows


def _scale_out(inputs: Inputs) -> Rows:
    """One row for each flavor that more nodes would help, as the service wrote it into the Gang."""
    rows = []
    for gang in inputs.snapshot.gangs:
        obj = inputs.gang_objects.get(f"{gang.namespace}/{object_name(gang.name)}", {})
        record = read_record(obj)
        for one in record.scale_out if record else ():
            if one.nodes is not None:
                count = f"at most {one.nodes}" if one.at_most else str(one.nodes)
                cost = f"{one.cost_per_hour or '-'}{' (cheapest)' if one.cheapest else ''}"
                rows.append((gang.key, one.flavor or "-", count, one.like or "-", cost))
    return rows


def _age(created: object, now: datetime) -> str:
    try:
        seconds = int((now - datetime.fromisoformat(str(created))).total_seconds())
    except (ValueError, TypeError):
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _reservations(snapshot: Snapshot) -> Rows:
    return [
        (
            reservation.key,
            str(len(reservation.slots)),
            table.names(sorted(slot.node for slot in reservation.slots)),
        )
        for reservation in snapshot.reservations
        if reservation.slots
    ]


def _capacity(inputs: Inputs, depth: int) -> Rows:
    """One row per flavor and domain that has cards of it; device classes when there are no flavors."""
    snapshot, free = inputs.snapshot, free_cards(inputs.snapshot)
    flavors = inputs.flavors or _device_classes(snapshot)
    rows = []
    for flavor in flavors:
        for domain in snapshot.tree.domains[depth]:
            states = [s for s in snapshot.nodes[domain.lo : domain.hi] if _serves(s.node, flavor)]
            if states:
                where = f"{snapshot.levels[depth]} {domain.name}" if domain.known else "unknown"
                rows.append((flavor.name, where, *_counts(states, free)))
    return rows


def _counts(states: Sequence[NodeState], free: Mapping[str, int]) -> tuple[str, str]:
    """Free of all cards, and nodes with all their cards free of all nodes."""
    cards = [(state.node.accelerator.count if state.node.accelerator else 0) for state in states]
    left = [free[state.node.name] if state.usable else 0 for state in states]
    whole = sum(have == count for have, count in zip(left, cards, strict=True))
    return f"{sum(left)}/{sum(cards)}", f"{whole}/{len(states)}"


def _device_classes(snapshot: Snapshot) -> list[Flavor]:
    cards = (state.node.accelerator for state in snapshot.nodes)
    names = sorted({card.device_class for card in cards if card})
    return [Flavor(name=name, device_class=name) for name in names]


def _serves(node: Node, flavor: Flavor) -> bool:
    cards = node.accelerator
    if any(node.labels.get(key) != value for key, value in flavor.node_selector.items()):
        return False
    if cards is None:
        return False
    if flavor.device_class not in (None, cards.device_class):
        return False
    least = flavor.min_memory_bytes
    return least is None or (cards.memory_bytes is not None and cards.memory_bytes >= least)
