"""Percentiles."""

import math
from collections.abc import Sequence
from statistics import median

SHARES = (0.5, 0.99, 0.999)
NAMES = ("p50", "p99", "p99.9")


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all do not exceed.

    Args:
        ordered: At least one value, rising.
        share: Above 0, up to 1.
    """
    return ordered[math.ceil(share * len(ordered)) - 1]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the percentiles `SHARES` by their names."""
    ordered = sorted(values)
    return {name: percentile(ordered, share) for name, share in zip(NAMES, SHARES, strict=True)}


def of_rounds(rounds: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return median, lowest and highest of each figure over the rounds."""
    return {
        name: {
            "median": median(one[name] for one in rounds),
            "lowest": min(one[name] for one in rounds),
            "highest": max(one[name] for one in rounds),
        }
        for name in rounds[0]
    }
