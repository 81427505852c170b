"""What is known of an item's right answer: pure functions of its facts and the project's settings.

Once the project's labels were fitted, the probability is that of the fit (`streams/quality`). Until then it is that of
the closed form used for dynamic overlap: every annotator is right with one assumed accuracy q and spreads errors evenly
over the other K - 1 classes, so that P(label) is proportional to the product over the votes of q or (1 - q) / (K - 1);
an out-of-sample prediction is one more factor. Source: Toloka's documented rule for dynamic overlap; one-coin model of
Dawid and Skene (1979).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, log2
from typing import Any

from streams.processors.item_state import Fact, ItemState, order
from streams.projects import ProjectView
from streams.quality.consensus import Consensus as Joint
from streams.quality.consensus import consensus as joint_answer
from streams.quality.consensus import disagreement
from streams.quality.skill import Scorer

REVIEWER_ACCURACY = 0.95
"""Accuracy assumed of a verdict when later labels contradict it."""

MAX_COMPARED = 20
"""Annotators of an item whose structured values are compared pair by pair; their pairs grow with the square."""

_MODEL_FLOOR = 0.02  # no model is taken at its word: its probabilities count as at least this
_MISSING: dict[str, Fact] = {}


@dataclass(slots=True)
class Answer:
    """The facts that count of an item, and what follows from them.

    Args:
        labels: Standing or retracted label of each annotator: annotator to (event id, fact).
        votes: Annotators by label, in label order; choice labels only.
        n_labels: Annotators whose label stands, of any kind.
        majority: Most frequent label, ties to the lowest.
        verdict: Last standing verdict (event id, fact).
        truth: Last truth gold (event id, fact).
        predicted: Last prediction (event id, fact).
        posterior: Probability of each label in sight, by the votes and the prediction.
        votes_only: The same without the prediction.
        agreement: Share of annotator pairs that agree, None below two votes.
        entropy: Entropy of the votes in bits, None without votes.
        fitted: Whether the posterior rests on a fit.
        joint: What the annotators say together, of values of one kind that are no choices; None of others.
        imported: Last answer of a consensus that was computed elsewhere (event id, fact).
    """

    labels: dict[str, tuple[str, Fact]]
    votes: dict[str, int]
    n_labels: int
    majority: str | None
    verdict: tuple[str, Fact] | None
    truth: tuple[str, Fact] | None
    predicted: tuple[str, Fact] | None
    posterior: dict[str, float]
    votes_only: dict[str, float]
    agreement: float | None
    entropy: float | None
    fitted: bool
    joint: Joint | None = None
    imported: tuple[str, Fact] | None = None

    @property
    def prediction(self) -> Fact | None:
        """The last prediction."""
        return None if self.predicted is None else self.predicted[1]


def answer(state: ItemState, view: ProjectView, scorer: Scorer | None = None) -> Answer:
    """Return what is known of an item's answer.

    Args:
        state: The item.
        view: Its project's settings.
        scorer: What the last fit knows of the annotators; None before the first: the closed form stands in.
    """
    facts = state["facts"]
    labels = last_by_actor(facts.get("labels", _MISSING))
    values: dict[str, Mapping[str, Any]] = {}
    counts: dict[str, int] = {}
    given: list[tuple[str, str]] = []
    n_labels = 0
    for annotator, (_, fact) in labels.items():
        value = fact["value"]
        if value is not None:
            n_labels += 1
            values[annotator] = value
            if value["kind"] == "choice":
                counts[value["choice"]] = counts.get(value["choice"], 0) + 1
                given.append((annotator, value["choice"]))
    votes = dict(sorted(counts.items(), key=lambda vote: label_order(vote[0], view))) if len(counts) > 1 else counts
    gold = facts.get("gold")
    truths = {id_: fact for id_, fact in gold.items() if fact["use"] != "evaluation"} if gold else _MISSING
    predictions, imported = facts.get("predictions", _MISSING), None
    if any("imported" in fact for fact in predictions.values()):
        imported = last({id_: fact for id_, fact in predictions.items() if "imported" in fact})
        predictions = {id_: fact for id_, fact in predictions.items() if "imported" not in fact}
    predicted = last(predictions)
    model = None if predicted is None else out_of_sample(predicted[1])
    if scorer is None or not given:
        both = votes_only = posterior(votes, None, view)
        if model is not None:
            both = posterior(votes, model, view)
    else:
        given.sort()
        both = votes_only = scorer.posterior(given)
        if model is not None:
            both = scorer.posterior(given, model)
    joint, agreement = (None, pairwise_agreement(votes)) if votes else together(values, view)
    return Answer(
        labels=labels,
        votes=votes,
        n_labels=n_labels,
        majority=max(votes, key=votes.__getitem__) if votes else None,
        verdict=last_verdict(facts.get("corrections", _MISSING)),
        truth=last(truths),
        predicted=predicted,
        posterior=both,
        votes_only=votes_only,
        agreement=agreement,
        entropy=vote_entropy(votes),
        fitted=scorer is not None and bool(given),
        joint=joint,
        imported=imported,
    )


def together(values: Mapping[str, Mapping[str, Any]], view: ProjectView) -> tuple[Joint | None, float | None]:
    """Return what annotators say together in values other than choices, and how far they agree.

    Args:
        values: Standing value by annotator.
        view: The order of the classes.

    Returns:
        Neither where there is nothing to compare: no values, or values of several kinds, or tracks that are too long.
    """
    if not values or len({value["kind"] for value in values.values()}) > 1:
        return None, None
    try:
        joint = joint_answer(values, lambda label: label_order(label, view))
        apart = disagreement(values) if len(values) <= MAX_COMPARED else None
    except ValueError:
        return None, None
    return joint, None if apart is None else 1 - apart


def out_of_sample(prediction: Fact) -> dict[str, float] | None:
    """Return the probabilities of a prediction that counts as a voice, None of another one."""
    probabilities: dict[str, float] = prediction["probabilities"]
    return probabilities if prediction["out_of_sample"] and probabilities else None


def last(facts: Mapping[str, Fact]) -> tuple[str, Fact] | None:
    """Return the fact that comes last in order, with its event id."""
    if len(facts) > 1:
        return max(facts.items(), key=lambda entry: order(*entry))
    return next(iter(facts.items()), None)


def last_by_actor(facts: Mapping[str, Fact]) -> dict[str, tuple[str, Fact]]:
    """Return each actor's last fact, with its event id."""
    found: dict[str, tuple[str, Fact]] = {}
    for event_id, fact in facts.items():
        actor = fact["actor"]
        known = found.get(actor)
        if known is None or order(event_id, fact) > order(*known):
            found[actor] = (event_id, fact)
    return found


def last_verdict(corrections: Mapping[str, Fact]) -> tuple[str, Fact] | None:
    """Return the last verdict that nobody took back."""
    return last(standing(corrections)) if corrections else None


def standing(corrections: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return the verdicts that nobody took back."""
    undone = {fact["undoes"] for fact in corrections.values()}
    return {i: fact for i, fact in corrections.items() if fact["verdict"] != "undone" and i not in undone}


def unsure_reviewers(corrections: Mapping[str, Fact]) -> list[str]:
    """Return who last said that they cannot decide, sorted."""
    if not corrections:
        return []
    return sorted(who for who, (_, fact) in last_by_actor(standing(corrections)).items() if fact["verdict"] == "unsure")


def label_order(label: str, view: ProjectView) -> tuple[int, float, str]:
    """Return the key that orders labels: declared classes first, then numbers as numbers, then by code points."""
    declared = view.class_order.get(label)
    if declared is not None:
        return 0, declared, ""
    try:
        number = float(label)
    except ValueError:
        return 2, 0.0, label
    return (1, number, label) if number == number else (2, 0.0, label)  # not a number has no order


def posterior(votes: Mapping[str, int], model: Mapping[str, float] | None, view: ProjectView) -> dict[str, float]:
    """Return the probability of each label that was voted for or predicted; classes nobody named share the rest.

    Args:
        votes: Annotators by label, in label order: sums are taken in this order, so that equal votes give equal bits.
        model: Probabilities of an out-of-sample prediction, one more voice.
        view: Classes and assumed annotator accuracy.
    """
    if not votes:
        return {}
    labels = [*votes, *sorted(model.keys() - votes.keys())] if model else [*votes]
    classes = max(len(labels), len(view.classes) if view.classes else 2)
    q = view.policy.annotator_accuracy
    gain = log(q) - log((1 - q) / max(1, classes - 1))  # what one vote adds to a label's log odds over the others
    scores = [votes.get(label, 0) * gain for label in labels]
    unseen = float(classes - len(labels))
    if model:
        scores = [
            score + log(max(model.get(label, 0.0), _MODEL_FLOOR)) for label, score in zip(labels, scores, strict=True)
        ]
        unseen *= _MODEL_FLOOR
    top = max(scores)
    weights = [exp(score - top) for score in scores]
    total = sum(weights) + unseen * exp(-top)
    return {label: weight / total for label, weight in zip(labels, weights, strict=True)}


def pairwise_agreement(votes: Mapping[str, int]) -> float | None:
    """Return the share of annotator pairs that agree, None below two votes."""
    n = sum(votes.values())
    if n < 2:
        return None
    return sum(count * (count - 1) for count in votes.values()) / (n * (n - 1))


def vote_entropy(votes: Mapping[str, int]) -> float | None:
    """Return the entropy of the vote shares in bits, None without votes."""
    n = sum(votes.values())
    if not n:
        return None
    if len(votes) == 1:
        return 0.0
    return log2(n) - sum(count * log2(count) for count in votes.values()) / n


def margin(votes: Mapping[str, int]) -> float | None:
    """Return the share of the most frequent label less that of the next, None without votes."""
    if not votes:
        return None
    first, second = [*sorted(votes.values(), reverse=True), 0][:2]
    return (first - second) / sum(votes.values())
