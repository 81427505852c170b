"""What the labels of a project say of each item's truth: several label models, weighed, and other voices.

No label model is right everywhere: one accuracy an annotator misleads where errors depend on the class, and a confusion
matrix where many annotators are drawn to the same error by an item, which it then takes for another class. So they are
averaged, each by how well it predicts a label from the item's other labels, and not by all of the likelihood: the
labels of an item are not independent, as both assume, and the likelihood of thousands would leave no doubt at all.
For the same reason a weighted vote, which assumes no such thing, may cast doubt on what they say.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from streams.quality.label_models import Fit, class_prior, confusion, log_prior, one_coin
from streams.quality.labels import Floats, Ints, Labels
from streams.quality.weighted_vote import Vote, doubted, scale_of, weighted_vote

PREDICTIVE_SCALE = 0.15
"""Difference in predictive log probability of a label, nats, at which a model counts e times less than a better one."""

_VOICE_ROUNDS = 3  # and not until it settles: a model must not be trusted for what it has itself brought about
_LARGEST_SCALE = 4.0

LEAST_SHARE = 1e-4
"""Share, over the number of classes, of a class that a model gives no chance: it may be wrong too."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Posterior of each item's truth.

    Args:
        labels: The labels, whose candidates it is about.
        posterior: Probability of each candidate, shape (C,).
        models: Each label model's fit by its name.
        weights: Weight of each label model by its name; they sum to one.
        voice: What the predictions were taken for; None without any.
        vote: The weighted vote; None: it has no part.
    """

    labels: Labels
    posterior: Floats
    models: Mapping[str, Fit]
    weights: Mapping[str, float]
    voice: "Voice | None" = None
    vote: Vote | None = None

    def of(self, item: str) -> dict[str, float]:
        """Return the probability of each candidate of an item, by class.

        What is missing to one belongs to the classes that nobody named.

        Raises:
            KeyError: the item has no labels.
        """
        labels = self.labels
        n = bisect_left(labels.items, item)
        if n == len(labels.items) or labels.items[n] != item:
            raise KeyError(item)
        span = slice(*labels.starts[n : n + 2])
        pairs = zip(labels.candidate[span], self.posterior[span], strict=True)
        return {labels.classes[k]: float(p) for k, p in pairs if k < len(labels.classes)}


@dataclass(frozen=True, slots=True)
class Voice:
    """How a model's predictions count.

    Args:
        scale: What its log probabilities are multiplied with: 0: it says nothing.
        mean: Its mean probability of each class, in the order of the classes.
    """

    scale: float
    mean: tuple[float, ...]


def infer(
    labels: Labels,
    fixed: Mapping[str, str] | None = None,
    predicted: Mapping[str, Mapping[str, float]] | None = None,
) -> Truth:
    """Return the posterior of each item's truth: a pure function of the set of labels and what else is known.

    Args:
        labels: The labels; the classes of `fixed` must be among their candidates.
        fixed: True class by item, from verdicts and truth gold.
        predicted: A model's probability by class of each item that it was not trained on.

    Raises:
        ValueError: a fixed truth is no candidate of its item (`arrange` takes it as `also`), or a prediction is none.
    """
    scores = known = ruled_out(labels, fixed or {})
    truth = _mixture(labels, known)
    if predicted:
        evidence, mean = voice_evidence(labels, predicted)
        for _ in range(_VOICE_ROUNDS):  # the better the truth, the better it shows what the model is worth
            scale = voice_scale(labels, truth.posterior, evidence)
            scores = known + scale * evidence
            truth = replace(_mixture(labels, scores), voice=Voice(scale, tuple(mean.tolist())))
    vote = weighted_vote(labels, truth.posterior, scores)
    return replace(truth, posterior=doubted(labels, truth.posterior, vote.posterior), vote=vote)


def _mixture(labels: Labels, scores: Floats) -> Truth:
    """Fit every label model and weigh it by what it predicts."""
    models = {"confusion": confusion(labels, scores), "one coin": one_coin(labels, scores)}
    most = max(fit.predictive for fit in models.values())
    raw = {name: float(np.exp((fit.predictive - most) / PREDICTIVE_SCALE)) for name, fit in models.items()}
    weights = {name: weight / sum(raw.values()) for name, weight in raw.items()}
    posterior = np.zeros(len(scores))
    for name, fit in models.items():
        posterior += weights[name] * fit.posterior
    posterior /= np.add.reduceat(posterior, labels.starts[:-1])[labels.owner()]  # the weights may sum to a bit less
    return Truth(labels, posterior, models, weights)


def ruled_out(labels: Labels, fixed: Mapping[str, str]) -> Floats:
    """Return -inf for the candidates that a fixed truth rules out, else 0, shape (C,).

    Raises:
        ValueError: a fixed truth is no candidate of its item; `arrange` takes it as `also`.
    """
    scores = np.zeros(len(labels.candidate))
    place = {item: n for n, item in enumerate(labels.items)}
    for item, truth in fixed.items():
        if item in place:
            span = slice(*labels.starts[place[item] : place[item] + 2])
            wrong = np.array([k == len(labels.classes) or labels.classes[k] != truth for k in labels.candidate[span]])
            if wrong.all():
                raise ValueError(f"{truth!r} is no candidate of item {item!r}")
            scores[span][wrong] = -np.inf
    return scores


def voice_evidence(labels: Labels, predicted: Mapping[str, Mapping[str, float]]) -> tuple[Floats, Floats]:
    """Return what a model's out-of-sample predictions say of each candidate, unscaled, and its mean by class.

    These are its log probabilities less those of the classes in all its predictions, for the class prior is counted
    already.

    Args:
        labels: The labels.
        predicted: Probability by class of each item the model was not trained on; items may be missing. Of more than
            `ALL_CLASSES` classes those that are no candidates are weighed together.

    Returns:
        Log evidence of each candidate, shape (C,), and mean probability of each class, shape (K,).

    Raises:
        ValueError: a probability is none.
    """
    owner, k = labels.owner(), len(labels.classes)
    place = {label: n for n, label in enumerate(labels.classes)}
    has = np.array([item in predicted for item in labels.items])
    mean, told = np.zeros(k), np.zeros(len(labels.candidate))
    for n, item in enumerate(labels.items):
        probabilities = predicted.get(item)
        if probabilities is None:
            continue
        span = slice(*labels.starts[n : n + 2])
        found = {place[label]: p for label, p in sorted(probabilities.items()) if label in place}
        if not all(0 <= p <= 1 for p in probabilities.values()):  # not a number is neither
            raise ValueError("a prediction holds a number that is no probability")
        candidates = labels.candidate[span].tolist()
        told[span] = [found.get(c, 0.0) for c in candidates]
        if candidates[-1] == k:
            told[span.stop - 1] = max(0.0, 1 - told[span].sum())
        for c, p in found.items():
            mean[c] += p
    mean = np.maximum(mean / max(1, has.sum()), LEAST_SHARE / k)
    return np.where(has[owner], np.log(np.maximum(told, LEAST_SHARE / k)) - log_prior(labels, mean), 0.0), mean


def voice_scale(labels: Labels, posterior: Floats, evidence: Floats) -> float:
    """Return the scale at which a model's evidence tells a posterior best.

    It is near 0 for a weak model, below 1 for one that is too sure of itself, above for one that is not sure enough.

    Args:
        labels: The labels.
        posterior: What is known of the candidates without the model, or with it so far, shape (C,).
        evidence: What the model says of them, shape (C,).
    """
    known = log_prior(labels, class_prior(labels, posterior))
    return scale_of(labels, posterior, evidence, known, _LARGEST_SCALE)


def best(labels: Labels, posterior: Floats) -> Ints:
    """Return the class of each item's most probable candidate that has a name, ties to the lowest, shape (N,)."""
    named = np.where(labels.unnamed, -1.0, posterior)
    top = np.maximum.reduceat(named, labels.starts[:-1])
    at = np.flatnonzero(named >= top[labels.owner()])
    _, first = np.unique(labels.owner()[at], return_index=True)
    return labels.candidate[at[first]]
