"""Where committed state rows lie: in memory or in RocksDB, by partition, beside the changelog offset they have reached.

Rows and offset are written together, so that a store always says truly how much of the changelog is in it. Both are
behind one small protocol, which the overlay (`table`) and the recovery use.
"""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import orjson

from streams.errors import NotNow
from streams.transport.batch import Row


class Store(Protocol):
    """Rows of the partitions a worker owns."""

    def get(self, partition: int, key: bytes) -> Row | None:
        """Return a row, None where there is none."""

    def scan(self, partition: int, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`, in any order."""

    def write(self, partition: int, rows: Mapping[bytes, tuple[Row | None, bytes]], offset: int | None) -> None:
        """Put rows (decoded if at hand, and encoded) and the changelog offset they reach, None: as before."""

    def offset(self, partition: int) -> int | None:
        """Return the last changelog offset that is in the store, None where nothing is."""

    def keep(self, partitions: Collection[int]) -> None:
        """Forget the rows of all other partitions, and how far they had come."""


class MemoryStore:
    """Rows in dictionaries; gone with the process.

    What the recovery brings stays as it came until it is asked for: to decode a million rows takes most of a recovery
    and several times their memory, and most of them nobody asks for soon.
    """

    def __init__(self) -> None:
        self._rows: dict[int, dict[bytes, Row | bytes]] = {}
        self._offsets: dict[int, int] = {}

    def get(self, partition: int, key: bytes) -> Row | None:
        """Return a row, None where there is none; the row itself, not a copy."""
        rows = self._rows.get(partition)
        if rows is None:
            return None
        row = rows.get(key)
        if isinstance(row, bytes):
            row = rows[key] = orjson.loads(row)
        return row

    def scan(self, partition: int, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`."""
        return [key for key in self._rows.get(partition, ()) if key.startswith(prefix)]

    def write(self, partition: int, rows: Mapping[bytes, tuple[Row | None, bytes]], offset: int | None) -> None:
        """Put rows, then the offset."""
        mine = self._rows.setdefault(partition, {})
        for key, (row, raw) in rows.items():
            mine[key] = raw if row is None else row
        if offset is not None:
            self._offsets[partition] = offset

    def offset(self, partition: int) -> int | None:
        """Return the last changelog offset that is in the store."""
        return self._offsets.get(partition)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget the rows of all other partitions."""
        for partition in {*self._rows, *self._offsets} - {*partitions}:
            self._rows.pop(partition, None)
            self._offsets.pop(partition, None)


class RocksStore:
    """Rows in RocksDB, a database for each partition; Faust's store opens and closes them.

    Args:
        faust_store: Faust's own RocksDB store of the table.
    """

    def __init__(self, faust_store: Any) -> None:
        from rocksdict import WriteBatch  # seldom needed and slow to load

        self._store = faust_store
        self._new_batch = WriteBatch

    def get(self, partition: int, key: bytes) -> Row | None:
        """Return a row, decoded anew at each call.

        Raises:
            NotNow: the files cannot be read; that is no bug of the handler that asked.
        """
        try:
            raw = self._store._db_for_partition(partition).get(key)
        except Exception as error:
            raise NotNow(f"the state store cannot be read: {error}") from error
        return None if raw is None else orjson.loads(raw)

    def scan(self, partition: int, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`.

        Raises:
            NotNow: the files cannot be read.
        """
        found = []
        try:
            for key in self._store._db_for_partition(partition).keys(from_key=prefix):
                if not key.startswith(prefix):
                    break
                found.append(key)
        except Exception as error:
            raise NotNow(f"the state store cannot be read: {error}") from error
        return found

    def write(self, partition: int, rows: Mapping[bytes, tuple[Row | None, bytes]], offset: int | None) -> None:
        """Put rows and offset in one atomic write."""
        batch = self._new_batch(raw_mode=True)
        for key, (_, raw) in rows.items():
            batch.put(key, raw)
        if offset is not None:
            batch.put(self._store.offset_key, str(offset).encode())
        self._store._db_for_partition(partition).write(batch)

    def offset(self, partition: int) -> int | None:
        """Return the last changelog offset that is in the store."""
        raw = self._store._db_for_partition(partition).get(self._store.offset_key)
        return None if raw is None else int(raw)

    def keep(self, partitions: Collection[int]) -> None:
        """Do nothing: Faust closes what was revoked, and the files may come to use again."""
