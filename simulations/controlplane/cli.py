"""`muster cluster up|down|status`: a local control plane from the command line."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from simulations.controlplane.build import ControlPlaneUnavailable
from simulations.controlplane.cluster import Cluster, Settings, default_folder
from simulations.fleet import Fleet, default_fleet, parse_fleet

if TYPE_CHECKING:  # the type of `add_subparsers()` has no public name
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DEMO = "demo"


def add_arguments(subparsers: Subparsers) -> None:
    """Register `cluster` with its three actions; the handler is `run`."""
    parser = subparsers.add_parser(
        "cluster", help="a local real control plane with simulated nodes (KWOK)"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    up = actions.add_parser("up", help="start it, or continue a stopped one")
    up.add_argument(
        "--nodes",
        metavar="SPEC",
        help=f"nodes to create: {DEMO!r}, or a TOML file with [[pools]]",
    )
    up.add_argument(
        "--scheduler-config",
        type=Path,
        metavar="FILE",
        help="KubeSchedulerConfiguration; default: as it was, or the plain scheduler",
    )
    down = actions.add_parser("down", help="stop it; data and logs stay")
    down.add_argument("--delete", action="store_true", help="remove data and logs too")
    status = actions.add_parser("status", help="what runs, and where")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    for action in (up, down, status):
        action.add_argument("--name", default="muster", help="default: %(default)s")
        action.add_argument("--dir", type=Path, help="folder of all its data")


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say; exit code 0, 1 if it does not run, 2 for unusable input."""
    cluster = Cluster((args.dir or default_folder(args.name)).absolute(), args.name)
    try:
        if args.action == "up":
            return _up(cluster, args)
        if args.action == "down":
            return _down(cluster, delete=args.delete)
        return _status(cluster, as_json=args.output == "json")
    except ControlPlaneUnavailable as error:
        print(f"muster cluster: {error}", file=sys.stderr)
        return 1


def _up(cluster: Cluster, args: argparse.Namespace) -> int:
    try:
        fleet = _fleet(args.nodes)
        if args.scheduler_config is not None:
            args.scheduler_config.read_bytes()
    except (OSError, ValueError) as error:
        print(f"muster cluster: {error}", file=sys.stderr)
        return 2
    nodes = () if fleet is None else fleet.nodes()
    cluster.settings = Settings(
        scheduler_config=args.scheduler_config,
        node_lease_seconds=max(40, len(nodes) // 4),  # some 16 lease renewals a second at most
    )
    cluster.up()
    if nodes:
        present = {node["metadata"]["name"] for node in cluster.api.list("/api/v1/nodes")}
        cluster.add_nodes(node for node in nodes if node["metadata"]["name"] not in present)
    print(f"kube-scheduler {cluster.scheduler_version()}, data in {cluster.folder}")
    print(f"kubeconfig: {cluster.kubeconfig}")
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    if cluster.binaries is not None:
        print(f"export PATH={cluster.binaries.paths['kubectl'].parent}:$PATH")
    return 0


def _down(cluster: Cluster, *, delete: bool) -> int:
    if delete:
        cluster.delete()
    else:
        cluster.down()
    print(f"cluster {cluster.name} is {'deleted' if delete else 'stopped'}")
    return 0


def _status(cluster: Cluster, *, as_json: bool) -> int:
    running = cluster.running()
    version = cluster.scheduler_version() if all(running.values()) else None
    if as_json:
        shown = {
            "name": cluster.name,
            "folder": str(cluster.folder),
            "kubeconfig": str(cluster.kubeconfig),
            "components": running,
            "schedulerVersion": version,
        }
        print(json.dumps(shown))
    else:
        for component, pid in running.items():
            print(f"{component:<24} {'stopped' if pid is None else f'running, pid {pid}'}")
        print(f"folder                   {cluster.folder}")
        if version is not None:
            print(f"kube-scheduler version   {version}")
    return 0 if all(running.values()) else 1


def _fleet(spec: str | None) -> Fleet | None:
    if spec is None:
        return None
    if spec == DEMO:
        return default_fleet()
    try:
        return parse_fleet(tomllib.loads(Path(spec).read_text()))
    except ValueError as error:
        raise ValueError(f"{spec}: {error}") from error
