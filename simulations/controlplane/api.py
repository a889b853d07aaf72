"""A small synchronous Kubernetes client for tests, tools and the simulator: JSON in, JSON out."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
import yaml

Object = dict[str, Any]
Objects = list[Object]
T = TypeVar("T")

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

_PARALLEL = 16

PATIENCE_SECONDS = 60.0
"""How long things may take that take a moment: generous, since a busy machine is no failure of theirs."""


class ApiError(Exception):
    """An answer other than 2xx; `code` is the HTTP status and `reason` the Kubernetes reason."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message


class Api:
    """One kubeconfig; thread-safe. Paths are API paths such as `/api/v1/nodes`."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.server: str = config["clusters"][0]["cluster"]["server"]
        user = config["users"][0]["user"]
        context = ssl.create_default_context(
            cadata=_decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
        )
        with tempfile.TemporaryDirectory() as folder:  # ssl reads client keys from files only
            certificate, key = Path(folder, "crt"), Path(folder, "key")
            certificate.write_text(_decode(user["client-certificate-data"]))
            key.write_text(_decode(user["client-key-data"]))
            context.load_cert_chain(certificate, key)
        self._pool = urllib3.PoolManager(
            ssl_context=context, maxsize=_PARALLEL, block=False, retries=False
        )

    def at(self, server: str) -> Api:
        """The same identity at another server of the cluster, such as kube-scheduler itself."""
        other = object.__new__(Api)
        other.server, other._pool = server, self._pool
        return other

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Any:
        """One call; the decoded answer, or text where that is not one JSON document.

        Raises `ApiError` on any status but 2xx.
        """
        url = self.server + path
        if query:
            url += "?" + urlencode(query)
        answer = self._pool.request(
            method,
            url,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type, "Accept": "application/json"},
            timeout=timeout,
        )
        if answer.status >= 300:
            raise _error(answer.status, answer.data)
        text = answer.data.decode()
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return json.loads(text) if is_json and not (query and "watch" in query) else text

    def get(self, path: str) -> Object:
        """One object; `ApiError` with code 404 if there is none."""
        return dict(self.request("GET", path))

    def find(self, path: str) -> Object | None:
        """One object or None."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(self, path: str, **query: str) -> Objects:
        """Items of a collection; `labelSelector=` and `fieldSelector=` pass through."""
        return list(self.request("GET", path, query=query)["items"])

    def create(self, path: str, body: object) -> Object:
        """POST to a collection or a sub-resource such as `.../binding`."""
        return dict(self.request("POST", path, body))

    def patch(self, path: str, body: object, content_type: str = MERGE) -> Object:
        """Merge patch unless `content_type` says otherwise."""
        return dict(self.request("PATCH", path, body, content_type=content_type))

    def apply(self, path: str, body: object, manager: str = "muster-tools") -> Object:
        """Server-side apply of one object."""
        query = {"fieldManager": manager, "force": "true"}
        return dict(self.request("PATCH", path, body, content_type=APPLY, query=query))

    def delete(self, path: str, *, grace_seconds: int | None = None) -> None:
        """Delete an object or a collection; silently nothing if there is none."""
        body = None if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        try:
            self.request("DELETE", path, body)
        except ApiError as error:
            if error.code != 404:
                raise

    def create_all(self, path: str, bodies: Iterable[object]) -> Objects:
        """Create many objects over 16 connections; answers in the order of the input."""
        return [*self.parallel(lambda body: self.create(path, body), bodies)]

    def parallel(self, call: Callable[[Any], T], items: Iterable[Any]) -> tuple[T, ...]:
        """`call` on every item with 16 threads; the first error is raised."""
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return tuple(pool.map(call, items))

    def wait_for(
        self,
        what: str,
        check: Callable[[], T | None],
        timeout: float = PATIENCE_SECONDS,
        every: float = 0.05,
    ) -> T:
        """Poll `check` until it gives something true; `TimeoutError` names `what`."""
        deadline = time.monotonic() + timeout
        while True:
            found = check()
            if found:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout:g} s for {what}")
            time.sleep(every)

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace and wait until pods can be created in it (default service account)."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.create("/api/v1/namespaces", {"metadata": metadata})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self.wait_for(f"default service account of {name}", lambda: self.find(account))

    def create_priority_class(self, name: str, value: int, preemption_policy: str = "") -> None:
        """Create a PriorityClass and wait until pods can name it: the API server sees it a moment later."""
        body: Object = {"metadata": {"name": name}, "value": value}
        if preemption_policy:
            body["preemptionPolicy"] = preemption_policy
        self.create("/apis/scheduling.k8s.io/v1/priorityclasses", body)
        spec = {"priorityClassName": name, "containers": [{"name": "c", "image": "i"}]}
        pod = {"metadata": {"name": "has-that-priority"}, "spec": spec}

        def known() -> bool:
            try:
                path = "/api/v1/namespaces/default/pods"
                self.request("POST", path, pod, query={"dryRun": "All"})
                return True
            except ApiError as error:
                if error.code == 403:
                    return False
                raise

        self.wait_for(f"priority class {name}", known)


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()


def _error(status: int, data: bytes) -> ApiError:
    try:
        answer = json.loads(data)
        return ApiError(status, str(answer.get("reason", "")), str(answer.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", data.decode(errors="replace")[:500])
