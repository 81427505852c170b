"""What two answers about the same items have in common: a queue under one policy and under another. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import kendalltau

HEADS = (10, 50, 100)
"""Lengths of the queue's head that are compared."""

Task = Mapping[str, Any]
"""A record of the schema `review_task`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is different.

    Args:
        open_before: Items to review, which is the number of verdicts that are needed.
        open_after: The same afterwards.
        opened: Items that are only to be reviewed afterwards, sorted.
        closed: Items that are no longer to be reviewed, sorted.
        tiers: Items by tier before and after; `-` where they are not to be reviewed. Only where the two differ.
        answers: Items whose shown answer differs, sorted.
        overlap: Share of the head of the queue that stays in it, by length of the head.
        tau: Kendall's tau-b of the orders, over what is to be reviewed in both; None where that has no order.
    """

    open_before: int
    open_after: int
    opened: tuple[str, ...]
    closed: tuple[str, ...]
    tiers: Mapping[tuple[str, str], int]
    answers: tuple[str, ...]
    overlap: Mapping[int, float]
    tau: float | None

    @property
    def is_none(self) -> bool:
        """Whether nothing is different."""
        is_same_order = self.tau in (None, 1.0) and all(share == 1 for share in self.overlap.values())
        return is_same_order and not (self.tiers or self.answers)


def queue(tasks: Sequence[Task]) -> list[Task]:
    """Return the open tasks, the most useful first, as a reviewer sees them."""
    waiting = [task for task in tasks if task["status"] == "open"]
    return sorted(waiting, key=lambda task: (-task["rank"], task["item_id"]))


def difference(before: Sequence[Task], after: Sequence[Task]) -> Difference:
    """Compare the tasks of the same items.

    Args:
        before: Task of each item.
        after: The same, for instance under another policy.
    """
    old, new = ({str(task["item_id"]): task for task in tasks} for tasks in (before, after))
    first, second = ([str(task["item_id"]) for task in queue(tasks)] for tasks in (before, after))
    tiers = Counter((_tier(old[item]), _tier(new[item])) for item in old)
    both = {*first} & {*second}
    places = {item: n for n, item in enumerate(second)}
    order = [places[item] for item in first if item in both]
    return Difference(
        len(first),
        len(second),
        tuple(sorted({*second} - {*first})),
        tuple(sorted({*first} - {*second})),
        {moved: count for moved, count in sorted(tiers.items()) if moved[0] != moved[1]},
        tuple(sorted(item for item in old if old[item]["consensus"] != new[item]["consensus"])),
        {k: len({*first[:k]} & {*second[:k]}) / min(k, len(first)) for k in HEADS if first},
        round(float(kendalltau(range(len(order)), order).statistic), 12) if len(order) > 1 else None,
    )


def _tier(task: Task) -> str:
    return str(task["tier"] or "-")
