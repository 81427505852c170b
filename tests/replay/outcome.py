"""What a log gives, told by everything of the product that reads one: pure, no stack."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from operator import attrgetter
from typing import Any

from streams import codec, events
from streams.catalogue import ACTIONS, ITEM_FACTS, TOPICS
from streams.errors import Poison
from streams.processors.admission import decoded, own_key
from streams.processors.fits import Skills
from streams.processors.item_state import ItemState
from streams.processors.items import FitMissing, Items
from streams.projects import Projects
from streams.query.letters import Letters
from streams.replay.settled import settled
from streams.sinks.rows import Raw, build
from streams.sinks.tables import TABLES
from streams.transport.batch import Batch, Effects, MemoryRows
from streams.transport.redriven import redrive
from tests.replay.history import PARTITIONS, Record, Statement
from workers import dataset
from workers.history import History

PREFIX = "labelloop"


def outcome(records: Sequence[Record]) -> list[Statement]:
    """Return what a log gives, sorted."""
    ordered = sorted(records, key=attrgetter("timestamp", "topic", "partition", "offset"))
    live = Live(ordered)
    found = [*live.told(), *_settled(live), *_read(ordered), *_columns(records), *_trained(ordered, live.projects)]
    return sorted((*found, *_loops(ordered), *_letters(ordered)), key=lambda one: (one.about, one.key))


class Live:
    """The processor "items" on a log, record by record as the log got them, with the fits that it holds.

    Args:
        records: The log in the order of its times.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.projects, self._skills = Projects(), Skills()
        self._items = Items(PREFIX, PARTITIONS, self.projects, self._skills)
        self.rows = [MemoryRows() for _ in range(PARTITIONS)]
        self._tasks: dict[bytes, dict[str, Any]] = {}
        self._refused: dict[str, str] = {}
        for record in records:
            self._take(record)

    def _take(self, record: Record) -> None:
        match record.topic:
            case "projects":
                self.projects.learn(record.value, record.timestamp)
            case "annotators":
                self._skills.learn(record.value, record.timestamp)
            case topic if topic in (*ITEM_FACTS, "rescores", ACTIONS):
                name, offset = f"{PREFIX}.{topic}", record.offset
                batch = Batch(name, record.partition, [record], offset, offset + 1)
                rows = self.rows[record.partition]
                if topic == ACTIONS:
                    effects = redrive("items", batch, rows, self._items.handle)
                else:
                    try:
                        effects = self._items.handle(batch, rows)
                    except FitMissing:  # live it waits for the fit; the log ends before it
                        return
                self._apply(record.partition, effects)

    def _apply(self, partition: int, effects: Effects) -> None:
        for letter in effects.dead:
            topic = letter.topic.removeprefix(f"{PREFIX}.")
            self._refused[f"{topic}-{letter.partition}:{letter.offset} attempt {letter.attempt}"] = letter.reason
        self.rows[partition].update(effects.rows)
        for out in effects.records:
            if out.topic == f"{PREFIX}.review.state":
                self._tasks[out.key] = codec.decode(out.value)[1]

    def states(self, project: str) -> list[ItemState]:
        """Return the items of a project by key."""
        found: dict[bytes, Any] = {key: row for rows in self.rows for key, row in rows.items()}
        return [row for _, row in sorted(found.items()) if row["project"] == project]

    def told(self) -> Iterator[Statement]:
        """Yield what was refused, what the queue was told last, and the settings."""
        for place, reason in self._refused.items():
            yield Statement("refused", place, None, reason)
        for key, task in self._tasks.items():
            fields = ("status", "tier", "p_wrong", "priority", "consensus", "owner", "skipped_by")
            yield Statement("live", key.decode(), None, said({name: task[name] for name in fields}))
        for name in self.projects.names():
            view = self.projects.latest(name)
            settings: dict[str, Any] = {"policy": asdict(view.policy), "training": asdict(view.training)}
            settings |= {"members": view.members, "classes": view.classes}
            yield Statement("settings", name, codec.schema_id("projects"), said(settings))
            guidelines = [asdict(guideline) for guideline in view.guidelines]
            yield Statement("guidelines", name, None, guidelines)


def said(record: Any) -> Any:
    """Return a record without what is null, false, zero or empty, on all levels."""
    if isinstance(record, dict):
        return {name: kept for name, value in record.items() if (kept := said(value))}
    if isinstance(record, list | tuple):
        return [said(value) for value in record]
    return record.decode("latin-1") if isinstance(record, bytes) else record


def _settled(live: Live) -> Iterator[Statement]:
    """Yield what the derived topics settle on."""
    for project in sorted({row["project"] for rows in live.rows for row in rows.values()}):
        for topic, records in settled(project, live.states(project), live.projects.latest(project)).records.items():
            for key, value in records.items():
                name, record = codec.decode(value)
                rest = {
                    field: part for field, part in record.items() if field not in ("project", "item_id", "annotator")
                }
                yield Statement(topic, key.decode(), codec.schema_id(name), said(rest))


def _read(records: Iterable[Record]) -> Iterator[Statement]:
    """Yield what can be read of each record: the digest of a fact, which its copies must have too, else the whole."""
    for record in records:
        place, topic = f"{record.topic}-{record.partition}:{record.offset}", TOPICS[record.topic]
        try:
            if topic.kind == "fact":
                event = decoded(record.topic, record.value)
                events.validate(record.topic, event, record.timestamp)
                yield Statement("facts", place, None, events.digest(event))
            else:
                name, content = codec.decode(record.value)
                yield Statement("records", place, codec.schema_id(name), said(content))
        except Poison as poison:
            yield Statement("unreadable", place, None, poison.reason)


def _columns(records: Iterable[Record]) -> Iterator[Statement]:
    """Yield hashes of the columns of the ClickHouse tables."""
    by_topic = defaultdict[tuple[str, int], list[Raw]](list)
    for one in records:
        if one.topic in TABLES:
            by_topic[one.topic, one.partition].append(Raw(one.offset, one.timestamp, one.key, one.value))
    hashes = defaultdict[str, defaultdict[str, Any]](lambda: defaultdict(sha256))
    for (topic, partition), raws in sorted(by_topic.items()):
        rows = build(topic, f"{PREFIX}.{topic}", partition, 1, raws)
        for name, column in zip(rows.names, rows.columns, strict=True):
            hashes[TABLES[topic]][name].update(repr(column).encode())
        for letter in rows.dead:
            place = f"{topic}-{letter.partition}:{letter.offset}"
            yield Statement("refused by the sink", place, None, letter.reason)
    for table, of_table in hashes.items():
        yield Statement("columns", table, None, {name: hash_.hexdigest()[:8] for name, hash_ in of_table.items()})


def _trained(records: Iterable[Record], projects: Projects) -> Iterator[Statement]:
    """Yield what a model would be trained on."""
    facts = [*counted(records)]
    for project in sorted({fact.event["project"] for fact in facts}):
        rows = dataset.build(project, facts, projects, PARTITIONS)
        told = {"hash": rows.content_hash, "rows": len(rows.rows), "classes": rows.class_counts}
        yield Statement(
            "training", project, None, said({**told, "fixed": [*rows.fixed], "sources": rows.source_counts})
        )


def counted(records: Iterable[Record]) -> Iterator[dataset.Logged]:
    """Yield the facts about items that can be read, and have their own key."""
    for one in records:
        try:
            if one.topic in ITEM_FACTS:
                event, size = decoded(one.topic, one.value), len(one.value or b"")
                own_key(event, one.key)
                yield dataset.Logged(one.topic, one.partition, one.offset, one.timestamp, event, size)
        except Poison:
            continue


def _loops(records: Iterable[Record]) -> Iterator[Statement]:
    """Yield how far the loop of each project is."""
    history = History()
    for record in records:
        if record.topic in ("snapshots", "models"):
            history.learn(record.value, record.timestamp)
    for project in history.projects():
        loop, step = history.loop(project), history.loop(project).next_step()
        told = {"champion": loop.champion, "models": loop.models, "snapshots": [*loop.snapshots]}
        told |= {"next": None if step is None else step._asdict(), "told": sorted(loop.told)}
        yield Statement("loop", project, None, said(told))


def _letters(records: Iterable[Record]) -> Iterator[Statement]:
    """Yield what became of the dead letters that the log holds."""
    letters = Letters(PREFIX)
    for record in records:
        if record.topic == "dead-letters":
            letters.learn(codec.decode(record.value)[1], record.offset, record.timestamp)
        elif record.topic == ACTIONS:
            letters.settle(codec.decode(record.value)[1], record.timestamp)
    for letter in letters:
        yield Statement("letters", letter.identity.name(PREFIX), None, [letter.reason, letter.state])
