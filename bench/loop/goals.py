"""The goals of the loop, and whether they are reached."""

from collections.abc import Mapping, Sequence
from statistics import mean

from bench.loop.pipeline import Order, Point
from bench.quality.goals import Goal

Run = tuple[str, str, Order, int]
"""Data set, trainer, order of review and seed of a run."""

SHARES = (0.1, 0.2, 0.3)
LABELS = {"labelme": (0.925, 0.97, 0.99), "sentiment_polarity": (0.951, 0.969)}
"""Share of right answers after `SHARES` of the items were reviewed, by data set: L1 and L4."""

TEST = {"labelme": (0.907, 0.92, 0.932)}
"""The same of the test accuracy: L2."""

ENOUGH, SOON = 0.9, 100
"""Test accuracy on labelme that is to be reached after so many reviews: L3."""

_NAMES = {"labelme": "L1", "sentiment_polarity": "L4"}


def at(points: Sequence[Point], items: int, share: float) -> Point | None:
    """Return the point after a share of the items was reviewed, None if the run did not come that far."""
    reviews = round(share * items)
    return next((point for point in points if point.reviews >= reviews), None)


def goals(runs: Mapping[Run, Sequence[Point]], items: Mapping[str, int]) -> list[Goal]:
    """Return the goals that the runs say something of: the product's queue with the logistic regression.

    Args:
        runs: Points by run; seeds are averaged.
        items: Number of items with a known answer, by data set.
    """
    found: list[Goal] = []
    for data, number in items.items():
        mine = [points for (name, trainer, order, _), points in runs.items() if (name, trainer, order) == _of(data)]
        if mine:
            found += _shares(_NAMES[data], f"{data}: right answers", LABELS[data], mine, number, "labels")
            if data in TEST:
                found += _shares("L2", f"{data}: test accuracy", TEST[data], mine, number, "test")
                found += _soon(data, mine)
    return found


def _of(data: str) -> tuple[str, str, Order]:
    return data, "logistic", "queue"


def _shares(
    name: str, of: str, wanted: Sequence[float], runs: Sequence[Sequence[Point]], items: int, field: str
) -> list[Goal]:
    found = []
    for share, least in zip(SHARES, wanted, strict=False):
        reached = [at(points, items, share) for points in runs]
        figures = [getattr(point, field) for point in reached if point is not None]
        if len(figures) == len(runs) and None not in figures:
            figure = mean(figures)
            # what is asked for has three digits, and so has what is compared with it
            met = round(figure, 3) >= least
            found.append(Goal(name, f"{of} after {share:.0%}", f">= {least}", f"{figure:.4f}", met))
    return found


def _soon(data: str, runs: Sequence[Sequence[Point]]) -> list[Goal]:
    """Return how soon the test accuracy is enough; nothing if the runs ended too early to say."""
    of, wanted = f"{data}: reviews until the test accuracy is {ENOUGH}", f"<= {SOON}"
    counts = sorted({point.reviews for points in runs for point in points})
    for reviews in counts:
        tests = [point.test for points in runs for point in points if point.reviews == reviews]
        if len(tests) == len(runs) and mean(test or 0.0 for test in tests) >= ENOUGH:
            return [Goal("L3", of, wanted, str(reviews), reviews <= SOON)]
    return [Goal("L3", of, wanted, f"not after {counts[-1]}", False)] if counts[-1] >= SOON else []
