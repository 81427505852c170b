"""Reads what a past state is made of, from the log."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer

from streams.catalogue import ITEM_FACTS
from streams.errors import LabelloopError
from streams.keys import item_key, make_key, partition_of
from streams.origins import Cut, cut
from streams.processors.item_state import ItemState
from streams.projects import Projects
from streams.query.lag import LagReader
from streams.query.log import Tell, earlier, part_of, reader, records
from streams.replay.past import Logged, Past, past
from streams.replay.story import SOURCES, Step, story
from streams.settings import Settings
from streams.transport.topics import builds

PROJECTS = "projects"

Ends = Mapping[tuple[str, int], int]
"""How far each partition counts: the offset behind the last record, by topic (without the prefix) and partition."""


def ends_at(settings: Settings, log_time: int | None = None) -> Cut:
    """Return how far the log went at a time.

    Args:
        settings: Where Kafka is.
        log_time: The time, ms; None: now.

    Raises:
        LabelloopError: Kafka does not answer, or a topic was never made.
    """
    return Cut(_ends_at(settings, log_time))


def _ends_at(settings: Settings, log_time: int | None = None, topics: tuple[str, ...] = ITEM_FACTS) -> Ends:
    """Return where each partition ended at a time.

    Args:
        settings: Where Kafka is.
        log_time: The time, ms; None: now.
        topics: Topics beside that of the projects' settings.

    Raises:
        LabelloopError: Kafka does not answer, or a topic was never made.
    """
    with LagReader(settings) as lag:
        found = lag.settled_offsets(topics, log_time)
        # asked for last: the settings that a fact was judged by are there whenever the fact is
        return found | lag.settled_offsets([PROJECTS], log_time)


def ends_in(settings: Settings, file: Path) -> Cut:
    """Return how far the log is to be read by a file: the manifest of a snapshot, or a list of positions.

    A snapshot is made of some topics only; the others count up to the time of its last fact.

    Raises:
        LabelloopError: it is no such file, or it is about another log.
    """
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        listed = content["offsets"] if isinstance(content, dict) else content
        named = [(str(one["topic"]), int(one["partition"]), int(one["offset"]), int(one["build"])) for one in listed]
        as_of = content.get("as_of") if isinstance(content, dict) else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LabelloopError(
            f"{file} names no offsets ({error}): give what `labelloop state --json` or "
            "`labelloop snapshot show --json` prints"
        ) from error
    built, now = builds(settings), _ends_at(settings)
    missing = sorted({topic for topic, _ in now} - {topic for topic, *_ in named})
    if missing and not isinstance(as_of, int):
        raise LabelloopError(f"{file} lacks offsets of {', '.join(missing)}")
    try:
        found = cut(named, built, now)
    except ValueError as error:
        raise LabelloopError(f"{file} is about another log: {error}") from error
    rest = {at: end for at, end in _ends_at(settings, as_of).items() if at[0] in missing} if missing else {}
    return Cut({**rest, **found.ends}, found.then)


def listed(settings: Settings, known: Cut) -> list[dict[str, Any]]:
    """Return how far the log counts as `ends_in` reads it."""
    built = builds(settings)
    moved = {topic for topic, _, _ in known.then}
    named = [(*at, end, built[at[0]]) for at, end in known.ends.items() if at[0] not in moved]
    named += [(topic, partition, end, build) for (topic, build, partition), end in known.then.items()]
    return [dict(zip(("topic", "partition", "offset", "build"), one, strict=True)) for one in sorted(named)]


def read_past(
    settings: Settings, project: str, known: Cut, tell: Tell = lambda passed, of: None
) -> tuple[Past, Projects]:
    """Return a project's items as they were, and the settings of all projects then.

    The time that they are as of is that of its last fact, be it about an item or about its settings: asked for by that
    time, the same comes out.

    Args:
        settings: Where Kafka is.
        project: The project.
        known: How far the log counts.
        tell: Told of the progress.

    Raises:
        LabelloopError: Kafka does not answer, or there is nothing of the project.
    """
    with reader(settings) as consumer:
        projects = _projects(consumer, settings, known)
        mine = _records(consumer, settings, known.of(ITEM_FACTS), make_key(project) + b"/", tell)
        found = past(mine, projects, settings.partitions)
    if not found.states:
        raise LabelloopError(f"the log has no fact about an item of {project!r} up to there")
    changed = max((change.log_time for change in projects.history(project)), default=0)
    return replace(found, as_of=max(found.as_of, changed)), projects


def read_items(
    settings: Settings, ends: Ends, tell: Tell = lambda passed, of: None
) -> tuple[dict[str, dict[bytes, ItemState]], Projects]:
    """Return the items of all projects as they were, by project and key, sorted; and the projects' settings then.

    One partition is read after the other, so that of no more than one the records are held.

    Args:
        settings: Where Kafka is.
        ends: How far the log counts.
        tell: Told of the progress.

    Raises:
        LabelloopError: Kafka does not answer.
    """
    found: dict[str, dict[bytes, ItemState]] = {}
    facts = {at: end for at, end in ends.items() if at[0] in ITEM_FACTS}
    passed, total = 0, sum(facts.values())
    with reader(settings) as consumer:
        projects = _projects(consumer, settings, Cut(ends))
        for partition in range(settings.partitions):
            mine = {at: end for at, end in facts.items() if at[1] == partition}
            came = _records(consumer, settings, Cut(mine), b"", part_of(tell, passed, total))
            for key, state in past(came, projects, settings.partitions).states.items():
                found.setdefault(state["project"], {})[key] = state
            passed += sum(mine.values())
    return {project: dict(sorted(items.items())) for project, items in sorted(found.items())}, projects


def read_story(settings: Settings, project: str, item_id: str, tell: Tell = lambda passed, of: None) -> list[Step]:
    """Return what happened to an item, in log order; of each topic only the item's partition is read.

    Raises:
        LabelloopError: nothing ever happened to it, or Kafka does not answer.
    """
    home = partition_of(item_key(project, item_id), settings.partitions)
    ends = _ends_at(settings, topics=SOURCES)
    with reader(settings) as consumer:
        mine = {at: end for at, end in ends.items() if at[0] != PROJECTS and at[1] == home}
        found = [*_records(consumer, settings, Cut(mine), b"", tell)]
        steps = story(project, item_id, found, _projects(consumer, settings, Cut(ends)), settings.partitions)
    if not steps:
        raise LabelloopError(f"no item {item_id!r} in {project!r}: the log says nothing of it")
    return steps


def _projects(consumer: Consumer, settings: Settings, known: Cut) -> Projects:
    projects = Projects()
    for record in _records(consumer, settings, known.of([PROJECTS]), b""):
        projects.learn(record.value, record.timestamp)
    return projects


def _records(
    consumer: Consumer, settings: Settings, known: Cut, prefix: bytes, tell: Tell = lambda passed, of: None
) -> Iterator[Logged]:
    for topic, message in records(consumer, settings, {at: range(end) for at, end in known.ends.items()}, tell):
        key = message.key()
        if (key or b"").startswith(prefix) and known.takes(topic, earlier(message)):
            partition, offset = message.partition() or 0, message.offset() or 0
            yield Logged(topic, partition, offset, message.timestamp()[1], key, message.value())
