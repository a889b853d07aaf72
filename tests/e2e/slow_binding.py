"""A real validating webhook for `pods/binding`: it can delay or refuse the Binding of chosen pods."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from simulations.controlplane import ApiError, Cluster

_PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_NAME = "slow-binding"


class BindingWebhook:
    """`delays`: pod name -> seconds before its Binding is let through; `refused`: names that never are."""

    def __init__(self, cluster: Cluster) -> None:
        self.delays: dict[str, float] = {}
        self.refused: set[str] = set()
        self.seen: list[str] = []
        self._cluster = cluster
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pki = cluster.folder / "pki"
        context.load_cert_chain(pki / "server.crt", pki / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        port = self._server.server_address[1]
        ca = (self._cluster.folder / "pki" / "ca.crt").read_bytes()
        body = {
            "metadata": {"name": _NAME},
            "webhooks": [
                {
                    "name": "slow.binding.example.com",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "failurePolicy": "Ignore",
                    "timeoutSeconds": 30,
                    "clientConfig": {
                        "url": f"https://127.0.0.1:{port}/",
                        "caBundle": base64.b64encode(ca).decode(),
                    },
                    "rules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods/binding"],
                        }
                    ],
                }
            ],
        }
        self._cluster.api.create(_PATH, body)
        self._cluster.api.wait_for("the webhook to be called", self._is_called)
        self.seen.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.api.delete(f"{_PATH}/{_NAME}")
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _is_called(self) -> bool:
        """The API server takes a moment to call a new webhook: tried with a pod that does not exist."""
        target = {"apiVersion": "v1", "kind": "Node", "name": "none"}
        body = {"metadata": {"name": "none"}, "target": target}
        path = "/api/v1/namespaces/default/pods/none/binding"
        with suppress(ApiError):
            self._cluster.api.request("POST", path, body, query={"dryRun": "All"})
        return bool(self.seen)

    def _answer(self, review: dict[str, Any]) -> dict[str, Any]:
        request = review["request"]
        name = request["name"]
        self.seen.append(name)
        time.sleep(self.delays.get(name, 0))
        allowed = name not in self.refused
        response: dict[str, Any] = {"uid": request["uid"], "allowed": allowed}
        if not allowed:
            response["status"] = {"code": 403, "message": f"{name} must not be bound"}
        return {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                review = json.loads(self.rfile.read(length))
                body = json.dumps(webhook._answer(review)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
