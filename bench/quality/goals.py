"""The goals: what is asked of one configuration on all data sets, and whether it is reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from bench.quality.core import Streamed
from bench.quality.data import NAMES
from bench.quality.measures import SHARES
from bench.quality.order import LIBRARIES, SHOWN, Case

Cases = Mapping[str, Mapping[str, Case]]
"""Cases by data set and the answer that is shown."""

Streams = Mapping[str, Mapping[str, Sequence[Streamed]]]
"""Streams by data set and order of arrival."""

_TENTH = SHARES.index(0.1)
_WANTED = (
    ("Q1", "labelme", "majority", 0.41, 0.92),
    ("Q2", "labelme", "DS", 0.41, 0.90),
    ("Q3", "sentiment_polarity", "majority", 0.53, 0.857),
    ("Q3", "sentiment_polarity", "DS", 0.405, 0.802),
    ("Q4", "bluebird", "majority", 0.415, 0.904),
    ("Q4", "bluebird", "DS", 0.33, 0.75),
    ("Q5", "zencrowd_us", "majority", 0.45, 0.84),
    ("Q5", "zencrowd_us", "DS", 0.47, 0.88),
)
"""Goal, data set, answer shown, share of the errors in the first tenth of the items, area."""

LARGEST_LOSS = 0.01
END_POINTS, COMPLETION_POINTS, ZENCROWD = 0.3, 1.5, 0.87
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and what was measured.

    Args:
        name: Its name.
        of: What it is about.
        wanted: What is asked for.
        figure: What was found.
        reached: Whether that is enough.
    """

    name: str
    of: str
    wanted: str
    figure: str
    reached: bool


def order_goals(cases: Cases) -> list[Goal]:
    """Return the goals of the order of review, Q1 to Q6, and what is required of it."""
    goals = []
    for name, data, shown, tenth, area in _WANTED:
        order = cases[data][shown].product
        first = order.found[_TENTH]
        goals.append(_at_least(name, f"{data}, {shown}: errors in the first 10 %", first, tenth))
        goals.append(_at_least(name, f"{data}, {shown}: area", order.area, area))
    every = [(data, shown, cases[data][shown].margin) for data in NAMES for shown in SHOWN]
    data, shown, worst = min(every, key=lambda one: one[2].ahead)
    goals.append(
        Goal(
            "Q6",
            "largest loss of area against a set's best library",
            f"<= {LARGEST_LOSS}",
            f"{-worst.ahead:.4f} ({data}, {shown}, {worst.library})",
            -worst.ahead <= LARGEST_LOSS,
        )
    )
    return goals + [goal for shown in SHOWN for goal in _required(cases, shown)]


def _required(cases: Cases, shown: str) -> list[Goal]:
    """Return the rule that all must meet: ahead of any single library on the mean, on no set far behind the best.

    A library that needs a model is compared on the sets that have one; the others on all four.
    """
    ahead = {}
    for library in LIBRARIES:
        on = [case[shown] for case in cases.values() if library in case[shown].orders]
        ahead[library] = mean(case.product.area - case.orders[library].area for case in on)
    nearest = min(ahead, key=ahead.__getitem__)
    margins = {data: case[shown].margin for data, case in cases.items()}
    worst = min(margins, key=lambda data: margins[data].ahead + margins[data].spread)
    margin = margins[worst]
    return [
        Goal(
            "Required",
            f"{shown}: mean area ahead of every single library",
            "> 0",
            f"{ahead[nearest]:+.3f} (nearest: {nearest})",
            ahead[nearest] > 0,
        ),
        Goal(
            "Required",
            f"{shown}: on no set more than one standard deviation below its best",
            ">= -1 sd",
            f"{margin.ahead:+.3f} +- {margin.spread:.3f} ({worst}, {margin.library})",
            margin.ahead >= -margin.spread,
        ),
    ]


def stream_goals(streams: Streams, peers: Mapping[str, float], batch: Mapping[str, float]) -> list[Goal]:
    """Return the goals of streams, S1 and S2.

    Args:
        streams: The streams.
        peers: Accuracy of crowd-kit's Dawid-Skene by data set.
        batch: Accuracy of the core from all labels at once by data set.
    """
    goals = []
    differs = max(one.differs for by_order in streams.values() for many in by_order.values() for one in many)
    goals.append(
        Goal("S1", "end of any stream: as the batch fit", "equal", f"differs by {differs:.0e}", differs < _SAME)
    )
    for data, by_order in streams.items():
        lowest = min(one.end for many in by_order.values() for one in many)
        if data == "zencrowd_us":
            goals.append(_at_least("S1", f"{data}: accuracy at the end, worst stream", lowest, ZENCROWD))
            continue
        goals.append(_points("S1", f"{data}: end of the worst stream less DS", lowest - peers[data], END_POINTS))
    for data, by_order in streams.items():
        if data != "zencrowd_us":
            complete = mean(one.completion for one in by_order["by item"])
            goals.append(
                _points("S2", f"{data}: at item completion less DS", complete - peers[data], COMPLETION_POINTS)
            )
            goals.append(
                _points("S2", f"{data}: at item completion less own batch", complete - batch[data], COMPLETION_POINTS)
            )
    return goals


def _at_least(name: str, of: str, figure: float, wanted: float) -> Goal:
    return Goal(name, of, f">= {wanted}", f"{figure:.4f}", figure >= wanted)


def _points(name: str, of: str, difference: float, allowed: float) -> Goal:
    points = 100 * difference
    return Goal(name, of, f">= -{allowed} points", f"{points:+.2f}", points >= -allowed)
