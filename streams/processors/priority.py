"""The priority of a review: the probability that the shown answer is wrong, times what finding that is worth.

    p = 1 - (1 - p_wrong) * product over doubts of (1 - doubt)
    priority = p * weight,   weight = product of the terms, at most MAX_WEIGHT

A *doubt* (a flag, an open comment, a stale guideline) is somebody's or something's word that the answer is wrong, that
counts even where the labels leave none: independent of them, so the probabilities that it is right are multiplied. A
*term* is a factor: what one error found is worth. Terms multiply and are not added, so that two reasons strengthen
each other, the order of two items that share a term is that of p, and an answer that is surely right stays last
whatever is odd about it. The bound keeps the many reasons of one item from burying the likely errors, and bounds
ageing: a task is overtaken by newer ones for (largest - own priority) / `ageing_per_day` days at most.
"""

from collections.abc import Collection, Mapping

from streams.events import MAX_WEIGHT
from streams.projects import Policy
from streams.quality.signals import Signals

NOVEL = 0.5
"""Novelty of a prediction from which its item is an edge case; a rare class has novelty 1."""


def doubts(flags: Collection[float], commented: bool, stale: bool, policy: Policy) -> dict[str, float]:
    """Return the probability, by reason, that the answer is wrong for what its labels do not say.

    Args:
        flags: Severity of each open flag.
        commented: Whether a thread is open.
        stale: Whether a guideline changed the answer's class since.
        policy: The project's policy.
    """
    found: dict[str, float] = {}
    if flags:
        right = 1.0
        for severity in sorted(flags):
            right *= 1 - severity
        found["flag"] = 1 - right
    if stale and policy.doubt_stale_guideline:
        found["stale_guideline"] = policy.doubt_stale_guideline
    if commented and policy.doubt_comment:
        found["comment"] = policy.doubt_comment
    return found


def terms(
    shown: str | None,
    rival: str | None,
    conflict: bool,
    novelty: float | None,
    annotators: Collection[str],
    signals: Signals | None,
    policy: Policy,
) -> dict[str, float]:
    """Return what makes an item worth more than another that is as likely wrong: factor by reason.

    Args:
        shown: The class that is shown; None: the answer is none.
        rival: The class that speaks most against it; None: nobody named another one.
        conflict: Whether the model says something else.
        novelty: How unlike the training data the item is, 0 to 1.
        annotators: Who labelled it.
        signals: What the last fit knows; None before the first.
        policy: The project's policy.
    """
    found: dict[str, float] = {}
    if conflict:
        found["model_conflict"] = policy.weight_model_conflict
    edge = novelty if novelty is not None and novelty >= NOVEL else 0.0
    if signals is not None:
        if shown is not None:
            if rival is not None and signals.is_frequent_mistake(shown, rival):
                found["frequent_mistake"] = policy.weight_frequent_mistake
            if signals.is_rare(shown):
                edge = 1.0
        _of_annotators(found, annotators, signals, policy)
    if edge:
        found["edge_case"] = 1 + (policy.weight_edge_case - 1) * edge
    return found


def _of_annotators(found: dict[str, float], annotators: Collection[str], signals: Signals, policy: Policy) -> None:
    """Add the terms of who labelled an item, each in proportion to its share of them."""
    new = drifting = 0
    for name in annotators:
        new += signals.is_new(name)
        drifting += signals.is_drifting(name)
    if drifting:
        found["drifting_annotator"] = 1 + (policy.weight_drifting_annotator - 1) * drifting / len(annotators)
    if new:
        found["new_annotator"] = 1 + (policy.weight_new_annotator - 1) * new / len(annotators)


def priority(p_wrong: float, doubted: Mapping[str, float], weighed: Mapping[str, float]) -> float:
    """Return the priority, 0 to `MAX_WEIGHT`: the formula above.

    Args:
        p_wrong: Probability that the answer is wrong, by its labels.
        doubted: See `doubts`.
        weighed: See `terms`.
    """
    right, weight = 1 - p_wrong, 1.0
    for doubt in doubted.values():
        right *= 1 - doubt
    for factor in weighed.values():
        weight *= factor
    return round((1 - right) * min(weight, MAX_WEIGHT), 12)


def rival_of(
    shown: str | None, votes: Collection[str], predicted: str | None, posterior: Mapping[str, float]
) -> str | None:
    """Return the likeliest class, other than the shown one, that somebody or the model named; None without any.

    Args:
        shown: The class that is shown.
        votes: Classes that annotators named, in label order: of equally likely ones the first is taken.
        predicted: Class that the model says; it comes after them.
        posterior: Probability by class.
    """
    if shown is None:
        return None
    named = [label for label in votes if label != shown]
    if predicted is not None and predicted != shown and predicted not in votes:
        named.append(predicted)
    return max(named, key=lambda label: round(posterior.get(label, 0.0), 9), default=None)
