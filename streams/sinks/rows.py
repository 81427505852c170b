"""Records of one range become columns: pure, by column, with the log's own coordinates beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams import codec, events
from streams.catalogue import TOPICS
from streams.dead_letters import DeadLetter
from streams.errors import Poison
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
    """Return the rows of a range.

    Args:
        topic: Catalogue name of the topic.
        full_name: Its name with the prefix, for dead letters.
        partition: The partition.
        build_number: The topic's build.
        records: The range's records.
    """
    schema, kind = TOPICS[topic].schema, TOPICS[topic].kind
    decoded, good, dead = [], [], []
    for record in records:
        try:
            name, content = codec.decode(record.value)
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


def dead_letter(full_name: str, partition: int, record: Raw, poison: Poison) -> DeadLetter:
    """Return the dead letter of a record the sink cannot store."""
    coordinates = (full_name, partition, record.offset, record.timestamp)
    return DeadLetter(CONSUMER, *coordinates, record.key, record.value, poison.reason, poison.detail)
