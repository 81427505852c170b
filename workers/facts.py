"""Reads what a snapshot is made of: the facts of one project up to given offsets, from the log or from ClickHouse."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from confluent_kafka import Consumer

from streams.errors import LabelloopError, Poison
from streams.keys import make_key
from streams.processors.admission import decoded, own_key
from streams.projects import Projects
from streams.query.facts import stored_facts
from streams.query.lag import LagReader
from streams.query.log import Tell, reader, records
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
    was sent again when its class was declared; only the log has it. So then the log is read.

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
    upto = [*upto]
    _check(settings, upto)
    ends = {(at.topic, at.partition): at.offset for at in upto}
    projects = Projects()
    with reader(settings) as consumer:
        for record in _records(consumer, settings, {at: end for at, end in ends.items() if at[0] == SETTINGS}):
            projects.learn(record.value, record.log_time)
        ends = {at: end for at, end in ends.items() if at[0] != SETTINGS}
        if source == "clickhouse":
            stored = (Logged(*fact) for fact in stored_facts(settings, project, ends))
            dataset = build(project, stored, projects, settings.partitions, frozen)
            if not dataset.refused:
                return dataset
        facts = _facts(_records(consumer, settings, ends, make_key(project) + b"/", tell))
        return build(project, facts, projects, settings.partitions, frozen)


def _check(settings: Settings, upto: Iterable[Position]) -> None:
    """Check that offsets mean the records they meant.

    Raises:
        LabelloopError: a topic is unknown, was built anew since, or ends before its offset.
    """
    numbers = builds(settings)
    with LagReader(settings) as reader:
        ends = reader.settled_offsets((*KEPT, SETTINGS))
    for at in upto:
        if at.topic not in numbers or (at.topic, at.partition) not in ends:
            raise LabelloopError(f"{at.topic}-{at.partition} is no partition of the facts")
        if at.build != numbers[at.topic]:
            raise LabelloopError(f"{at.topic} is build {numbers[at.topic]}, and the snapshot is of build {at.build}")
        if at.offset > (end := ends[at.topic, at.partition]):
            raise LabelloopError(f"{at.topic}-{at.partition} ends at {end:,}, before the snapshot's {at.offset:,}")


def _facts(records: "Iterable[_Record]") -> Iterator[Logged]:
    """Yield the facts in records; what cannot be read as one, or has another key than its own, is passed over."""
    for record in records:
        try:
            event = decoded(record.topic, record.value)
            own_key(event, record.key)
        except Poison:
            continue
        size = len(record.value or b"")
        yield Logged(record.topic, record.partition, record.offset, record.log_time, event, size)


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


def _records(
    consumer: Consumer,
    settings: Settings,
    ends: Mapping[tuple[str, int], int],
    prefix: bytes = b"",
    tell: Tell = lambda passed, of: None,
) -> Iterator[_Record]:
    """Yield the committed records before given offsets whose key begins with `prefix`."""
    for topic, message in records(consumer, settings, {at: range(end) for at, end in ends.items()}, tell):
        key = message.key()
        if (key or b"").startswith(prefix):
            _, log_time = message.timestamp()
            yield _Record(topic, message.partition() or 0, message.offset() or 0, log_time, key, message.value())
