"""``muster agent``: scan this node, print it or report it to the service."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from extender.agent.probes import texts
from extender.agent.root import Overlay, Root
from scheduler.keys import API_VERSION
from topology.scan import MODEL_DIRS, Settings, scan
from topology.scan.report import Report, document

_HOSTNAME = "/proc/sys/kernel/hostname"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``muster agent``."""
    parser.add_argument("--once", action="store_true", help="print one NodeTopology and exit")
    parser.add_argument(
        "-o", "--output", choices=("json", "yaml"), default="json", help="default: json"
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help="where the host's files are: its own root mounted somewhere, or a captured tree",
    )
    parser.add_argument("--node", help="name of the node (default: $NODE_NAME, the host's name)")
    parser.add_argument(
        "--models",
        action="append",
        metavar="DIR",
        help=f"directory of models on the host; may be repeated (default: {', '.join(MODEL_DIRS)})",
    )
    parser.add_argument(
        "--commands",
        action=argparse.BooleanOptionalAction,
        help="run the vendors' tools (default: if the root is /)",
    )
    parser.add_argument("--server", metavar="HOST:PORT", help="the service's gRPC address")
    parser.add_argument(
        "--ca", type=Path, metavar="FILE", help="authority of its certificate; none: plain text"
    )
    parser.add_argument(
        "--token", type=Path, metavar="FILE", help="token of the agent's service account"
    )
    parser.add_argument(
        "--interval", type=float, default=30, metavar="SECONDS", help="between scans (default: 30)"
    )


def run(args: argparse.Namespace) -> int:
    """Print one report, or report until SIGTERM."""
    if args.once:
        print(_shown(node_topology(_node(args), collect(args)), args.output))
        return 0
    if not args.server:
        print(
            "muster agent: give --server HOST:PORT to report, or --once to print", file=sys.stderr
        )
        return 2
    return asyncio.run(_report(args))


async def _report(args: argparse.Namespace) -> int:
    from extender import logs
    from extender.agent.stream import Reporter, Target, Timing

    logs.configure("info", json=not sys.stderr.isatty())

    async def status() -> dict[str, Any]:
        found: dict[str, Any] = document(await asyncio.to_thread(collect, args))
        return found

    reporter = Reporter(
        _node(args),
        status,
        Target(address=args.server, ca=args.ca, token=args.token),
        Timing(scan=args.interval),
    )
    work = asyncio.create_task(reporter.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    return 0


def collect(args: argparse.Namespace) -> Report:
    """Scan the host once."""
    root = Root(args.root)
    commands = str(args.root) == "/" if args.commands is None else args.commands
    settings = Settings(
        collected_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        version=_version(),
        root=str(args.root),
        model_dirs=tuple(args.models or MODEL_DIRS),
    )
    return scan(Overlay(root, texts()) if commands else root, settings)


def node_topology(node: str, report: Report) -> dict[str, Any]:
    """The object that holds a report."""
    return {
        "apiVersion": API_VERSION,
        "kind": "NodeTopology",
        "metadata": {"name": node},
        "status": document(report),
    }


def _node(args: argparse.Namespace) -> str:
    named = args.node or os.environ.get("NODE_NAME") or Root(args.root).read(_HOSTNAME)
    return (named or socket.gethostname()).strip()


def _version() -> str:
    from importlib.metadata import version

    return version("muster")


def _shown(obj: dict[str, Any], form: str) -> str:
    if form == "json":
        return json.dumps(obj, indent=1)
    import yaml

    return yaml.safe_dump(obj, sort_keys=False).rstrip()
