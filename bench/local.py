"""The items worker in this process: the real fold, codec, runner and store, without a broker to send to."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from bench.generated import PARTITIONS, PREFIX
from streams.processors.fits import Skills
from streams.processors.items import Items
from streams.projects import Projects
from streams.transport.batch import Batch
from streams.transport.positions import Delivery, Partition
from streams.transport.runner import Runner
from streams.transport.stores import MemoryStore
from streams.transport.table import Encoded, Overlay, Sink

_COMMIT_BATCHES = 4
"""Batches in a transaction: about what a worker under load handles in `COMMIT_INTERVAL_S`."""

CHANGELOG = "changelog"


class Counted:
    """Takes what is produced and keeps the number of records and bytes by topic."""

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int = -1, on_delivery: Any = None
    ) -> None:
        """Count a record."""
        self.records[topic] += 1
        self.bytes[topic] += len(value or b"") + len(key or b"")

    def on_changelog(self, error: Any, message: Any) -> None:
        """Hear of a delivery; there are none."""


class _Rows:
    """The state table, in memory."""

    def __init__(self) -> None:
        self.overlay = Overlay(MemoryStore())

    def write(self, partition: int, rows: Encoded, sink: Sink) -> None:
        """Write rows and their changelog records."""
        self.overlay.put(partition, rows)
        for key, (_, raw) in rows.items():
            sink.produce(CHANGELOG, raw, key, partition)


class Local:
    """An items worker.

    Args:
        fit: A fit of the project as records of the topic `annotators`; empty: it scores by the closed form.
    """

    def __init__(self, fit: Iterable[bytes] = ()) -> None:
        skills = Skills()
        for part in fit:
            skills.learn(part, 0)
        items = Items(PREFIX, PARTITIONS, Projects(), skills)
        self.sink, self._table, self._open = Counted(), _Rows(), 0
        self._runner = Runner("items", items.handle, self._table, f"{PREFIX}.dead-letters")

    def take(self, batch: Batch) -> None:
        """Handle a batch; every few of them are committed together."""
        delivery = Delivery(Partition(batch.topic, batch.partition), batch)
        self._runner.write(delivery, self._runner.prepare(delivery), self.sink)
        self._open += 1
        if self._open == _COMMIT_BATCHES:
            self._table.overlay.seal()
            self._table.overlay.apply({})
            self._open = 0
