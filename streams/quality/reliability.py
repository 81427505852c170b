"""How far an annotator can be trusted, from the expected correctness of each answer, oldest first.

Expected correctness is the posterior probability that the answer is the item's truth: 0 or 1 where a verdict or truth
gold says so.
"""

from collections.abc import Sequence
from math import fsum, log
from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from streams.quality.label_models import SHRINKAGE

LEVEL = 0.9
"""Probability that an interval holds the accuracy."""

HALF_LIFE = 50
"""Labels after which one counts half in the recent accuracy."""

BASELINE = 60
"""Answers by which an annotator's own accuracy is judged before drift is looked for."""

DROP = 0.15
"""Loss of accuracy that the drift alarm is made for."""

THRESHOLD = 8.0
"""Sum of log likelihood ratios at which the alarm goes off, nats.

Of annotators who stay as good as they are, one in ten sets it off in 3,000 answers at most; who loses twice `DROP` does
after some 40 to 80 answers (simulated: .02 to .10, and 41 to 81; `tests/unit/test_reliability.py`).
"""


class Reliability(NamedTuple):
    """Accuracy with its interval.

    Args:
        accuracy: Expected share of right answers, shrunk to that of all.
        low: Lower end of the interval of `LEVEL`.
        high: Upper end.
        recent: The same with the newest answers counting most.
    """

    accuracy: float
    low: float
    high: float
    recent: float


def reliability(correct: Sequence[float], pooled: float) -> Reliability:
    """Return the accuracy behind answers.

    The interval is that of a Beta distribution with the mean and variance of the accuracy: what a binomial leaves open,
    and beside it what is not known of the truths.

    Args:
        correct: Expected correctness of each answer, oldest first; none: that of all.
        pooled: Accuracy of all annotators, which counts as `SHRINKAGE` answers.
    """
    answers = np.asarray(correct, dtype=float)
    n = len(answers)
    mean = (fsum(answers) + SHRINKAGE * pooled) / (n + SHRINKAGE)  # exact sums: the same in any order
    mean = min(max(mean, 1e-6), 1 - 1e-6)
    variance = mean * (1 - mean) / (n + SHRINKAGE + 1)
    variance += fsum(answers * (1 - answers)) / (n + SHRINKAGE) ** 2
    weight = max(mean * (1 - mean) / variance - 1, 1e-3)
    low, high = beta.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], weight * mean, weight * (1 - mean))
    ages = 0.5 ** (np.arange(n)[::-1] / HALF_LIFE)
    recent = (fsum(ages * answers) + SHRINKAGE * pooled) / (fsum(ages) + SHRINKAGE)
    return Reliability(mean, float(low), float(high), recent)


def drift(correct: Sequence[float]) -> int | None:
    """Return the index of the answer at which the last drift alarm went off, None if none did.

    Page's cumulative sum (Biometrika 41, 1954) of the log likelihood ratio of an accuracy that is `DROP` lower than the
    baseline, against the baseline: the first `BASELINE` answers, less one standard error, since it is an estimate.
    After an alarm the next answers make a new baseline.

    Args:
        correct: Expected correctness of each answer, oldest first.
    """
    start, alarm = 0, None
    while start + BASELINE < len(correct):
        base = (sum(correct[start : start + BASELINE]) + 1) / (BASELINE + 2)
        base = max(base - (base * (1 - base) / BASELINE) ** 0.5, 0.05)
        low = max(base - DROP, base / 4)
        right, wrong = log(low / base), log((1 - low) / (1 - base))
        total, n = 0.0, start + BASELINE
        while n < len(correct) and total <= THRESHOLD:
            total = max(0.0, total + correct[n] * right + (1 - correct[n]) * wrong)
            n += 1
        if total <= THRESHOLD:
            break
        alarm, start = n - 1, n
    return alarm
