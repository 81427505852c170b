"""Records of one range become columns: pure, by column, with the log's own coordinates beside them."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from streams import codec, events
from streams.catalogue import TOPICS
from streams.dead_letters import MAX_DETAIL, DeadLetter, given_back
from streams.errors import LabelloopError, Poison
from streams.sinks import bodies
from streams.sinks.suspects import suspects
from streams.sinks.tables import columns, version

CONSUMER = "sink"

LOG_COLUMNS = ("logged_at", "_topic", "_partition", "_offset", "_version")
"""Columns every table has: where and when the log took the record, and what decides between two rows."""


_MANY = 100
"""So many records are decoded at once; fewer are faster one by one."""


class Raw(NamedTuple):
    """A record as it came: offset, timestamp (ms), key, value."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by column, their records, and the records that cannot become rows."""

    names: tuple[str, ...]
    columns: list[list[Any]]
    records: list[Raw]
    dead: list[DeadLetter]


def build(topic: str, full_name: str, partition: int, build_number: int, records: Sequence[Raw]) -> Rows:
    """Return the rows of a range; a record at which we fail by a bug is found by halving, and is a dead letter.

    Args:
        topic: Catalogue name of the topic.
        full_name: Its name with the prefix, for dead letters.
        partition: The partition.
        build_number: The topic's build.
        records: The range's records.

    Raises:
        LabelloopError: a newer labelloop wrote a record of ours.
    """
    try:
        return _build(topic, full_name, partition, build_number, records)
    except (LabelloopError, MemoryError):
        raise
    except Exception:
        if len(records) == 1:
            bug = Poison("bug", traceback.format_exc()[-MAX_DETAIL:])
            return replace(
                _build(topic, full_name, partition, build_number, ()),
                dead=[dead_letter(full_name, partition, records[0], bug)],
            )
    half = len(records) // 2
    one, other = (build(topic, full_name, partition, build_number, part) for part in (records[:half], records[half:]))
    columns_ = [a + b for a, b in zip(one.columns, other.columns, strict=True)]
    return Rows(one.names, columns_, one.records + other.records, one.dead + other.dead)


def _build(topic: str, full_name: str, partition: int, build_number: int, records: Sequence[Raw]) -> Rows:
    kind = TOPICS[topic].kind
    if TOPICS[
        topic
    ].compact:  # a rebuild ended a key that the facts do not give; its row goes when the table is rebuilt
        records = [record for record in records if record.value is not None]
    fields, good = _at_once(topic, records) if len(records) >= _MANY else ({}, [])
    dead: list[DeadLetter] = []
    if not good or len(good) < len(records):
        fields, good, dead = _with_others(topic, full_name, partition, records, fields, good)
        records = [records[n] for n in good]
    specs = columns(topic)
    return Rows(
        (*(column.name for column in specs), *LOG_COLUMNS),
        [
            *(column.values(fields[column.field]) for column in specs),
            [record.timestamp for record in records],
            [topic] * len(records),
            [partition] * len(records),
            [record.offset for record in records],
            [version(kind, build_number, record.offset) for record in records],
        ],
        [*records],
        dead,
    )


def _at_once(topic: str, records: Sequence[Raw]) -> tuple[dict[str, list[Any]], list[int]]:
    """Return records by field, and the indices of those that are plainly good: of nearly all."""
    fields, taken = bodies.decode(str(TOPICS[topic].schema), [record.value for record in records])
    if TOPICS[topic].kind != "fact" or not taken:
        return fields, taken
    odd = suspects(topic, fields, [records[n].timestamp for n in taken])
    if not odd:
        return fields, taken
    kept = [n for n in range(len(taken)) if n not in odd]
    return {name: [values[n] for n in kept] for name, values in fields.items()}, [taken[n] for n in kept]


def _with_others(
    topic: str,
    full_name: str,
    partition: int,
    records: Sequence[Raw],
    fields: Mapping[str, list[Any]],
    good: Sequence[int],
) -> tuple[dict[str, list[Any]], list[int], list[DeadLetter]]:
    """Return the same with the records that were left out, each judged by itself, and letters of those that are bad."""
    schema, is_fact = TOPICS[topic].schema, TOPICS[topic].kind == "fact"
    others, dead = dict[int, Mapping[str, Any]](), []
    for n in sorted({*range(len(records))} - {*good}):
        record = records[n]
        try:
            name, content = (codec.decode if is_fact else codec.decode_own)(record.value)
            if name != schema:
                raise Poison("invalid", f"a {name} record lies in topic {topic}: publish it to the topic of its schema")
            if is_fact:
                events.validate(topic, content, record.timestamp)
        except Poison as poison:
            dead.append(dead_letter(full_name, partition, record, poison))
            continue
        others[n] = content
    order = sorted([*good, *others])
    place = dict(zip(good, range(len(good)), strict=True))
    merged = {
        field: [others[n][field] if n in others else fields[field][place[n]] for n in order]
        for field in {column.field for column in columns(topic)}
    }
    return merged, order, dead


class Group(NamedTuple):
    """Where records come from that are given back together: topic with and without prefix, partition, attempt."""

    full_name: str
    topic: str
    partition: int
    attempt: int


def redriven(names: Mapping[str, str], actions: Sequence[Raw]) -> dict[Group, list[Raw]]:
    """Return the records that actions on dead letters give back to the sink, as they lie in their own topics.

    Args:
        names: Catalogue name by full name of each topic that has a table.
        actions: Records of the topic of the actions.
    """
    found: dict[Group, list[Raw]] = {}
    for action in actions:
        one = given_back(action.value, CONSUMER)
        if one is not None and one.topic in names:
            group = Group(one.topic, names[one.topic], one.partition, one.attempt)
            found.setdefault(group, []).append(Raw(one.offset, one.timestamp, one.key, one.value))
    return found


def dead_letter(full_name: str, partition: int, record: Raw, poison: Poison, attempt: int = 0) -> DeadLetter:
    """Return the dead letter of a record the sink cannot store."""
    coordinates = (full_name, partition, record.offset, record.timestamp)
    return DeadLetter(CONSUMER, *coordinates, record.key, record.value, poison.reason, poison.detail, attempt)
