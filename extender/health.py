"""Whether the service lives and whether it may be asked, each as a list of what is wrong, in words."""

from __future__ import annotations

from dataclasses import dataclass

_STUCK_SECONDS = 120.0
"""Far above the longest decision: a planner that is silent for this long does not come back by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A moment of the service. Empty answers mean that all is well."""

    unsynced: tuple[str, ...] = ()
    """Kinds that were not listed completely yet."""
    leading: bool = False
    cycle_age_seconds: float | None = None
    """Since the planner last finished a cycle; None before the first one."""

    @property
    def not_live(self) -> tuple[str, ...]:
        """``/healthz``: why the process should be started anew. Missing caches are no reason."""
        age = self.cycle_age_seconds
        if self.leading and age is not None and age > _STUCK_SECONDS:
            return (f"the planner has finished no cycle for {age:.0f} s",)
        return ()

    @property
    def not_ready(self) -> tuple[str, ...]:
        """``/readyz``: why no calls should be sent here."""
        missing = [f"not synced with the API server yet: {', '.join(self.unsynced)}"]
        reasons = missing if self.unsynced else []
        if not self.leading:
            reasons.append("another replica leads")
        return (*reasons, *self.not_live)
