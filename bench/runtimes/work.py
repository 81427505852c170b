"""The measured work, the same for every runtime: decode Avro, drop duplicates, fold per item, say what became of it.

It needs nothing but fastavro, so that every environment can run it.
"""

import io
import math
import random
from collections.abc import Iterator
from typing import Any, cast

import fastavro

State = dict[str, Any]
"""What is kept of an item: `version`, `seen` ids, `answers` by annotator, `counts` by label, `entropy`, `at`."""

REMEMBERED = 64
"""Event ids that an item remembers."""

LABELS = ("positive", "negative", "neutral", "unsure", "not english")

_EVENT = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Label",
        "fields": [
            *({"name": name, "type": "string"} for name in ("event_id", "item_id", "annotator_id", "label", "kind")),
            {"name": "occurred_at", "type": "long"},
            {"name": "version", "type": "int"},
            {"name": "project", "type": "string"},
        ],
    }
)
_ITEM = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Item",
        "fields": [
            {"name": "item_id", "type": "string"},
            {"name": "version", "type": "int"},
            {"name": "annotators", "type": "int"},
            {"name": "top", "type": "string"},
            {"name": "entropy", "type": "double"},
            {"name": "counts", "type": {"type": "map", "values": "int"}},
            {"name": "occurred_at", "type": "long"},
        ],
    }
)


def decode(raw: bytes) -> dict[str, Any]:
    """Return an event."""
    event = fastavro.schemaless_reader(io.BytesIO(raw), _EVENT, _EVENT)
    return cast(dict[str, Any], event)


def new_state() -> State:
    """Return the state of an item of which nothing is known."""
    return {"version": 0, "seen": [], "answers": {}, "counts": {}, "entropy": 0.0, "at": 0}


def apply(state: State, event: dict[str, Any]) -> bool:
    """Fold an event into an item's state; return whether it was none that had been folded before."""
    seen, event_id = state["seen"], event["event_id"]
    if event_id in seen:
        return False
    seen.append(event_id)
    if len(seen) > REMEMBERED:
        del seen[0]
    answers, counts, annotator, label = state["answers"], state["counts"], event["annotator_id"], event["label"]
    before = answers.get(annotator)
    if before is not None:
        counts[before] -= 1
        if not counts[before]:
            del counts[before]
    answers[annotator] = label
    counts[label] = counts.get(label, 0) + 1
    shares = [count / len(answers) for count in counts.values()]
    state["entropy"] = max(0.0, -sum(share * math.log2(share) for share in shares))
    state["version"] += 1
    state["at"] = event["occurred_at"]
    return True


def output(item: str, state: State) -> bytes:
    """Return what is said of an item."""
    counts = state["counts"]
    said = {
        "item_id": item,
        "version": state["version"],
        "annotators": len(state["answers"]),
        "top": max(sorted(counts), key=counts.get),
        "entropy": state["entropy"],
        "counts": counts,
        "occurred_at": state["at"],
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _ITEM, said)
    return out.getvalue()


def events(
    count: int, items: int = 20_000, annotators: int = 400, doubled: float = 0.02
) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of events, always the same.

    Args:
        count: Number of events.
        items: Items that they are spread over, uniformly: a batch finds few events of the same item to merge.
        annotators: Number of annotators.
        doubled: Share of events that are one of the last again.
    """
    rng, last = random.Random(7), list[tuple[bytes, bytes]]()
    for n in range(count):
        if last and rng.random() < doubled:
            yield rng.choice(last[-50:])
            continue
        item = f"item-{rng.randrange(items):08}-of-a-data-set"
        event = {
            "event_id": f"{rng.getrandbits(128):032x}",
            "item_id": item,
            "annotator_id": f"annotator-{rng.randrange(annotators):05}",
            "label": rng.choice(LABELS),
            "kind": "annotation.submitted",
            "occurred_at": 1_790_000_000_000 + 7 * n,
            "version": 1,
            "project": "project-of-film-reviews",
        }
        raw = io.BytesIO()
        fastavro.schemaless_writer(raw, _EVENT, event)
        last = [*last[-49:], (item.encode(), raw.getvalue())]
        yield last[-1]


def outcome(records: Iterator[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return what must have been said last of each item, by key."""
    states = dict[bytes, State]()
    for key, raw in records:
        apply(states.setdefault(key, new_state()), decode(raw))
    return {key: output(key.decode(), state) for key, state in states.items()}
