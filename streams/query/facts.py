"""Facts as ClickHouse has them: one copy of each, with its place in the log."""

from collections.abc import Iterator, Mapping

import orjson

from streams import codec, contract, events
from streams.catalogue import TOPICS
from streams.errors import LabelloopError
from streams.events import Event
from streams.query.lag import LagReader
from streams.query.sql import rows
from streams.settings import Settings
from streams.sinks.tables import TABLES

Stored = tuple[str, int, int, int, Event, int]
"""Topic (without the prefix), partition, offset, log time (ms), fact, and bytes as the newest schema writes it."""


def stored_facts(settings: Settings, project: str, ends: Mapping[tuple[str, int], int]) -> Iterator[Stored]:
    """Yield the first copy of each fact of a project up to given offsets, in no order.

    Args:
        settings: Where the servers are.
        project: The project.
        ends: Offset after the last record that counts, by topic (without the prefix) and partition.

    Raises:
        LabelloopError: not all of them are stored yet, or a server does not answer.
    """
    with LagReader(settings) as reader:
        passed = reader.committed("sink", [*ends])
    missing = sum(max(0, end - passed[at]) for at, end in ends.items())
    if missing:
        raise LabelloopError(
            f"ClickHouse lacks {missing:,} records of the snapshot: run `labelloop wait` first, or read from the log"
        )
    for topic in sorted({topic for topic, _ in ends}):
        yield from _of_topic(settings, project, topic, ends)


def _of_topic(settings: Settings, project: str, topic: str, ends: Mapping[tuple[str, int], int]) -> Iterator[Stored]:
    fields = _columns(topic)
    of_partition = [ends.get((topic, n), 0) for n in range(TOPICS[topic].partitions or settings.partitions)]
    query = (
        f"SELECT {', '.join(fields.values())}, _partition, _offset, toUnixTimestamp64Milli(logged_at) "
        f"FROM {TABLES[topic]} FINAL WHERE project = %(project)s AND _offset < %(ends)s[_partition + 1]"
    )
    for *cells, partition, offset, log_time in rows(settings, query, {"project": project, "ends": of_partition})[1]:
        event = dict(zip(fields, cells, strict=True))
        event["actor"] = dict(zip(("id", "kind"), event["actor"], strict=True))
        if "value" in event:
            event["value"] = _value(event["value"])
        yield topic, partition, offset, log_time, event, len(codec.encode(topic, event))


def _columns(topic: str) -> dict[str, str]:
    """Return how each field of a fact is selected (`sinks.tables` has the columns)."""
    special = {"actor": "(actor_id, actor_kind)", "occurred_at": "toUnixTimestamp64Milli(occurred_at)"}
    names = [field["name"] for field in contract.schema_files()[topic]["fields"]]
    return {name: special.get(name, f"`{name}`") for name in names}


def _value(text: str) -> events.Value | None:
    if not text:
        return None
    value = orjson.loads(text)
    return events.value_of(value["kind"], events.content_of(value))
