"""The work of the crash tests: events that count labels by item, one output for each change, and what must come out.

Every event that changes an item makes one output with the item's next version. So whatever is lost, handled twice or
written by a worker that no longer owned the partition shows as a missing, repeated or wrong (item, version).
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from streams.dead_letters import DeadLetter
from streams.transport.batch import Batch, Effects, Outgoing, Row, Rows

SOURCES = ("labels", "flags")
"""Two source topics; all events of an item are in one of them, so that their order is known beforehand."""

OUTPUT = "feedback"
CHANGELOG = "items-state-changelog"
BUG = b"a bug of the handler"
HUGE = b"a row too large for its topic"
POISON = b"poison"
_LABELS = ("cat", "dog", "bird", "none")
_REMEMBERED = 64


class Event(NamedTuple):
    """One event: catalogue name of its topic, key and value."""

    topic: str
    key: bytes
    value: bytes


def events(count: int, *, items: int = 3000, seed: int = 7) -> Iterator[Event]:
    """Yield events of random items; one in 50 is an earlier one again."""
    rng = random.Random(seed)
    recent: list[Event] = []
    for number in range(count):
        if recent and rng.random() < 0.02:
            yield rng.choice(recent[-50:])
            continue
        item = rng.randrange(items)
        value = {"id": f"{seed}-{number}", "label": rng.choice(_LABELS)}
        event = Event(SOURCES[item % 2], b"project/item-%05d" % item, json.dumps(value).encode())
        recent.append(event)
        yield event


def apply(row: Row, value: bytes) -> bool:
    """Apply an event to a row in place; return False if it was applied before."""
    event = json.loads(value)
    if event["id"] in row["ids"]:
        return False
    row["ids"] = [*row["ids"], event["id"]][-_REMEMBERED:]
    row["counts"][event["label"]] = row["counts"].get(event["label"], 0) + 1
    row["version"] += 1
    return True


def new_row() -> Row:
    """Return the row of an item without events."""
    return {"version": 0, "ids": [], "counts": {}}


def output(key: bytes, row: Row) -> bytes:
    """Return what is emitted after a change."""
    return json.dumps({"item": key.decode(), "version": row["version"], "counts": row["counts"]}).encode()


class Expected(NamedTuple):
    """What must come out: rows by key, and outputs by key and version."""

    rows: dict[bytes, Row]
    outputs: dict[tuple[bytes, int], bytes]


def expected(log: Iterable[Event]) -> Expected:
    """Return what events cause."""
    rows: dict[bytes, Row] = {}
    outputs: dict[tuple[bytes, int], bytes] = {}
    for event in log:
        if event.value in (BUG, HUGE, POISON):
            continue
        row = rows.setdefault(event.key, new_row())
        if apply(row, event.value):
            outputs[event.key, row["version"]] = output(event.key, row)
    return Expected(rows, outputs)


def handler(prefix: str) -> Callable[[Batch, Rows], Effects]:
    """Return the handler; it changes rows in place before it meets what it cannot handle, as a real one would."""
    target = f"{prefix}.{OUTPUT}"

    def handle(batch: Batch, rows: Rows) -> Effects:
        effects = Effects()
        touched = effects.rows
        for record in batch.records:
            key, value = record.key or b"", record.value or b""
            if value == POISON:
                coordinates = (batch.topic, batch.partition, record.offset, record.timestamp)
                effects.dead.append(DeadLetter("items", *coordinates, key, value, "invalid", "poison"))
                continue
            row = touched.get(key) or rows.get(key) or new_row()
            if value == BUG:
                row["version"] += 1000
                raise ValueError("the handler has a bug")
            if value == HUGE:
                touched[key] = {**row, "huge": "x" * (5 << 20)}
                continue
            if apply(row, value):
                touched[key] = row
                effects.records.append(Outgoing(target, key, output(key, row)))
        return effects

    return handle
