"""The review queue of one project as a reader sees it: pure, fed with the snapshots of `review.state`.

The newest snapshot of an item replaces its earlier ones, so superseded tasks are gone by themselves. Whoever labelled
an item, skipped it or could not decide is not given it, and an expired lease is free.
"""

from collections.abc import Collection, Iterator
from typing import Any

Task = dict[str, Any]
"""A record of the schema `review_task`."""


class Tasks:
    """Present tasks and answers of one project's items.

    Args:
        project: The project.
        tiers: Tiers to hand out.
        reviewer: Who asks; None: anybody.
    """

    def __init__(self, project: str, tiers: Collection[str], reviewer: str | None = None) -> None:
        self._project, self._tiers, self._reviewer = project, frozenset(tiers), reviewer
        self._items: dict[str, Task] = {}
        self._order: list[Task] | None = None

    def apply(self, task: Task) -> None:
        """Take the next snapshot of `review.state`."""
        if task["project"] == self._project:
            self._items[task["item_id"]] = task
            self._order = None

    def get(self, item_id: str) -> Task | None:
        """Return the newest snapshot of an item, None for an unknown one."""
        return self._items.get(item_id)

    def queue(self, now_ms: int) -> Iterator[Task]:
        """Yield the tasks that are free for the reviewer, the most urgent first.

        Args:
            now_ms: The time by which leases are judged, ms.
        """
        if self._order is None:
            mine = (task for task in self._items.values() if self._is_for_me(task))
            self._order = sorted(mine, key=lambda task: (-task["rank"], task["item_id"]))
        yield from (task for task in self._order if self._is_free(task, now_ms))

    def _is_for_me(self, task: Task) -> bool:
        if task["status"] != "open" or task["tier"] not in self._tiers:
            return False
        return self._reviewer is None or all(
            self._reviewer not in task[names] for names in ("annotators", "skipped_by", "unsure_by")
        )

    def _is_free(self, task: Task, now_ms: int) -> bool:
        owner, until = task["owner"], task["lease_until"]
        return owner is None or owner == self._reviewer or until is None or until <= now_ms
