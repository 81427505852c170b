"""When a project is fitted again: after enough new labels, when its stream is quiet, and whenever somebody asks.

A fit on its own account takes a quarter of a core at most: after one that took t seconds the next waits three times t.
"""

from dataclasses import dataclass

NEW_SHARE = 0.01
"""Share of new labels after which a fit is due."""

PAUSE_S = 5.0
"""Least time between two fits while labels keep coming: each makes the queue move."""

QUIET_S = 1.0
"""Silence after which what came last is fitted too."""

QUARTER = 3.0
"""Idle seconds for each second of fitting."""


@dataclass(slots=True)
class Schedule:
    """When one project is due.

    Args:
        fitted_at: When the last fit ended, monotonic seconds.
        busy: How long it took, seconds.
        changed_at: When a label came last, monotonic seconds.
    """

    fitted_at: float = float("-inf")
    busy: float = 0.0
    changed_at: float = float("-inf")

    def due(self, now: float, changes: int, labels: int) -> bool:
        """Return whether a fit is due.

        Args:
            now: Monotonic seconds.
            changes: Labels that changed since the last fit.
            labels: Labels there are.
        """
        if not changes or now < self.fitted_at + QUARTER * self.busy:
            return False
        if now >= self.changed_at + QUIET_S:
            return True
        return now >= self.fitted_at + PAUSE_S and changes >= NEW_SHARE * labels

    def fitted(self, began: float, ended: float) -> None:
        """Note a fit."""
        self.fitted_at, self.busy = ended, ended - began
