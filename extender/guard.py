"""Guarded configuration: plain pods that ``filter`` let through, until their binding or refusal is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.ledger import Ledger
from scheduler.model import GangAssignment, Slot
from scheduler.state import ClusterState


def on_their_way(ledger: Ledger) -> list[GangAssignment]:
    """Plain pods let through, as reservations on every node they may land on."""
    return [
        GangAssignment(
            namespace="",
            gang=f"pod {uid}",
            placed=True,
            slots=tuple(
                Slot(pod=uid, uid=uid, role="plain", rank=0, node=node, request=pod.request)
                for node in sorted(pod.nodes)
            ),
        )
        for uid, pod in sorted(ledger.in_flight().items())
    ]


def settle(state: ClusterState, ledger: Ledger, verb: str, obj: Mapping[str, Any]) -> None:
    """A watch event of a pod that ``state`` has taken: was a pod on its way bound, refused or deleted?"""
    uid = obj.get("metadata", {}).get("uid", "")
    pod = state.pods.get(uid)
    if verb == "DELETED" or pod is None or pod.node is not None or pod.scheduled is False:
        ledger.settle(uid)
