"""The posterior of one item from published skill: the last step of a fit, for labels that came after it too.

A fit (`truth.infer`) sees all labels of a project at once. What it has learnt of the annotators is published, and with
it each item's posterior follows from the item's own labels alone: the same as the fit's, up to rounding, where the
item's labels are those it was fitted to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.quality.label_models import (
    BASE_WEIGHT,
    DIAGONAL,
    PLAIN,
    SHRINKAGE,
    TRAITS,
    Counts,
    Trait,
    lured_right,
    pooled_accuracy,
)
from streams.quality.labels import ALL_CLASSES, Floats
from streams.quality.truth import LEAST_SHARE, Truth, Voice
from streams.quality.weighted_vote import doubted_item, log_share

CONFUSION, ONE_COIN = "confusion", "one coin"

Cell = tuple[int, int]
"""Index of the true class, index of the given one."""


class Known(NamedTuple):
    """What is known of an annotator, in expected labels.

    Args:
        right: Right labels, by the one-coin model.
        given: Labels, by the one-coin model.
        able_right: Right labels among those that come from what the annotator can do, by the confusion model.
        able: Labels that come from it, by the confusion model.
        cells: Labels by true and given class, by the confusion model.
    """

    right: float
    given: float
    able_right: float
    able: float
    cells: Mapping[Cell, float]


@dataclass(frozen=True, slots=True)
class VoteRule:
    """How the labels of an item are put to the vote (`weighted_vote.Vote`).

    Args:
        weights: Weight of each annotator.
        of_others: Weight of an annotator who is not among them.
        right: Share of all labels that are right.
        prior: Probability of each class, in the order of the classes.
        scale: What the log of the shares is multiplied with.
    """

    weights: Mapping[str, float]
    of_others: float
    right: float
    prior: tuple[float, ...]
    scale: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit has learnt: all that an item's posterior needs beside its labels.

    Args:
        classes: Classes in order; the indices of cells point into it.
        weights: Weight of each label model.
        priors: Probability of each class, by label model.
        pooled: Sum of all annotators.
        annotators: Each annotator.
        voice: What the model's predictions were taken for; None without any.
        vote: How labels are put to the vote; None: the vote has no part.
    """

    classes: tuple[str, ...]
    weights: Mapping[str, float]
    priors: Mapping[str, tuple[float, ...]]
    pooled: Known
    annotators: Mapping[str, Known]
    voice: Voice | None = None
    vote: VoteRule | None = None


def learnt(truth: Truth) -> Fitted:
    """Return what a fit has learnt."""
    labels, coin, matrix = truth.labels, truth.models[ONE_COIN].counts, truth.models[CONFUSION].counts
    vote = truth.vote
    cells: list[dict[Cell, float]] = [{} for _ in labels.annotators]
    for annotator, true, said, count in zip(*(array.tolist() for array in matrix.cells or ()), strict=True):
        cells[annotator][true, said] = count
    columns = [array.tolist() for array in (coin.right, coin.given, matrix.right, matrix.given)]
    known = [
        Known(right, given, able_right, able, cells[n])
        for n, (right, given, able_right, able) in enumerate(zip(*columns, strict=True))
    ]
    return Fitted(
        classes=labels.classes,
        weights=dict(truth.weights),
        priors={name: tuple(fit.prior.tolist()) for name, fit in truth.models.items()},
        pooled=together(known),
        annotators=dict(zip(labels.annotators, known, strict=True)),
        voice=truth.voice,
        vote=None
        if vote is None
        else VoteRule(
            dict(zip(labels.annotators, vote.weights.tolist(), strict=True)),
            vote.of_others,
            vote.right,
            tuple(vote.prior.tolist()),
            vote.scale,
        ),
    )


def together(annotators: Iterable[Known]) -> Known:
    """Return what is known of several annotators, added up in their order."""
    sums, cells = [0.0, 0.0, 0.0, 0.0], dict[Cell, float]()
    for known in annotators:
        for n in range(4):
            sums[n] += known[n]  # type: ignore[operator]
        for cell, count in known.cells.items():
            cells[cell] = cells.get(cell, 0.0) + count
    return Known(sums[0], sums[1], sums[2], sums[3], cells)


_NOBODY = Known(0.0, 0.0, 0.0, 0.0, {})


class _Annotator:
    """Probability of each label of one annotator if a class is the truth."""

    def __init__(self, known: Known, pool: "_Pool") -> None:
        self._cells, self._pool = known.cells, pool
        self._of_truth: dict[int, float] = {}
        for (truth, _), count in known.cells.items():
            self._of_truth[truth] = self._of_truth.get(truth, 0.0) + count
        self.accuracy = _accuracy(known.right, known.given, pool.accuracy)
        self._errs = (1 - _accuracy(known.able_right, known.able, pool.able_accuracy)) / pool.others

    def said(self, truth: int, answer: int) -> float:
        """Return the probability by the confusion matrix; truth -1: a class that nobody named."""
        if truth < 0:
            return self._errs
        own, of_truth = self._cells.get((truth, answer), 0.0), self._of_truth.get(truth, 0.0)
        return (own + SHRINKAGE * self._pool.said(truth, answer)) / (of_truth + SHRINKAGE)


class _Pool:
    """All annotators together."""

    def __init__(self, known: Known, classes: int) -> None:
        self.others = max(1, classes - 1)
        self._cells, self._of_truth = known.cells, [0.0] * classes
        for (truth, _), count in sorted(known.cells.items()):
            self._of_truth[truth] += count
        self.accuracy = pooled_accuracy(Counts(np.array([known.right]), np.array([known.given])))
        self.able_accuracy = pooled_accuracy(Counts(np.array([known.able_right]), np.array([known.able])))

    def said(self, truth: int, answer: int) -> float:
        base = DIAGONAL if truth == answer else (1 - DIAGONAL) / self.others
        of_truth = self._of_truth[truth] if truth < len(self._of_truth) else 0.0
        return (self._cells.get((truth, answer), 0.0) + BASE_WEIGHT * base) / (of_truth + BASE_WEIGHT)


def _accuracy(right: float, given: float, pooled: float) -> float:
    return min(max((right + SHRINKAGE * pooled) / (given + SHRINKAGE), 1e-6), 1 - 1e-6)


class Scorer:
    """Gives posteriors by what a fit has learnt.

    Args:
        fitted: What it has learnt.
    """

    def __init__(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self._place = {label: n for n, label in enumerate(fitted.classes)}
        self._k = len(fitted.classes)
        self._pool = _Pool(fitted.pooled, self._k)
        self._annotators: dict[str, _Annotator] = {}
        self._rows: dict[tuple[str, str], Floats] = {}
        self._every = tuple(range(self._k)) if self._k <= ALL_CLASSES else None
        self._start = None if self._every is None else self._log_prior(self._every)
        every, rule = self._every, fitted.vote
        self._vote_start = [] if every is None or rule is None else self._log_vote_prior(rule, every)
        self._weights = [fitted.weights[CONFUSION], fitted.weights[ONE_COIN]]

    def posterior(
        self, votes: Sequence[tuple[str, str]], predicted: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Return the probability of each class that may be the truth, in the classes' order.

        Args:
            votes: Annotator and class of each label of the item, one an annotator, sorted.
            predicted: The model's probability by class; None: it says nothing of the item.

        Returns:
            Probability by class; what is missing to one belongs to classes that nobody named.
        """
        unknown = [label for _, label in votes if label not in self._place]
        if self._every is not None and self._start is not None and not unknown:
            candidates, joint = self._every, self._start.copy()
            for one in votes:
                row = self._rows.get(one)
                if row is None:
                    row = self._rows[one] = self._log_said(one[0], self._place[one[1]], candidates)
                joint += row
        else:
            candidates, joint = self._by_name(votes, predicted, sorted({*unknown}))
        names = (*self._fitted.classes, *sorted({*unknown}))
        evidence = None
        if predicted is not None and self._fitted.voice is not None:
            evidence = self._evidence(candidates, predicted, names)
            joint += evidence
        coin = np.exp(joint[-1] - joint[-1].max())  # of trait and candidate, the one-coin model last
        matrix = np.exp(joint[:-1] - joint[:-1].max()).sum(axis=0)
        mixed = self._weights[0] * matrix / matrix.sum() + self._weights[1] * coin / coin.sum()
        posterior: list[float] = (mixed / mixed.sum()).tolist()
        if self._fitted.vote is not None:
            vote = self._vote(self._fitted.vote, votes, candidates, names, evidence)
            posterior = doubted_item(posterior, vote, len(candidates) - (candidates[-1] < 0))
        return {names[c]: p for c, p in zip(candidates, posterior, strict=True) if c >= 0}

    def accuracy(self, annotator: str) -> float:
        """Return an annotator's accuracy, shrunk to that of all; of one who is not known, that of all."""
        return self._annotator(annotator).accuracy

    def _annotator(self, name: str) -> _Annotator:
        found = self._annotators.get(name)
        if found is None:
            found = self._annotators[name] = _Annotator(self._fitted.annotators.get(name, _NOBODY), self._pool)
        return found

    def _by_name(
        self, votes: Sequence[tuple[str, str]], predicted: Mapping[str, float] | None, unknown: list[str]
    ) -> tuple[tuple[int, ...], Floats]:
        """Return the candidates and their rows where not every class is one, or one is new."""
        place = {**self._place, **{label: self._k + n for n, label in enumerate(unknown)}}
        if self._every is not None:
            candidates = tuple(range(self._k + len(unknown)))
        else:
            named = {place[label] for _, label in votes}
            if predicted and (said := likeliest(predicted)) in place:
                named.add(place[said])
            candidates = (*sorted(named), -1)
        joint = self._log_prior(candidates)
        for annotator, label in votes:
            joint += self._log_said(annotator, place[label], candidates)
        return candidates, joint

    def _prior(self, of_class: Sequence[float], candidates: Iterable[int]) -> list[float]:
        named = [of_class[c] if c < self._k else min(of_class) for c in candidates if c >= 0]
        *_, total = accumulate(named)
        return [*named, max(1 - total, 1e-12)]

    def _log_prior(self, candidates: tuple[int, ...]) -> Floats:
        """Return log of trait's share and class prior, shape (traits + 1, candidates)."""
        rows = []
        for name, traits in ((CONFUSION, TRAITS), (ONE_COIN, PLAIN)):
            prior = np.log(self._prior(self._fitted.priors[name], candidates)[: len(candidates)])
            rows += [prior + log(trait.share) for trait in traits]
        return np.stack(rows)

    def _log_said(self, name: str, answer: int, candidates: tuple[int, ...]) -> Floats:
        """Return the log probability of a label by trait and candidate, shape (traits + 1, candidates)."""
        annotator, k, others = self._annotator(name), self._k, self._pool.others
        able = np.array([annotator.said(c, answer) for c in candidates])
        right = np.array([c == answer for c in candidates])
        lured = np.where(right, lured_right(k), (1 - lured_right(k)) / others)
        coin = np.where(right, annotator.accuracy, (1 - annotator.accuracy) / others)
        return np.log([*(_at(trait, able, lured, k) for trait in TRAITS), coin])

    def _vote(
        self,
        rule: VoteRule,
        votes: Sequence[tuple[str, str]],
        candidates: tuple[int, ...],
        names: Sequence[str],
        evidence: Floats | None,
    ) -> list[float]:
        """Return the probability of candidates by the vote. Numbers, for arrays of a few take three times as long.

        Args:
            rule: How labels are put to the vote.
            votes: Annotator and class of each label.
            candidates: The candidates.
            names: What the candidates are called.
            evidence: What the model says of them; None: nothing.
        """
        of_class: dict[str, float] = {}
        for annotator, label in votes:
            of_class[label] = of_class.get(label, 0.0) + rule.weights.get(annotator, rule.of_others)
        total = sum(of_class.values())
        nothing = rule.scale * log_share(0.0, total, rule.right, self._k)
        said = {label: rule.scale * log_share(w, total, rule.right, self._k) for label, w in of_class.items()}
        prior = self._vote_start if candidates is self._every else self._log_vote_prior(rule, candidates)
        scores = [
            p + (said.get(names[c], nothing) if c >= 0 else nothing) for p, c in zip(prior, candidates, strict=True)
        ]
        if evidence is not None:
            scores = [score + more for score, more in zip(scores, evidence.tolist(), strict=True)]
        highest = max(scores)
        shares = [exp(score - highest) for score in scores]
        whole = sum(shares)
        return [share / whole for share in shares]

    def _log_vote_prior(self, rule: VoteRule, candidates: tuple[int, ...]) -> list[float]:
        return [log(p) for p in self._prior(rule.prior, candidates)[: len(candidates)]]

    def _evidence(self, candidates: tuple[int, ...], predicted: Mapping[str, float], names: Sequence[str]) -> Floats:
        """Return what a prediction adds to each candidate's log likelihood, shape (candidates,)."""
        voice, least = self._fitted.voice, LEAST_SHARE / self._k
        assert voice is not None
        told = [predicted.get(names[c], 0.0) for c in candidates if c >= 0]
        mean = [voice.mean[c] if c < self._k else least for c in candidates if c >= 0]
        if candidates[-1] < 0:
            told.append(max(0.0, 1 - sum(told)))
            mean.append(max(1 - sum(mean), 1e-12))
        evidence: Floats = voice.scale * (np.log(np.maximum(told, least)) - np.log(mean))
        return evidence


def _at(trait: Trait, able: Floats, lured: NDArray[np.float64], classes: int) -> Floats:
    """Return the probability of a label at an item of a trait."""
    by_item: Floats = (1 - trait.degree) * able + trait.degree * (lured if trait.misleading else 1 / classes)
    return by_item


def likeliest(predicted: Mapping[str, float]) -> str:
    """Return the class a prediction gives most, ties to the lowest name."""
    return min(predicted, key=lambda label: (-predicted[label], label))
