"""Label models: how annotators and items make labels wrong, fitted to the labels alone by expectation maximisation.

Two are there, which fail on different projects: a confusion matrix of each annotator, shrunk to the matrix of all, and
one accuracy of each annotator. Beside the annotator the confusion model knows items: a plain one shows what its
annotators can do, at a hard one they guess, and a misleading one draws them to wrong answers. Without that, an item
that many get wrong would make them all look worse than they are, and the model far too sure of what many say. (With
many classes a misleading item matters less: which of the wrong answers it draws to is not modelled.)

Every fit begins with the votes and not with an earlier fit, so it is a function of the set of labels, and cannot keep a
switch of classes that an early, lopsided part of them suggested.

Source: A. P. Dawid, A. M. Skene, Applied Statistics 28 (1979). Shrinkage is a Dirichlet prior whose mean is estimated
from all annotators. The traits of items are a mixture whose shares are assumed: estimated, they took over what is the
annotators' (a class that most mistake for another looks like a class of misleading items).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.quality.labels import Floats, Ints, Labels

ROUNDS = 50
"""Most rounds of expectation and maximisation."""

TOLERANCE = 1e-3
"""Largest change of a probability at which a fit has converged; ten times less changes no order worth seeing."""

SHRINKAGE = 2.0
"""Labels that what is known of all annotators counts as, for each of them."""

DIAGONAL = 0.7
"""What is assumed of all annotators before any label: they are more often right than not."""

BASE_WEIGHT = 1.0
"""Labels that this assumption counts as."""


class Trait(NamedTuple):
    """What an item does to its annotators.

    Args:
        degree: Share of the labels that do not come from what the annotator can do.
        misleading: These labels are wrong ones; else they are guesses, spread evenly.
        share: Share of the items that are taken to have it.
    """

    degree: float
    misleading: bool
    share: float


PLAIN = (Trait(0.0, False, 1.0),)
TRAITS = (
    Trait(0.0, False, 0.9),
    Trait(0.5, False, 0.025),
    Trait(0.9, False, 0.025),
    Trait(0.3, True, 0.025),
    Trait(0.6, True, 0.025),
)
"""Traits that an item may have; a coarse grid, since few labels an item tell no finer one apart."""

_LURED_RIGHT = 0.02


class Cells(NamedTuple):
    """Expected labels by annotator, true class and given class: one entry for each that occurs, all of shape (E,)."""

    annotator: Ints
    truth: Ints
    said: Ints
    weight: Floats


class Counts(NamedTuple):
    """What a model knows of its annotators, in expected labels; the posterior follows from it (`skill`).

    Args:
        right: Labels that are right, shape (A,).
        given: Labels that come from what the annotator can do, shape (A,).
        cells: The confusion matrices; None: the model has none.
    """

    right: Floats
    given: Floats
    cells: Cells | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A label model fitted to labels.

    Args:
        posterior: Probability of each candidate, shape (C,).
        prior: Probability of each class, shape (K,).
        counts: What the posterior rests on, beside the prior.
        predictive: Mean log probability that it gives to a label from the item's other labels, nats.
        rounds: Rounds it took.
    """

    posterior: Floats
    prior: Floats
    counts: Counts
    predictive: float
    rounds: int


def confusion(
    labels: Labels, scores: Floats | None = None, *, shrinkage: float = SHRINKAGE, traits: Sequence[Trait] = TRAITS
) -> Fit:
    """Fit a confusion matrix to each annotator, shrunk to the matrix of all of them.

    Where the truth is a class that nobody named, which one is not known: there an annotator's accuracy counts alone.

    Args:
        labels: The labels.
        scores: Log likelihood of each candidate by what else is known, shape (C,); -inf: it is not the truth.
        shrinkage: Labels of each true class that the pooled matrix counts as.
        traits: What items may do to their annotators.
    """
    k = len(labels.classes)
    truth, said = labels.candidate[labels.pairing_candidate], labels.label[labels.pairing_label]
    annotator = labels.annotator[labels.pairing_label]
    cells, cell = np.unique((annotator * (k + 1) + truth) * k + said, return_inverse=True)
    rows, row = np.unique(annotator * (k + 1) + truth, return_inverse=True)
    pools, pool = np.unique(truth * k + said, return_inverse=True)
    truths = pools // k
    base = np.where(truths == pools % k, DIAGONAL, (1 - DIAGONAL) / max(1, k - 1))
    right, beyond = _right(labels), truth == k
    occurring = np.flatnonzero(cells // k % (k + 1) < k)
    there = cells[occurring]
    where = (there // (k * (k + 1)), there // k % (k + 1), there % k)

    def said_if_true(weight: Floats) -> tuple[Floats, Counts]:
        together = np.bincount(pool, weight, len(pools))
        of_truth = np.bincount(truths, together, k + 1)[truths]
        pooled = (together + BASE_WEIGHT * base) / (of_truth + BASE_WEIGHT)
        own, of_row = np.bincount(cell, weight, len(cells)), np.bincount(row, weight, len(rows))[row]
        probability: Floats = (own[cell] + shrinkage * pooled[pool]) / (of_row + shrinkage)
        counts = _right_and_given(labels, right, weight)
        if beyond.any():
            errs = (1 - accuracies(counts, shrinkage)) / max(1, k - 1)
            probability = np.where(beyond, errs[annotator], probability)
        return probability, counts._replace(cells=Cells(where[0], where[1], where[2], own[occurring].astype(float)))

    return _fit(labels, scores, said_if_true, traits)


def one_coin(labels: Labels, scores: Floats | None = None, *, shrinkage: float = SHRINKAGE) -> Fit:
    """Fit one accuracy to each annotator, errors spread evenly, shrunk to the accuracy of all of them.

    Args:
        labels: The labels.
        scores: Log likelihood of each candidate by what else is known, shape (C,); -inf: it is not the truth.
        shrinkage: Labels that the pooled accuracy counts as.
    """
    others = max(1, len(labels.classes) - 1)
    annotator, right = labels.annotator[labels.pairing_label], _right(labels)

    def said_if_true(weight: Floats) -> tuple[Floats, Counts]:
        counts = _right_and_given(labels, right, weight)
        accuracy = accuracies(counts, shrinkage)[annotator]
        probability: Floats = np.where(right, accuracy, (1 - accuracy) / others)
        return probability, counts

    return _fit(labels, scores, said_if_true, PLAIN)


def accuracies(counts: Counts, shrinkage: float = SHRINKAGE) -> Floats:
    """Return the accuracy of each annotator, shrunk to that of all, shape (A,)."""
    accuracy: Floats = (counts.right + shrinkage * pooled_accuracy(counts)) / (counts.given + shrinkage)
    return np.clip(accuracy, 1e-6, 1 - 1e-6)


def pooled_accuracy(counts: Counts) -> float:
    """Return the accuracy of all annotators together."""
    return float((counts.right.sum() + BASE_WEIGHT * DIAGONAL) / (counts.given.sum() + BASE_WEIGHT))


def _right_and_given(labels: Labels, right: NDArray[np.bool_], weight: Floats) -> Counts:
    annotator, count = labels.annotator[labels.pairing_label], len(labels.annotators)
    hits: Floats = np.bincount(annotator[right], weight[right], count).astype(float)
    given: Floats = np.bincount(annotator, weight, count).astype(float)
    return Counts(hits, given)


def log_prior(labels: Labels, prior: Floats) -> Floats:
    """Return the log prior of each candidate, shape (C,); the classes that nobody named for an item count together."""
    if not labels.unnamed.any():
        return np.log(prior)[labels.candidate]
    of_named = np.append(prior, 0.0)[labels.candidate]
    rest = 1 - np.add.reduceat(of_named, labels.starts[:-1])
    return np.log(np.where(labels.unnamed, np.maximum(rest, 1e-12)[labels.owner()], of_named))


def class_prior(labels: Labels, posterior: Floats) -> Floats:
    """Return the probability of each class, shape (K,): its share of the posterior.

    What is left for the classes that nobody named for an item counts for all classes alike.
    """
    k = len(labels.classes)
    of_class = np.bincount(labels.candidate, posterior, k + 1)
    prior: Floats = (of_class[:k] + of_class[k] / k + 1 / k) / (len(labels.items) + 1)
    return prior


def lured_right(classes: int) -> float:
    """Return how often who is misled is right all the same; nothing is impossible."""
    return _LURED_RIGHT / classes


def _right(labels: Labels) -> NDArray[np.bool_]:
    """Return whether the label of each pairing is its candidate, shape (P,)."""
    right: NDArray[np.bool_] = labels.candidate[labels.pairing_candidate] == labels.label[labels.pairing_label]
    return right


def _fit(
    labels: Labels,
    scores: Floats | None,
    said_if_true: Callable[[Floats], tuple[Floats, Counts]],
    traits: Sequence[Trait],
) -> Fit:
    """Alternate between what the labels say of the truths, and the truths of those who gave the labels.

    Args:
        labels: The labels.
        scores: What else is known.
        said_if_true: Gives the probability of each pairing by the annotator's ability, shape (P,), from the expected
            number of times that the pairing is true and comes from it, and what that makes known of the annotators.
        traits: What items may do.
    """
    k, c = len(labels.classes), len(labels.candidate)
    owner, first, of = labels.owner(), labels.starts[:-1], labels.pairing_candidate
    known = np.zeros(c) if scores is None else scores
    right = _right(labels)
    lured = np.where(right, lured_right(k), (1 - lured_right(k)) / max(1, k - 1))
    posterior = labels.normalised(np.log(np.maximum(labels.shares(), 1e-12)) + np.where(np.isinf(known), known, 0.0))
    together = np.outer([trait.share for trait in traits], posterior)  # of trait and candidate
    ability: Floats = np.ones(len(of))

    def said(trait: Trait) -> Floats:
        """Return the probability of each pairing at an item of a trait, shape (P,)."""
        by_item: Floats = (1 - trait.degree) * ability + trait.degree * (lured if trait.misleading else 1 / k)
        return by_item

    rounds, change = 0, 1.0
    while rounds < ROUNDS and change >= TOLERANCE:
        weight = np.zeros(len(of))
        for n, trait in enumerate(traits):  # one by one: a project has many more pairings than labels
            weight += together[n][of] * ((1 - trait.degree) * ability / said(trait))
        ability, counts = said_if_true(weight)
        prior = class_prior(labels, posterior)
        log_joint = np.stack([np.bincount(of, np.log(said(trait)), c) + np.log(trait.share) for trait in traits])
        log_joint += log_prior(labels, prior) + known
        weights = np.exp(log_joint - np.maximum.reduceat(log_joint.max(axis=0), first)[owner])
        together = weights / np.add.reduceat(weights.sum(axis=0), first)[owner]
        before, posterior = posterior, together.sum(axis=0)
        rounds, change = rounds + 1, float(np.abs(posterior - before).max())
    return Fit(posterior, prior, counts, _predictive(labels, log_joint, [*map(said, traits)]), rounds)


def _predictive(labels: Labels, log_joint: Floats, saids: Sequence[Floats]) -> float:
    """Return the mean log probability of a label given the item's other labels.

    Args:
        labels: The labels.
        log_joint: Log probability of trait, candidate and the item's labels, shape (traits, C).
        saids: Probability of each pairing by trait, each of shape (P,).
    """
    starts = np.flatnonzero(np.diff(labels.pairing_label, prepend=-1))
    of = labels.pairing_candidate
    highest = np.full(len(of), -np.inf)
    for joint, said in zip(log_joint, saids, strict=True):
        np.maximum(highest, joint[of] - np.log(said), out=highest)
    top = np.maximum.reduceat(highest, starts)[labels.pairing_label]
    others, all_of_them = np.zeros(len(starts)), np.zeros(len(starts))
    for joint, said in zip(log_joint, saids, strict=True):
        without = np.exp(joint[of] - np.log(said) - top)
        others += np.add.reduceat(without, starts)
        all_of_them += np.add.reduceat(without * said, starts)
    return float(np.log(all_of_them / others).mean())
