"""Takes a backup of a stack, which may run: what is committed up to the ends of the log as they were at the start.

No order binds two partitions, so the ends are asked for with causes last: who has a model's fact has its snapshot, who
has that has the facts it names, and whoever has a fact has the settings it was judged by. What is published
meanwhile may be in one topic and not yet in another, as for every reader; the next backup has it.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Self, cast

from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Message

from streams.backup.folder import Folder, PartWriter
from streams.backup.manifest import KEPT, Manifest, Part, Place, Schema, ranges
from streams.backup.rows import Record, digest, fingerprints
from streams.catalogue import TOPICS
from streams.clock import Clock
from streams.errors import LabelloopError, NotNow
from streams.query.lag import LagReader
from streams.query.log import Tell, part_of, reader, records
from streams.settings import Settings
from streams.transport import topics

_ASKED = (
    ("models",),
    ("snapshots",),
    tuple(topic for topic in KEPT if topic not in ("models", "snapshots", "projects")),
    ("projects",),
)
"""Topics in the order in which their ends are asked for."""

_OTHERS = tuple(topic for topic in TOPICS if topic not in KEPT)

_TIMESTAMP_TYPES = {TIMESTAMP_CREATE_TIME: "CreateTime", TIMESTAMP_LOG_APPEND_TIME: "LogAppendTime"}


def take(
    settings: Settings,
    folder: Folder,
    clock: Clock,
    tell: Tell = lambda passed, of: None,
    names: Sequence[str] = KEPT,
    builds: Mapping[str, int] | None = None,
) -> Manifest | None:
    """Add a point to a backup: all of the log, or what came since the last point.

    Args:
        settings: Where Kafka is.
        folder: The backup's directory.
        clock: Tells when it is taken.
        tell: Told of the progress.
        names: Topics of the backup.
        builds: Build number of each topic, where a move is under way; None: as noted.

    Returns:
        The point; None: nothing came since the last one.

    Raises:
        LabelloopError: Kafka does not answer, the backup is one of another log, or the directory cannot be written.
    """
    try:
        with folder.locked():
            return _take(settings, folder, clock, tell, names, builds)
    except OSError as error:
        raise LabelloopError(f"{folder.path} cannot be written: {error.strerror}") from error


def _take(
    settings: Settings,
    folder: Folder,
    clock: Clock,
    tell: Tell,
    names: Sequence[str],
    builds: Mapping[str, int] | None,
) -> Manifest | None:
    earlier = folder.points()
    before, taken_at = earlier[-1] if earlier else None, _iso(clock.now_ms())
    try:
        topics.check(settings, names)
    except NotNow as error:
        raise LabelloopError(str(error)) from error
    builds = topics.builds(settings) if builds is None else builds
    ends = _ends(settings, names)
    try:
        wanted = ranges(before, builds, ends)
    except ValueError as error:
        raise _another(folder, str(error)) from error
    point = 1 if before is None else before.point + 1
    known = {} if before is None else {(part.topic, part.partition): part for part in before.parts}
    schemas = {} if before is None else {schema.id: schema for schema in before.schemas}
    parts: list[Part] = []
    passed, total = 0, sum(map(len, wanted.values()))
    with reader(settings) as consumer:
        for topic in names:  # one after the other: a file is open for each partition
            mine = {place: wanted[place] for place in sorted(wanted) if place[0] == topic}
            came = records(consumer, settings, mine, part_of(tell, passed, total))
            with _Topic(folder, point, [known.get(at) or Part(*at, builds[topic], 0) for at in mine]) as found:
                for _, message in came:
                    found.take(message.partition() or 0, _record(message))
                parts += found.parts(ends)
            schemas |= {id_: Schema(id_, str(TOPICS[topic].schema), fingerprints(topic)[id_]) for id_ in found.ids}
            passed += sum(map(len, mine.values()))
    if before is not None and tuple(parts) == before.parts:
        return None
    manifest = Manifest(
        point,
        taken_at,
        version("labelloop"),
        settings.partitions,
        tuple(schemas[id_] for id_ in sorted(schemas)),
        tuple(parts),
    )
    folder.add(manifest)
    return manifest


class _Topic:
    """Writes what came in one topic since the last point.

    Args:
        folder: The backup's directory.
        point: Number of the point that is made.
        before: Each partition as it was at the last point.
    """

    def __init__(self, folder: Folder, point: int, before: Sequence[Part]) -> None:
        self._folder, self._point = folder, point
        self._before = {part.partition: part for part in before}
        self._unseen = {part.partition for part in before if part.last is not None}
        self._writers: dict[int, PartWriter] = {}
        self._last: dict[int, Record] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    @property
    def ids(self) -> set[int]:
        """Ids of the schemas that values were decoded under."""
        return {id_ for writer in self._writers.values() for id_ in writer.ids}

    def take(self, partition: int, record: Record) -> None:
        """Take a record; the first of a partition may be the one that the last point ended with.

        Raises:
            LabelloopError: it is to be that one, and is not.
        """
        before = self._before[partition]
        if partition in self._unseen:
            if digest(record) != before.last_sha256:
                raise _another(self._folder, f"{before.topic}-{partition} has another record at {before.last:,}")
            self._unseen.remove(partition)
            return
        if partition not in self._writers:
            writer = self._folder.writer(self._point, before.topic, partition)
            self._writers[partition] = self._open.enter_context(writer)
        self._writers[partition].write(record)
        self._last[partition] = record

    def parts(self, ends: Mapping[Place, int]) -> list[Part]:
        """Return the partitions as they are now, their files written.

        Raises:
            LabelloopError: the record that the last point ended with is gone.
        """
        for partition in self._unseen:
            before = self._before[partition]
            raise _another(self._folder, f"{before.topic}-{partition} has no record at {before.last:,}")
        return [self._now(part, ends[part.topic, part.partition]) for part in self._before.values()]

    def _now(self, before: Part, end: int) -> Part:
        last = self._last.get(before.partition)
        if last is None:
            return replace(before, next=end)
        file = self._writers[before.partition].finish()
        return replace(before, next=end, last=last.offset, last_sha256=digest(last), files=(*before.files, file))


def _ends(settings: Settings, names: Sequence[str]) -> dict[Place, int]:
    """Return the offset after the last record of each partition that no open transaction holds back."""
    with LagReader(settings) as ends:
        asked = [[topic for topic in order if topic in names] for order in (*_ASKED, _OTHERS)]
        return {place: end for some in asked if some for place, end in ends.settled_offsets(some).items()}


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    headers = cast(list[tuple[str, bytes | None]] | None, message.headers())  # a dict is for sending only
    return Record(
        message.offset() or 0,
        timestamp,
        _TIMESTAMP_TYPES.get(kind, "NotAvailable"),
        message.key(),
        tuple(headers or ()),
        message.value(),
    )


def _another(folder: Folder, why: str) -> LabelloopError:
    return LabelloopError(
        f"{folder.path} is the backup of another log ({why}): back this one up to a directory of its own"
    )


def _iso(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
