"""Intervals of agreement coefficients by bootstrap over items, all replicas at once.

A replica draws as many items as there are, with replacement. Every coefficient is read from sums over items, so a
replica is a vector of multiplicities, and its sums are products of these with what each kind of item contributes. Items
of the same votes are drawn together: one multinomial draw instead of thousands of single ones.

Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), ch. 13, percentile intervals.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from streams.quality.agreement import Label, Metric, Votes, values_of
from streams.quality.labels import Floats, Ints

Coefficient = Literal["raw", "fleiss", "ac1", "alpha", "alpha_ordinal", "alpha_interval", "alpha_ratio"]

LEVEL = 0.95
"""Probability that an interval is to hold the value."""

REPLICAS = 1000

METRICS: Mapping[Coefficient, Metric] = {
    "alpha": "nominal",
    "alpha_ordinal": "ordinal",
    "alpha_interval": "interval",
    "alpha_ratio": "ratio",
}
"""The metric of each alpha."""

_BLOCK = 4_000_000  # numbers in the largest array: a few dozen MB, whatever the number of items

Interval = tuple[float, float]


class Contributions:
    """What items of each pattern of votes add to the sums of a coefficient.

    Args:
        patterns: Votes of P kinds of items, none of them empty.
        order: All labels in order, for the ordinal alpha; left out: as numbers.
    """

    def __init__(self, patterns: Sequence[Votes], order: Sequence[Label] = ()) -> None:
        self.labels = sorted({label for votes in patterns for label in votes})
        self._order = order
        place = {label: k for k, label in enumerate(self.labels)}
        sizes = np.array([sum(votes.values()) for votes in patterns], dtype=float)
        self.compared = sizes > 1
        entries = [(p, place[label], n) for p, votes in enumerate(patterns) for label, n in votes.items()]
        rows, columns, counts = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        shape = len(patterns), len(self.labels)
        self.shares = csr_array((counts / sizes[rows], (rows, columns)), shape=shape)
        self.given = csr_array((np.where(self.compared[rows], counts, 0), (rows, columns)), shape=shape)
        pairs = np.maximum(sizes * (sizes - 1), 1)
        self.agreeing = np.bincount(rows, counts * (counts - 1), len(patterns)) / pairs
        self.pairs, self.mixed = _mixed_pairs(patterns, place, sizes)

    def read(self, times: Ints, coefficient: Coefficient, classes: int = 0) -> Floats:
        """Return a coefficient of each replica, shape (B,); not a number where `Agreement` has None.

        Args:
            times: How often each pattern was drawn, shape (B, P).
            coefficient: Which one.
            classes: Number of classes there are, for AC1; if more were used, those count.
        """
        items = times @ self.compared.astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            if coefficient in METRICS:
                return self._alpha(times, METRICS[coefficient])
            raw: Floats = np.where(items > 0, (times * self.compared) @ self.agreeing / items, np.nan)
            if coefficient == "raw":
                return raw
            if coefficient == "fleiss":
                given = _sums(times, self.given)
                by_chance = ((given / given.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
            else:
                share = _sums(times, self.shares) / times.sum(axis=1, keepdims=True)
                used = np.maximum((share > 0).sum(axis=1), classes)
                by_chance = np.where(used > 1, (share * (1 - share)).sum(axis=1) / (used - 1), 1.0)
            beyond: Floats = np.where(by_chance < 1 - 1e-12, (raw - by_chance) / (1 - by_chance), np.nan)
            return beyond

    def _alpha(self, times: Ints, metric: Metric) -> Floats:
        given, observed = _sums(times, self.given), _sums(times, self.mixed)
        one, other = self.pairs
        total, number = given.sum(axis=1), self._numbers(metric)
        if metric == "nominal":
            disagreeing, expected = observed.sum(axis=1), total**2 - (given**2).sum(axis=1)
        elif metric == "ratio":
            distance = _ratio(number[:, None], number[None])
            disagreeing = observed @ distance[one, other]
            expected = ((given @ distance) * given).sum(axis=1)
        else:
            places = np.broadcast_to(_unit(number), given.shape) if metric == "interval" else _ranks(number, given)
            disagreeing = (observed * (places[:, one] - places[:, other]) ** 2).sum(axis=1)
            spread = places - (given * places).sum(axis=1, keepdims=True) / total[:, None]
            expected = 2 * total * (given * spread**2).sum(axis=1)
        several = (_by_value(number, given) > 0).sum(axis=1) > 1
        alpha: Floats = np.where(several, 1 - (total - 1) * disagreeing / expected, np.nan)
        return alpha

    def _numbers(self, metric: Metric) -> Floats:
        values = values_of(dict.fromkeys(self.labels, 1), metric, self._order)
        return np.array([values[label] for label in self.labels])


def intervals(
    items: Sequence[Votes],
    coefficients: Sequence[Coefficient],
    *,
    classes: int = 0,
    order: Sequence[Label] = (),
    replicas: int = REPLICAS,
    seed: int = 0,
) -> dict[Coefficient, Interval | None]:
    """Return the percentile interval of each coefficient under resampling of items.

    Args:
        items: The items' labels; those without labels count for nothing.
        coefficients: Which ones.
        classes: Number of classes there are, for AC1.
        order: All labels in order, for the ordinal alpha; left out: as numbers.
        replicas: Samples drawn.
        seed: Of the samples.

    Returns:
        Lower and upper end of `LEVEL`, None where no sample has a value.

    Raises:
        ValueError: a label is no number where the coefficient needs one, or not in the order.
    """
    alike = Counter(tuple(sorted(votes.items())) for votes in items if votes)
    if not alike:
        return dict.fromkeys(coefficients)
    patterns = sorted(alike)
    of = Contributions([dict(pattern) for pattern in patterns], order)
    width = max(len(patterns), len(of.labels), len(of.pairs[0]))
    found: dict[Coefficient, list[Floats]] = {coefficient: [] for coefficient in coefficients}
    for times in draws([alike[pattern] for pattern in patterns], replicas, seed, width):
        for coefficient, parts in found.items():
            parts.append(of.read(times, coefficient, classes))
    return {coefficient: percentiles(np.concatenate(parts)) for coefficient, parts in found.items()}


def cohen_interval(
    table: Mapping[tuple[Label, Label], int], *, replicas: int = REPLICAS, seed: int = 0
) -> Interval | None:
    """Return the interval of Cohen's kappa of two annotators.

    Args:
        table: Number of items by the first annotator's label and the second's.
        replicas: Samples drawn.
        seed: Of the samples.
    """
    if not table:
        return None
    cells = sorted(table)
    columns = sorted({label for cell in cells for label in cell})
    place = {label: k for k, label in enumerate(columns)}
    first, second = (
        csr_array(
            (np.ones(len(cells)), (np.arange(len(cells)), [place[cell[side]] for cell in cells])),
            shape=(len(cells), len(columns)),
        )
        for side in (0, 1)
    )
    same = np.array([one == other for one, other in cells], dtype=float)
    found = []
    for times in draws([table[cell] for cell in cells], replicas, seed, max(len(cells), len(columns))):
        total = times.sum(axis=1)
        by_chance = (_sums(times, first) * _sums(times, second)).sum(axis=1) / total**2
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(np.where(by_chance < 1 - 1e-12, (times @ same / total - by_chance) / (1 - by_chance), np.nan))
    return percentiles(np.concatenate(found))


def mean_interval(values: Sequence[float], *, replicas: int = REPLICAS, seed: int = 0) -> Interval | None:
    """Return the interval of the mean of one value an item.

    Args:
        values: The values.
        replicas: Samples drawn.
        seed: Of the samples.
    """
    if not values:
        return None
    alike = Counter(values)
    distinct = sorted(alike)
    numbers = np.array(distinct)
    means = [
        times @ numbers / len(values)
        for times in draws([alike[value] for value in distinct], replicas, seed, len(distinct))
    ]
    return percentiles(np.concatenate(means))


def draws(counts: Sequence[int], replicas: int, seed: int, width: int) -> Iterator[Ints]:
    """Yield how often each pattern is drawn, in blocks of replicas, each of shape (b, P).

    Args:
        counts: Number of items of each pattern, shape (P,).
        replicas: Samples in all.
        seed: Of the samples.
        width: Numbers that a replica needs; it bounds the size of a block.
    """
    random, items = np.random.default_rng(seed), sum(counts)
    shares, step = np.array(counts) / items, max(1, _BLOCK // max(1, width))
    for start in range(0, replicas, step):
        yield random.multinomial(items, shares, size=min(step, replicas - start))


def percentiles(values: Floats) -> Interval | None:
    """Return the ends of the middle `LEVEL` of values, rounded to what no order of addition changes."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).round(9).tolist()
    return low, high


def _mixed_pairs(
    patterns: Sequence[Votes], place: Mapping[Label, int], sizes: Floats
) -> tuple[tuple[Ints, Ints], csr_array]:
    """Return the pairs of labels that meet in an item, and their coincidences in each pattern, shape (P, Q)."""
    numbers: dict[tuple[int, int], int] = {}
    rows, columns, weights = [], [], []
    for p, votes in enumerate(patterns):
        labels = sorted(votes)
        for i, one in enumerate(labels):
            for other in labels[i + 1 :]:
                rows.append(p)
                columns.append(numbers.setdefault((place[one], place[other]), len(numbers)))
                weights.append(2 * votes[one] * votes[other] / (sizes[p] - 1))
    pairs = np.array([*numbers], dtype=np.int64).reshape(-1, 2).T
    return (pairs[0], pairs[1]), csr_array((weights, (rows, columns)), shape=(len(patterns), len(numbers)))


def _sums(times: Ints, contributions: csr_array) -> Floats:
    """Return the sums of each replica, shape (B, columns): without BLAS, so in one order of addition."""
    sums: Floats = (contributions.T @ times.T.astype(float)).T
    return sums


def _unit(values: Floats) -> Floats:
    """Return values brought to [0, 1]; a scale changes no coefficient, and squares cannot overflow then."""
    low, span = values.min() / 2, values.max() / 2 - values.min() / 2
    unit: Floats = (values / 2 - low) / span if span > 0 else np.zeros_like(values)
    return unit


def _by_value(values: Floats, given: Floats) -> Floats:
    """Return how often each value was given, rising, labels of one value together, shape (B, values)."""
    level = np.unique(values, return_inverse=True)[1]
    counts: Floats = given @ csr_array((np.ones(len(level)), (np.arange(len(level)), level)))
    return counts


def _ranks(values: Floats, given: Floats) -> Floats:
    """Return the mean rank of each value among those given, as a share of them, shape (B, K)."""
    counts = _by_value(values, given)
    ranks = (counts.cumsum(axis=1) - counts / 2) / counts.sum(axis=1, keepdims=True)
    found: Floats = ranks[:, np.unique(values, return_inverse=True)[1]]
    return found


def _ratio(one: Floats, other: Floats) -> Floats:
    """Return the squared difference of numbers from 0 over their sum, 0 where they are equal."""
    larger = np.maximum(np.maximum(one, other), np.finfo(float).tiny)
    one, other = one / larger, other / larger
    ratio: Floats = np.where(one == other, 0.0, ((one - other) / (one + other)) ** 2)
    return ratio
