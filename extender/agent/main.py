"""``muster agent``: scan this node, print it or report it to the service."""

from __future__ import annotations

import argparse
import json
import os
import socket
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


def run(args: argparse.Namespace) -> int:
    """Print one report, or report until SIGTERM."""
    print(_shown(node_topology(_node(args), collect(args)), args.output))
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
