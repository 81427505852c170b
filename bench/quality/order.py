"""The order of review by each score: how soon it finds the errors of an answer that is shown."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.quality.data import DataSet
from bench.quality.measures import SHARES, Wrong, area, calibration_error, found, spread_of_difference
from bench.quality.peers import Peers
from streams.quality.labels import Floats, Ints

SHOWN = ("majority", "DS")
"""The answers whose errors are looked for: ties of the majority go to the lowest class, DS is crowd-kit's."""

LIBRARIES = ("vote entropy", "DS[y]", "one-coin[y]", "GLAD[y]", "model[y]", "CROWDLAB", "ActiveLab")
ALONE, WITH = "labelloop", "labelloop with the model"

Scores = dict[str, Floats]
"""How likely the shown answer is wrong, or how much it is in doubt, by method, each of shape (N,)."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of review.

    Args:
        found: Share of the errors found in the first items, by `SHARES`.
        area: Probability that an error comes before what is right.
    """

    found: tuple[float, ...]
    area: float


@dataclass(frozen=True, slots=True)
class Margin:
    """Labelloop's area beside the best library's.

    Args:
        library: The best one.
        area: Its area.
        ahead: Labelloop's area less that.
        spread: Paired bootstrap standard deviation of the difference.
    """

    library: str
    area: float
    ahead: float
    spread: float


@dataclass(frozen=True, slots=True)
class Case:
    """One data set under one answer that is shown.

    Args:
        errors: Number of wrong answers.
        orders: The order of review by score.
        margin: The product beside the best library.
        calibration: Expected calibration error of each score that is a probability.
    """

    errors: int
    orders: Mapping[str, Order]
    margin: Margin
    calibration: Mapping[str, float]

    @property
    def product(self) -> Order:
        """Return the product's order: with the model where there is one."""
        return self.orders[WITH if WITH in self.orders else ALONE]


def shown_answers(data: DataSet, peers: Peers) -> dict[str, Ints]:
    """Return the answers whose errors are looked for, by their name in `SHOWN`."""
    return {"majority": data.majority(), "DS": peers.labels["DS"]}


def library_scores(data: DataSet, peers: Peers, shown: str) -> Scores:
    """Return the libraries' scores of what is shown."""
    answer, every = shown_answers(data, peers)[shown], np.arange(len(data.items))
    shares = data.votes() / data.votes().sum(axis=1, keepdims=True)
    scores: Scores = {"vote entropy": -(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=1)}
    scores |= {f"{name}[y]": 1 - table[every, answer] for name, table in peers.posteriors.items()}
    if peers.predicted is not None and peers.active is not None:
        scores["model[y]"] = 1 - peers.predicted[every, answer]
        scores["CROWDLAB"] = 1 - peers.crowdlab[shown][every, answer]
        scores["ActiveLab"] = 1 - peers.active
    return {name: scores[name] for name in LIBRARIES if name in scores}


def case(data: DataSet, peers: Peers, ours: Mapping[str, Floats], shown: str) -> Case:
    """Return how labelloop and the libraries order what is shown.

    Args:
        data: The data set.
        peers: What the libraries say of it.
        ours: Labelloop's posteriors, each of shape (N, K), by `ALONE` and, where there is a model, `WITH`.
        shown: One of `SHOWN`.
    """
    answer, every = shown_answers(data, peers)[shown], np.arange(len(data.items))
    libraries = library_scores(data, peers, shown)
    own = {name: 1 - table[every, answer] for name, table in ours.items()}
    known = data.gold >= 0
    wrong: Wrong = (answer != data.gold)[known]
    scores = {name: score[known] for name, score in {"random": np.zeros(len(answer)), **libraries, **own}.items()}
    scores["perfect"] = wrong.astype(float)
    orders = {
        name: Order(tuple(found(s, wrong, share) for share in SHARES), area(s, wrong)) for name, s in scores.items()
    }
    best = max(libraries, key=lambda name: orders[name].area)
    product = WITH if WITH in own else ALONE
    ahead = orders[product].area - orders[best].area
    margin = Margin(best, orders[best].area, ahead, spread_of_difference(scores[product], scores[best], wrong))
    probabilities = [name for name in (*libraries, *own) if name not in ("vote entropy", "ActiveLab")]
    return Case(int(wrong.sum()), orders, margin, {n: calibration_error(scores[n], wrong) for n in probabilities})


def own_calibration(data: DataSet, posterior: Floats) -> float:
    """Return the expected calibration error of p_wrong where the most probable class is shown."""
    return calibration_error(*judged(data, posterior, posterior.argmax(axis=1)))


def judged(data: DataSet, posterior: Floats, answer: Ints) -> tuple[Floats, Wrong]:
    """Return p_wrong of an answer, and whether it is wrong, for the items with gold.

    Args:
        data: The data set.
        posterior: Probability of each class, shape (N, K).
        answer: Class that is shown, shape (N,).
    """
    known = data.gold >= 0
    return (1 - posterior[np.arange(len(posterior)), answer])[known], (answer != data.gold)[known]
