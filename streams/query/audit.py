"""Whether the tables hold what the log holds, and whether facts name what there is: pure, counts in, findings out.

What is kept of a record are four numbers, so that ten million of them fit into 300 MB: partition, offset, a hash of 64
bits of its identity, and whether a table should have it.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]

_NAMED = 3
"""Coordinates that a finding names."""


def hash_of(*parts: str) -> int:
    """Return a hash of 64 bits; among ten million texts two are the same with a chance of 3 in a million."""
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big")


@dataclass(slots=True)
class TopicLog:
    """The committed records of one topic, and what they refer to.

    Args:
        topic: Catalogue name.
        keeps_first: Whether of several records of one identity the first counts, as of facts, else the newest.
        compact: Whether only the newest record of a key is sure to be there.
    """

    topic: str
    keeps_first: bool
    compact: bool
    partitions: "array[int]" = field(default_factory=lambda: array("H"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    ids: "array[int]" = field(default_factory=lambda: array("Q"))
    storable: "array[int]" = field(default_factory=lambda: array("b"))
    causes: "array[int]" = field(default_factory=lambda: array("Q"))
    caused: "array[int]" = field(default_factory=lambda: array("q"))
    items: "array[int]" = field(default_factory=lambda: array("Q"))
    items_at: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, partition: int, offset: int, id_: int, *, storable: bool) -> None:
        """Take a record.

        Args:
            partition: Where it lies.
            offset: Where it lies there.
            id_: Hash of its identity.
            storable: Whether a table should have it.
        """
        self.partitions.append(partition)
        self.offsets.append(offset)
        self.ids.append(id_)
        self.storable.append(storable)

    def end(self, id_: int) -> None:
        """Take it that no table should have what was added of an identity: a rebuild found that the facts lack it."""
        for n, known in enumerate(self.ids):
            if known == id_:
                self.storable[n] = False

    def refers(self, cause: int) -> None:
        """Note the hash of the event that the record added last names as its cause."""
        self.causes.append(cause)
        self.caused.append(len(self.ids) - 1)

    def speaks_of(self, item: int) -> None:
        """Note the hash of the item that the record added last speaks of."""
        self.items.append(item)
        self.items_at.append(len(self.ids) - 1)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column as an array that shares its memory; while it lives nothing can be added."""
        values: array[int] = getattr(self, name)
        return np.frombuffer(values, dtype=values.typecode) if values else np.empty(0, dtype=values.typecode)

    def places(self, indices: Sequence[int]) -> str:
        """Return the first coordinates among records, for people."""
        named = [f"{self.topic}-{self.partitions[n]} offset {self.offsets[n]}" for n in indices[:_NAMED]]
        return ", ".join(named) + (", ..." if len(indices) > _NAMED else "")


class Finding(NamedTuple):
    """Something that is wrong: a code, how often, and a line for people."""

    kind: str
    number: int
    text: str


class Counts(NamedTuple):
    """What is known of one partition.

    Args:
        topic: Catalogue name of the topic.
        partition: The partition.
        first: Offset of the first committed record; 0 without any.
        end: Offset after the last.
        records: Committed records.
        distinct: Distinct identities among them; of facts, event ids.
        duplicates: Records beyond these.
        dead_letters: Open dead letters of its records.
        passed: Offset up to which the sink has stored it.
        rows: Rows of it in its table, copies merged.
        first_row: Smallest offset among them; 0 without any.
        last_row: Largest.
        lost: Identities that the sink has passed and the table lacks.
        foreign: Rows whose coordinates the log does not have.
    """

    topic: str
    partition: int
    first: int
    end: int
    records: int
    distinct: int
    duplicates: int
    dead_letters: int
    passed: int
    rows: int
    first_row: int
    last_row: int
    lost: int
    foreign: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What a table holds of a topic.

    Args:
        rows: Offsets of the rows by partition, copies merged.
        passed: Offset up to which the sink has stored each partition.
        ends: Offset after the last record of each partition.
        letters: Open dead letters of each partition.
    """

    rows: Mapping[int, Offsets]
    passed: Mapping[int, int]
    ends: Mapping[int, int]
    letters: Mapping[int, int] = field(default_factory=dict)


def compare(log: TopicLog, stored: Stored) -> tuple[list[Counts], list[Finding]]:
    """Return what log and table hold of a topic, and where they differ.

    A row may be ahead of the sink's position, which is committed after it; it is behind in nothing.
    """
    partitions, offsets, ids = log.column("partitions"), log.column("offsets"), log.column("ids")
    there = np.zeros(len(ids), dtype=bool)
    passed = np.zeros(len(ids), dtype=bool)
    foreign: dict[int, Offsets] = {}
    for number in {*stored.ends, *stored.rows}:
        mine, rows = partitions == number, stored.rows.get(number, _NONE)
        there[mine] = np.isin(offsets[mine], rows)
        passed[mine] = offsets[mine] < stored.passed.get(number, 0)
        if not log.compact or stored.passed.get(number, 0) >= stored.ends.get(number, 0):
            foreign[number] = rows[~np.isin(rows, offsets[mine])]
    lost = _lost(log, there, (log.column("storable") > 0) & passed)
    counts = []
    for number in sorted({*stored.ends, *stored.rows}):
        mine, rows = partitions == number, stored.rows.get(number, _NONE)
        its, records = offsets[mine], int(mine.sum())
        distinct = len(np.unique(ids[mine]))
        counts.append(
            Counts(
                log.topic,
                number,
                int(its.min()) if records else 0,
                stored.ends.get(number, 0),
                records,
                distinct,
                records - distinct,
                stored.letters.get(number, 0),
                stored.passed.get(number, 0),
                len(rows),
                int(rows.min()) if len(rows) else 0,
                int(rows.max()) if len(rows) else 0,
                int((partitions[lost] == number).sum()),
                len(foreign.get(number, _NONE)),
            )
        )
    return counts, _differences(log, lost, foreign)


_NONE: Offsets = np.empty(0, dtype=np.int64)


def _lost(log: TopicLog, there: NDArray[np.bool_], due: NDArray[np.bool_]) -> Offsets:
    """Return the index of a record for each identity that a table lacks: of facts any copy will do, else the newest."""
    offsets = log.column("offsets")
    identities, index = np.unique(log.column("ids"), return_inverse=True)
    newest_due, newest_there = np.full(len(identities), -1), np.full(len(identities), -1)
    np.maximum.at(newest_due, index[due], offsets[due])
    np.maximum.at(newest_there, index[there], offsets[there])
    lacks = (newest_due >= 0) & (newest_there < 0) if log.keeps_first else newest_due > newest_there
    example = np.zeros(len(identities), dtype=np.int64)
    example[index[due]] = np.flatnonzero(due)
    return example[lacks]


def _differences(log: TopicLog, lost: Offsets, foreign: Mapping[int, Offsets]) -> list[Finding]:
    found = []
    if len(lost):
        text = f"{log.topic}: the table lacks {len(lost):,} that the sink has passed: {log.places(lost.tolist())}"
        found.append(Finding("lost_row", len(lost), text))
    for number, offsets in sorted(foreign.items()):
        if len(offsets):
            named = ", ".join(map(str, offsets[:_NAMED])) + (", ..." if len(offsets) > _NAMED else "")
            text = f"{log.topic}: {len(offsets):,} rows have coordinates the log does not: partition {number}, {named}"
            found.append(Finding("foreign_row", len(offsets), text))
    return found


def orphans(logs: Mapping[str, TopicLog], facts: Sequence[str]) -> list[Finding]:
    """Return what names something that is nowhere.

    Args:
        logs: The topics that were read, by name.
        facts: Which of them are facts: their identities are event ids.
    """
    known = np.unique(np.concatenate([logs[topic].column("ids") for topic in facts]))
    found = []
    for topic, log in logs.items():
        causes = log.column("causes")
        dangling = log.column("caused")[~np.isin(causes, known)]
        if len(dangling):
            what = "receipts have no cause" if topic == "feedback" else "facts name a cause that is nowhere"
            text = f"{topic}: {len(dangling):,} {what}: {log.places(dangling.tolist())}"
            found.append(Finding("dangling_cause", len(dangling), text))
    corrections = logs["corrections"]
    others = [log.column("items") for topic, log in logs.items() if topic != "corrections"]
    unknown = corrections.column("items_at")[~np.isin(corrections.column("items"), np.concatenate(others))]
    if len(unknown):
        where = corrections.places(unknown.tolist())
        text = f"corrections: {len(unknown):,} judge an item that nothing else is known of: {where}"
        found.append(Finding("correction_without_item", len(unknown), text))
    return found


def laggards(behind: Mapping[str, int], most: int) -> list[Finding]:
    """Return a finding for each consumer group that is more than `most` records behind."""
    return [
        Finding("behind", records, f"{group} is {records:,} records behind, more than {most:,}: `labelloop status`")
        for group, records in behind.items()
        if records > most
    ]
