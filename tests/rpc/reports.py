"""An API server's answers to the service's calls about reports, made of a few values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from extender.reports import TOKEN_REVIEWS
from scheduler.kube.client import ApiError
from topology.keys import TOKEN_NODE, TOKEN_NODE_UID

ACCOUNT = "system:serviceaccount:muster-agents:muster-agent"


class FakeApi:
    """Stands in for ``KubeClient``: tokens are ``USER@NODE``, objects are kept by path."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.writes = 0
        self.reviewed: list[Mapping[str, Any]] = []
        self.failing = False
        self.uid = "uid"
        """Of Nodes, before a dash and the node's name."""

    async def request(self, method: str, path: str, *, body: Any) -> dict[str, Any]:
        """Reviews a token."""
        assert (method, path) == ("POST", TOKEN_REVIEWS)
        self.reviewed.append(body["spec"])
        user, _, node = body["spec"]["token"].partition("@")
        if user == "bad":
            return {"status": {"error": "expired"}}
        extra = {TOKEN_NODE: [node], TOKEN_NODE_UID: [f"{self.uid}-{node}"]} if node else {}
        name = ACCOUNT if user == "agent" else f"system:serviceaccount:default:{user}"
        return {"status": {"authenticated": True, "user": {"username": name, "extra": extra}}}

    async def apply(self, path: str, body: Mapping[str, Any], field_manager: str) -> Any:
        """Keeps an object."""
        if self.failing:
            raise ApiError(503, "ServiceUnavailable", "busy")
        self.objects[path] = body
        self.writes += 1
        return body
