"""Reads what a snapshot is made of: the facts of one project up to given offsets, from the log or from ClickHouse."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from confluent_kafka import Consumer

from streams.errors import LabelloopError, Poison
from streams.keys import make_key
from streams.origins import Cut, Origin, cut
from streams.processors.admission import decoded, own_key
from streams.projects import Projects
from streams.query.facts import stored_facts
from streams.query.lag import LagReader
from streams.query.log import Tell, earlier, reader, records
from streams.settings import Settings
from streams.transport.topics import builds
from workers.dataset import Dataset, Logged, Value, build
from workers.fold import KEPT
from workers.snapshot import Position

Source = Literal["log", "clickhouse"]

SETTINGS = "projects"


def positions(settings: Settings, log_time: int | None = None) -> list[Position]:
    """Return how far the facts that a snapshot is made of are committed.

    Args:
        settings: Where Kafka is.
        log_time: Only facts that the log got up to then, ms, count; None: all that are there now.

    Raises:
        LabelloopError: Kafka does not answer, or a topic was never made.
    """
    numbers = builds(settings)
    with LagReader(settings) as reader:
        ends = reader.settled_offsets(KEPT, log_time)
        # asked for last: the settings that a fact was judged by are there whenever the fact is
        ends |= reader.settled_offsets([SETTINGS], log_time)
    return sorted(Position(topic, n, end, numbers[topic]) for (topic, n), end in ends.items())


def load(
    settings: Settings,
    project: str,
    upto: Iterable[Position],
    frozen: Mapping[str, Value] | None = None,
    source: Source = "log",
    tell: Tell = lambda passed, of: None,
) -> Dataset:
    """Return a project's training data at given offsets.

    ClickHouse keeps one copy of each fact, the first. Where that one is refused, a later copy may count, e.g. one that
    was sent again when its class was declared; only the log has it. So then the log is read, and where the offsets are
    those of an earlier build: what lay before them then is only noted in the log.

    Args:
        settings: Where the servers are.
        project: The project.
        upto: How far each partition counts.
        frozen: Examples that earlier snapshots of the project froze.
        source: Where to read the facts.
        tell: Told of the progress in the log.

    Raises:
        LabelloopError: a server does not answer, or has not all of it; or the offsets are those of another log.
    """
    known = _cut(settings, upto)
    projects = Projects()
    with reader(settings) as consumer:
        for record in _records(consumer, settings, known.of([SETTINGS])):
            projects.learn(record.value, record.log_time)
        known = known.of(KEPT)
        if source == "clickhouse" and not known.then:
            stored = (Logged(*fact) for fact in stored_facts(settings, project, known.ends))
            dataset = build(project, stored, projects, settings.partitions, frozen)
            if not dataset.refused:
                return dataset
        facts = _facts(_records(consumer, settings, known, make_key(project) + b"/", tell))
        return build(project, facts, projects, settings.partitions, frozen)


def _cut(settings: Settings, upto: Iterable[Position]) -> Cut:
    """Return how far the log counts.

    Raises:
        LabelloopError: a topic is unknown, was never of that build, or ends before its offset.
    """
    numbers = builds(settings)
    with LagReader(settings) as reader:
        ends = reader.settled_offsets((*KEPT, SETTINGS))
    try:
        return cut(upto, numbers, ends)
    except ValueError as error:
        raise LabelloopError(f"the snapshot is of another log: {error}") from error


def _facts(records: "Iterable[_Record]") -> Iterator[Logged]:
    """Yield the facts in records; what cannot be read as one, or has another key than its own, is passed over."""
    for record in records:
        try:
            event = decoded(record.topic, record.value)
            own_key(event, record.key)
        except Poison:
            continue
        size = len(record.value or b"")
        place = (record.topic, record.partition, record.offset, record.log_time)
        yield Logged(*place, event, size, record.earlier)


def files_directory(settings: Settings) -> Path:
    """Return the directory that `features_file` is relative to, unless somebody says otherwise."""
    return settings.home / "files"


class _Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    log_time: int
    key: bytes | None
    value: bytes | None
    earlier: tuple[Origin, ...]


def _records(
    consumer: Consumer,
    settings: Settings,
    known: Cut,
    prefix: bytes = b"",
    tell: Tell = lambda passed, of: None,
) -> Iterator[_Record]:
    """Yield the committed records that count whose key begins with `prefix`."""
    for topic, message in records(consumer, settings, {at: range(end) for at, end in known.ends.items()}, tell):
        key, before = message.key(), earlier(message)
        if (key or b"").startswith(prefix) and known.takes(topic, before):
            place = (topic, message.partition() or 0, message.offset() or 0, message.timestamp()[1])
            yield _Record(*place, key, message.value(), before)
