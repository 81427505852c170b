"""The regression gate: is a new model at least as good as the champion, on every part that counts?

Both are judged by predictions of models that had not seen the item: cross-fitted on a model's own snapshot, direct on
others. So the whole snapshot is a held-out part and no row is wasted.

A robust model bears many wrong corrections before it gets worse, so comparing two models alone does not find a poisoned
batch. Two more parts look at the corrections that no champion has learnt from: `new` asks whether anybody believed them
before, `agreement` whether models that had not seen them foretell them as well as the older ones. What nobody believed
but can be foretold from the rest of the batch, such as a new class or a changed guideline, is learnt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from scipy.stats import binom

from streams.quality.labels import Floats
from workers.artifact import text_of
from workers.dataset import Value

Part = Literal["new", "agreement", "fixed", "corrected", "held_out"]

RESAMPLES = 2_000
INTERVAL = (2.5, 97.5)
MAX_REGRESSED = 50
"""Regressed items that are named."""

UNLIKELY = 0.1
"""A correction is supported by nobody where the models and the annotators give its value a smaller share than this; of
what is believed with so little chance at most so large a share can be true."""

LEAST_COMPARED = 50
"""New corrections, and older ones, below which nothing is said of their agreement."""

BORNE = 0.05
"""How much less the new corrections may agree though they are believed: hard items come to reviewers in batches."""

MAX_NAMED = 5
"""Items that a reason names."""

_SIGNIFICANCE = 0.01
_AT_ONCE = 1_000_000  # examples drawn in one go

_PARTS = {"fixed": "fixed examples", "corrected": "corrected examples", "held_out": "held-out examples"}


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the gate; meanings are in `schemas/models.avsc`."""

    part: Part
    examples: int
    champion: float
    challenger: float
    low: float
    high: float
    regressions: int
    allowed: int
    passed: bool


@dataclass(frozen=True, slots=True)
class Example:
    """An item with its right value, and what both models say of it.

    Args:
        item_id: The item.
        truth: Its right value.
        weight: How sure that is, 0 to 1.
        champion: What the champion says; None: it says nothing.
        challenger: What the new model says.
        support: Largest chance that the former model or the annotators gave the right value; None: not asked.
        shares: Where nobody decided: probability of each class by the votes. A model is then right by so much.
    """

    item_id: str
    truth: Value
    weight: float
    champion: Value | None
    challenger: Value
    support: float | None = None
    shares: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Foretold:
    """A correction beside what a model that had not seen it says.

    Args:
        right: Whether the model says the same.
        sure: Calibrated probability that the model gives to what it says.
    """

    right: bool
    sure: float


def is_right(told: Value | None, truth: Value, tolerance: float) -> bool:
    """Return whether a model has an item right: the same class, the same set of classes, or nearly the number.

    Args:
        told: What it says.
        truth: What is right.
        tolerance: Difference up to which a number is right.
    """
    if told is None or told["kind"] != truth["kind"]:
        return False
    if truth["kind"] == "number":
        return bool(abs(told["number"] - truth["number"]) <= tolerance)
    if truth["kind"] == "choices":
        return {*told["choices"]} == {*truth["choices"]}
    return bool(told["choice"] == truth["choice"])


def credit(told: Value | None, one: Example, tolerance: float) -> float:
    """Return how right a model is on an example, 0 to 1: where nobody decided, the chance that it is by the votes.

    So a model that contradicts a close vote loses little, and one that contradicts all annotators nearly everything.
    """
    if one.shares is not None and told is not None and told["kind"] == "choice":
        return one.shares.get(told["choice"], 0.0)
    return float(is_right(told, one.truth, tolerance))


def tolerance_of(truths: Sequence[Value]) -> float:
    """Return the difference up to which a number is right: half a standard deviation of the right ones."""
    numbers = [value["number"] for value in truths if value["kind"] == "number"]
    return float(np.std(numbers)) / 2 if numbers else 0.0


def check(part: Part, examples: Sequence[Example], tolerance: float, max_regressions: float | None, seed: int) -> Check:
    """Compare two models on one part.

    New corrections refuse too many that nobody supports, more than one in ten by a binomial test at 1 %: a batch that
    contradicts people and model alike is more likely wrong itself. Fixed and held-out examples refuse a significant
    loss: the whole 95 % interval of the difference, by the paired bootstrap (Efron and Tibshirani 1993, chapter 13),
    lies below zero. Corrected ones refuse too many regressions; where there is nothing to regress from, they are
    compared as the others are.

    Args:
        part: Which part.
        examples: Its examples; at least one.
        tolerance: Difference up to which a number is right.
        max_regressions: Share of the corrected examples that may regress; None: there is no champion.
        seed: Of the resampling.
    """
    before = np.array([credit(one.champion, one, tolerance) for one in examples])
    after = np.array([credit(one.challenger, one, tolerance) for one in examples])
    weight = np.array([one.weight for one in examples])
    low, high = interval(after - before, weight, seed)
    lost = (
        is_right(one.champion, one.truth, tolerance) and not is_right(one.challenger, one.truth, tolerance)
        for one in examples
    )
    regressions, allowed = sum(lost), -1
    if part == "corrected" and max_regressions is not None:
        allowed = ceil(max_regressions * len(examples))
    elif part == "new":
        regressions = len(unsupported(examples))
        allowed = int(binom.isf(_SIGNIFICANCE, len(examples), UNLIKELY))
    return Check(
        part,
        len(examples),
        float(np.average(before, weights=weight)),
        float(np.average(after, weights=weight)),
        low,
        high,
        regressions,
        allowed,
        passed=high >= 0 if allowed < 0 else regressions <= allowed,
    )


def agreement(new: Sequence[Foretold], old: Sequence[Foretold], seed: int) -> Check | None:
    """Ask whether new corrections agree with what was learnt as well as the older ones do.

    How often a calibrated model has an item right is how sure it is of it, so a batch of hard items is expected to be
    foretold less often; what the older corrections fall short of that, the new ones may too. A shortfall counts where
    the whole 95 % interval, by the two-sample bootstrap (Efron and Tibshirani 1993, chapter 8), lies below zero, and
    refuses by itself where it lies below -`BORNE`. The idea is confident learning's: labels against out-of-sample
    probabilities (Northcutt, Jiang and Chuang 2021).

    Args:
        new: Corrections that no champion has learnt from.
        old: The others.
        seed: Of the resampling.

    Returns:
        The part: `champion` is the share that is expected to be foretold, `challenger` the share that is. None: there
        are too few.
    """
    if min(len(new), len(old)) < LEAST_COMPARED:
        return None
    rng = np.random.default_rng(seed)
    fresh, known = (np.array([one.right - one.sure for one in part]) for part in (new, old))
    drawn = [part[rng.integers(0, len(part), (RESAMPLES, len(part)))].mean(axis=1) for part in (fresh, known)]
    low, high = (round(float(end), 6) for end in np.percentile(drawn[0] - drawn[1], INTERVAL))
    right = sum(one.right for one in new)
    share = right / len(new)
    expected = share - float(fresh.mean() - known.mean())
    return Check("agreement", len(new), expected, share, low, high, len(new) - right, -1, high >= -BORNE)


def unsupported(examples: Sequence[Example]) -> list[str]:
    """Return the items whose right value neither the former model nor an annotator gives a chance, sorted."""
    return sorted(one.item_id for one in examples if one.support is not None and one.support < UNLIKELY)


def interval(difference: Floats, weight: Floats, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of a weighted mean difference by the paired bootstrap."""
    rng, number, means = np.random.default_rng(seed), len(difference), []
    weighted = difference * weight
    at_once = max(1, _AT_ONCE // number)
    for first in range(0, RESAMPLES, at_once):
        chosen = rng.integers(0, number, (min(at_once, RESAMPLES - first), number))
        means.append(weighted[chosen].sum(axis=1) / weight[chosen].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), INTERVAL)
    return round(float(low), 6), round(float(high), 6)


def reason(checks: Sequence[Check], first: bool, named: Sequence[str] = ()) -> str | None:
    """Return why a model is refused, in words, None if it is not.

    Args:
        checks: The parts.
        first: There is no champion: it was compared with the most frequent value.
        named: Items to look at, the first few are named.
    """
    found = []
    for one in checks:
        if one.passed:
            continue
        if one.part == "new":
            found.append(
                f"{one.regressions} of {one.examples} new corrections say what neither the model nor an annotator "
                f"gives a chance of {UNLIKELY:g}, {one.allowed} allowed: look at them, and take back what is wrong"
            )
        elif one.part == "agreement":
            found.append(
                f"models that had not seen the {one.examples} new corrections agree with {one.challenger:.3f} of them, "
                f"{one.champion:.3f} were expected (difference {one.low:+.3f} to {one.high:+.3f})"
            )
        elif one.allowed >= 0:
            found.append(
                f"{one.regressions} regressions among {one.examples} corrected examples, {one.allowed} allowed"
            )
        else:
            against = "the most frequent value" if first else "the champion"
            found.append(
                f"{one.challenger:.3f} of {one.examples:,} {_PARTS[one.part]} right, {against} {one.champion:.3f} "
                f"(difference {one.low:+.3f} to {one.high:+.3f})"
            )
    if found and named:
        more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
        found.append(f"look at {', '.join(named[:MAX_NAMED])}{more}")
    return "; ".join(found) or None


def regressed(parts: Mapping[Part, Sequence[Example]], tolerance: float, doubted: bool) -> list[str]:
    """Return the items that the champion has right and the new model wrong, sorted, fixed and corrected ones first.

    Args:
        parts: The examples.
        tolerance: Difference up to which a number is right.
        doubted: The new corrections refuse it: those that nobody supports come first.
    """
    found: dict[str, None] = dict.fromkeys(unsupported(parts.get("new", ())) if doubted else ())
    others: tuple[Part, ...] = ("fixed", "corrected", "held_out")
    for part in others:
        for one in sorted(parts.get(part, ()), key=lambda example: example.item_id):
            if is_right(one.champion, one.truth, tolerance) and not is_right(one.challenger, one.truth, tolerance):
                found[one.item_id] = None
    return [*found]


def outcome(one: Example, tolerance: float) -> str | None:
    """Return what became of an example: now_right, still_wrong or newly_wrong; None: both models have it right."""
    before, after = is_right(one.champion, one.truth, tolerance), is_right(one.challenger, one.truth, tolerance)
    if after:
        return None if before else "now_right"
    return "newly_wrong" if before else "still_wrong"


def flip_text(value: Value | None) -> str | None:
    """Return a value as one text, None for none."""
    return None if value is None else text_of(value)
