"""Which offsets may be committed: pure bookkeeping of the batches on their way.

Per partition a lane holds the delivered batches in order. Only the finished prefix of a lane is ever committed, and a
position, not a last record, is what counts: control records take offsets too.
"""

import json
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from streams.transport.batch import Batch, Record

_offset = attrgetter("offset")

SUSPECTS = 1000
"""Offsets from a failure on that are suspect at least. Where a handler fails at all of the few records that come, one
process meets them one by one and sees that they are too many; else each would end a process and be forgotten."""


class Partition(NamedTuple):
    """A partition of a topic; equal to Faust's own `TP`, which is a pair as well."""

    topic: str
    partition: int


class Suspect(NamedTuple):
    """Offsets [first, end) in which a handler failed: their records are handled one by one."""

    first: int
    end: int

    def dump(self) -> str:
        """Return the commit metadata that carries it."""
        return json.dumps({"suspect": [self.first, self.end]})

    @classmethod
    def parse(cls, metadata: str | None) -> "Suspect | None":
        """Read commit metadata; None where it speaks of something else."""
        try:
            first, end = json.loads(metadata or "")["suspect"]
            suspect = cls(int(first), int(end))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # anybody may commit anything
            return None
        return suspect if 0 <= suspect.first < suspect.end else None


@dataclass(eq=False, slots=True)
class Delivery:
    """A batch that was handed to the handler.

    Args:
        tp: Its partition.
        batch: The records.
        alone: One record of a suspect range: if it fails it becomes a dead letter.
        done: Whether its handler has returned.
        at: When it was delivered, monotonic seconds.
    """

    tp: Partition
    batch: Batch
    alone: bool = False
    done: bool = False
    at: float = field(default_factory=time.monotonic)
    end: int = 0

    def __post_init__(self) -> None:
        self.end = self.batch.end


class Positions:
    """Positions of all assigned partitions."""

    def __init__(self) -> None:
        self._lanes: defaultdict[Partition, deque[Delivery]] = defaultdict(deque)
        self._done: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._expected: dict[Partition, int] = {}
        self._suspects: dict[Partition, Suspect] = {}

    def start(self, tp: Partition, position: int, suspect: Suspect | None) -> None:
        """Begin at `position`, the committed one or the log's beginning."""
        self._expected[tp] = self._committed[tp] = position
        if suspect is not None and suspect.end > position:
            self._suspects[tp] = suspect

    def forget(self) -> None:
        """Drop everything: the assignment is gone."""
        for part in (self._lanes, self._done, self._committed, self._expected, self._suspects):
            part.clear()

    def expected(self, tp: Partition) -> int | None:
        """Return the position of the next batch to deliver, None for an unknown partition."""
        return self._expected.get(tp)

    def committed(self, tp: Partition) -> int:
        """Return the position committed last."""
        return self._committed[tp]

    def suspect(self, failed: Delivery) -> Suspect:
        """Return the range to be tried record by record after a batch failed.

        It includes an earlier range that no commit has passed yet: forgotten, that one would fail again as a whole,
        and the two would take turns for ever.
        """
        first = failed.batch.first
        end = max(failed.batch.end, first + SUSPECTS)
        earlier = self._suspects.get(failed.tp)
        if earlier is not None:
            first, end = min(first, earlier.first), max(end, earlier.end)
        return Suspect(first, end)

    def deliver(self, delivery: Delivery) -> None:
        """Add a batch to the end of its partition's lane."""
        self._lanes[delivery.tp].append(delivery)
        self._expected[delivery.tp] = delivery.end

    def knows(self, delivery: Delivery) -> bool:
        """Return whether a batch still belongs to this assignment."""
        return delivery in self._lanes.get(delivery.tp, ())

    def finish(self, tp: Partition) -> None:
        """Move the finished prefix of a lane out of it."""
        lane = self._lanes.get(tp)
        while lane and lane[0].done:
            self._done[tp] = lane.popleft().end

    def advance(self, tp: Partition, position: int) -> None:
        """Pass offsets that carry no record: control records and aborted ones."""
        lane = self._lanes.get(tp)
        if lane:
            lane[-1].end = position
        else:
            self._done[tp] = position
        self._expected[tp] = position

    def in_flight(self) -> int:
        """Return the number of batches handed over and not finished."""
        return sum(map(len, self._lanes.values()))

    def oldest(self) -> float | None:
        """Return when the oldest unfinished batch was delivered, monotonic seconds; None without any."""
        return min((lane[0].at for lane in self._lanes.values() if lane), default=None)

    def pending(self) -> dict[Partition, tuple[int, str]]:
        """Return what may be committed now: position and metadata of each partition that moved.

        The metadata keeps a suspect range until the position has passed it.
        """
        found = {}
        for tp, position in self._done.items():
            if position > self._committed.get(tp, 0):
                suspect = self._suspects.get(tp)
                found[tp] = (position, suspect.dump() if suspect is not None and suspect.end > position else "")
        return found

    def has_pending(self) -> bool:
        """Return whether anything may be committed."""
        return any(position > self._committed.get(tp, 0) for tp, position in self._done.items())

    def commit(self, offsets: Mapping[Partition, tuple[int, str]]) -> None:
        """Note that `offsets` are committed."""
        for tp, (position, _) in offsets.items():
            self._committed[tp] = position
            suspect = self._suspects.get(tp)
            if suspect is not None and suspect.end <= position:
                del self._suspects[tp]

    def cut(self, tp: Partition, records: Sequence[Record], size: Callable[[], int]) -> Iterator[tuple[int, int, bool]]:
        """Yield how to cut fetched records into batches: (start index, end index, alone).

        Args:
            tp: Their partition.
            records: At least one record, offsets rising.
            size: Tells, when a batch is asked for, how many records it may have.
        """
        suspect, start, n = self._suspects.get(tp), 0, len(records)
        while start < n:
            stop, alone = min(n, start + size()), False
            if suspect is not None:
                offset = records[start].offset
                alone = suspect.first <= offset < suspect.end
                if alone:
                    stop = start + 1
                elif offset < suspect.first:  # end the batch where the suspects begin
                    stop = bisect_left(records, suspect.first, start, stop, key=_offset)
            yield start, stop, alone
            start = stop
