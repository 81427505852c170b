"""What a fit has learnt of its labels and annotators: all that an item's posterior needs beside its own labels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streams.quality.truth import Truth, Voice

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
