"""Facts for tests, made as the producers make them but with every field in sight."""

from typing import Any

from streams import codec, events
from streams.events import Event

PROJECT = "p"
ITEM = "i"


def fact(name: str, actor: str, *, kind: str = "annotator", event_id: str | None = None, **fields: Any) -> Event:
    """Return a complete event of topic `name`: defaults of the schema, then `fields`."""
    event: Event = {
        "event_id": "",
        "project": PROJECT,
        "item_id": ITEM,
        "actor": {"id": actor, "kind": kind},
        "occurred_at": None,
        "source": "test",
        "source_seq": None,
        **_DEFAULTS.get(name, {}),
        **fields,
    }
    event["event_id"] = event_id or events.event_id(name, actor, repr(sorted(fields.items())))
    complete: Event = codec.decode(codec.encode(name, event))[1]
    return complete


def label(annotator: str, choice: str, **fields: Any) -> Event:
    """Return a label of one class."""
    return fact("labels", annotator, value=events.choice(choice), **fields)


def verdict(reviewer: str, kind: str, choice: str | None = None, **fields: Any) -> Event:
    """Return a reviewer's verdict."""
    value = None if choice is None else events.choice(choice)
    return fact("corrections", reviewer, kind="reviewer", verdict=kind, value=value, **fields)


_DEFAULTS: dict[str, dict[str, Any]] = {
    "flags": {"kind": "wrong"},
    "comments": {"thread": "t", "text": "why?"},
    "predictions": {"model_version": "m1", "out_of_sample": True},
    "gold": {"use": "evaluation"},
    "claims": {"action": "claim"},
}
