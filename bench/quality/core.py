"""What the pure core says of a data set: of all labels at once, and of a stream of them."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.quality.data import DataSet, Row
from streams.quality.fitted import learnt
from streams.quality.label_models import PLAIN, confusion
from streams.quality.labels import Floats, Ints, arrange
from streams.quality.skill import Scorer
from streams.quality.truth import Truth, infer

Arrival = Literal["mixed", "by item"]
"""How labels arrive: all shuffled, or items one after another, the labels of each shuffled."""

REFIT_SHARE = 0.01
"""A refit comes after so much of the stream."""

LEAST_BATCH = 25
_NEARLY_NONE = 1e-6


def posterior(data: DataSet, predicted: Floats | None = None) -> Floats:
    """Return the probability of each class of each item from all labels, shape (N, K)."""
    truth = infer(arrange(data.rows()), predicted=None if predicted is None else data.named(predicted))
    return data.table({item: truth.of(item) for item in data.items})


def dawid_skene(data: DataSet) -> Ints:
    """Return the answers of the core's confusion model without what it adds to Dawid and Skene's, shape (N,)."""
    labels = arrange(data.rows())
    fit = confusion(labels, shrinkage=_NEARLY_NONE, traits=PLAIN)
    truth = Truth(labels, fit.posterior, {}, {})
    answers: Ints = data.table({item: truth.of(item) for item in data.items}).argmax(axis=1)
    return answers


@dataclass(frozen=True, slots=True)
class Streamed:
    """How right the answers of one stream were.

    Args:
        completion: Share of right answers, each read when its item had its last label.
        end: Share of right answers at the end.
        differs: Largest difference of a probability at the end from the fit of all labels in the order of the file.
        seconds: Time it took.
    """

    completion: float
    end: float
    differs: float
    seconds: float


def stream(data: DataSet, arrival: Arrival, seed: int, batch: Floats) -> Streamed:
    """Feed the labels in an order of arrival: refit after each batch of them, fold each item's labels in between.

    Args:
        data: The labels.
        arrival: The order.
        seed: Of the order.
        batch: Posterior of all labels at once, shape (N, K).
    """
    began = time.perf_counter()
    rows, place = arranged(data, arrival, seed), {item: n for n, item in enumerate(data.items)}
    missing = Counter(item for item, _, _ in rows)
    votes: dict[str, list[tuple[str, str]]] = {}
    step = max(LEAST_BATCH, round(REFIT_SHARE * len(rows)))
    scorer: Scorer | None = None
    at_completion = np.full(len(data.items), -1)
    for n, (item, annotator, label) in enumerate(rows, 1):
        votes.setdefault(item, []).append((annotator, label))
        missing[item] -= 1
        if not missing[item]:
            at_completion[place[item]] = _answer(data, scorer, sorted(votes[item]))
        if n % step == 0:
            scorer = Scorer(learnt(infer(arrange(rows[:n]))))
    truth = infer(arrange(rows))
    last = data.table({item: truth.of(item) for item in data.items})
    return Streamed(
        data.accuracy(at_completion),
        data.accuracy(last.argmax(axis=1)),
        float(np.abs(last - batch).max()),
        time.perf_counter() - began,
    )


def arranged(data: DataSet, arrival: Arrival, seed: int) -> list[Row]:
    """Return the labels in an order of arrival."""
    random, rows = np.random.default_rng(seed), data.rows()
    order = random.permutation(len(rows))
    if arrival == "by item":
        turn = random.permutation(len(data.items))
        order = order[np.argsort(turn[data.item[order]], kind="stable")]
    return [rows[n] for n in order]


def streams(data: DataSet, seeds: int, batch: Floats) -> Iterator[tuple[Arrival, Streamed]]:
    """Return every stream of a data set."""
    arrivals: Sequence[Arrival] = ("mixed", "by item")
    for arrival in arrivals:
        for seed in range(seeds):
            yield arrival, stream(data, arrival, seed, batch)


def _answer(data: DataSet, scorer: Scorer | None, votes: Sequence[tuple[str, str]]) -> int:
    """Return the index of the most probable class; before the first fit that of the most votes."""
    if scorer is None:
        shares: dict[str, float] = {}
        for _, label in votes:
            shares[label] = shares.get(label, 0.0) + 1
    else:
        shares = scorer.posterior(votes)
    return int(np.argmax([shares.get(label, 0.0) for label in data.classes]))
