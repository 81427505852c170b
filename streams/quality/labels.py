"""A project's labels as arrays, in one order whatever the order they came in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ALL_CLASSES = 32
"""Up to so many classes each one may be the truth of each item; of more, those that somebody named for it.

Beyond it every item has one candidate more: its truth is none of those that were named.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels of one class each, sorted by item and annotator: sums over them are the same to the last bit.

    A *candidate* is a class that may be an item's truth; the index K stands for a class that nobody named for the item.
    A *pairing* is a label beside a candidate of its item: what that annotator would say if the candidate were true.

    Args:
        items: Names of the items, sorted, N of them.
        annotators: Names of the annotators, sorted, A of them.
        classes: Names of the classes in order, K of them.
        item: Item of each label, shape (n,), rising.
        annotator: Annotator of each label, shape (n,).
        label: Class of each label, shape (n,).
        starts: First candidate of each item, shape (N + 1,); the last entry is the number of candidates, C.
        candidate: Class of each candidate, shape (C,), rising within an item.
        pairing_label: Label of each pairing, shape (P,), rising.
        pairing_candidate: Candidate of each pairing, shape (P,).
    """

    items: tuple[str, ...]
    annotators: tuple[str, ...]
    classes: tuple[str, ...]
    item: Ints
    annotator: Ints
    label: Ints
    starts: Ints
    candidate: Ints
    pairing_label: Ints
    pairing_candidate: Ints

    @property
    def unnamed(self) -> NDArray[np.bool_]:
        """Whether a candidate stands for all classes that nobody named for its item, shape (C,)."""
        beyond: NDArray[np.bool_] = self.candidate == len(self.classes)
        return beyond

    @property
    def votes(self) -> Floats:
        """Number of labels for each candidate, shape (C,)."""
        named = self.candidate[self.pairing_candidate] == self.label[self.pairing_label]
        return np.bincount(self.pairing_candidate[named], minlength=len(self.candidate)).astype(float)

    def owner(self) -> Ints:
        """Return the item of each candidate, shape (C,)."""
        return np.repeat(np.arange(len(self.items)), np.diff(self.starts))

    def shares(self) -> Floats:
        """Return each candidate's share of its item's labels, shape (C,)."""
        votes = self.votes
        shares: Floats = votes / np.add.reduceat(votes, self.starts[:-1])[self.owner()]
        return shares

    def normalised(self, scores: Floats) -> Floats:
        """Return log scores of the candidates as probabilities that sum to one for each item, shape (C,)."""
        first, owner = self.starts[:-1], self.owner()
        weights = np.exp(scores - np.maximum.reduceat(scores, first)[owner])
        return weights / np.add.reduceat(weights, first)[owner]


def arrange(
    rows: Iterable[tuple[str, str, str]],
    classes: Sequence[str] = (),
    also: Mapping[str, Iterable[str]] | None = None,
) -> Labels:
    """Return labels as arrays.

    Args:
        rows: Item, annotator and class; an annotator labels an item once.
        classes: The declared classes in order; others that were named follow, sorted.
        also: Classes that may be an item's truth though nobody named them, by item, e.g. a verdict's or a model's.

    Raises:
        ValueError: there are no labels, an annotator labels an item twice, or a class is declared twice.
    """
    ordered = sorted(rows)
    if not ordered:
        raise ValueError("no labels to arrange")
    if twice := next((one[:2] for one, other in pairwise(ordered) if one[:2] == other[:2]), None):
        raise ValueError(f"{twice[1]!r} labels item {twice[0]!r} twice: give the label that stands")
    if len({*classes}) < len(classes):
        raise ValueError("a class is declared twice")
    extra = {item: {*named} for item, named in (also or {}).items()}
    named = {label for _, _, label in ordered}.union(*extra.values())
    names = (*classes, *sorted(named - {*classes}))
    items = tuple(sorted({item for item, _, _ in ordered}))
    annotators = tuple(sorted({annotator for _, annotator, _ in ordered}))
    item = _places(items, [row[0] for row in ordered])
    annotator = _places(annotators, [row[1] for row in ordered])
    label = _places(names, [row[2] for row in ordered])
    starts, candidate = _candidates(items, names, item, label, extra)
    widths = np.diff(starts)[item]
    pairing_label = np.repeat(np.arange(len(item)), widths)
    within = np.arange(len(pairing_label)) - np.repeat(np.cumsum(widths) - widths, widths)
    return Labels(
        items,
        annotators,
        names,
        item,
        annotator,
        label,
        starts,
        candidate,
        pairing_label,
        starts[item][pairing_label] + within,
    )


def _places(names: Sequence[str], found: Sequence[str]) -> Ints:
    place = {name: n for n, name in enumerate(names)}
    return np.array([place[name] for name in found], dtype=np.int64)


def _candidates(
    items: Sequence[str], names: Sequence[str], item: Ints, label: Ints, extra: Mapping[str, set[str]]
) -> tuple[Ints, Ints]:
    """Return where each item's candidates start, and the candidates."""
    if len(names) <= ALL_CLASSES:
        return np.arange(len(items) + 1) * len(names), np.tile(np.arange(len(names)), len(items))
    place = {name: n for n, name in enumerate(names)}
    added = [(n, place[name]) for n, one in enumerate(items) for name in extra.get(one, ())]
    added += [(n, len(names)) for n in range(len(items))]
    pairs: Any = np.concatenate([np.column_stack([item, label]), np.array(added, dtype=np.int64)])
    pairs = np.unique(pairs, axis=0)
    return np.searchsorted(pairs[:, 0], np.arange(len(items) + 1)), pairs[:, 1]
