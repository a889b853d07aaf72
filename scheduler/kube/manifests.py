"""The shipped manifests at run time: for the local cluster, the tests and ``muster release``."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_HERE = Path(__file__).resolve()
# Installed: inside the package. In a checkout: the folder of the repository.
_FOLDERS = (_HERE.parents[1] / "_manifests", _HERE.parents[2] / "manifests")

_PLURALS: Mapping[str, str] = {
    "Namespace": "namespaces",
    "ServiceAccount": "serviceaccounts",
    "Service": "services",
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "DaemonSet": "daemonsets",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "CustomResourceDefinition": "customresourcedefinitions",
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}

_OURS = "https://muster.muster-system.svc:9443"
"""Where shipped kube-scheduler configurations look for Muster."""


def load_manifests(name: str) -> list[dict[str, Any]]:
    """The objects of one manifest file, such as ``crds``, ``admission``, ``rbac``, ``namespace`` or
    ``scheduler/default``. Raises ``FileNotFoundError``."""
    for folder in _FOLDERS:
        file = folder / f"{name}.yaml"
        if file.is_file():
            return [dict(document) for document in yaml.safe_load_all(file.read_text()) if document]
    raise FileNotFoundError(f"no manifest {name!r} in {' or '.join(map(str, _FOLDERS))}")


def api_path(obj: Mapping[str, Any]) -> str:
    """Path of one shipped object, for server-side apply."""
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    metadata = obj["metadata"]
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    base = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{base}{space}/{_PLURALS[obj['kind']]}/{metadata['name']}"


def control_plane_manifests(
    subject: Mapping[str, str] | None = None,
    names: Iterable[str] = ("namespace", "crds", "rbac", "admission"),
) -> list[dict[str, Any]]:
    """All that a cluster needs before ``muster serve`` runs outside it: namespace, CRDs, roles, admission.

    ``names`` are those files; ``subject`` (``{"kind": "Group" or "User", "name": ..., "apiGroup": ...}``)
    gets the rights beside the service account.
    """
    found: list[dict[str, Any]] = []
    for name in names:
        found += load_manifests(name)
    if subject is not None:
        for obj in found:
            if obj["kind"] in ("ClusterRoleBinding", "RoleBinding"):
                obj["subjects"] = [*obj["subjects"], dict(subject)]
    return found


def webhook_manifests(url: str, ca: bytes) -> list[dict[str, Any]]:
    """The webhook for a Muster at ``url`` outside the cluster; ``ca`` is PEM."""
    found = load_manifests("webhook")
    for obj in found:
        for webhook in obj["webhooks"]:
            webhook["clientConfig"] = {"url": f"{url}/mutate", "caBundle": _base64(ca)}
    return found


def scheduler_config(
    url: str,
    ca: bytes,
    *,
    guarded: bool = False,
    hami: bool = False,
    extra_resources: Iterable[str] = (),
    server_name: str | None = None,
    client_cert: bytes | None = None,
    client_key: bytes | None = None,
) -> dict[str, Any]:
    """The kube-scheduler configuration for a Muster at ``url``.

    ``ca``, ``client_cert`` and ``client_key`` are PEM. ``server_name`` is what the certificate is
    checked against, by default the host of ``url``. ``hami``: the one for HAMi's scheduler, whose own entry
    is left as it is shipped. ``extra_resources``: further accelerator resources that the guard watches over,
    only with ``guarded``.
    """
    name = "hami" if hami else "guarded" if guarded else "default"
    template = load_manifests(f"scheduler/{name}")[0]
    tls = {
        "serverName": server_name or urlsplit(url).hostname or "",
        "caData": _base64(ca),
    }
    if client_cert and client_key:
        tls |= {"certData": _base64(client_cert), "keyData": _base64(client_key)}
    config = copy.deepcopy(template)
    for extender in config["extenders"]:
        if extender["urlPrefix"] == _OURS:
            extender |= {"urlPrefix": url, "tlsConfig": tls}
    if guarded:
        managed = config["extenders"][0]["managedResources"]
        known = {item["name"] for item in managed}
        managed += [
            {"name": name, "ignoredByScheduler": False}
            for name in dict.fromkeys(extra_resources)
            if name not in known
        ]
    return config


def _base64(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
