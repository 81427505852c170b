"""What the checker is given: the log as it was read, what ClickHouse has, and what the workload knows. Plain data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from streams import codec
from streams.errors import Poison
from tests.chaos.journal import Journal

Row = tuple[object, ...]
"""A row of a table or view."""

Place = tuple[str, int]
"""Topic (without the prefix) and partition."""

DeadPlace = tuple[str, int, int, str]
"""Topic (without the prefix), partition, offset and reason of a dead letter."""


class Record(NamedTuple):
    """A committed record: offset, timestamp (ms), key and value."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@cache
def decoded(value: bytes | None) -> tuple[str, codec.Record]:
    """Return schema name and content of a record, an empty name where it has none; nobody may change the content."""
    try:
        return codec.decode(value)
    except Poison:
        return "", {}


@dataclass(slots=True)
class Table:
    """Rows of a table or view as they are, and as a recount of the log gives them."""

    columns: Sequence[str]
    found: Sequence[Row]
    expected: Sequence[Row]


@dataclass(slots=True)
class Evidence:
    """Everything of one run.

    Args:
        partitions: Partitions of the item-keyed topics.
        log: Committed records of every topic, by place, in offset order.
        ends: End of each partition, control records included.
        committed: Committed position by consumer group and place.
        tables: Tables (copies merged) and views by name.
        twice: Rows of each table that lie there more than once, before copies are merged.
        refused: What no table can hold, as the recount found.
        journal: What the workload knows.
        failures: What the harness saw itself: processes given up, actors that failed.
        moved: Partitions that grew while all was read.
    """

    partitions: int
    log: Mapping[Place, Sequence[Record]]
    ends: Mapping[Place, int] = field(default_factory=dict)
    committed: Mapping[str, Mapping[Place, int]] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    twice: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    refused: Collection[DeadPlace] = ()
    journal: Journal = field(default_factory=Journal)
    failures: Sequence[str] = ()
    moved: Sequence[str] = ()

    def of(self, topic: str) -> list[tuple[int, Record]]:
        """Return the records of a topic with their partitions."""
        return [(part, record) for (name, part), records in self.log.items() if name == topic for record in records]


class Violation(NamedTuple):
    """A rule that does not hold, and for which record."""

    rule: str
    text: str


def difference(right: Any, found: Any) -> str:
    """Return what differs between two records, encoded or decoded; None: there is none."""
    if right is None or found is None:
        return "missing" if found is None else "surplus"
    one, other = (decoded(value)[1] if isinstance(value, bytes) else value for value in (right, found))
    names = [name for name in one if one[name] != other.get(name)]
    return "; ".join(f"{name} is {other.get(name)!r}, not {one[name]!r}" for name in names[:3])[:400]
