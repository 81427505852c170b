"""Reads all that a run has left: every topic, every committed position, every table and view, and their recount."""

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.catalogue import TOPICS
from streams.query.lag import SOURCES, LagReader
from streams.settings import Settings
from streams.sinks.migrate import migrate, refreshed
from streams.sinks.rows import Raw, Rows, build
from streams.sinks.tables import TABLES
from streams.sinks.writer import Writer
from streams.transport.topics import builds
from tests.chaos.evidence import DeadPlace, Evidence, Place, Record, Table
from tests.chaos.journal import Journal

_SETTLED = ("items", "quality", "sink")
"""Groups that must have passed everything; the retraining worker trains when its policy says so."""


def read(settings: Settings, offline: Settings, journal: Journal, failures: Sequence[str]) -> Evidence:
    """Return the evidence of a run that has come to rest.

    Args:
        settings: Where the servers are.
        offline: The same, with a database of its own, in which the log is recounted.
        journal: What the workload knows.
        failures: What the harness saw.
    """
    log = read_log(settings)
    with LagReader(settings) as reader:
        ends = reader.end_offsets(TOPICS)
        committed = {
            group: reader.committed(group, [place for place in ends if place[0] in SOURCES[group]])
            for group in _SETTLED
        }
    migrate(offline)
    refused = recount(offline, log, builds(settings))
    writer, other = Writer(settings.clickhouse), Writer(offline.clickhouse)
    with contextlib.closing(writer), contextlib.closing(other):
        _refresh(writer)
        _refresh(other)
        tables, twice = _tables(writer, other), _twice(writer)
    with LagReader(settings) as reader:
        moved = [f"{topic}-{n} grew" for (topic, n), end in reader.end_offsets(TOPICS).items() if end != ends[topic, n]]
    return Evidence(settings.partitions, log, ends, committed, tables, twice, refused, journal, failures, moved)


def read_log(settings: Settings) -> dict[Place, list[Record]]:
    """Return the committed records of every topic.

    Raises:
        KafkaException: the broker does not answer.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": "chaos-checker",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    places = {
        (settings.topic(name), number): (name, number)
        for name, topic in TOPICS.items()
        for number in range(topic.partitions or settings.partitions)
    }
    log: dict[Place, list[Record]] = {place: [] for place in places.values()}
    with contextlib.closing(consumer):
        consumer.assign([TopicPartition(*place, 0) for place in places])
        left = set(places)
        while left:
            for message in consumer.consume(10_000, 1.0):
                error, place = message.error(), (message.topic() or "", message.partition() or 0)
                if error is None:
                    record = Record(message.offset() or 0, message.timestamp()[1], message.key(), message.value())
                    log[places[place]].append(record)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(place)
                else:
                    raise KafkaException(error)
    return log


def recount(offline: Settings, log: Mapping[Place, Sequence[Record]], numbers: Mapping[str, int]) -> set[DeadPlace]:
    """Fill a database from the log, each record once; return what no table can hold."""
    filled: dict[str, Rows] = {}
    refused = set[DeadPlace]()
    for (topic, partition), records in log.items():
        if topic in TABLES and records:
            raw = [Raw(*record) for record in records]
            rows = build(topic, offline.topic(topic), partition, numbers[topic], raw)
            refused |= {(topic, partition, letter.offset, letter.reason) for letter in rows.dead}
            before = filled.setdefault(TABLES[topic], rows)
            if before is not rows:
                for column, more in zip(before.columns, rows.columns, strict=True):
                    column += more
    writer = Writer(offline.clickhouse)
    with contextlib.closing(writer):
        for table, rows in filled.items():
            if rows.columns[0]:
                writer.insert(table, rows.names, rows.columns, table)
    return refused


def _refresh(writer: Writer) -> None:
    """Have the tables that ClickHouse computes every so often computed now, and wait for it."""
    for what in ("REFRESH", "WAIT"):
        for name in refreshed():
            writer.query(f"SYSTEM {what} VIEW {name}_refresh")


def _tables(writer: Writer, offline: Writer) -> dict[str, Table]:
    found = dict[str, Table]()
    computed = refreshed()
    asked = "SELECT name, engine FROM system.tables WHERE database = currentDatabase() AND name != 'migrations'"
    for name, engine in writer.query(asked):
        if engine == "MaterializedView" or (engine == "MergeTree" and name not in computed):
            continue  # a feed, or what is being computed
        columns = [row[0] for row in writer.query(f"DESCRIBE TABLE {name}")]
        final = "" if engine in ("View", "MergeTree") else "FINAL"
        statement = f"SELECT {', '.join(f'`{column}`' for column in columns)} FROM {name} {final}"
        found[name] = Table(columns, writer.query(statement), offline.query(statement))
    return found


def _twice(writer: Writer) -> dict[str, list[tuple[object, ...]]]:
    """Return the places of the log that lie in a table more than once, as long as parts have not been merged."""
    found = defaultdict[str, list[tuple[object, ...]]](list)
    for name in {*TABLES.values()}:
        statement = (
            f"SELECT _topic, _partition, _offset, count() FROM {name} GROUP BY _topic, _partition, _offset "
            "HAVING count() > 1"
        )
        found[name] = [tuple(row) for row in writer.query(statement)]
    return found
