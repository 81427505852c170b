"""What passes between the transport and a handler: a batch of records in, effects out.

Nothing here knows Faust or a Kafka client, so that handlers are plain functions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from streams.dead_letters import DeadLetter

Row = dict[str, Any]
"""One row of the state table: JSON."""


class Record(Protocol):
    """One record as fetched."""

    @property
    def key(self) -> bytes | None:
        """The key."""

    @property
    def value(self) -> bytes | None:
        """The value."""

    @property
    def offset(self) -> int:
        """The offset in its partition."""

    @property
    def timestamp(self) -> int:
        """The record's timestamp, ms since 1970 UTC: the log's time in fact topics."""


@dataclass(slots=True)
class Batch:
    """Records of one partition in offset order.

    Args:
        topic: Full name of the topic.
        partition: The partition.
        records: At least one record.
        first: Offset of the first record.
        end: Position after the last record; control records behind it are included.
        redriven: Whether it is a dead letter's record, given back long after the log got it.
        horizon: Latest timestamp, ms, of all records of the topic that were fetched with it, whatever their partition.
    """

    topic: str
    partition: int
    records: Sequence[Record]
    first: int
    end: int
    redriven: bool = False
    horizon: int = -1

    def __len__(self) -> int:
        return len(self.records)


class Rows(Protocol):
    """The state rows of a batch's partition, with what earlier batches of the open transaction wrote.

    A row that is given out may be changed only if it is returned in `Effects.rows`: in memory it is the row itself.
    A handler may change rows and then raise, for nothing survives that: the process ends, and where a record is tried
    alone it is given copies.
    """

    def get(self, key: bytes) -> Row | None:
        """Return a row, None where there is none."""

    def scan(self, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`, sorted."""


class MemoryRows(dict[bytes, Row]):
    """Rows in a dictionary, for whoever folds without a transport."""

    def scan(self, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`, sorted."""
        return sorted(key for key in self if key.startswith(prefix))


class Outgoing(NamedTuple):
    """A record to produce: full topic name, key, value; partition -1: murmur2 of the key."""

    topic: str
    key: bytes
    value: bytes
    partition: int = -1


@dataclass(slots=True)
class Effects:
    """What a batch causes; all of it becomes visible together with the batch's offsets, or none of it.

    Args:
        rows: State rows by key, of the batch's partition.
        records: What is produced; per partition in this order.
        dead: Records of the batch that cannot be processed.
    """

    rows: dict[bytes, Row] = field(default_factory=dict)
    records: list[Outgoing] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


Handler = Callable[[Batch, Rows], Effects]
"""Turns a batch into effects, synchronously.

`NotNow` out of it ends the process, and the batch is tried again; `LabelloopError` ends it for good with its text, for
a person has to act. Any other exception is a bug: the records of the batch are tried one by one, and the one that
fails again becomes a dead letter.
"""
