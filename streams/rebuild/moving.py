"""Which records go where, and in which order, when the log moves to another partition count. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from heapq import merge
from typing import NamedTuple

from streams import codec
from streams.backup.rows import Record
from streams.errors import Poison
from streams.keys import partition_of
from streams.origins import Origin, moved, origins

Homes = Callable[[int, Record], Iterable[int]]
"""Gives the partitions that a record goes to, by the one that it lies in."""

Place = tuple[str, int, int]
"""Topic without the prefix, partition and offset."""


class Move(NamedTuple):
    """A record as it lay, and as it will: partition and offset, with the offset in the record."""

    source: int
    offset: int
    target: int
    record: Record


def moves(parts: Mapping[int, Iterable[Record]], homes: Homes, build: int | None) -> Iterator[Move]:
    """Yield what is written of a topic, in order: of all partitions the record with the earliest log time comes next.

    So the records of a key keep their order, for they lay in one partition, and times rise in each new partition as
    they did in the old ones: whoever asks for the offset of a time finds it.

    Args:
        parts: The records of each partition, by offset.
        homes: Where each of them goes.
        build: The build number of the topic as it was, which each record takes along with its place; None: neither.
    """
    ends = Counter[int]()
    for source, record in merge(*(_of(*part) for part in parts.items()), key=_by_time):
        headers = record.headers
        if build is not None:
            known = origins(headers, copied=record.timestamp_type == "CreateTime")
            headers = moved(headers, known, Origin(build, source, record.offset))
        for target in homes(source, record):
            yield Move(source, record.offset, target, record._replace(offset=ends[target], headers=headers))
            ends[target] += 1


def _of(partition: int, records: Iterable[Record]) -> Iterator[tuple[int, Record]]:
    return ((partition, record) for record in records)


def _by_time(one: tuple[int, Record]) -> tuple[int, int]:
    return one[1].timestamp, one[0]


def is_misplaced(partition: int, record: Record, partitions: int) -> bool:
    """Return whether a record lies where its key does not belong, of so many partitions: it counts for nobody."""
    return record.key is not None and partition_of(record.key, partitions) != partition


def by_key(before: int, after: int) -> Homes:
    """Return where the records of a topic go that is keyed by item.

    One that was misplaced is misplaced again, for it was refused, and what was refused must not begin to count.

    Args:
        before: Partitions that the topic had.
        after: Partitions that it is to have; at least 2 where there is a misplaced record.
    """

    def homes(partition: int, record: Record) -> Iterable[int]:
        if record.key is None:
            return (partition % after,)
        home = partition_of(record.key, after)
        return ((home + 1) % after if is_misplaced(partition, record, before) else home,)

    return homes


def to_each(after: int) -> Homes:
    """Return where the records of a topic go of which each is told to every partition: once to each."""
    told = set[bytes]()

    def homes(_: int, record: Record) -> Iterable[int]:
        digest = sha256(record.value or b"").digest()
        if digest in told:
            return ()
        told.add(digest)
        return range(after)

    return homes


def meant(raw: bytes | None, prefix: str) -> Place | None:
    """Return which record a dead letter, or an action on one, speaks of; None: it cannot be read."""
    try:
        content = codec.decode_own(raw)[1]
        return content["topic"].removeprefix(f"{prefix}."), content["partition"], content["offset"]
    except (Poison, KeyError):
        return None


def readdressed(raw: bytes, partition: int, offset: int) -> bytes:
    """Return a dead letter, or an action on one, that names another place of the same topic."""
    name, content = codec.decode_own(raw)
    return codec.encode(name, {**content, "partition": partition, "offset": offset})
