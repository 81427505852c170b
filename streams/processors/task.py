"""The review task of an item: is it open, how urgent is it, and why.

Priority is the expected benefit of one review (`priority`). Ageing is part of the rank in a form that time does not
change, priority - rate * opened_at: the order of two tasks never changes with time alone, so nothing needs a timer, and
nothing starves: tasks that opened more than MAX_WEIGHT / rate days after one come after it, whatever they are.
"""

from collections.abc import Mapping
from hashlib import blake2b
from math import exp, log
from typing import Any, NamedTuple

import orjson

from streams.events import content_of
from streams.processors.answer import REVIEWER_ACCURACY, Answer, label_order, last, unsure_reviewers
from streams.processors.item_state import Fact, ItemState
from streams.processors.priority import doubts, priority, rival_of, terms
from streams.projects import ProjectView
from streams.quality.signals import Signals

DAY_MS = 86_400_000

MAX_POSTERIOR = 20
"""Labels whose probability a task tells."""
_MISSING: dict[str, Fact] = {}
_UNDESCRIBED: Fact = {"text": None, "media": None, "group": None, "removed": False}

Value = Mapping[str, Any]


class Consensus(NamedTuple):
    """The shown answer, where it comes from, and the event it rests on (empty for a majority)."""

    value: Value | None
    source: str
    event_id: str


def consensus(answer: Answer, view: ProjectView) -> Consensus:
    """Return the standing verdict, else truth gold, else what the policy shows; a rejected answer leaves none."""
    rejected = False
    if answer.verdict is not None:
        event_id, verdict = answer.verdict
        if verdict["value"] is not None:
            return Consensus(verdict["value"], "verdict", event_id)
        rejected = verdict["verdict"] == "rejected"
    if answer.truth is not None:
        return Consensus(answer.truth[1]["value"], "truth", answer.truth[0])
    if answer.imported is not None and view.policy.shown == "imported" and not rejected:
        event_id, fact = answer.imported
        value = fact["value"] or {"kind": "choice", "choice": predicted_label(fact)}
        return Consensus(value, "imported", event_id)
    if answer.majority is not None and not rejected:
        by_posterior = answer.fitted and view.policy.shown != "majority"
        label = shown_label(answer, answer.posterior, view)
        return Consensus({"kind": "choice", "choice": label}, "posterior" if by_posterior else "majority", "")
    if answer.joint is not None and not rejected:
        return Consensus(answer.joint.value, "majority", "")
    return Consensus(None, "none", "")


def shown_label(answer: Answer, posterior: Mapping[str, float], view: ProjectView) -> str:
    """Return the label that a policy shows where nobody has decided: the likeliest, most frequent or imported one.

    Args:
        answer: What is known of an item with votes.
        posterior: Probability of each label; ties go to the lowest.
        view: The project's settings.
    """
    if view.policy.shown == "imported" and answer.imported is not None:
        return predicted_label(answer.imported[1]) or ""
    if not answer.fitted or view.policy.shown == "majority":
        return answer.majority or ""
    least = max(posterior.values()) - 1e-12
    likeliest = [label for label, p in posterior.items() if p >= least]
    return likeliest[0] if len(likeliest) == 1 else min(likeliest, key=lambda label: label_order(label, view))


def open_flags(state: ItemState) -> list[Fact]:
    """Return the flags that nobody has settled."""
    flags = state["facts"].get("flags")
    if not flags:
        return []
    settled = {fact["resolves"] for fact in flags.values()}
    return [fact for event_id, fact in flags.items() if fact["resolves"] is None and event_id not in settled]


def open_threads(state: ItemState) -> list[Fact]:
    """Return the last contribution of each thread that nobody has settled."""
    threads: dict[str, dict[str, Fact]] = {}
    for event_id, fact in state["facts"].get("comments", _MISSING).items():
        threads.setdefault(fact["thread"], {})[event_id] = fact
    ends = [last(contributions) for contributions in threads.values()]
    return [end[1] for end in ends if end is not None and not end[1]["resolved"]]


def newer_labels(answer: Answer, value: Value | None, since: int) -> list[Fact]:
    """Return the standing labels that the log got after `since` and that say something else than `value`."""
    facts = [fact for _, fact in answer.labels.values()]
    return [fact for fact in facts if fact["logged"] > since and fact["value"] not in (None, value)]


def probability_wrong(answer: Answer, shown: Consensus, against: int, view: ProjectView) -> float | None:
    """Return the probability that the shown answer is wrong, None where nothing can be said.

    A verdict or truth gold is taken as right until labels contradict it later; then it is one voice of accuracy
    `REVIEWER_ACCURACY` among theirs.

    Args:
        answer: What is known of the item.
        shown: The shown answer.
        against: Labels that contradict a verdict and came after it.
        view: The project's settings.
    """
    if shown.source == "majority" and answer.joint is not None:
        return round(answer.joint.p_wrong(view.policy.annotator_accuracy), 12)
    if shown.source in ("majority", "posterior"):
        return max(0.0, round(1 - answer.posterior.get(label_text(shown.value) or "", 0.0), 12))
    if shown.source == "imported":
        return _imported_wrong(answer, shown, view)
    if shown.source == "none":
        return None
    if not against:
        return 0.0
    classes = max(2, len(view.classes or ()))
    q = view.policy.annotator_accuracy
    odds = log(REVIEWER_ACCURACY / (1 - REVIEWER_ACCURACY)) - against * (log(q) - log((1 - q) / (classes - 1)))
    return round(1 / (1 + exp(odds)), 12)


def _imported_wrong(answer: Answer, shown: Consensus, view: ProjectView) -> float | None:
    """Return the probability that an imported answer is wrong, None where its annotators say nothing comparable."""
    if answer.posterior and shown.value is not None and shown.value["kind"] == "choice":
        return max(0.0, round(1 - answer.posterior.get(content_of(shown.value), 0.0), 12))
    if answer.joint is not None and answer.joint.value == shown.value:
        return round(answer.joint.p_wrong(view.policy.annotator_accuracy), 12)
    return None


def review_task(
    state: ItemState, answer: Answer, shown: Consensus, view: ProjectView, signals: Signals | None = None
) -> dict[str, Any]:
    """Return the item's present task, with its shown answer, as a record of the schema `review_task`.

    Args:
        state: The item.
        answer: What is known of its answer.
        shown: The answer that is shown.
        view: The project's settings.
        signals: What the last fit tells of classes and annotators; None before the first.
    """
    facts, claims = state["facts"], state["claims"]
    described = last(facts.get("items", _MISSING))
    item = described[1] if described is not None else _UNDESCRIBED
    flags, threads = open_flags(state), open_threads(state)
    verdict, unsure_by = answer.verdict, unsure_reviewers(facts.get("corrections", _MISSING))
    unsure = [verdict[1]] if verdict is not None and verdict[1]["verdict"] == "unsure" else []
    decided = None if unsure else verdict
    settled_at = decided[1]["logged"] if decided else answer.truth[1]["logged"] if answer.truth else -1
    newer = newer_labels(answer, decided[1]["value"], settled_at) if decided else []
    against = [fact for fact in newer if fact["value"] != shown.value]
    stale = guideline_changed(answer, shown, settled_at, view)
    p_wrong = probability_wrong(answer, shown, len(against), view)
    status = "open"
    if item["removed"]:
        status = "removed"
    elif not answer.n_labels:
        status = "unlabelled"
    elif settled_at >= 0:
        later = [*flags, *threads, *newer, *unsure]
        status = "open" if stale or any(fact["logged"] > settled_at for fact in later) else "closed"
    reasons: list[str] = []
    doubted: dict[str, float] = {}
    weighed: dict[str, float] = {}
    near, pair = [f"near:{key}" for key in item.get("near", ())], None
    urgency, tier = 0.0, None
    policy = view.policy
    if status == "open":
        doubted = doubts([fact["severity"] for fact in flags], bool(threads), stale, policy)
        label = shown.value["choice"] if shown.value is not None and shown.value["kind"] == "choice" else None
        predicted = predicted_label(answer.prediction)
        rival = rival_of(label, answer.votes, predicted, answer.posterior)
        conflict = predicted is not None and predicted != label_text(shown.value)
        pair = None if rival is None else f"pair:{label}|{rival}"
        novelty = None if answer.prediction is None else answer.prediction["novelty"]
        labelled = [name for name, (_, fact) in answer.labels.items() if fact["value"] is not None]
        weighed = terms(label, rival, conflict, novelty, labelled, signals, policy)
        urgency = priority(p_wrong or 0.0, doubted, weighed)
        tier = (
            "p0" if urgency >= policy.p0 else "p1" if urgency >= policy.p1 else "p2" if urgency >= policy.p2 else "p3"
        )
        found = {
            "second_opinion": bool(unsure),
            "flag": bool(flags),
            "contradicted": bool(against),
            "disagreement": len(answer.votes) > 1 or (answer.joint is not None and answer.agreement not in (None, 1.0)),
            "stale_guideline": stale,
            "comment": bool(threads),
            **weighed,
            "low_confidence": p_wrong is not None and 1 - p_wrong < policy.resolve_confidence,
        }
        reasons = [reason for reason, holds in found.items() if holds]
    labelled_by = sorted({fact["actor"] for fact in facts.get("labels", _MISSING).values()})
    opened_at, updated_at = log_times(state)
    owner, until = claims["owner"], claims["until"]
    if owner in unsure_by:
        owner = until = None  # the claim has served its purpose, and a second reviewer must not wait for its end
    return {
        "project": state["project"],
        "item_id": state["item_id"],
        "revision": revision(state["item_id"], status, tier, reasons, shown, verdict),
        "status": status,
        "tier": tier,
        "priority": urgency,
        "rank": round(urgency - view.policy.ageing_per_day * opened_at / DAY_MS, 9),
        "reasons": reasons,
        "doubts": doubted,
        "budget_per_day": view.policy.budget_per_day,
        "terms": weighed,
        "consensus": shown.value,
        "posterior": posterior_told(answer),
        "p_wrong": p_wrong,
        "consensus_source": shown.source,
        "majority": answer.majority,
        "n_labels": answer.n_labels,
        "agreement": answer.agreement,
        "entropy": answer.entropy,
        "candidates": candidates(answer),
        "prediction": _prediction(answer.prediction),
        "open_flags": len(flags),
        "open_threads": len(threads),
        "verdict": None
        if verdict is None
        else {
            "event_id": verdict[0],
            "verdict": verdict[1]["verdict"],
            "reviewer": verdict[1]["actor"],
            "value": verdict[1]["value"],
            "reason": verdict[1]["reason"],
            "at": verdict[1]["logged"],
        },
        "annotators": labelled_by,
        "skipped_by": claims["skipped_by"],
        "unsure_by": unsure_by,
        "owner": owner,
        "lease_until": until,
        "group": item["group"] if item["group"] is not None else pair,
        "groups": [*near, pair] if pair else near,
        "text": item["text"],
        "media": item["media"],
        "opened_at": opened_at,
        "updated_at": updated_at,
    }


def posterior_told(answer: Answer) -> dict[str, float]:
    """Return the posterior as the task tells it: the likeliest labels, from one in a million on."""
    likely = sorted(answer.posterior.items(), key=lambda entry: (-entry[1], entry[0]))[:MAX_POSTERIOR]
    return {label: rounded for label, p in likely if (rounded := round(p, 9)) >= 1e-6}


def guideline_changed(answer: Answer, shown: Consensus, settled_at: int, view: ProjectView) -> bool:
    """Return whether a guideline came after the answer and changes the meaning of its class."""
    if not view.guidelines or shown.value is None:
        return False
    decided_at = max(
        [settled_at, *(fact["logged"] for _, fact in answer.labels.values())] if settled_at < 0 else [settled_at]
    )
    label = content_of(shown.value) if shown.value["kind"] == "choice" else None
    return any(
        guideline.log_time > decided_at and (not guideline.classes or label in guideline.classes)
        for guideline in view.guidelines
    )


def predicted_label(prediction: Fact | None) -> str | None:
    """Return the class a prediction says: its value, else its most probable class (ties to the lowest)."""
    if prediction is None:
        return None
    if prediction["value"] is not None:
        return label_text(prediction["value"])
    probabilities: dict[str, float] = prediction["probabilities"]
    return min(probabilities, key=lambda label: (-probabilities[label], label))


def candidates(answer: Answer) -> list[dict[str, Any]]:
    """Return the competing answers, the most frequent first; equal counts in label order."""
    by_label: dict[str, list[str]] = {label: [] for label in answer.votes}
    others: dict[str, tuple[Value, list[str]]] = {}
    for annotator, (_, fact) in answer.labels.items():
        value = fact["value"]
        if value is None:
            continue
        if value["kind"] == "choice":
            by_label[value["choice"]].append(annotator)
        else:
            others.setdefault(label_text(value) or "", (value, []))[1].append(annotator)
    found: list[dict[str, Any]] = [
        {"label": label, "value": None, "annotators": sorted(names), "probability": round(answer.posterior[label], 6)}
        for label, names in by_label.items()
    ]
    found += [
        {"label": text, "value": value, "annotators": sorted(names), "probability": None}
        for text, (value, names) in sorted(others.items())
    ]
    if len(found) > 1:
        found.sort(key=lambda candidate: -len(candidate["annotators"]))
    return found


def log_times(state: ItemState) -> tuple[int, int]:
    """Return the log times of the item's first fact and of the newest that counts here; evaluation gold does not."""
    logged = [fact["logged"] for facts in state["facts"].values() for fact in facts.values()]
    if not logged:
        return 0, 0
    gold = state["facts"].get("gold")
    if not gold:
        return min(logged), max(logged)
    counting = [
        fact["logged"]
        for facts in state["facts"].values()
        for fact in facts.values()
        if fact.get("use") != "evaluation"
    ]
    return min(logged), max(counting, default=min(logged))


def revision(
    item_id: str, status: str, tier: str | None, reasons: list[str], shown: Consensus, verdict: tuple[str, Fact] | None
) -> str:
    """Return the name of a task: another one when its tier, its reasons, the shown answer or its verdict change."""
    content = (item_id, status, tier, reasons, shown.value, verdict and verdict[0])
    return blake2b(orjson.dumps(content), digest_size=8).hexdigest()


def label_text(value: Value | None) -> str | None:
    """Return a value as one text: the class of a choice, else the content as JSON; None without a value."""
    if value is None:
        return None
    content: object = content_of(value)
    return content if isinstance(content, str) else orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def _prediction(fact: Fact | None) -> dict[str, Any] | None:
    if fact is None:
        return None
    return {name: fact[name] for name in ("model_version", "value", "probabilities", "out_of_sample")}
