"""What to write so that every record gets the offset that it had.

A log has offsets that no reader is given: the marker that ends each transaction, and the records of those that were
aborted. To leave them out would move all offsets behind them, and snapshots, exports and people's notes name offsets.
So they are made again: a transaction ends with a marker, and what is aborted nobody reads.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streams.backup.rows import Record


@dataclass(frozen=True, slots=True)
class Append:
    """Write a record; takes one offset."""

    record: Record


@dataclass(frozen=True, slots=True)
class Commit:
    """Write a record in a transaction of its own; takes two offsets, the second for the marker."""

    record: Record


@dataclass(frozen=True, slots=True)
class Abort:
    """Write so many records, at least one, in a transaction and abort it; takes one offset more than that."""

    records: int


@dataclass(frozen=True, slots=True)
class Mark:
    """End a transaction of which nothing was taken; takes one offset, for the marker."""


Write = Append | Commit | Abort | Mark


def writes(records: Iterable[Record], end: int) -> Iterator[Write]:
    """Yield what to write into an empty partition.

    Args:
        records: The partition's records, by offset.
        end: Offset after the last one that is taken.

    Raises:
        ValueError: the offsets do not rise, or pass the end.
    """
    last: Record | None = None
    passed = 0
    for record in records:
        if record.offset < passed:
            raise ValueError(f"offset {record.offset} comes after {passed - 1}")
        yield from _between(last, record.offset - passed)
        last, passed = record, record.offset + 1
    if end < passed:
        raise ValueError(f"offset {passed - 1} lies behind the end, {end}")
    yield from _between(last, end - passed)


def _between(last: Record | None, hole: int) -> Iterator[Write]:
    """Yield the last record, which waited to see what follows it, and the hole behind it."""
    if hole == 1 and last is not None:
        yield Commit(last)
        return
    if last is not None:
        yield Append(last)
    if hole == 1:
        yield Mark()
    elif hole:
        yield Abort(hole - 1)
