"""What a running cluster holds, read once through a kubeconfig."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from extender.tools.documents import InputError
from scheduler.gang_object import object_name

if TYPE_CHECKING:
    from scheduler.kube.client import KubeClient
    from scheduler.kube.resources import Resource

Object = dict[str, Any]
T = TypeVar("T")

_PAGE = "500"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which cluster is meant."""
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="default: $KUBECONFIG, ~/.kube/config"
    )
    parser.add_argument("--context", help="context of the kubeconfig")


def objects(args: argparse.Namespace) -> list[Object]:
    """Nodes, namespaces, pods, flavors, topologies and gangs. Raises ``InputError``."""

    async def read(client: KubeClient) -> list[Object]:
        from scheduler.kube import resources as kinds

        wanted = (
            kinds.NODES,
            kinds.NAMESPACES,
            kinds.PODS,
            kinds.FLAVORS,
            kinds.TOPOLOGIES,
            kinds.GANGS,
        )
        lists = await asyncio.gather(*(_list(client, kind) for kind in wanted))
        return [obj for items in lists for obj in items]

    return _ask(args, read)


def gang(args: argparse.Namespace, namespace: str, name: str) -> Object | None:
    """The ``Gang`` object of a gang; None when there is none. Raises ``InputError``."""

    async def read(client: KubeClient) -> Object | None:
        from scheduler.kube.resources import GANGS

        return await client.find(GANGS, namespace, object_name(name))

    return _ask(args, read)


def _ask(args: argparse.Namespace, question: Callable[[KubeClient], Awaitable[T]]) -> T:
    # Imported here: the libraries cost most of a second, which offline commands need not pay.
    from scheduler.kube.auth import KubeConfigError
    from scheduler.kube.client import ApiError, KubeClient

    async def answer() -> T:
        async with KubeClient(args.kubeconfig, args.context, timeout_seconds=60.0) as client:
            return await question(client)

    try:
        return asyncio.run(answer())
    except KubeConfigError as error:
        raise InputError(str(error)) from None
    except ApiError as error:
        raise InputError(f"the cluster does not answer: {error}") from None


async def _list(client: KubeClient, kind: Resource) -> list[Object]:
    """All objects of a kind, page by page; none when the cluster does not know the kind."""
    from scheduler.kube.client import ApiError

    for version in kind.versions:
        try:
            return await _pages(client, kind, version)
        except ApiError as error:
            if error.status != 404:
                raise
    return []


async def _pages(client: KubeClient, kind: Resource, version: str) -> list[Object]:
    head = {"apiVersion": f"{kind.group}/{version}".lstrip("/"), "kind": kind.kind}
    found: list[Object] = []
    token = ""
    while True:
        query = {"limit": _PAGE, **({"continue": token} if token else {})}
        answer = await client.request("GET", kind.path(version=version), query=query)
        found += [{**head, **item} for item in answer.get("items") or ()]
        token = (answer.get("metadata") or {}).get("continue") or ""
        if not token:
            return found
