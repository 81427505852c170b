"""The review queue of one project as a reader sees it: pure, fed with the snapshots of `review.state`.

The newest snapshot of an item replaces its earlier ones, so superseded tasks are gone by themselves. Whoever labelled
an item, skipped it or could not decide is not given it, and an expired lease is free.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from sortedcontainers import SortedList

DAY_MS = 86_400_000

Task = dict[str, Any]
"""A record of the schema `review_task`."""


class Tasks:
    """Present tasks and answers of one project's items.

    The order is kept as snapshots come: one of n open tasks that changes costs the logarithm of n.

    Args:
        project: The project.
        tiers: Tiers to hand out.
        reviewer: Who asks; None: anybody.
    """

    def __init__(self, project: str, tiers: Collection[str], reviewer: str | None = None) -> None:
        self._project, self._tiers, self._reviewer = project, frozenset(tiers), reviewer
        self._items: dict[str, Task] = {}
        self._order = SortedList()  # (-rank, item) of the tasks that may be given to the reviewer
        self._groups: dict[str, set[str]] = {}  # open items by group
        self._judged: Counter[int] = Counter()  # items by the day of their verdict

    def apply(self, task: Task) -> None:
        """Take the next snapshot of `review.state`."""
        if task["project"] != self._project:
            return
        item = task["item_id"]
        self._drop(item)
        self._items[item] = task
        self._judged[_judged_on(task)] += 1
        if self._is_for_me(task):
            self._order.add((-task["rank"], item))
        for group in _open_groups(task):
            self._groups.setdefault(group, set()).add(item)

    def forget(self, names: Sequence[str]) -> None:
        """Take it that there is no such item: project and item, the parts of its key."""
        if [*names[:-1]] == [self._project]:
            self._drop(names[-1])

    def _drop(self, item: str) -> None:
        before = self._items.pop(item, None)
        if before is None:
            return
        if self._is_for_me(before):
            self._order.remove((-before["rank"], item))
        for group in _open_groups(before):
            self._groups[group].discard(item)
        self._judged[_judged_on(before)] -= 1

    def get(self, item_id: str) -> Task | None:
        """Return the newest snapshot of an item, None for an unknown one."""
        return self._items.get(item_id)

    def queue(self, now_ms: int) -> Iterator[Task]:
        """Yield the tasks that are free for the reviewer, the most urgent first; no snapshot may come meanwhile.

        Of a project with a budget those that may still be reviewed today: whatever others have claimed counts.

        Args:
            now_ms: The time by which leases and the day are judged, ms.
        """
        for _, item in islice(self._order, self._left(now_ms)):
            if self._is_free(self._items[item], now_ms):
                yield aged(self._items[item], now_ms)

    def held(self, now_ms: int) -> int:
        """Return how many tasks the project's budget holds back until the next day.

        Args:
            now_ms: The time by which the day is judged, ms.
        """
        left = self._left(now_ms)
        return 0 if left is None else max(0, len(self._order) - left)

    def _left(self, now_ms: int) -> int | None:
        """Return how many items may still be reviewed today, None without a limit."""
        if not self._order:
            return None
        budget: int = self._items[self._order[0][1]]["budget_per_day"]  # open tasks follow a change of policy
        return max(0, budget - self._judged[now_ms // DAY_MS]) if budget else None

    def group(self, name: str) -> list[Task]:
        """Return the open tasks of a group, whoever may review them, the most urgent first."""
        found = (self._items[item] for item in self._groups.get(name, ()))
        return sorted(found, key=lambda task: (-task["rank"], task["item_id"]))

    def similar(self, task: Task) -> dict[str, list[str]]:
        """Return the other open items of each of a task's groups that has any, sorted."""
        others = {group: self._groups.get(group, set()) - {task["item_id"]} for group in _groups(task)}
        return {group: sorted(items) for group, items in others.items() if items}

    def _is_for_me(self, task: Task) -> bool:
        if task["status"] != "open" or task["tier"] not in self._tiers:
            return False
        return self._reviewer is None or all(
            self._reviewer not in task[names] for names in ("annotators", "skipped_by", "unsure_by")
        )

    def _is_free(self, task: Task, now_ms: int) -> bool:
        owner, until = task["owner"], task["lease_until"]
        return owner is None or owner == self._reviewer or until is None or until <= now_ms


def aged(task: Task, now_ms: int) -> Task:
    """Return a task, with the reason `aged` if its waiting counts more than its priority by now.

    No snapshot says so, for that needs no fact, only time. What the wait has added follows from the task: its rank is
    the priority less the ageing rate times opened_at.
    """
    opened = task["opened_at"]
    if opened <= 0 or (task["priority"] - task["rank"]) / opened * (now_ms - opened) <= task["priority"]:
        return task
    return {**task, "reasons": [*task["reasons"], "aged"]}


def _judged_on(task: Task) -> int:
    """Return the UTC day of a task's verdict, in days since 1970; -1: it has none."""
    verdict = task["verdict"]
    return -1 if verdict is None else int(verdict["at"] // DAY_MS)


def _groups(task: Task) -> list[str]:
    return list(dict.fromkeys([*([task["group"]] if task["group"] is not None else []), *task["groups"]]))


def _open_groups(task: Task) -> list[str]:
    return _groups(task) if task["status"] == "open" else []
