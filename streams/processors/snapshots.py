"""What an item's state says to the world: snapshots of it, emitted when their content changed.

A snapshot is the whole present truth about its key, never a change, so that losing all but the last one loses nothing.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from streams import codec
from streams.keys import item_key, make_key
from streams.processors.answer import Answer, answer, last, margin
from streams.processors.item_state import Fact, ItemState
from streams.processors.task import Consensus, Value, consensus, predicted_label, review_task, shown_label
from streams.projects import ProjectView
from streams.quality.signals import Signals
from streams.quality.skill import Scorer

PPM = 1_000_000


class Snapshot(NamedTuple):
    """One record to emit: catalogue name of the topic, key, value; `by_project` names the partition's key."""

    topic: str
    key: bytes
    value: bytes
    by_project: bool = False


def snapshots(
    state: ItemState,
    view: ProjectView,
    scorer: Scorer | None = None,
    signals: Signals | None = None,
    least: float = 0.0,
) -> Iterator[Snapshot]:
    """Yield what changed since the last call and note it in `state["sent"]`.

    Args:
        state: The item.
        view: Its project's settings.
        scorer: What the last fit knows of the project; None before the first.
        signals: What it tells of classes and annotators; None before the first.
        least: A change of priority that is smaller than this, and nothing else, is not told.
    """
    sent = state["sent"]
    key = item_key(state["project"], state["item_id"])
    known = answer(state, view, scorer)
    shown = consensus(known, view)
    task = review_task(state, known, shown, view, signals)
    if least and task["revision"] == sent["task"] and abs(task["priority"] - sent.get("priority", -1.0)) < least:
        return
    record = codec.encode("review_task", task)
    fingerprint = _fingerprint(record)
    if fingerprint != sent["state"]:
        sent["state"], sent["priority"] = fingerprint, task["priority"]
        yield Snapshot("review.state", key, record)
    if task["status"] != "open":
        sent["task"] = ""
    elif task["revision"] != sent["task"]:
        sent["task"] = task["revision"]
        yield Snapshot(f"review.{task['tier']}", key, record)
    if known.labels:
        votes = _votes_key(known)
        if votes != sent["disagreement"]:
            sent["disagreement"] = votes
            yield Snapshot("disagreement", key, codec.encode("disagreement", _disagreement(state, known)))
        yield from _judgements(state, known, shown, key)
        yield from _model_judgement(state, known, shown, key)
    if known.labels or known.truth or state["facts"].get("corrections"):
        yield from _corrected(state, known, shown, key, view)


def _fingerprint(record: bytes) -> str:
    return blake2b(record, digest_size=8).hexdigest()


def _votes_key(known: Answer) -> str:
    newest = max(fact["logged"] for _, fact in known.labels.values())
    return f"{newest} {known.n_labels} {known.votes}"


def _disagreement(state: ItemState, known: Answer) -> dict[str, Any]:
    kinds = sorted({fact["value"]["kind"] for _, fact in known.labels.values() if fact["value"]})
    return {
        "project": state["project"],
        "item_id": state["item_id"],
        "kind": kinds[0] if kinds else "none",
        "n_labels": known.n_labels,
        "votes": known.votes,
        "majority": known.majority,
        "agreement": known.agreement,
        "entropy": known.entropy,
        "margin": margin(known.votes),
        "updated_at": max(fact["logged"] for _, fact in known.labels.values()),
    }


def _judgements(state: ItemState, known: Answer, shown: Consensus, key: bytes) -> Iterator[Snapshot]:
    """Yield each annotator's value beside its reference, where either changed."""
    sent = state["sent"]["judgements"]
    reference, group = shown.event_id if shown.source in ("verdict", "truth") else "", _group(state)
    for annotator, (event_id, fact) in known.labels.items():
        now = [event_id, reference, group]
        if sent.get(annotator) == now:
            continue
        sent[annotator] = now
        record = _judgement(state, known, shown, annotator, event_id, fact) | {"actor_kind": "annotator"}
        yield Snapshot(
            "judgements", key + b"/" + make_key(annotator), codec.encode("judgements", record), by_project=True
        )


def _model_judgement(state: ItemState, known: Answer, shown: Consensus, key: bytes) -> Iterator[Snapshot]:
    """Yield what the model says that was not trained on the item; where another one spoke before, that it is silent."""
    sent = state["sent"]
    before = sent.get("model")
    event_id, fact = known.predicted if known.predicted is not None else ("", None)
    reference = shown.event_id if shown.source in ("verdict", "truth") else ""
    counts = fact is not None and fact["out_of_sample"] and bool(fact["probabilities"])
    now = [fact["actor"], event_id, reference, _group(state)] if fact is not None and counts else None
    if now == before:
        return
    if now is not None:
        sent["model"] = now
    else:
        sent.pop("model", None)
    if before is not None and (now is None or now[0] != before[0]):
        silent = {"at": 0, "logged": 0, "value": None}
        yield _of_model(_judgement(state, known, shown, before[0], before[1], silent), {}, key)
    if fact is not None and counts:
        says = {"kind": "choice", "choice": predicted_label(fact)}
        record = _judgement(state, known, shown, fact["actor"], event_id, fact) | {"value": fact["value"] or says}
        yield _of_model(record, fact["probabilities"], key)


def _of_model(record: dict[str, Any], probabilities: dict[str, float], key: bytes) -> Snapshot:
    record |= {"actor_kind": "model", "probabilities": probabilities}
    target = key + b"/" + make_key(record["annotator"], "model")
    return Snapshot("judgements", target, codec.encode("judgements", record), by_project=True)


def _judgement(
    state: ItemState, known: Answer, shown: Consensus, who: str, event_id: str, fact: Fact
) -> dict[str, Any]:
    """Return a value beside its reference, as a record of the schema `judgements` without what tells people apart."""
    judged = shown.source in ("verdict", "truth")
    return {
        "project": state["project"],
        "item_id": state["item_id"],
        "annotator": who,
        "event_id": event_id,
        "value": fact["value"],
        "labelled_at": logged(fact),
        "duration_ms": fact.get("duration_ms"),
        "guideline_version": fact.get("guideline_version"),
        "reference": shown.value if judged else None,
        "reference_source": shown.source if judged else "none",
        "judged_at": logged(known.verdict[1]) if known.verdict is not None and shown.source == "verdict" else None,
        "group": _group(state),
    }


def _group(state: ItemState) -> str | None:
    """Return the group that whoever described the item put it into."""
    items = state["facts"].get("items")
    described = last(items) if items else None
    return None if described is None else described[1]["group"]


def logged(fact: Fact) -> int:
    """Return when a fact happened, else when the log got its first copy, ms."""
    at: int = fact["logged"] if fact["at"] is None else fact["at"]
    return at


class Resolved(NamedTuple):
    """An item's right value as far as it is known, what resolved it, how sure it is, and the facts it rests on."""

    value: Value | None
    source: str
    weight_ppm: int
    evidence: dict[str, Fact]

    def common(self, field: str) -> str | None:
        """Return the one value that all evidence has in `field`, None where it differs."""
        values = {fact[field] for fact in self.evidence.values()}
        return values.pop() if len(values) == 1 else None


def resolved(known: Answer, shown: Consensus, view: ProjectView) -> Resolved:
    """Return what a model may learn of an item: a verdict, truth gold, or a consensus that is sure enough.

    Args:
        known: What is known of the item's answer.
        shown: The answer that is shown.
        view: The project's settings.
    """
    value, source, weight = shown.value, shown.source, PPM
    evidence: dict[str, Fact] = {}
    if known.joint is not None and source == "majority":
        weight = round(PPM * (1 - known.joint.p_wrong(view.policy.annotator_accuracy)))
        source = "consensus"
        evidence = {event_id: fact for event_id, fact in known.labels.values() if fact["value"] is not None}
        if weight < round(PPM * view.policy.resolve_confidence):
            value, source = None, "none"
    elif known.votes and source in ("majority", "posterior", "imported"):
        # The model's own voice is left out: what trains it is not decided by itself.
        label = shown_label(known, known.votes_only, view)
        value, source = {"kind": "choice", "choice": label}, "consensus"  # as the state keeps values
        weight = round(PPM * known.votes_only.get(label, 0.0))
        evidence = {event_id: fact for event_id, fact in known.labels.values() if fact["value"] == value}
        if weight < round(PPM * view.policy.resolve_confidence):
            value, source = None, "none"
    elif source == "imported":
        value = None  # nobody labelled it, or with values that are not scored: nothing says that it is right
    elif source == "verdict" and known.verdict is not None:
        evidence = dict([known.verdict])
    elif source == "truth" and known.truth is not None:
        evidence = dict([known.truth])
    if value is None:
        return Resolved(None, "none", 0, {})
    return Resolved(value, source, weight, evidence)


def _corrected(state: ItemState, known: Answer, shown: Consensus, key: bytes, view: ProjectView) -> Iterator[Snapshot]:
    """Yield the resolved label where it changed, also that there is none: what is told must not depend on batches."""
    found = resolved(known, shown, view)
    sent = state["sent"]
    record = {
        "project": state["project"],
        "item_id": state["item_id"],
        "value": found.value,
        "source": found.source,
        "weight_ppm": found.weight_ppm,
        "evidence": sorted(found.evidence),
        "schema_version": found.common("schema_version"),
        "guideline_version": found.common("guideline_version"),
        "updated_at": max((fact["logged"] for fact in found.evidence.values()), default=0),
    }
    encoded = codec.encode("labels_corrected", record)
    fingerprint = _fingerprint(encoded)
    if fingerprint != sent["corrected"]:
        sent["corrected"] = fingerprint
        yield Snapshot("labels.corrected", key, encoded)
