"""Who we are to the API server: kubeconfig or service account, read by the official client's loader."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes import config
from kubernetes.client import Configuration


class KubeConfigError(Exception):
    """No usable way to reach a cluster; one line that says what was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the API server is and how to authenticate. ``tls`` is None for plain HTTP only."""

    server: str
    tls: ssl.SSLContext | None
    authorization: str | None
    """Value of the ``Authorization`` header; None with client certificates."""
    server_name: str | None
    proxy: str | None
    digest: bytes = b""
    """Of the certificates behind ``tls``; while it stays, open connections can be kept."""


def load(
    kubeconfig: Path | None = None,
    context: str | None = None,
    previous: Connection | None = None,
) -> Connection:
    """Read the credentials: the given file, else ``$KUBECONFIG``, else the service account of the pod
    we run in, else ``~/.kube/config``. Reads files and may run an exec plugin: call it in a thread.
    ``previous`` gives its TLS context on when no certificate has changed.

    Raises ``KubeConfigError``.
    """
    settings = Configuration()
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    try:
        if kubeconfig is None and not os.environ.get("KUBECONFIG") and in_cluster:
            config.load_incluster_config(  # type: ignore[no-untyped-call]  # untyped upstream
                client_configuration=settings
            )
        else:
            config.load_kube_config(  # type: ignore[no-untyped-call]  # untyped upstream
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=settings,
                persist_config=False,
            )
        return _connection(settings, previous)
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError) as error:
        source = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        text = " ".join(str(error).split())
        raise KubeConfigError(f"cannot read Kubernetes credentials ({source}): {text}") from error


def _connection(settings: Configuration, previous: Connection | None) -> Connection:
    server = settings.host.rstrip("/")
    digest = _digest(settings)
    if previous is not None and previous.digest == digest:
        tls = previous.tls
    else:
        tls = _tls(settings) if server.startswith("https") else None
    return Connection(
        server=server,
        tls=tls,
        digest=digest,
        authorization=settings.api_key.get("BearerToken"),
        server_name=settings.tls_server_name,
        proxy=_proxy(settings.proxy, urlsplit(server).hostname or ""),
    )


def _digest(settings: Configuration) -> bytes:
    digest = hashlib.sha256(repr((settings.host, settings.verify_ssl)).encode())
    for file in (settings.ssl_ca_cert, settings.cert_file, settings.key_file):
        digest.update(hashlib.sha256(Path(file).read_bytes() if file else b"").digest())
    return digest.digest()


def _tls(settings: Configuration) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if settings.cert_file:
        tls.load_cert_chain(settings.cert_file, settings.key_file)
    if not settings.verify_ssl:  # only where the kubeconfig says insecure-skip-tls-verify
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls


def _proxy(proxy: str | None, host: str) -> str | None:
    """A proxy of the environment is not for loopback nor for hosts in ``NO_PROXY``, as with kubectl."""
    if proxy not in getproxies().values():
        return proxy
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return None if loopback or proxy_bypass(host) else proxy
