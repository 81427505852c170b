"""How good an order of review is, and how honest the probabilities that make it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.quality.labels import Floats

SHARES = (0.05, 0.1, 0.2, 0.3)
"""Shares of the items after which the errors found are told."""

RESAMPLES = 400
_DIGITS = 14  # scores that differ by less are equal: the last bits are chance

Wrong = NDArray[np.bool_]
"""Whether the answer shown for an item is wrong, shape (N,)."""


def found(score: Floats, wrong: Wrong, share: float) -> float:
    """Return the share of the errors that are found in the first items by score, as expected over tied scores."""
    order = np.argsort(-np.round(score, _DIGITS), kind="stable")
    ranked, errors = np.round(score, _DIGITS)[order], wrong[order].astype(float)
    starts = np.flatnonzero(np.diff(ranked, prepend=np.inf))
    lengths = np.diff(np.append(starts, len(ranked)))
    expected = np.repeat(np.add.reduceat(errors, starts) / lengths, lengths)
    after = np.concatenate([[0.0], np.cumsum(expected)])
    return float(np.interp(share * len(ranked), np.arange(len(after)), after) / max(1.0, errors.sum()))


def area(score: Floats, wrong: Wrong) -> float:
    """Return the probability that an error is ranked before what is right, a tie counting one half (the ROC area).

    It is the area under the curve of errors found, scaled to 0.5 for a random order and 1 for a perfect one.
    """
    _, place, count = np.unique(np.round(score, _DIGITS), return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]  # the mean rank of tied scores, from 1
    errors = int(wrong.sum())
    rest = len(wrong) - errors
    if not errors or not rest:
        return float("nan")
    return float((rank[wrong].sum() - errors * (errors + 1) / 2) / (errors * rest))


def spread_of_difference(one: Floats, other: Floats, wrong: Wrong, seed: int = 0) -> float:
    """Return the standard deviation of the difference of two areas over samples of the items (paired bootstrap)."""
    random = np.random.default_rng(seed)
    differences = []
    for _ in range(RESAMPLES):
        drawn = random.integers(len(wrong), size=len(wrong))
        differences.append(area(one[drawn], wrong[drawn]) - area(other[drawn], wrong[drawn]))
    return float(np.nanstd(differences))


class Bin(NamedTuple):
    """Items of like probability.

    Args:
        items: How many.
        mean: Their mean probability that the answer is wrong.
        wrong: Share of them whose answer is wrong.
    """

    items: int
    mean: float
    wrong: float


def reliability(p_wrong: Floats, wrong: Wrong, bins: int = 10) -> list[Bin]:
    """Return what a reliability diagram shows: bins of equal width that hold items, rising.

    Args:
        p_wrong: Probability that the answer is wrong.
        wrong: Whether it is.
        bins: Number of bins.
    """
    place = np.minimum((p_wrong * bins).astype(int), bins - 1)
    items = np.bincount(place, minlength=bins)
    filled = items > 0
    mean, share = (np.bincount(place, of, bins)[filled] / items[filled] for of in (p_wrong, wrong))
    return [Bin(*one) for one in zip(items[filled].tolist(), mean.tolist(), share.tolist(), strict=True)]


def calibration_error(p_wrong: Floats, wrong: Wrong, bins: int = 10) -> float:
    """Return the expected calibration error: the mean over items of |mean p_wrong - share wrong| of their bin."""
    return sum(one.items * abs(one.mean - one.wrong) for one in reliability(p_wrong, wrong, bins)) / len(wrong)
