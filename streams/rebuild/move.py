"""Moves the log to another partition count: all topics that share it together, facts with their log times.

In this order, so that no moment of a `kill -9` loses a fact or lets a worker meet half a log:

1. the log is copied to files, as a backup, and so are the dead letters and what was done about them;
2. the topics are noted as being moved: from now on no worker starts;
3. they take no more records, and the copy gets what came since; it is compared with the ends of the log, and sealed;
4. the topics are made anew, and the copy is written to them, each offset and time compared (see `moving`);
5. what was made of the old ones is forgotten: positions, state, tables;
6. the topics are noted with their next build number, and the stack is whole.

What breaks off before the seal leaves the old log, and the same command begins with 1, where most is copied already.
Behind the seal the old log is never looked at again, and the same command begins with 4.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from confluent_kafka.admin import AdminClient

from streams.backup.folder import Folder
from streams.backup.holes import Append
from streams.backup.manifest import KEPT, Part
from streams.backup.rows import Record
from streams.backup.take import take
from streams.backup.writer import Writer
from streams.catalogue import ACTIONS, TOPICS
from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, kafka
from streams.clock import Clock
from streams.errors import LabelloopError
from streams.files import locked, write_private
from streams.query.dlq import LETTERS
from streams.query.lag import SOURCES, LagReader
from streams.query.log import Tell
from streams.query.running import running
from streams.rebuild.moving import Homes, Place, by_key, is_misplaced, meant, moves, readdressed, to_each
from streams.rebuild.refold import forget_positions, remove_stores
from streams.rebuild.tables import empty_tables
from streams.settings import Settings
from streams.transport import topics

COPIED = tuple(name for name in KEPT if not TOPICS[name].partitions)
"""Topics whose records move: what shares the partition count and cannot be computed."""

ANEW = tuple(name for name in TOPICS if name != "catalogue" and (name in COPIED or name not in KEPT))
"""Topics that are made anew."""

_LETTERS = (LETTERS, ACTIONS)
_PROCESSORS = ("items", "quality")
_TAKES_COPIES = {"message.timestamp.type": "CreateTime", "max.message.bytes": str(2 * MAX_MESSAGE_BYTES)}
_TAKES_NOTHING = {"max.message.bytes": "1"}
_OPEN_S = 90.0
"""Longer than a dead worker's open transaction holds back readers."""
_PAUSE_S = 0.1

Show = Callable[[str], AbstractContextManager[Tell]]
"""Shows how far some work is."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What was copied: partition counts of the log as it was and as it is to be, and its topics' build numbers."""

    before: int
    after: int
    builds: Mapping[str, int]

    def is_of(self, entries: Mapping[str, topics.Entry]) -> bool:
        """Return whether it is the seal of a move that is under way, by what is noted of the topics."""
        return all(abs(entry.build) == self.builds.get(name) for name, entry in entries.items() if entry.build < 0)


class Copy:
    """The copy of a log that moves: a backup, the dead letters beside it, and the seal once both are whole.

    Args:
        path: Its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.log, self.letters = path, Folder(path / "log"), Folder(path / "letters")
        self._seal = path / "seal.json"

    def sealed(self) -> Seal | None:
        """Return what was copied, None if it is not whole.

        Raises:
            LabelloopError: its file cannot be read.
        """
        try:
            return Seal(**json.loads(self._seal.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise LabelloopError(f"{self._seal} is not as it was written: {error}") from error

    def seal(self, seal: Seal) -> None:
        """Note that it is whole."""
        write_private(self._seal, json.dumps(asdict(seal)))
        for path in (self._seal, self.path):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def parts(self, topic: str) -> dict[int, Part]:
        """Return the partitions of a topic."""
        folder = self.letters if topic in _LETTERS else self.log
        return {part.partition: part for part in folder.point().parts if part.topic == topic}

    def put_aside(self) -> Path:
        """Make room for the next copy, and return where this one lies now."""
        number = 1
        while (aside := self.path.with_name(f"{number:03}")).exists():
            number += 1
        self.path.rename(aside)
        return aside


@dataclass(frozen=True, slots=True)
class Moved:
    """What was done: records that were moved, and the directory with the log as it was."""

    records: int
    copy: Path


def move(settings: Settings, partitions: int, clock: Clock, show: Show) -> Moved:
    """Move the log to another partition count, or go on with a move that broke off.

    Args:
        settings: Where the servers are; how many partitions it says does not matter.
        partitions: Partitions that each item-keyed topic is to have.
        clock: Tells when the copy is taken.
        show: Shows the progress.

    Raises:
        LabelloopError: it has so many, its workers run, something else was begun here and not ended, a server does not
            answer, or somebody else writes; the text says what to do.
    """
    settings.clickhouse.checked()
    folder = settings.home / "moves"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(folder / "lock", f"another move goes on in {folder}: wait for its end"):
            return _move(settings, partitions, Copy(folder / "unfinished"), clock, show)
    except OSError as error:
        raise LabelloopError(f"{folder} cannot be written: {error.strerror}") from error


def _move(settings: Settings, partitions: int, copy: Copy, clock: Clock, show: Show) -> Moved:
    entries = topics.noted(settings)
    under_way = topics.moving(entries)
    if under_way != partitions:
        topics.builds(settings)  # says what broke off, if anything did
    if busy := running(settings):
        raise LabelloopError(
            f"workers of the stack run ({', '.join(busy)}; one that was killed counts for 10 s more): stop them "
            "(`labelloop down`), then move the log"
        )
    if under_way is None:
        if copy.sealed() is not None:
            copy.put_aside()  # of a move that ended and was killed before it could say so
        before = _count(settings)
        if before == partitions:
            raise LabelloopError(f"the log has {before} partitions already: nothing is to be moved")
        topics.ensure(replace(settings, partitions=before))
        entries = topics.noted(settings)
    seal = copy.sealed()
    if seal is None:
        seal = Seal(_count(settings), partitions, {name: abs(entry.build) for name, entry in entries.items()})
        if seal.before != partitions:
            _copy(settings, copy, seal, show, clock)
    if seal.before == partitions or not seal.is_of(entries):
        raise LabelloopError(
            f"the copy of the log is not in {copy.path}: go on where the move was begun, with the same --data"
        )
    return Moved(_write(settings, copy, seal, show), copy.put_aside())


def _count(settings: Settings) -> int:
    """Return how many partitions the item-keyed topics have.

    Raises:
        LabelloopError: some are missing, or they do not have the same number.
    """
    found = topics.found_partitions(AdminClient(kafka(settings), logger=CLIENT_LOG), settings)
    counts = {found.get(settings.topic(name), 0) for name in COPIED}
    if len(counts) > 1 or 0 in counts:
        raise LabelloopError(
            f"the topics of facts are not all there with one partition count ({', '.join(map(str, sorted(counts)))}): "
            "if a move was begun elsewhere, go on there, with the same --data"
        )
    return counts.pop()


def _copy(settings: Settings, copy: Copy, seal: Seal, show: Show, clock: Clock) -> None:
    """Copy the log and seal the copy; if that cannot be done, leave everything as it was."""
    old, new = replace(settings, partitions=seal.before), replace(settings, partitions=seal.after)
    with show("copying the log") as tell:
        _take(old, copy, seal, clock, tell)
    try:
        topics.note(new, {name: -seal.builds[name] for name in ANEW})
        topics.configure(settings, (*COPIED, ACTIONS), _TAKES_NOTHING)
        limit = time.monotonic() + _OPEN_S
        while not _take(old, copy, seal, clock):
            if time.monotonic() > limit:
                raise LabelloopError(f"the log does not come to rest in {_OPEN_S:g} s: see that nobody writes to it")
            time.sleep(_PAUSE_S)
        if seal.after == 1:
            _check_homes(copy, seal.before)
        copy.seal(seal)
    except BaseException:
        with suppress(LabelloopError):  # the same command goes on with it
            topics.configure(settings, (*COPIED, ACTIONS))
            topics.note(old, {name: seal.builds[name] for name in ANEW})
        raise


def _take(old: Settings, copy: Copy, seal: Seal, clock: Clock, tell: Tell = lambda passed, of: None) -> bool:
    """Copy what came since the last time; return whether the copy has all of the log that moves."""
    take(old, copy.log, clock, tell, builds=seal.builds)
    take(old, copy.letters, clock, names=_LETTERS, builds=seal.builds)
    with LagReader(old) as lag:
        ends = lag.end_offsets((*COPIED, *_LETTERS))
    return all(ends[part.topic, part.partition] == part.next for part in _parts(copy))


def _parts(copy: Copy) -> Iterator[Part]:
    for topic in (*COPIED, *_LETTERS):
        yield from copy.parts(topic).values()


def _check_homes(copy: Copy, before: int) -> None:
    """Check that no record is misplaced: in one partition it would be at home, and begin to count.

    Raises:
        LabelloopError: one is.
    """
    for topic in COPIED:
        for partition, part in copy.parts(topic).items():
            if any(is_misplaced(partition, record, before) for record in copy.log.records(part)):
                raise LabelloopError(
                    f"{topic}-{partition} has a record of a foreign partitioner (`labelloop dlq list`), which would "
                    "count in a single partition: choose 2 or more; nothing is changed"
                )


def _write(settings: Settings, copy: Copy, seal: Seal, show: Show) -> int:
    """Make the topics anew, fill them from a sealed copy, and return how many records that were."""
    new = replace(settings, partitions=seal.after)
    for folder in (copy.log, copy.letters):
        folder.verify(folder.point())
    topics.remove(settings, ANEW)
    filled = (*COPIED, *_LETTERS)
    topics.make(new, filled, _TAKES_COPIES)
    with show("writing the log") as tell, Writer(new) as writer:
        count = _Filling(new, copy, seal, writer, tell).run()
    topics.configure(settings, filled)
    topics.make(new, ANEW)
    forget_positions(settings, SOURCES)
    remove_stores(settings, _PROCESSORS)
    empty_tables(settings)
    topics.note(new, {name: seal.builds[name] + 1 for name in ANEW})
    return count


class _Filling:
    """Fills the new topics: facts first, then what speaks of their places.

    Args:
        settings: Where Kafka is.
        copy: The log as it was.
        seal: What is copied.
        writer: Writes to the new topics.
        tell: Told how many records of how many are passed.
    """

    def __init__(self, settings: Settings, copy: Copy, seal: Seal, writer: Writer, tell: Tell) -> None:
        self._settings, self._copy, self._seal, self._writer, self._tell = settings, copy, seal, writer, tell
        self._passed, self._written = 0, 0
        self._total = sum(file.records for part in _parts(copy) for file in part.files)
        self._spoken_of = {place for topic in _LETTERS for place in self._meant(topic)}
        self._places: dict[Place, tuple[int, int]] = {}

    def run(self) -> int:
        """Fill them, and return how many records were written."""
        keyed = by_key(self._seal.before, self._seal.after)
        for topic in COPIED:
            self._fill(topic, to_each(self._seal.after) if TOPICS[topic].key == "none" else keyed)
        # an action lies in the partition of what it speaks of, where its owner reads it
        self._fill(ACTIONS, lambda partition, record: (self._home(partition, record),))
        self._fill(LETTERS, lambda *_: (0,))
        return self._written

    def _meant(self, topic: str) -> Iterator[Place]:
        for part in self._copy.parts(topic).values():
            for record in self._copy.letters.records(part):
                if (place := meant(record.value, self._settings.prefix)) is not None:
                    yield place

    def _fill(self, topic: str, homes: Homes) -> None:
        build = None if topic in _LETTERS else self._seal.builds[topic]
        ends = dict.fromkeys(range(TOPICS[topic].partitions or self._seal.after), 0)
        parts = {number: self._records(part) for number, part in self._copy.parts(topic).items()}
        for one in moves(parts, homes, build):
            self._writer.write(Part(topic, one.target, 0, 0), Append(one.record))
            ends[one.target] += 1
            if (place := (topic, one.source, one.offset)) in self._spoken_of:
                self._places[place] = one.target, one.record.offset
            self._passed += 1
            if not self._passed % 1000:
                self._tell(self._passed, self._total)
        for number, end in ends.items():
            self._writer.finish(Part(topic, number, 0, end))
        self._written += sum(ends.values())

    def _records(self, part: Part) -> Iterator[Record]:
        if part.topic not in _LETTERS:
            return self._copy.log.records(part)
        return filter(None, map(self._forwarded, self._copy.letters.records(part)))

    def _forwarded(self, record: Record) -> Record | None:
        """Return what speaks of a record with the place that it has now; None: that record is gone."""
        place = meant(record.value, self._settings.prefix)
        if place is None or record.value is None:
            return record
        if place[0] in KEPT and place[0] not in COPIED:
            return record
        if (found := self._places.get(place)) is None:
            return None
        return record._replace(value=readdressed(record.value, *found))

    def _home(self, partition: int, record: Record) -> int:
        place = meant(record.value, self._settings.prefix)
        return partition % self._seal.after if place is None else place[1]
