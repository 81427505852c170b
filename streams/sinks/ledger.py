"""The ranges of one partition: a pure state machine, so that every crash point can be enumerated.

A range [first, last] is written down in the commit metadata before it is inserted and never changes afterwards: a
restart forms exactly the same range again, and its deduplication token makes a second insert of it change nothing.

    committed position p, no note     records from p on may form a new range of any size
    committed position p, note [f,l]  exactly the records with f <= offset <= l are inserted (again), then p moves on
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

R = TypeVar("R")


class Range(NamedTuple):
    """Offsets from `first` to `last`, both included."""

    first: int
    last: int

    def dump(self) -> str:
        """Return the commit metadata that notes it."""
        return json.dumps({"first": self.first, "last": self.last})

    @classmethod
    def parse(cls, metadata: str | None) -> "Range | None":
        """Read commit metadata; None where it notes no range."""
        try:
            noted = json.loads(metadata or "")
            return cls(int(noted["first"]), int(noted["last"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # anybody may commit anything
            return None


@dataclass(slots=True)
class Ledger(Generic[R]):
    """One partition's records on their way.

    Args:
        position: The committed position.
        noted: The range an earlier process noted and may have inserted.
    """

    position: int
    noted: Range | None = None
    reached: int = 0
    _offsets: list[int] = field(default_factory=list)
    _records: list[R] = field(default_factory=list)
    size: int = 0

    def __post_init__(self) -> None:
        self.reached = self.position

    def add(self, offset: int, record: R, size: int) -> None:
        """Take the next record of the partition.

        Args:
            offset: Its offset.
            record: The record.
            size: Its bytes.
        """
        if offset < self.reached:
            return  # fetched again after a rewind
        self._offsets.append(offset)
        self._records.append(record)
        self.size += size
        self.reached = offset + 1

    def reach(self, position: int) -> None:
        """Note that the reader stands at `position`: what lies before and did not come carries no record."""
        self.reached = max(self.reached, position)

    @property
    def waiting(self) -> int:
        """Number of records not yet passed on."""
        return len(self._records)

    def due(self, full: bool) -> bool:
        """Return whether a range can be closed: a noted one when its end is reached, a new one when `full`."""
        if self.noted is not None:
            return self.reached > self.noted.last
        return full and self.reached > self.position

    def close(self) -> tuple[Range | None, Sequence[R]]:
        """Return the range to write and its records; None where the offsets passed carry no record.

        What is added later is not among them. The range must be noted (`Range.dump` beside the old position) before
        the records are inserted.
        """
        if self.noted is not None:
            end = next((n for n, offset in enumerate(self._offsets) if offset > self.noted.last), len(self._offsets))
            return self.noted, self._records[:end]
        if not self._offsets:
            return None, ()
        return Range(self._offsets[0], self._offsets[-1]), self._records[:]

    def passed(self, range_: Range | None) -> int:
        """Drop a range that is inserted and return the position to commit."""
        if range_ is None:
            self.position = self.reached
            return self.position
        end = next((n for n, offset in enumerate(self._offsets) if offset > range_.last), len(self._offsets))
        del self._offsets[:end], self._records[:end]
        self.noted, self.size = None, self.size if self._offsets else 0
        self.position = self._offsets[0] if self._offsets else self.reached
        return self.position
