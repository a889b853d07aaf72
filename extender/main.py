"""``muster serve``: the composition root. Everything is constructed and joined here, and only here."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog
import yaml
from aiohttp import web

from extender import certs, logs
from extender.config import Config, ConfigError, dump, load
from extender.engine import Engine
from extender.executor import Executor
from extender.kube_writes import KubeWrites
from extender.metrics import Metrics
from extender.reporter import Reporter
from extender.reports import KubeReports
from extender.rest import build_app
from extender.rpc import RpcServer, start_rpc
from extender.service import Service
from extender.solver_process import SolverProcess
from extender.views import Views
from scheduler.keys import LEASE
from scheduler.kube.auth import KubeConfigError
from scheduler.kube.client import ApiError, KubeClient
from scheduler.kube.events import EventRecorder
from scheduler.kube.lease import LeaderElection, LeaseTiming, own_pod
from scheduler.kube.reflector import Emit, Verb
from scheduler.kube.watches import Watches, standard_sources
from scheduler.ledger import Ledger
from scheduler.model import GangAssignment
from scheduler.state import ClusterState

log = structlog.get_logger("muster")

# kube-scheduler keeps idle connections for 90 s and never repeats a POST on one that we closed.
_KEEP_ALIVE_SECONDS = 120
_GRACE_SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``muster serve``; the configuration file knows every setting."""
    parser.add_argument("--config", metavar="FILE", help="YAML file with settings")
    parser.add_argument("--print-config", action="store_true", help="print the settings and exit")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one setting, over the file; VALUE is YAML, KEY may be policy.X or limits.X",
    )
    for flag, text in (
        ("--kubeconfig", "path of a kubeconfig (default: in-cluster, $KUBECONFIG)"),
        ("--listen", "HOST:PORT of the HTTPS server"),
        ("--grpc-listen", "HOST:PORT of the gRPC server, empty for none"),
        ("--tls-dir", "folder with tls.crt, tls.key, ca.crt"),
    ):
        parser.add_argument(flag, help=text)
    parser.add_argument(
        "--guarded", action="store_true", default=None, help="guarded configuration"
    )


def run(args: argparse.Namespace) -> int:
    """Run the service until SIGTERM or SIGINT."""
    try:
        config = read_config(args)
    except (ConfigError, OSError, yaml.YAMLError) as error:
        print(f"muster serve: {error}", file=sys.stderr)
        return 2
    if args.print_config:
        print(yaml.safe_dump(dump(config), sort_keys=False), end="")
        return 0
    logs.configure(config.log_level, json=config.log_json)
    with SolverProcess() as solver:
        return asyncio.run(_serve(config, solver))


def read_config(args: argparse.Namespace) -> Config:
    """File, then ``--set``, then flags. Raises ``ConfigError``, ``OSError`` or ``yaml.YAMLError``."""
    values: dict[str, Any] = {}
    if args.config:
        document = yaml.safe_load(Path(args.config).read_text()) or {}
        if not isinstance(document, Mapping):
            raise ConfigError(f"{args.config}: expected a mapping of settings")
        values.update(document)
    for item in args.set:
        key, equals, text = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item!r}: expected KEY=VALUE")
        group, dot, name = key.partition(".")
        if dot:
            values[group] = {**values.get(group, {}), name: yaml.safe_load(text)}
        else:
            values[key] = yaml.safe_load(text)
    for name in ("kubeconfig", "listen", "grpc_listen", "tls_dir", "guarded"):
        if getattr(args, name) is not None:
            values[name] = getattr(args, name)
    return load(values)


async def _serve(config: Config, solver: SolverProcess) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with KubeClient(config.kubeconfig or None) as client:
            parts = _assemble(config, client, solver)
            await _run_until(stop, _run_service(config, client, parts))
    except (KubeConfigError, certs.CertificateError, ApiError) as error:
        print(f"muster serve: {error}", file=sys.stderr)
        return 1
    return 0


async def _run_until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` until ``stop``; its own failure ends it, too, and is raised."""
    service = asyncio.create_task(work)
    waiter = asyncio.create_task(stop.wait())
    await asyncio.wait([service, waiter], return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    waiter.cancel()
    if service.done():
        service.result()
    service.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await service


def _assemble(config: Config, client: KubeClient, solver: SolverProcess) -> Service:
    metrics = Metrics()
    ledger = Ledger()
    state = ClusterState(
        rewrites=config.rewrites,
        compatibility=config.compatibility,
        schedulers=config.schedulers,
    )
    writes = KubeWrites(client, EventRecorder(client, _identity(config)))
    latest: dict[str, GangAssignment] = {}
    reporter = Reporter(config, state, ledger, writes, latest)
    executor = Executor(config, state, ledger, writes, reporter, metrics)
    engine = Engine(config, state, ledger, executor, solver.solve, metrics, latest)
    executor.outcomes = engine.follower
    reporter.leading = lambda: engine.leading
    service = Service(config, state, ledger, engine, executor, reporter, metrics)
    metrics.picture = service.picture
    return service


def _identity(config: Config) -> str:
    """Host and port: a restart after a crash finds its own Lease and need not wait for its end."""
    return config.identity or f"{socket.gethostname()}:{_address(config.listen)[1]}"


def _election(config: Config, client: KubeClient, engine: Engine) -> LeaderElection:
    seconds = config.lease_seconds
    return LeaderElection(
        client,
        namespace=config.namespace,
        name=LEASE,
        identity=_identity(config),
        started=engine.start_leading,
        stopped=engine.stop_leading,
        timing=LeaseTiming(duration=seconds, renew_deadline=seconds * 0.7, retry=seconds / 10),
        pod=own_pod(),
    )


async def _run_service(config: Config, client: KubeClient, service: Service) -> None:
    tls = await certs.serving_context(config, client)
    runner = web.AppRunner(
        build_app(service),
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_GRACE_SECONDS,
    )
    await runner.setup()
    await web.TCPSite(runner, *_address(config.listen), ssl_context=tls.context).start()
    rpc = await _start_rpc(config, service, tls, _reports(config, client, service))
    log.info("listening", https=config.listen, grpc=config.grpc_listen)
    sources = standard_sources(config.namespace, card_lists=bool(config.handoff))
    watches = Watches(client, _emit(service), sources)
    service.watch_counters = watches.counters
    service.unsynced = watches.unsynced
    election = _election(config, client, service.engine)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(watches.run())
            group.create_task(tls.renew())
            await watches.synced()
            service.synced = True
            # The caches live for ever: leave them out of every later collection.
            gc.collect()
            gc.freeze()
            group.create_task(service.engine.run())
            group.create_task(service.reporter.run())
            group.create_task(service.advisory.run())
            group.create_task(election.run())
    finally:
        service.engine.stop_leading()
        await service.executor.drain()
        with contextlib.suppress(ApiError):
            await election.release()
        if rpc is not None:
            await rpc.stop(_GRACE_SECONDS)
        await runner.cleanup()


def _reports(config: Config, client: KubeClient, service: Service) -> KubeReports | None:
    if not config.agents:
        return None
    return KubeReports(client, config.agents, service.not_ready, service.metrics.report)


async def _start_rpc(
    config: Config, service: Service, tls: certs.Serving, reports: KubeReports | None
) -> RpcServer | None:
    if not config.grpc_listen:
        return None
    client_ca = await asyncio.to_thread(_read_bytes, config.client_ca)
    return await start_rpc(
        Views(service),
        config.grpc_listen,
        tls,
        reflection=config.grpc_reflection,
        client_ca=client_ca,
        reports=reports,
    )


def _read_bytes(path: str) -> bytes:
    return Path(path).read_bytes() if path else b""


def _emit(service: Service) -> Emit:
    """Watch events into the engine; a new holder of kube-scheduler's Lease is a restart of it."""
    holder: dict[str, str] = {}

    def emit(kind: str, verb: Verb, obj: Mapping[str, Any]) -> None:
        if verb is Verb.SYNCED:
            service.engine.wake()
        elif kind == "Lease":
            now = str((obj.get("spec") or {}).get("holderIdentity") or "")
            if holder.get("kube-scheduler", now) != now and service.active:
                service.engine.scheduler_restarted()
            holder["kube-scheduler"] = now
        else:
            service.engine.apply(kind, verb.value, obj)

    return emit


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)
