"""What reviewers find who take the queue's head again and again, while each verdict moves the items behind it."""

from collections.abc import Mapping

from bench.quality.data import DataSet
from bench.quality.measures import SHARES, found
from streams.quality.labels import Floats, Ints
from streams.query.simulate import Policy, simulate
from streams.settings import Settings

STEP = 0.05
"""Share of the items after which the queue is settled and read anew."""

KEPT = "the queue's first order, kept"

Curves = Mapping[str, list[float]]
"""Share of the errors found in the first `SHARES` of the items, by what was reviewed first."""

_OTHER = "none of them"
_TIMEOUT_S = 300.0


def static(data: DataSet, shown: Ints, p_wrong: Floats) -> list[float]:
    """Return what the order before the first verdict finds.

    Args:
        data: The data set.
        shown: Index of the shown answer of each item, shape (N,).
        p_wrong: Probability that it is wrong, shape (N,).
    """
    known = data.gold >= 0
    return [found(p_wrong[known], (shown != data.gold)[known], share) for share in SHARES]


def reviewed(settings: Settings, project: str, data: DataSet, policy: Policy) -> list[float]:
    """Return what a simulated reviewer finds in an imported project, who gives the known answers.

    Args:
        settings: Where the stack is.
        project: The project, of this review alone.
        data: Its items and their known answers.
        policy: What is reviewed first.
    """
    names = [*data.classes, _OTHER]
    gold = {item: names[k] for item, k in zip(data.items, data.gold.tolist(), strict=True) if k >= 0}
    steps = [*simulate(settings, project, gold, max(SHARES), STEP, policy, _TIMEOUT_S)]
    by_share = {round(step.reviews / step.items, 3): step.found / step.errors for step in steps}
    return [by_share[min(by_share, key=lambda one: abs(one - share))] for share in SHARES]
