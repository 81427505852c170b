"""The state of one item: the set of its facts, each with the log time of its first copy.

Whatever order, number of copies or batches the facts arrive in, the same set gives the same state; the answer, the
task and the statistics are computed from it (`answer`, `task`). Two things are not facts in this sense: claims, a race
that the log's order decides, and `sent`, the processor's note of what it has emitted.
"""

from typing import Any, NotRequired, TypedDict

from streams.errors import Poison
from streams.events import Event, digest
from streams.processors.claims import Claims, no_claims
from streams.quality.duplicates import near_keys

FORMAT = 2
"""Number of this layout; another one means: build the state again from the facts."""

MAX_ITEM_BYTES = 640 * 1024
"""Bound on an item's facts as they arrived, so that no state row or snapshot passes the broker's limit."""

SET_FACTS = ("items", "labels", "flags", "comments", "corrections", "predictions", "gold")
"""Topics whose facts are kept as a set, by event id."""

TEXT_CHARACTERS = 2000
"""How much of an item's text a review task carries."""

Fact = dict[str, Any]
"""What is kept of a fact: `at` (occurred_at, ms or None), `seq`, `logged` (ms), `digest`, `actor`, its own fields.

Of an item also `near`: keys that it shares with near duplicates. Of a prediction also `imported`: it is the answer of a
consensus that was computed elsewhere, not a model's."""


class Sent(TypedDict):
    """What was emitted last, so that only changes are emitted."""

    state: str
    task: str
    disagreement: str
    corrected: str
    judgements: dict[str, list[str | None]]
    priority: NotRequired[float]
    """Of the task that was emitted last."""
    model: NotRequired[list[str]]
    """Model, event id and reference of the model's judgement."""


class ItemState(TypedDict):
    """One row of the processor's table; plain JSON."""

    format: int
    project: str
    item_id: str
    bytes: int
    facts: dict[str, dict[str, Fact]]
    claims: Claims
    sent: Sent


def new_state(project: str, item_id: str) -> ItemState:
    """Return the state of an item nothing is known of."""
    return ItemState(
        format=FORMAT,
        project=project,
        item_id=item_id,
        bytes=0,
        facts={},
        claims=no_claims(),
        sent=Sent(state="", task="", disagreement="", corrected="", judgements={}),
    )


def fold(state: ItemState, topic: str, event: Event, log_time: int, size: int) -> bool:
    """Add a fact to the set, in place.

    Args:
        state: The item's state.
        topic: Catalogue name of the fact's topic, one of `SET_FACTS`.
        event: The decoded, valid fact.
        log_time: The record's timestamp, ms.
        size: Bytes of the record.

    Returns:
        Whether the state changed; False for a further copy.

    Raises:
        Poison: `id_conflict` or `item_too_large`; the state is as before.
    """
    facts = state["facts"].get(topic)
    if facts is None:
        facts = state["facts"][topic] = {}
    event_id = event["event_id"]
    known = facts.get(event_id)
    content = digest(event)
    if known is not None:
        if known["digest"] != content:
            raise Poison(
                "id_conflict",
                f"event_id {event_id} was used before with other content: derive a new id for a new fact",
            )
        if log_time < known["logged"]:
            known["logged"] = log_time
            return True
        return False
    if state["bytes"] + size > MAX_ITEM_BYTES:
        raise Poison(
            "item_too_large",
            f"the facts of item {state['item_id']!r} would pass {MAX_ITEM_BYTES} bytes: split the item",
        )
    state["bytes"] += size
    fact = {
        "at": event["occurred_at"],
        "seq": event["source_seq"],
        "logged": log_time,
        "digest": content,
        "actor": event["actor"]["id"],
    }
    for field in _KEPT[topic]:
        fact[field] = event[field]
    if topic == "predictions" and event["actor"]["kind"] == "system":
        fact["imported"] = True
    value = fact.get("value")
    if event.get("retracted"):
        fact["value"] = None  # a tool may repeat the label it takes back
    elif value is not None:
        fact["value"] = {"kind": value["kind"], value["kind"]: value[value["kind"]]}
    text = fact.get("text")
    if text is not None:
        fact["text"] = text[:TEXT_CHARACTERS]
    if topic == "items" and (near := near_keys(text, event["features"])):
        fact["near"] = near
    facts[event_id] = fact
    return True


_KEPT = {
    "items": ("text", "media", "group", "removed"),
    "labels": ("value", "duration_ms", "schema_version", "guideline_version"),
    "flags": ("severity", "resolves"),
    "comments": ("thread", "resolved"),
    "corrections": ("verdict", "value", "reason", "undoes", "schema_version", "guideline_version"),
    "predictions": ("model_version", "value", "probabilities", "novelty", "out_of_sample"),
    "gold": ("value", "use", "schema_version", "guideline_version"),
}


def order(event_id: str, fact: Fact) -> tuple[int, int, str]:
    """Return the key by which, of two facts about the same thing, the last one wins.

    Where the source has no time, the log time of the fact's first copy stands in for it; where it has no sequence,
    any sequence comes later.
    """
    at, seq = fact["at"], fact["seq"]
    return (fact["logged"] if at is None else at, -1 if seq is None else seq, event_id)
