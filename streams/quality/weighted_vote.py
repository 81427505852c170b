"""A weighted vote, which may raise doubt in what the label models say and overrules nothing.

Label models multiply up labels as if each were made for itself. Where annotators err together that is far too sure of
what many say, and it heeds a model that has seen the item too little. A class's share of the labels says nothing of how
many there are; what it is worth is fitted to what the label models know, and grows with the root of their number as a
middle way. Alone it is the weakest of the voices, and it sides with the many where their errors depend on the class: so
it must not decide. But what only it doubts is worth a look before what nobody doubts.

Source: the weights and the shares are CROWDLAB's (H. W. Goh, U. Tkachenko, J. Mueller, 2022), where a share is a
probability as it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from streams.quality.label_models import Counts, accuracies, class_prior, log_prior, pooled_accuracy
from streams.quality.labels import Floats, Labels

PART = 0.3
"""Part of the posterior that the vote has where it is far from changing an answer."""

_LEAD = 0.05  # without it the vote's part would jump where two classes change places
_LEAST_WEIGHT = 1e-3  # of who is no better than the most frequent class; it counts where nobody else has labelled
_LARGEST_SCALE = 16.0


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """A weighted vote on each item.

    Args:
        posterior: Probability of each candidate by it, shape (C,).
        weights: Weight of each annotator, 0 to 1, shape (A,).
        of_others: Weight of an annotator who is not among them.
        right: Share of all labels that are right.
        prior: Probability of each class, shape (K,).
        scale: What the log of the shares is multiplied with; 0: they say nothing.
    """

    posterior: Floats
    weights: Floats
    of_others: float
    right: float
    prior: Floats
    scale: float


def weighted_vote(labels: Labels, posterior: Floats, scores: Floats) -> Vote:
    """Return the vote whose weights and scale follow from what is known.

    An annotator's weight is by how much it errs less than who always gives the most frequent class.

    Args:
        labels: The labels.
        posterior: Probability of each candidate by the label models, shape (C,).
        scores: Log likelihood of each candidate by what else is known, shape (C,); -inf: it is not the truth.
    """
    own = labels.pairing_candidate[labels.candidate[labels.pairing_candidate] == labels.label[labels.pairing_label]]
    prior, count = class_prior(labels, posterior), len(labels.annotators)
    agreed = np.bincount(labels.annotator, posterior[own], count).astype(float)
    counts = Counts(agreed, np.bincount(labels.annotator, minlength=count).astype(float))
    right, chance = pooled_accuracy(counts), max(1 - float(prior.max()), 1e-3)
    weights = np.maximum(1 - (1 - accuracies(counts)) / chance, _LEAST_WEIGHT)

    of_class = np.bincount(own, weights[labels.annotator], len(labels.candidate))
    total = np.add.reduceat(of_class, labels.starts[:-1])[labels.owner()]
    errs = (1 - right) / max(1, len(labels.classes) - 1)
    evidence = np.sqrt(total) * np.log(errs + (right - errs) * of_class / total)  # as `log_share`
    known = log_prior(labels, prior) + scores
    scale = scale_of(labels, posterior, evidence, known, _LARGEST_SCALE)
    of_others = max(1 - (1 - right) / chance, _LEAST_WEIGHT)
    return Vote(labels.normalised(scale * evidence + known), weights, of_others, right, prior, scale)


def log_share(of_class: float, total: float, right: float, classes: int) -> float:
    """Return what a vote says of a candidate, before it is scaled.

    Args:
        of_class: Weight of the labels for it.
        total: Weight of all labels of its item; 0: there are none.
        right: Share of all labels that are right: no class has more, nor does any have nothing.
        classes: Number of classes.
    """
    errs = (1 - right) / max(1, classes - 1)
    return sqrt(total) * log(errs + (right - errs) * of_class / total) if total else 0.0


def doubted(labels: Labels, posterior: Floats, vote: Floats) -> Floats:
    """Return the label models' posterior with the vote's part in it, shape (C,): the likeliest class stays the same.

    Args:
        labels: The labels.
        posterior: Probability of each candidate by the label models, shape (C,).
        vote: The same by the vote.
    """
    first, owner = labels.starts[:-1], labels.owner()
    named = np.where(labels.unnamed, -1.0, posterior)
    highest = np.maximum.reduceat(named, first)
    at = np.flatnonzero(named >= highest[owner])
    top = at[np.unique(owner[at], return_index=True)[1]]
    behind, gains = highest[owner] - posterior, np.maximum(vote - vote[top][owner], 0.0)
    room = behind / (behind + gains + _LEAD)  # near what the vote may have for a class not to overtake the likeliest
    room[top] = room[labels.unnamed] = 1.0
    least = np.minimum.reduceat(room, first)[owner]
    part = PART * least / (PART + least)
    mixed: Floats = (1 - part) * posterior + part * vote
    return mixed


def doubted_item(posterior: Sequence[float], vote: Sequence[float], named: int) -> list[float]:
    """Return the same of a single item, whose first `named` candidates have names."""
    highest = max(posterior[:named], default=0.0)
    top = posterior.index(highest) if named else 0
    room = 1.0
    for n in range(named):
        if n != top:
            behind = highest - posterior[n]
            room = min(room, behind / (behind + max(vote[n] - vote[top], 0.0) + _LEAD))
    part = PART * room / (PART + room)
    return [(1 - part) * p + part * v for p, v in zip(posterior, vote, strict=True)]


def scale_of(labels: Labels, posterior: Floats, evidence: Floats, known: Floats, largest: float) -> float:
    """Return the scale, from 0, at which evidence tells a posterior best (by likelihood, one parameter).

    Args:
        labels: The labels.
        posterior: What is known of the candidates, shape (C,).
        evidence: What is to be scaled, shape (C,), a log likelihood.
        known: What is added to it unscaled, shape (C,), a log likelihood; -inf: it is not the truth.
        largest: Largest scale.
    """

    def slope(scale: float) -> float:
        """Return the derivative of the log likelihood by the scale; it falls, for the likelihood is concave."""
        return float(((posterior - labels.normalised(scale * evidence + known)) * evidence).sum())

    low, high = 0.0, largest
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return low
