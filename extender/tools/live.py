"""What a running cluster holds, read once through a kubeconfig.

Importing this costs most of a second, which offline commands need not pay: they do not import it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from extender.tools.documents import InputError
from scheduler.gang_object import object_name
from scheduler.keys import NAMESPACE, TOPOLOGY_SOURCE
from scheduler.kube.auth import KubeConfigError
from scheduler.kube.client import ApiError, KubeClient
from scheduler.kube.resources import (
    CACHES,
    CONFIG_MAPS,
    DEVICES,
    FLAVORS,
    FOREIGN,
    GANGS,
    HYPER_NODES,
    KAI_TOPOLOGIES,
    NAMESPACES,
    NODE_TOPOLOGIES,
    NODES,
    PODS,
    TOPOLOGIES,
    Resource,
)

Object = dict[str, Any]
T = TypeVar("T")

_PAGE = "500"
_NOT_FOUND = 404
_TIMEOUT_SECONDS = 60.0


def objects(args: argparse.Namespace) -> list[Object]:
    """Everything that the service watches. Raises ``InputError``."""
    own = (FLAVORS, GANGS, NODE_TOPOLOGIES)
    kinds = (
        NODES,
        NAMESPACES,
        PODS,
        *own,
        TOPOLOGIES,
        KAI_TOPOLOGIES,
        HYPER_NODES,
        *FOREIGN,
        *CACHES,
        *DEVICES,
    )

    async def read(client: KubeClient) -> list[Object]:
        lists = await asyncio.gather(
            *(_list(client, kind) for kind in kinds),
            _list(client, CONFIG_MAPS, NAMESPACE, {"labelSelector": TOPOLOGY_SOURCE}),
        )
        return [obj for items in lists for obj in items]

    return _ask(args, read)


def gang(args: argparse.Namespace, namespace: str, name: str) -> Object | None:
    """The ``Gang`` object of a gang; None when there is none. Raises ``InputError``."""
    return _ask(args, lambda client: client.find(GANGS, namespace, object_name(name)))


def _ask(args: argparse.Namespace, question: Callable[[KubeClient], Awaitable[T]]) -> T:
    async def answer() -> T:
        async with KubeClient(
            args.kubeconfig, args.context, timeout_seconds=_TIMEOUT_SECONDS
        ) as client:
            return await question(client)

    try:
        return asyncio.run(answer())
    except KubeConfigError as error:
        raise InputError(str(error)) from None
    except ApiError as error:
        raise InputError(f"the cluster does not answer: {error}") from None


async def _list(
    client: KubeClient,
    kind: Resource,
    namespace: str | None = None,
    query: Mapping[str, str] = {},
) -> list[Object]:
    """All objects of a kind, page by page; none when the cluster does not know the kind."""
    for version in kind.versions:
        try:
            return await _pages(client, kind, kind.path(namespace, version=version), version, query)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
    return []


async def _pages(
    client: KubeClient, kind: Resource, path: str, version: str, selected: Mapping[str, str]
) -> list[Object]:
    head = {"apiVersion": f"{kind.group}/{version}".lstrip("/"), "kind": kind.kind}
    found: list[Object] = []
    token = ""
    while True:
        query = {"limit": _PAGE, **selected, **({"continue": token} if token else {})}
        answer = await client.request("GET", path, query=query)
        found += [{**head, **item} for item in answer.get("items") or ()]
        token = (answer.get("metadata") or {}).get("continue") or ""
        if not token:
            return found
