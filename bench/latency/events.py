"""The published labels: three annotators label each item, and some hundred items are open at a time."""

from typing import NamedTuple

LABELS_PER_ITEM = 3
OPEN_ITEMS = 300
"""As many items wait for their next label at any time."""

ANNOTATORS = 20
CLASSES = ("cat", "dog", "owl")


class Place(NamedTuple):
    """Where an event belongs: number of its item, and how many labels that item has with it."""

    item: int
    labels: int


def place(number: int) -> Place:
    """Return the place of an event."""
    generation, within = divmod(number, OPEN_ITEMS * LABELS_PER_ITEM)
    labels, item = divmod(within, OPEN_ITEMS)
    return Place(generation * OPEN_ITEMS + item, labels + 1)


def number(at: Place) -> int:
    """Return the event of a place."""
    generation, item = divmod(at.item, OPEN_ITEMS)
    return generation * OPEN_ITEMS * LABELS_PER_ITEM + (at.labels - 1) * OPEN_ITEMS + item


def label(at: Place) -> tuple[str, str, str]:
    """Return item, annotator and answer of an event: one in ten errs."""
    annotator = (at.item * LABELS_PER_ITEM + at.labels) % ANNOTATORS
    errs = (at.item * 7 + at.labels * 3) % 10 == 0
    return f"i{at.item}", f"a{annotator}", CLASSES[(at.item + errs) % len(CLASSES)]


def item_number(item_id: str) -> int:
    """Return the number of an item by its name."""
    return int(item_id[1:])


class Arrivals:
    """When each event was first seen: by its own number, or by a count of labels that includes it.

    Args:
        count: Number of events.
    """

    def __init__(self, count: int) -> None:
        self.at: list[float | None] = [None] * count
        self._labels: dict[int, int] = {}

    def event(self, number_: int, at: float) -> bool:
        """Note an event; return whether it is news."""
        if not 0 <= number_ < len(self.at) or self.at[number_] is not None:
            return False
        self.at[number_] = at
        return True

    def labels(self, item: int, labels: int, at: float) -> list[int]:
        """Note that an item is shown with so many labels; return the events that are seen thereby."""
        known = self._labels.get(item, 0)
        if labels <= known:
            return []
        self._labels[item] = labels
        seen = [number(Place(item, n)) for n in range(known + 1, labels + 1)]
        return [n for n in seen if self.event(n, at)]

    def missing(self) -> int:
        """Return how many were not seen."""
        return self.at.count(None)
