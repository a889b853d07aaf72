"""A scriptable extender: it records every call and answers what the test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simulations.controlplane import Api, ApiError

Object = dict[str, Any]
Answer = Callable[[Object], Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as kube-scheduler sent it; `at` is a monotonic time in seconds."""

    verb: str
    at: float
    body: Object

    @property
    def pod(self) -> str:
        """Name of the pod that the call is about."""
        if self.verb == "bind":
            return str(self.body["PodName"])
        return str(self.body["Pod"]["metadata"]["name"])


@dataclass(slots=True)
class Extender:
    """Serves `/filter`, `/preempt` and `/bind` on loopback; tests replace the three answers."""

    calls: list[Call] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    api: Api | None = None
    _server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        self.reset()
        extender = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one segment per answer: two would wait 40 ms for a delayed ACK

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                verb = self.path.rpartition("/")[2]
                extender.calls.append(Call(verb=verb, at=time.monotonic(), body=body))
                answer = json.dumps(extender.answers[verb](body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Prefix for `urlPrefix`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Forget the calls; accept every node, evict nobody, bind where asked."""
        self.calls.clear()
        self.answers = {
            "filter": lambda body: {"NodeNames": body["NodeNames"]},
            "preempt": lambda body: {"NodeNameToMetaVictims": {}},
            "bind": self.bind,
        }

    def bind(self, body: Object, annotations: dict[str, str] | None = None) -> Object:
        """Create the Binding that the call asks for, with its uid as precondition."""
        assert self.api is not None
        path = f"/api/v1/namespaces/{body['PodNamespace']}/pods/{body['PodName']}/binding"
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "name": body["PodName"],
                "uid": body["PodUID"],
                "annotations": annotations or {},
            },
            "target": {"kind": "Node", "name": body["Node"]},
        }
        try:
            self.api.create(path, binding)
        except ApiError as error:
            return {"Error": str(error)}
        return {"Error": ""}

    def of(self, verb: str, pod: str) -> list[Call]:
        """Calls of one verb for one pod, in order."""
        return [call for call in self.calls if call.verb == verb and call.pod == pod]


def veto(body: Object) -> Object:
    """Refuse every node, in the way that keeps default preemption away from them."""
    names = body["NodeNames"][:3]
    return {"NodeNames": [], "FailedAndUnresolvableNodes": dict.fromkeys(names, "vetoed")}


def veto_resolvable(body: Object) -> Object:
    """Refuse every node, in the way that invites default preemption."""
    return {"NodeNames": [], "FailedNodes": dict.fromkeys(body["NodeNames"], "vetoed")}
