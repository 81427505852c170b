"""The posterior of one item from published skill: the last step of a fit, for labels that came after it too.

A fit (`truth.infer`) sees all labels of a project at once. What it has learnt of the annotators is published, and with
it each item's posterior follows from the item's own labels alone: the same as the fit's, up to rounding, where the
item's labels are those it was fitted to.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import exp, log

import numpy as np

from streams.quality.fitted import CONFUSION, ONE_COIN, Fitted, Known, VoteRule
from streams.quality.label_models import (
    BASE_WEIGHT,
    DIAGONAL,
    PLAIN,
    SHRINKAGE,
    TRAITS,
    Counts,
    lured_right,
    pooled_accuracy,
)
from streams.quality.labels import ALL_CLASSES, Floats
from streams.quality.truth import LEAST_SHARE
from streams.quality.weighted_vote import doubted_item, log_share

FEW_CLASSES = 6
"""Up to so many classes numbers are added one by one: of arrays of a few, a call costs more than the sum."""

_MOST_COLUMNS = 50_000
"""Columns that are kept where candidates are picked by name, some 20 MB; past that they begin anew."""


_LOG_SHARES = [log(trait.share) for trait in TRAITS]

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
        self._terms = _terms(self._k, self._pool.others)
        self._annotators: dict[str, _Annotator] = {}
        self._rows: dict[tuple[str, str], Floats] = {}
        self._lists: dict[tuple[str, str], list[float]] = {}
        self._columns: dict[tuple[str, int, int], list[float]] = {}
        self._every = tuple(range(self._k)) if self._k <= ALL_CLASSES else None
        self._start = None if self._every is None else self._log_prior(self._every)
        every, rule = self._every, fitted.vote
        self._vote_start = [] if every is None or rule is None else self._log_vote_prior(rule, every)
        few = self._start is not None and self._k <= FEW_CLASSES
        self._start_list: list[float] = self._start.ravel().tolist() if few and self._start is not None else []
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
        unknown = sorted({label for _, label in votes if label not in self._place})
        flat: list[float] | None = None  # by trait, then candidate
        if unknown:
            candidates, joint = self._with_new(votes, predicted, unknown)
        elif self._every is None or self._start is None:
            candidates, flat = self._of_named(votes, predicted)
        elif self._start_list and predicted is None:
            candidates, flat = self._every, self._of_few(votes)
        else:
            candidates, joint = self._every, self._start.copy()
            for one in votes:
                joint += self._row(one)
        names = (*self._fitted.classes, *unknown) if unknown else self._fitted.classes
        if flat is not None:
            if predicted is None and len(candidates) <= FEW_CLASSES:
                return self._named(self._mixed(flat, len(candidates)), votes, candidates, names, None)
            joint = np.array(flat).reshape(-1, len(candidates))
        evidence = None
        if predicted is not None and self._fitted.voice is not None:
            evidence = self._evidence(candidates, predicted, names)
            joint += evidence
        coin = np.exp(joint[-1] - joint[-1].max())  # of trait and candidate, the one-coin model last
        matrix = np.exp(joint[:-1] - joint[:-1].max()).sum(axis=0)
        both = self._weights[0] * matrix / matrix.sum() + self._weights[1] * coin / coin.sum()
        return self._named((both / both.sum()).tolist(), votes, candidates, names, evidence)

    def _of_few(self, votes: Sequence[tuple[str, str]]) -> list[float]:
        """Return the log probability of votes and few classes, by trait and class."""
        joint = self._start_list
        for one in votes:
            row = self._lists.get(one)
            if row is None:
                row = self._lists[one] = self._row(one).ravel().tolist()
            joint = [so_far + more for so_far, more in zip(joint, row, strict=True)]
        return joint

    def _of_named(
        self, votes: Sequence[tuple[str, str]], predicted: Mapping[str, float] | None
    ) -> tuple[tuple[int, ...], list[float]]:
        """Return the candidates among many classes, those that were named and "none of them", and the same of them."""
        place = self._place
        candidates = _named_by(votes, predicted, place)
        priors = [self._prior(self._fitted.priors[name], candidates) for name in (CONFUSION, ONE_COIN)]
        sums = [[*(log(p) + share for share in _LOG_SHARES), log(q)] for p, q in zip(*priors, strict=True)]
        for annotator, label in votes:
            answer = place[label]
            for n, candidate in enumerate(candidates):
                column = self._column(annotator, answer, candidate)
                sums[n] = [so_far + more for so_far, more in zip(sums[n], column, strict=True)]
        return candidates, [score for of_trait in zip(*sums, strict=True) for score in of_trait]

    def _column(self, name: str, answer: int, candidate: int) -> list[float]:
        """Return what `_log_if` does, kept: of a class that nobody named it is the same whatever was said."""
        key = (name, answer, candidate) if candidate >= 0 else (name, -1, -1)
        column = self._columns.get(key)
        if column is None:
            if len(self._columns) >= _MOST_COLUMNS:
                self._columns.clear()
            column = self._columns[key] = self._log_if(name, answer, candidate)
        return column

    def _mixed(self, joint: list[float], k: int) -> list[float]:
        """Return the probability of each of `k` candidates by the label models, as `posterior` does with arrays."""
        by_trait, coin = joint[:-k], joint[-k:]
        top, highest = max(by_trait), max(coin)
        shares, coins = [exp(score - top) for score in by_trait], [exp(score - highest) for score in coin]
        of_shares, of_coins = self._weights[0] / sum(shares), self._weights[1] / sum(coins)
        both = [of_shares * sum(shares[c::k]) + of_coins * coins[c] for c in range(k)]
        whole = sum(both)
        return [p / whole for p in both]

    def _named(
        self,
        posterior: list[float],
        votes: Sequence[tuple[str, str]],
        candidates: tuple[int, ...],
        names: Sequence[str],
        evidence: Floats | None,
    ) -> dict[str, float]:
        """Return the label models' posterior with the vote's part in it, by name."""
        if self._fitted.vote is not None:
            vote = self._vote(self._fitted.vote, votes, candidates, names, evidence)
            posterior = doubted_item(posterior, vote, len(candidates) - (candidates[-1] < 0))
        return {names[c]: p for c, p in zip(candidates, posterior, strict=True) if c >= 0}

    def _row(self, one: tuple[str, str]) -> Floats:
        """Return the log probability of a label where every class is a candidate, shape (traits + 1, classes)."""
        row = self._rows.get(one)
        if row is None and self._every is not None:
            row = self._rows[one] = self._log_said(one[0], self._place[one[1]], self._every)
        assert row is not None
        return row

    def accuracy(self, annotator: str) -> float:
        """Return an annotator's accuracy, shrunk to that of all; of one who is not known, that of all."""
        return self._annotator(annotator).accuracy

    def _annotator(self, name: str) -> _Annotator:
        found = self._annotators.get(name)
        if found is None:
            found = self._annotators[name] = _Annotator(self._fitted.annotators.get(name, _NOBODY), self._pool)
        return found

    def _with_new(
        self, votes: Sequence[tuple[str, str]], predicted: Mapping[str, float] | None, unknown: Sequence[str]
    ) -> tuple[tuple[int, ...], Floats]:
        """Return candidates and log probabilities of votes of which some name a class that the fit did not know."""
        place = {**self._place, **{label: self._k + n for n, label in enumerate(unknown)}}
        if self._every is not None:
            candidates = tuple(range(self._k + len(unknown)))
        else:
            candidates = _named_by(votes, predicted, place)
        joint = self._log_prior(candidates)
        for annotator, label in votes:
            joint += self._log_said(annotator, place[label], candidates)
        return candidates, joint

    def _prior(self, of_class: Sequence[float], candidates: Iterable[int]) -> list[float]:
        named = [of_class[c] if c < self._k else min(of_class) for c in candidates if c >= 0]
        *_, total = accumulate(named, initial=0.0)
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
        return np.array([self._log_if(name, answer, c) for c in candidates]).T

    def _log_if(self, name: str, answer: int, candidate: int) -> list[float]:
        """Return the log probability of a label if a candidate is the truth, by trait, by the one-coin model last."""
        annotator, is_right = self._annotator(name), candidate == answer
        able = annotator.said(candidate, answer)
        coin = annotator.accuracy if is_right else (1 - annotator.accuracy) / self._pool.others
        return [*(log(factor * able + more) for factor, more in self._terms[is_right]), log(coin)]

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


def _terms(classes: int, others: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return, of wrong and of right labels, by trait: the annotator's own probability times what, and plus what."""
    share = lured_right(classes)
    wrong, right = (
        [(1 - trait.degree, trait.degree * (lured if trait.misleading else 1 / classes)) for trait in TRAITS]
        for lured in ((1 - share) / others, share)
    )
    return wrong, right


def _named_by(
    votes: Sequence[tuple[str, str]], predicted: Mapping[str, float] | None, place: Mapping[str, int]
) -> tuple[int, ...]:
    """Return the candidates among many classes: those that were named, and -1, the others."""
    named = {place[label] for _, label in votes}
    if predicted and (said := likeliest(predicted)) in place:
        named.add(place[said])
    return (*sorted(named), -1)


def likeliest(predicted: Mapping[str, float]) -> str:
    """Return the class a prediction gives most, ties to the lowest name."""
    return min(predicted, key=lambda label: (-predicted[label], label))
