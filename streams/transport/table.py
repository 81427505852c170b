"""The state table: rows of the open transaction over a local store that is never ahead of its changelog.

What a handler writes stays in an overlay and reaches the store, memory or RocksDB, only after the transaction that
holds its changelog records was committed.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import faust
import orjson
from faust.types import TP

from streams.transport.batch import Row
from streams.transport.stores import MemoryStore, RocksStore, Store

Encoded = Mapping[bytes, tuple[Row, bytes]]
"""Rows by key, each with its bytes."""


def encode_rows(rows: Mapping[bytes, Row]) -> dict[bytes, tuple[Row, bytes]]:
    """Return rows with their JSON.

    Raises:
        TypeError: a row holds what JSON does not.
    """
    dumps = orjson.dumps
    return {key: (row, dumps(row)) for key, row in rows.items()}


class Overlay:
    """Rows that no committed transaction holds yet, over a store; by partition.

    Args:
        store: What is committed.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._open: dict[int, dict[bytes, tuple[Row | None, bytes]]] = {}
        self._sealed: dict[int, dict[bytes, tuple[Row | None, bytes]]] = {}

    def get(self, partition: int, key: bytes) -> Row | None:
        """Return a row as the open transaction leaves it, None where there is none."""
        for layer in (self._open, self._sealed):
            rows = layer.get(partition)
            if rows is not None and key in rows:
                return rows[key][0]
        return self.store.get(partition, key)

    def scan(self, partition: int, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`, sorted."""
        found = {*self.store.scan(partition, prefix)}
        for layer in (self._sealed, self._open):
            found.update(key for key in layer.get(partition, ()) if key.startswith(prefix))
        return sorted(found)

    def put(self, partition: int, rows: Encoded) -> None:
        """Write rows in the open transaction."""
        self._open.setdefault(partition, {}).update(rows)

    def dirty(self) -> bool:
        """Return whether rows are not in the store yet."""
        return bool(self._open or self._sealed)

    def seal(self) -> None:
        """Close the open transaction: what follows belongs to the next."""
        self._sealed, self._open = self._open, {}

    def apply(self, reached: Mapping[int, int]) -> None:
        """Move the committed rows to the store.

        Args:
            reached: Last changelog offset of each partition that the rows bring the store to.
        """
        sealed, self._sealed = self._sealed, {}
        for partition, rows in sealed.items():
            self.store.write(partition, rows, reached.get(partition))


class Sink(Protocol):
    """What takes the changelog records: the transactional producer."""

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int = -1, on_delivery: Any = None
    ) -> None:
        """Add a record to the open transaction."""

    def on_changelog(self, error: Any, message: Any) -> None:
        """Note how far a changelog partition is written."""


class BatchTable(faust.Table[bytes, Any]):
    """Bytes key to JSON row; written a partition's batch at a time."""

    _overlay: Overlay | None = None

    @property
    def overlay(self) -> Overlay:
        """The rows."""
        if self._overlay is None:
            data: Any = self.data
            self._overlay = Overlay(RocksStore(data) if hasattr(data, "_db_for_partition") else MemoryStore())
        return self._overlay

    def write(self, partition: int, rows: Encoded, sink: Sink) -> None:
        """Write rows of `partition`: one changelog record each, in the open transaction."""
        if not rows:
            return
        self.overlay.put(partition, rows)
        topic, produce, left = self.changelog_topic_name, sink.produce, len(rows)
        for key, (_, raw) in rows.items():
            left -= 1
            if left:
                produce(topic, raw, key, partition)
            else:  # its offset tells how far the store will have come
                produce(topic, raw, key, partition, sink.on_changelog)

    def apply(self, changelog: Mapping[tuple[str, int], int]) -> None:
        """Move the committed rows to the store, each partition with the changelog offset it has reached."""
        name = self.changelog_topic_name
        self.overlay.apply({partition: offset for (topic, partition), offset in changelog.items() if topic == name})

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the last changelog offset that is in the store."""
        return self.overlay.store.offset(tp.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Forget the rows of partitions that others own by now."""
        self.overlay.store.keep({tp.partition for tp in active_tps})
        await super().on_recovery_completed(active_tps, standby_tps)


class PartitionRows:
    """The rows of one partition, as a handler sees them.

    Args:
        overlay: The rows of all partitions.
        partition: The partition.
        copies: Give out copies: the handler is expected to fail, and must leave nothing behind.
    """

    def __init__(self, overlay: Overlay, partition: int, *, copies: bool = False) -> None:
        self._overlay, self._partition, self._copies = overlay, partition, copies

    def get(self, key: bytes) -> Row | None:
        """Return a row, None where there is none."""
        row = self._overlay.get(self._partition, key)
        return orjson.loads(orjson.dumps(row)) if self._copies and row is not None else row

    def scan(self, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`, sorted."""
        return self._overlay.scan(self._partition, prefix)
