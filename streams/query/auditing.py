"""Reads log and tables for the audit."""

import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams import codec, events
from streams.catalogue import TOPICS, Topic
from streams.errors import LabelloopError, NotNow, Poison
from streams.keys import make_key, split_key
from streams.query.audit import Counts, Finding, Offsets, Stored, TopicLog, compare, hash_of, laggards, orphans
from streams.query.dlq import read_letters
from streams.query.lag import Lag, LagReader, by_group
from streams.query.letters import Letter
from streams.query.log import Tell
from streams.query.sql import rows
from streams.settings import Settings
from streams.sinks.tables import IDENTITY, TABLES
from streams.transport.plain import Follower, Read
from streams.transport.topics import builds

_STALL_S = 90.0
"""How long nothing may come: longer than a dead worker's open transaction holds back readers."""

_DESCRIBING = ("items", "labels", "predictions", "gold", "flags", "comments")
"""Topics whose facts make an item known."""

_WITHOUT_PROJECT = ("dead-letters", "dead-letters.actions")


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found.

    Args:
        counts: Every partition.
        lags: How far each consumer group is behind.
        findings: What is wrong.
    """

    counts: list[Counts]
    lags: list[Lag]
    findings: list[Finding]


def audit(
    settings: Settings,
    project: str | None = None,
    max_lag: int | None = None,
    tell: Tell = lambda passed, of: None,
) -> Report:
    """Compare the log with itself and with the tables.

    The workers may go on meanwhile: what they do makes no finding.

    Args:
        settings: Where the servers are.
        project: Only this project; None: all.
        max_lag: Records that a consumer group may be behind; None: any number.
        tell: Told of the progress in the log.

    Raises:
        LabelloopError: a server does not answer, or the topics were never made.
    """
    topics = {name: TOPICS[name] for name in TABLES if project is None or name not in _WITHOUT_PROJECT}
    numbers = builds(settings)
    with LagReader(settings) as reader:
        # in this order: what the sink has passed is in the tables, and what is in the tables is below the ends
        passed = reader.committed("sink", [*reader.settled_offsets(topics)])
        tables = {name: _stored(settings, topic, numbers[name], project) for name, topic in topics.items()}
        ends = reader.settled_offsets(topics)
        lags = reader.lag()
    letters = [*read_letters(settings)]
    logs = _read(settings, topics, ends, _refused(settings, letters), project, tell)
    counts: list[Counts] = []
    findings: list[Finding] = []
    for name in topics:
        open_letters = Counter(
            one.identity.partition
            for one in letters
            if one.state == "open" and one.identity.topic == settings.topic(name) and project in (None, one.project)
        )
        its_ends = {partition: end for (topic, partition), end in ends.items() if topic == name}
        its_passed = {partition: passed[name, partition] for partition in its_ends}
        its_counts, differences = compare(logs[name], Stored(tables[name], its_passed, its_ends, open_letters))
        counts += its_counts
        findings += differences
    findings += orphans(logs, [name for name, topic in topics.items() if topic.kind == "fact"])
    waiting = sum(one.state == "open" and project in (None, one.project) for one in letters)
    if waiting:
        findings.append(
            Finding("open_dead_letter", waiting, f"{waiting:,} dead letters are open: `labelloop dlq list`")
        )
    if max_lag is not None:
        findings += laggards(by_group(lags), max_lag)
    return Report(counts, lags, findings)


def _refused(settings: Settings, letters: Iterable[Letter]) -> set[tuple[str, int, int]]:
    """Return the records that the sink could not store: topic, partition, offset."""
    return {
        (one.identity.topic.removeprefix(f"{settings.prefix}."), one.identity.partition, one.identity.offset)
        for one in letters
        if one.identity.consumer == "sink" and one.state != "redriven"
    }


def _read(
    settings: Settings,
    topics: Mapping[str, Topic],
    ends: Mapping[tuple[str, int], int],
    refused: set[tuple[str, int, int]],
    project: str | None,
    tell: Tell,
) -> dict[str, TopicLog]:
    """Return the committed records of topics before given offsets."""
    logs = {name: TopicLog(name, topic.kind == "fact", topic.compact) for name, topic in topics.items()}
    total, prefix = sum(ends.values()), None if project is None else make_key(project)
    follower, before = Follower(settings, map(settings.topic, topics)), 0
    try:
        for name in topics:  # one after the other: a partition that waits for many others seems to stand still
            todo = {(settings.topic(topic), number): end for (topic, number), end in ends.items() if topic == name}
            follower.assign(todo)
            done, limit = -1, time.monotonic() + _STALL_S
            while any(follower.position(*at) < end for at, end in todo.items()):
                for read in follower.read(0.05):
                    if read.offset < todo[read.topic, read.partition] and _of_project(read.key, prefix):
                        _take(logs[name], read, (name, read.partition, read.offset) in refused)
                passed = sum(min(end, follower.position(*at)) for at, end in todo.items())
                if passed != done:
                    done, limit = passed, time.monotonic() + _STALL_S
                tell(before + passed, total)
                if time.monotonic() > limit:
                    raise NotNow(f"nothing came of {name} for {_STALL_S:g} s")
            before += sum(todo.values())
    except NotNow as error:
        raise LabelloopError(f"the log cannot be read ({error}): see `labelloop status`") from error
    finally:
        follower.close()
    return logs


def _of_project(key: bytes | None, prefix: bytes | None) -> bool:
    return prefix is None or key == prefix or (key or b"").startswith(prefix + b"/")


def _take(log: TopicLog, read: Read, refused: bool) -> None:
    """Note a record; one that nobody can read, and one that ends a key, has an identity of its own."""
    topic = TOPICS[log.topic]
    if read.value is None and topic.compact:
        log.end(hash_of(*split_key(read.key or b"")[: len(IDENTITY[TABLES[log.topic]])]))
    try:
        name, record = codec.decode(read.value)
        if name != topic.schema:
            raise Poison("invalid", "of another schema")
        if topic.kind == "fact":
            events.validate(log.topic, record, read.log_time)
    except Poison:
        log.add(read.partition, read.offset, hash_of(log.topic, str(read.partition), str(read.offset)), storable=False)
        return
    log.add(read.partition, read.offset, _identity(log.topic, topic, record), storable=not refused)
    if log.topic == "corrections" or log.topic in _DESCRIBING:
        log.speaks_of(hash_of(record["project"], record["item_id"]))
    cause = record.get("caused_by")
    if cause is not None and record.get("source") != "review":  # there it names the reviewer's batch, which is no event
        log.refers(hash_of(cause))


def _identity(name: str, topic: Topic, record: Mapping[str, Any]) -> int:
    if topic.kind == "fact":
        return hash_of(record["event_id"])
    return hash_of(*(str(record[part]) for part in IDENTITY[TABLES[name]]))


def _stored(settings: Settings, topic: Topic, build: int, project: str | None) -> dict[int, Offsets]:
    """Return the offsets of a topic's rows by partition, copies merged; rows of an earlier build of it are left out."""
    wanted = "_topic = %(topic)s"
    if topic.kind != "fact":
        wanted += " AND bitShiftRight(_version, 48) = %(build)s"
    if project is not None:
        wanted += " AND project = %(project)s"
    query = f"SELECT _partition, _offset FROM {TABLES[topic.name]} FINAL WHERE {wanted}"
    found: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
    for partition, offset in rows(settings, query, {"topic": topic.name, "build": build, "project": project or ""})[1]:
        found[partition].append(offset)
    return {partition: np.frombuffer(offsets, dtype=np.int64) for partition, offsets in found.items()}
