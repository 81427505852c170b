"""From the records of a range to rows of its table: one insert is on its way while the next rows are made.

ClickHouse and the network work on an insert for about as long as Python does on the rows of the next one. So the first
try of each insert runs in a thread of its own; whatever goes wrong with it is dealt with by the thread that reads.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import NamedTuple

from streams.catalogue import ACTIONS
from streams.errors import NotNow, Poison
from streams.sinks.ledger import Range
from streams.sinks.letters import Letters
from streams.sinks.rows import Raw, Rows, build, dead_letter, redriven
from streams.sinks.tables import TABLES
from streams.sinks.writer import Refused, Writer
from streams.transport.guards import BugLimit, TooManyBugs

MAX_WAIT_S = 5.0

log = logging.getLogger("labelloop.sink")

Partition = tuple[str, int]


class _Insert(NamedTuple):
    """Rows on their way to the table of a partition's topic."""

    partition: Partition
    rows: Rows
    token: str
    attempt: int = 0


class Inserts:
    """Stores ranges, each under the token `topic:partition:first-last`.

    What an action on a dead letter gives back is inserted with the range that holds the action, under coordinates of
    its own.

    Args:
        names: Catalogue name by full name of each topic that has a table.
        builds: Build number by topic.
        writer: Nobody else uses it between `store` and `finish`.
        letters: Takes what cannot be stored.
        stay: Keeps the process in its group for so many seconds; raises when it is to give up what it holds.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        builds: Mapping[str, int],
        writer: Writer,
        letters: Letters,
        stay: Callable[[float], None],
    ) -> None:
        self._names, self._builds, self._writer, self._letters, self._stay = names, builds, writer, letters, stay
        self._limits = defaultdict[str, BugLimit](BugLimit)  # by topic: one that works must not cover for another
        self._thread = ThreadPoolExecutor(1, "insert")
        self._under_way: tuple[_Insert, Future[None]] | None = None

    def store(self, partition: Partition, range_: Range, records: Sequence[Raw]) -> int:
        """Begin to insert the rows of a range and return their number; the rows of two ranges at a time take memory.

        Raises:
            TooManyBugs: too many records cannot be stored by a fault of ours, or the server refuses too many.
            LabelloopError: the server refuses what was begun before, and not for its rows.
        """
        topic = self._names[partition[0]]
        rows = build(topic, *partition, self._builds[topic], records)
        self.finish()
        self._weigh(partition[0], rows)
        self._letters.send(rows.dead)
        token = f"{partition[0]}:{partition[1]}:{range_.first}-{range_.last}"
        self._begin(_Insert(partition, rows, token))
        if topic == ACTIONS:
            self._give_back(rows.records, token)
        return len(rows.records)

    def finish(self) -> None:
        """Return when all that was begun is in its table.

        Raises:
            TooManyBugs, LabelloopError: as `store` does.
        """
        if self._under_way is None:
            return
        insert, future = self._under_way
        self._under_way = None
        try:
            future.result()
            self._passed(insert)
        except NotNow as error:
            log.warning("%s; trying again", error)
            self._insert(insert)
        except Refused as refusal:
            self._halve(insert, refusal)

    def give_up(self) -> None:
        """Leave what was begun as it is, in its table or not; return when nothing is on its way."""
        if self._under_way is not None:
            wait([self._under_way[1]])
            self._under_way = None

    def close(self) -> None:
        """End the thread."""
        self.give_up()
        self._thread.shutdown()

    def _weigh(self, topic: str, rows: Rows) -> None:
        """Stop before more records are given up by a fault of ours than dead letters may hide.

        Raises:
            TooManyBugs: there are too many.
        """
        bugs, limit = _bugs(rows), self._limits[topic]
        if not bugs:
            return
        for offset in sorted([*bugs, *(record.offset for record in rows.records)]):
            if offset not in bugs:
                limit.passed(1)
            elif limit.bug():
                raise TooManyBugs

    def _passed(self, insert: _Insert) -> None:
        """Count rows that are stored, unless they were weighed among bugs, where they lay."""
        if not _bugs(insert.rows):
            self._limits[insert.partition[0]].passed(len(insert.rows.records))

    def _give_back(self, actions: Sequence[Raw], token: str) -> None:
        """Insert the records that actions give back, each where it belongs."""
        for group, records in redriven(self._names, actions).items():
            full_name, topic, number, attempt = group
            built = build(topic, full_name, number, self._builds[topic], records)
            self.finish()
            self._weigh(full_name, built)
            self._letters.send([replace(letter, attempt=attempt) for letter in built.dead])
            self._begin(_Insert((full_name, number), built, f"{token}/{full_name}-{number}-{attempt}", attempt))

    def _begin(self, insert: _Insert) -> None:
        if insert.rows.records:
            table = TABLES[self._names[insert.partition[0]]]
            future = self._thread.submit(
                self._writer.insert, table, insert.rows.names, insert.rows.columns, insert.token
            )
            self._under_way = insert, future

    def _insert(self, insert: _Insert) -> None:
        """Insert rows; where the server refuses them, find those it refuses.

        Raises:
            TooManyBugs: it refuses too many: it is rather the table's fault.
        """
        try:
            self._insert_patiently(insert.partition, insert.rows, insert.token)
            self._passed(insert)
        except Refused as refusal:
            self._halve(insert, refusal)

    def _halve(self, insert: _Insert, refusal: Refused) -> None:
        """Insert the halves of rows that are refused together; one that is refused alone becomes a letter."""
        partition, rows, token, attempt = insert
        if len(rows.records) == 1:
            if self._limits[partition[0]].bug():
                raise TooManyBugs from refusal
            poison = Poison("refused", f"ClickHouse: {refusal}")
            self._letters.send([dead_letter(*partition, rows.records[0], poison, attempt)])
            return
        half = len(rows.records) // 2
        for start, stop in ((0, half), (half, len(rows.records))):
            part = Rows(rows.names, [column[start:stop] for column in rows.columns], rows.records[start:stop], [])
            self._insert(_Insert(partition, part, f"{token}/{rows.records[start].offset}", attempt))

    def _insert_patiently(self, partition: Partition, rows: Rows, token: str) -> None:
        """Insert; while the server is away, try the same rows again and stay in the group."""
        table, pause = TABLES[self._names[partition[0]]], 0.1
        while True:
            try:
                self._writer.insert(table, rows.names, rows.columns, token)
                return
            except NotNow as error:
                log.warning("%s; trying again in %.1f s", error, pause)
                self._stay(pause)
                pause = min(pause * 2, MAX_WAIT_S)


def _bugs(rows: Rows) -> set[int]:
    """Return the offsets of records that could not be made rows by a fault of ours."""
    return {letter.offset for letter in rows.dead if letter.reason == "bug"}
