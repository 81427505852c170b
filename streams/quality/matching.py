"""One-to-one matching of the regions of two annotators (Hungarian assignment), and scores that count its pairs."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from streams.quality.regions import DECIMALS, Bools, Floats

THRESHOLD = 0.5
"""Similarity from which two regions are taken to mean the same thing."""


class Match(NamedTuple):
    """Two regions that mean the same thing.

    Args:
        one: Index of the region on the first side.
        other: Index of the region on the second side.
        similarity: Of the two, above 0 and at most 1.
    """

    one: int
    other: int
    similarity: float


def assign(similarity: Floats, alike: Bools, threshold: float = THRESHOLD) -> list[Match]:
    """Return the one-to-one matching of greatest total similarity, in the order of the first side.

    Among matchings of equal total that of most pairs is taken, then that of most pairs alike: how many pairs there are
    does not depend on the order of the regions. Totals count as equal if they differ by less than a rounding, which is
    1e-9 a pair for a hundred regions and 2e-7 for a thousand.

    Args:
        similarity: Of each pair, from 0 to 1, shape (n, m).
        alike: Pairs to prefer among equals, such as those of one class, shape (n, m).
        threshold: Pairs below it cannot match, nor can those of similarity 0.
    """
    n = min(similarity.shape)
    if not n:
        return []
    # whole numbers, of which a double holds the sums exactly: no order of addition can decide between equals
    scale = min(10**DECIMALS, 2**52 // (n + 1) ** 3)
    allowed = (similarity >= threshold) & (similarity > 0)
    weights = (np.rint(similarity * scale) * (n + 1) + 1) * (n + 1) + alike
    rows, columns = linear_sum_assignment(np.where(allowed, weights, 0), maximize=True)
    return [Match(int(i), int(j), float(similarity[i, j])) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]


def f1(matched: int, ones: int, others: int) -> float:
    """Return F1 of two annotators, which is the same whoever of them is taken for the truth; 1 if neither has any.

    Args:
        matched: Pairs.
        ones: Regions of the first.
        others: Regions of the second.
    """
    return 2 * matched / (ones + others) if ones + others else 1.0
