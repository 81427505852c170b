"""Agreement of annotators on nominal or numeric labels, exact after every change.

All coefficients here depend on the labels through few sums: by the number of an item's labels, how many items there
are, how often each label was given, and how many pairs of labels met in an item. A change of one item exchanges its old
share of these sums for its new one. The sums are integers, so that no sequence of changes leaves a rounding error
behind; what weighs an item by the number of its labels is applied when a coefficient is read.

Sources: K. Krippendorff, Content Analysis (2nd ed. 2004), ch. 11; J. L. Fleiss, Psychological Bulletin 76 (1971);
K. L. Gwet, British Journal of Mathematical and Statistical Psychology 61 (2008); J. Cohen, Educational and
Psychological Measurement 20 (1960).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Label = str
Votes = Mapping[Label, int]
"""Annotators by label of one item, every count positive."""

Metric = Literal["nominal", "ordinal", "interval", "ratio"]


@dataclass(slots=True)
class _Size:
    """Sums over the items that have the same number of labels."""

    items: int = 0
    labels: Counter[Label] = field(default_factory=Counter)
    pairs: Counter[tuple[Label, Label]] = field(default_factory=Counter)
    """Ordered pairs of labels by two annotators of one item, kept under the sorted pair; equal labels: ordered too."""


class Agreement:
    """The sums of a set of items, and the coefficients read from them.

    A coefficient is None where nothing can be compared: no item with two labels, or, for those that correct for chance,
    no label but one, which chance alone would explain (AC1, told of further classes, does not think so).
    """

    def __init__(self) -> None:
        self._sizes: defaultdict[int, _Size] = defaultdict(_Size)

    def add(self, votes: Votes, times: int = 1) -> None:
        """Add an item, or several alike.

        Args:
            votes: The item's labels; an item without labels adds nothing.
            times: Number of such items; negative: take them away.
        """
        n = sum(votes.values())
        if not n:
            return
        size = self._sizes[n]
        size.items += times
        for label, count in votes.items():
            _bump(size.labels, label, times * count)
        if n > 1:
            labels = sorted(votes)
            for i, one in enumerate(labels):
                own = votes[one]
                _bump(size.pairs, (one, one), times * own * (own - 1))
                for other in labels[i + 1 :]:
                    _bump(size.pairs, (one, other), times * 2 * own * votes[other])
        if not (size.items or size.labels or size.pairs):
            del self._sizes[n]

    def exchange(self, old: Votes, new: Votes) -> None:
        """Replace an item's share by what it is now; either may be empty."""
        if old != new:
            self.add(old, -1)
            self.add(new)

    def against_others(self, labels: Collection[Label]) -> dict[Label, "Agreement"]:
        """Return, for each of some labels, the sums with all others taken for the same: agreement on one class."""
        found = {label: Agreement() for label in labels}
        for n, size in self._sizes.items():
            mixed: Counter[Label] = Counter()
            for (one, other), count in size.pairs.items():
                if one != other:
                    mixed[one] += count
                    mixed[other] += count
            total, given = size.pairs.total(), size.labels.total()
            for label, sums in found.items():
                rest, alike = f"not {label}", size.pairs[label, label]
                pairs = {(label, label): alike, (label, rest): mixed[label]}
                pairs[rest, rest] = total - alike - mixed[label]
                counts = {label: size.labels[label], rest: given - size.labels[label]}
                sums._sizes[n] = _Size(size.items, +Counter(counts), +Counter(pairs))  # + leaves no zero
        return found

    @property
    def labels(self) -> Counter[Label]:
        """How often each label was given, in all items."""
        return sum((size.labels for size in self._sizes.values()), Counter())

    @property
    def items(self) -> int:
        """Items with two labels or more."""
        return sum(size.items for n, size in self._sizes.items() if n > 1)

    def raw(self) -> float | None:
        """Return the mean over items of the share of annotator pairs that agree."""
        if not self.items:
            return None
        agreeing = (
            sum(count for (one, other), count in size.pairs.items() if one == other) / (n * (n - 1))
            for n, size in self._sizes.items()
            if n > 1
        )
        return fsum(agreeing) / self.items

    def fleiss(self) -> float | None:
        """Return Fleiss' kappa of the items with two labels or more.

        With unequal numbers of labels each item counts once in the agreement and each label in what chance explains.
        """
        given = self._compared()
        total = given.total()
        return _beyond_chance(self.raw(), sum(count * count for count in given.values()), total * total)

    def ac1(self, classes: int = 0) -> float | None:
        """Return Gwet's AC1.

        Args:
            classes: Number of classes there are; if more were used, those count.
        """
        items = sum(size.items for size in self._sizes.values())
        shares: defaultdict[Label, list[float]] = defaultdict(list)
        for n, size in self._sizes.items():
            for label, count in size.labels.items():
                shares[label].append(count / (n * items))
        k = max(classes, len(shares))
        if k < 2:
            return None
        prevalence = [fsum(parts) for parts in shares.values()]
        return _beyond_chance(self.raw(), fsum(share * (1 - share) for share in prevalence), k - 1)

    def alpha(self, metric: Metric = "nominal", order: Sequence[Label] = ()) -> float | None:
        """Return Krippendorff's alpha.

        Args:
            metric: How labels differ; `interval` and `ratio` take them as numbers.
            order: All labels in order, for `ordinal`; left out: as numbers.

        Raises:
            ValueError: a label is no finite number where the metric needs one, negative where it needs a ratio, or not
                in the order.
        """
        given = self._compared()
        total = given.total()
        value = values_of(given, metric, order)
        counts: Counter[float] = Counter()
        for label, count in given.items():
            counts[value[label]] += count
        distance, expected = _distances(metric, counts)
        if not expected:
            return None
        observed = fsum(
            count / (n - 1) * distance(value[one], value[other])
            for n, size in self._sizes.items()
            for (one, other), count in size.pairs.items()
            if value[one] != value[other]
        )
        return 1 - (total - 1) * observed / expected

    def _compared(self) -> Counter[Label]:
        """Return how often each label was given in items with two labels or more."""
        given: Counter[Label] = Counter()
        for n, size in self._sizes.items():
            if n > 1:
                given.update(size.labels)
        return given


def against_others(items: Iterable[Votes], label: Label) -> list[Votes]:
    """Return the items' votes with all labels but one taken for the same, as `Agreement.against_others` counts them."""
    alone = ((votes.get(label, 0), sum(votes.values())) for votes in items)
    return [+Counter({label: own, f"not {label}": all_ - own}) for own, all_ in alone]


def cohen(table: Mapping[tuple[Label, Label], int]) -> float | None:
    """Return Cohen's kappa of two annotators; None where they share no item, or gave one and the same label only.

    Args:
        table: Number of items by the first annotator's label and the second's.
    """
    first: Counter[Label] = Counter()
    second: Counter[Label] = Counter()
    for (one, other), count in table.items():
        first[one] += count
        second[other] += count
    total = first.total()
    if not total:
        return None
    agreeing = sum(count for (one, other), count in table.items() if one == other)
    by_chance = sum(count * second[label] for label, count in first.items())
    return _beyond_chance(agreeing / total, by_chance, total * total)


def _bump(counter: Counter[Any], key: object, by: int) -> None:
    """Add to a count and drop it at zero, so that sums which are equal look equal."""
    counter[key] += by
    if not counter[key]:
        del counter[key]


def _beyond_chance(agreeing: float | None, by_chance: float, of: float) -> float | None:
    """Return (p - c) / (1 - c), where c = by_chance / of; None where nothing was compared or chance explains all."""
    if agreeing is None or by_chance == of:
        return None
    chance = by_chance / of
    return (agreeing - chance) / (1 - chance)


def values_of(given: Mapping[Label, int], metric: Metric, order: Sequence[Label]) -> dict[Label, float]:
    """Return what stands for each label: itself, so to say, its place in the order, or its number."""
    if metric == "nominal":
        return {label: float(n) for n, label in enumerate(sorted(given))}
    if metric == "ordinal" and order:
        place = {label: float(n) for n, label in enumerate(order)}
        if unknown := sorted(given.keys() - place.keys()):
            raise ValueError(f"labels that are not in the order: {', '.join(unknown)}")
        return {label: place[label] for label in given}
    values = {label: _number(label) for label in given}
    if metric == "ratio" and any(value < 0 for value in values.values()):
        raise ValueError("a ratio needs numbers from 0")
    return values


def _number(label: Label) -> float:
    number = float(label)
    if not isfinite(number):
        raise ValueError(f"{label!r} is no finite number")
    return number


def _distances(metric: Metric, counts: Mapping[float, int]) -> tuple[Callable[[float, float], float], float]:
    """Return the squared distance of two values, and its sum over all pairs of given values.

    Sums are exact: numpy rounds a product of arrays as the processor likes.

    Args:
        metric: How values differ.
        counts: How often each value was given.
    """
    if len(counts) < 2:
        return lambda one, other: 0.0, 0.0
    values = np.array(sorted(counts))
    given = np.array([counts[value] for value in sorted(counts)], dtype=float)
    if metric == "nominal":
        return lambda one, other: 1.0, float(given.sum() ** 2 - (given**2).sum())
    if metric == "ratio":
        rows = (count * fsum(_ratios(values[n], values[n + 1 :]) * given[n + 1 :]) for n, count in enumerate(given))
        return _ratio, 2 * fsum(rows)
    # An ordinal distance is the number of given labels between two, which is the difference of their mean ranks. Both
    # kinds are brought to [0, 1]: a scale changes no coefficient, and squares of it can neither overflow nor vanish.
    ranks = (
        given.cumsum() - given / 2 if metric == "ordinal" else values / 2
    )  # a half: the span of two may be too large
    places = (ranks - ranks[0]) / (ranks[-1] - ranks[0])
    place = dict(zip(values.tolist(), places.tolist(), strict=True))
    spread = places - fsum(given * places) / given.sum()
    return lambda one, other: (place[one] - place[other]) ** 2, float(2 * given.sum() * fsum(given * spread**2))


def _ratio(one: float, other: float) -> float:
    """Return the squared difference of two numbers from 0 over their sum."""
    largest = max(one, other)
    one, other = one / largest, other / largest
    return ((one - other) / (one + other)) ** 2


def _ratios(one: float, others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared difference of one number to larger ones over their sums."""
    share = one / others
    ratios: NDArray[np.float64] = ((1 - share) / (1 + share)) ** 2
    return ratios
