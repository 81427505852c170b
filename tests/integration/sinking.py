"""What the tests of the sink share: facts to publish, sinks to start, tables to compare."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from streams import codec, events
from streams.catalogue import TOPICS
from streams.errors import LabelloopError, NotNow
from streams.keys import make_key
from streams.settings import Settings
from streams.sinks.migrate import migrate
from streams.sinks.tables import TABLES, VOLATILE
from streams.sinks.writer import Writer
from streams.transport import topics

Popen = subprocess.Popen[bytes]

_ROOT = Path(__file__).parents[2]


def prepare(settings: Settings) -> Settings:
    """Make topics and tables."""
    topics.ensure(settings)
    migrate(settings)
    return settings


def sibling(settings: Settings, name: str) -> Settings:
    """Return a stack of its own on the same servers, which nobody made yet."""
    prefix = settings.prefix + name
    return replace(
        settings,
        home=settings.home / name,
        prefix=prefix,
        clickhouse=replace(settings.clickhouse, database=prefix),
        analyst=replace(settings.analyst, database=prefix),
    )


def label(n: int, choice: str = "cat", **fields: Any) -> events.Event:
    """Return the n-th label."""
    event = {
        "event_id": f"label-{n}",
        "project": "p",
        "item_id": f"item-{n % 50}",
        "actor": {"id": f"annotator-{n % 7}", "kind": "annotator"},
        "occurred_at": 1_700_000_000_000 + n,
        "source": "test",
        "source_seq": n,
        "value": events.choice(choice),
    }
    return {**event, **fields}


def publish(settings: Settings, facts: Iterable[events.Event], name: str = "labels") -> None:
    """Publish facts, each to the partition of its key."""
    publish_raw(settings, ((make_key(f["project"], f["item_id"]), codec.encode(name, f)) for f in facts), name)


def publish_raw(settings: Settings, records: Iterable[tuple[bytes, bytes]], name: str = "labels") -> None:
    """Publish records as they are."""
    producer = Producer({"bootstrap.servers": settings.kafka, "partitioner": "murmur2_random"})
    for key, value in records:
        producer.produce(settings.topic(name), value, key)
    assert producer.flush(30) == 0


@contextmanager
def sink(settings: Settings, *death: str) -> Iterator[Popen]:
    """Run a sink; with a step and a number, one that kills itself there."""
    module = ["tests.integration.sink_app", *death] if death else ["streams.cli", "worker", "sink"]
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "sink.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env={**os.environ, **settings.environment()},
            cwd=_ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
        process.terminate()  # it leaves the group, so that the next one need not wait for its death
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
    finally:
        process.kill()
        process.wait()


def log_text(settings: Settings) -> str:
    """Return what the sinks have said, for the message of a failed test."""
    return (settings.home / "sink.log").read_text()


def query(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """Ask as the writer."""
    writer = Writer(settings.clickhouse)
    try:
        return writer.query(statement)
    finally:
        writer.close()


def count(settings: Settings, expression: str = "uniqExact(event_id)", table: str = "labels") -> int:
    """Return one number of a table; -1 while the server does not answer."""
    with suppress(NotNow, LabelloopError):
        return int(query(settings, f"SELECT {expression} FROM {table}")[0][0])
    return -1


def content(settings: Settings, table: str = "labels") -> list[tuple[Any, ...]]:
    """Return a table's content columns, copies merged, in order."""
    found = query(settings, f"SELECT name FROM system.columns WHERE table = '{table}' AND database = currentDatabase()")
    names = ", ".join(f"`{name}`" for (name,) in found if name not in VOLATILE)
    return sorted(query(settings, f"SELECT {names} FROM {table} FINAL"), key=repr)


def settled(settings: Settings) -> bool:
    """Return whether the sink has passed the end of every topic it reads."""
    from streams.query.lag import lag

    return not any(entry.records for entry in lag(settings) if entry.group == "sink")


SUNK = sorted({*TABLES.values()})
FACTS = [name for name in TABLES if TOPICS[name].kind == "fact"]
