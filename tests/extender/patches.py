"""JSON patches as the API server applies them: the operations that the webhook uses."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any


def patched(before: Mapping[str, Any], patch: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``before`` with the patch applied: ``add`` and ``remove`` of members of objects (RFC 6902)."""
    changed: dict[str, Any] = copy.deepcopy(dict(before))
    for step in patch:
        *way, last = (
            part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]
        )
        at: Any = changed
        for part in way:
            at = at[int(part) if isinstance(at, list) else part]
        assert isinstance(at, dict)
        if step["op"] == "remove":
            del at[last]
        else:
            assert step["op"] == "add"
            at[last] = copy.deepcopy(step["value"])
    return changed
