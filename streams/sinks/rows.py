"""Records of one range become columns: pure, by column, with the log's own coordinates beside them."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from streams import codec, events
from streams.catalogue import TOPICS
from streams.dead_letters import MAX_DETAIL, DeadLetter, given_back
from streams.errors import LabelloopError, Poison
from streams.sinks.tables import columns, version

CONSUMER = "sink"

LOG_COLUMNS = ("logged_at", "_topic", "_partition", "_offset", "_version")
"""Columns every table has: where and when the log took the record, and what decides between two rows."""


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
    schema, kind = TOPICS[topic].schema, TOPICS[topic].kind
    decoded, good, dead = [], [], []
    for record in records:
        if record.value is None and TOPICS[topic].compact:
            continue  # a rebuild ended a key that the facts do not give; its row goes when the table is rebuilt
        try:
            name, content = (codec.decode if kind == "fact" else codec.decode_own)(record.value)
            if name != schema:
                raise Poison("invalid", f"a {name} record lies in topic {topic}: publish it to the topic of its schema")
            if kind == "fact":
                events.validate(topic, content, record.timestamp)
        except Poison as poison:
            dead.append(dead_letter(full_name, partition, record, poison))
            continue
        decoded.append(content)
        good.append(record)
    specs = columns(topic)
    n = len(good)
    return Rows(
        (*(column.name for column in specs), *LOG_COLUMNS),
        [
            *(column.values(decoded) for column in specs),
            [record.timestamp for record in good],
            [topic] * n,
            [partition] * n,
            [record.offset for record in good],
            [version(kind, build_number, record.offset) for record in good],
        ],
        good,
        dead,
    )


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
