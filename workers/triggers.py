"""When a model is trained: a pure function of the project's policy, its corrections and its last snapshot."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.events import classes_in
from streams.projects import ProjectView

DAY_MS, HOUR_MS = 86_400_000, 3_600_000

PATIENCE = 10
"""How many times the policy's quiet time a burst of corrections may hold back a training."""


@dataclass(slots=True)
class Corrections:
    """What people decided of the items of one project: log time (ms) and classes by item.

    Args:
        items: Of each item that has a verdict or truth gold.
        changed_at: When the last of them came, seconds of a clock that never goes back.
        due_since: Since when a training is due, by the same clock; None: it is not.
    """

    items: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    changed_at: float = float("-inf")
    due_since: float | None = None

    def apply(self, record: Mapping[str, Any], now: float) -> None:
        """Take the newest record of an item of `labels.corrected`.

        Args:
            record: The record.
            now: Seconds of the clock of `changed_at`.
        """
        item = record["item_id"]
        if record["source"] not in ("verdict", "truth") or record["value"] is None:
            self.items.pop(item, None)
            return
        found = record["updated_at"], tuple(classes_in(record["value"]))
        if self.items.get(item) != found:
            self.items[item] = found
            self.changed_at = now

    def since(self, as_of: int) -> list[tuple[int, tuple[str, ...]]]:
        """Return the corrections that came after a log time, ms."""
        return [one for one in self.items.values() if one[0] > as_of]


def cause(
    view: ProjectView, corrections: Corrections, as_of: int | None, drift_at: int | None, today: int, now_ms: int
) -> str | None:
    """Return what asks for a training now, None: nothing does.

    Args:
        view: The project's settings.
        corrections: What people decided.
        as_of: Log time of the newest fact in the last snapshot, ms; None before the first.
        drift_at: Time of the last drift alarm of an annotator, ms; None without one.
        today: Trainings of this UTC day that nobody asked for by hand.
        now_ms: The present time, ms.
    """
    policy, before = view.training, -1 if as_of is None else as_of
    new = corrections.since(before)
    if not new or (today >= policy.max_per_day):
        return None
    if policy.after_corrections and len(new) >= policy.after_corrections:
        return "corrections"
    by_class = Counter(label for _, classes in new for label in classes)
    if policy.after_class_corrections and max(by_class.values(), default=0) >= policy.after_class_corrections:
        return "class"
    since = min(at for at, _ in new) if as_of is None else as_of
    if policy.after_hours and now_ms - since >= policy.after_hours * HOUR_MS:
        return "age"
    if policy.on_drift and drift_at is not None and drift_at > before:
        return "drift"
    guideline = view.guidelines[-1].log_time if view.guidelines else None
    if policy.on_guideline and as_of is not None and guideline is not None and guideline > as_of:
        return "guideline" if any(at > guideline for at, _ in new) else None
    return None


def is_quiet(view: ProjectView, corrections: Corrections, now: float) -> bool:
    """Return whether a burst of corrections has ended, or has lasted long enough.

    Args:
        view: The project's settings.
        corrections: What people decided.
        now: Seconds of the clock of `Corrections.changed_at`.
    """
    quiet, since = view.training.quiet_s, corrections.due_since
    return now - corrections.changed_at >= quiet or (since is not None and now - since >= PATIENCE * quiet)
