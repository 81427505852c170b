"""What the unit tests of the transport share: records, deliveries, and a store of each kind without a broker."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rocksdict import Options, Rdict

from streams.transport.batch import Batch
from streams.transport.positions import Delivery, Partition
from streams.transport.stores import MemoryStore, RocksStore, Store

TP = Partition("p.labels", 1)


@dataclass(frozen=True)
class FakeRecord:
    """A record as fetched."""

    offset: int
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    timestamp: int = 0


def records(offsets: Iterable[int]) -> list[FakeRecord]:
    return [FakeRecord(offset) for offset in offsets]


def delivery(first: int, end: int, tp: Partition = TP, *, alone: bool = False, value: bytes = b"v") -> Delivery:
    batch = Batch(tp.topic, tp.partition, [FakeRecord(n, value=value) for n in range(first, end)], first, end)
    return Delivery(tp, batch, alone)


@dataclass
class FaustRocks:
    """The part of Faust's RocksDB store that is used: a database for each partition."""

    folder: Path
    offset_key = b"__faust\0offset__"
    _dbs: dict[int, Rdict] = field(default_factory=dict)

    def _db_for_partition(self, partition: int) -> Rdict:
        if partition not in self._dbs:
            self._dbs[partition] = Rdict(str(self.folder / str(partition)), Options(raw_mode=True))
        return self._dbs[partition]


STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(),
    "rocksdb": lambda folder: RocksStore(FaustRocks(folder)),
}


class FakeProducer:
    """Takes what is produced."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes | None, bytes | None, int]] = []
        self.followed = 0

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int = -1, on_delivery: Any = None
    ) -> None:
        self.sent.append((topic, value, key, partition))
        self.followed += on_delivery is not None

    def on_changelog(self, error: Any, message: Any) -> None:
        raise NotImplementedError
