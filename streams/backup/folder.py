"""A backup's directory: files of records, and one manifest for each point."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from types import TracebackType
from typing import Self

import fastavro
from fastavro.write import Writer

from streams.backup.manifest import File, Manifest, Part, from_text, to_text
from streams.backup.rows import Record, Records, Rows, file_schema
from streams.errors import LabelloopError
from streams.files import locked, write_private
from streams.query.log import Tell

_POINTS, _LOG, _LOCK = "points", "log", "lock"


class Folder:
    """A backup's directory.

    Args:
        path: Where it is, or is to be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def points(self) -> list[Manifest]:
        """Return its points, oldest first.

        Raises:
            LabelloopError: a manifest cannot be read, or is not as it was written.
        """
        return [_manifest(file) for file in sorted((self.path / _POINTS).glob("*.json"))]

    def point(self, number: int | None = None) -> Manifest:
        """Return a point, by default the last.

        Raises:
            LabelloopError: there is none, or its manifest cannot be read or is not as it was written.
        """
        files = sorted((self.path / _POINTS).glob("*.json"))
        if not files:
            raise LabelloopError(f"{self.path} is no backup: make one with `labelloop backup {self.path}`")
        if number is None:
            return _manifest(files[-1])
        if not (file := self._file_of(number)).exists():
            raise LabelloopError(
                f"there is no point {number} in {self.path}: see `labelloop backup {self.path} --list`"
            )
        return _manifest(file)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other backups out; let go when the process ends, however it ends.

        Raises:
            LabelloopError: another one runs, or the directory cannot be written or holds something else.
        """
        try:
            (self.path / _POINTS).mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.path / _LOCK).touch()
        except OSError as error:
            raise LabelloopError(f"{self.path} cannot be written: {error.strerror}") from error
        with locked(self.path / _LOCK, f"another backup writes to {self.path}: wait for its end"):
            yield

    def add(self, manifest: Manifest) -> None:
        """Add a point whose files are written; from now on it is there, and whole."""
        file = self._file_of(manifest.point)
        write_private(file, to_text(manifest))
        _sync(file)
        _sync(file.parent)

    def verify(self, manifest: Manifest, tell: Tell = lambda passed, of: None) -> None:
        """Check that all files of a point are there and as they were written.

        Raises:
            LabelloopError: one is not; the text names it.
        """
        passed, total = 0, sum(file.size for file in manifest.files)
        for file in manifest.files:
            path = self.path / file.path
            try:
                with path.open("rb") as content:
                    found = file_digest(content, "sha256").hexdigest()
            except OSError as error:
                raise LabelloopError(f"{path} cannot be read ({error.strerror}): {_REMEDY}") from error
            if found != file.sha256:
                raise LabelloopError(f"{path} is not as it was written, its SHA-256 is another: {_REMEDY}")
            passed += file.size
            tell(passed, total)

    def records(self, part: Part) -> Iterator[Record]:
        """Yield the records of a partition, by offset.

        Raises:
            LabelloopError: a file holds something else; its hash is not looked at here.
        """
        for file in part.files:
            path, count = self.path / file.path, 0
            try:
                with path.open("rb") as content:
                    rows = fastavro.reader(content)
                    records = Records(rows.writer_schema)
                    for row in rows:
                        yield records.record(row)  # type: ignore[arg-type]
                        count += 1
            except Exception as error:  # fastavro raises whatever its decoders meet: all of it is a bad file
                raise LabelloopError(f"{path} is no file of records: {error!r}") from error
            if count != file.records:
                raise LabelloopError(f"{path} holds {count:,} records, its manifest says {file.records:,}")

    def writer(self, point: int, topic: str, partition: int) -> "PartWriter":
        """Return what writes a point's file of a partition; what an earlier try left there is replaced."""
        return PartWriter(self.path, f"{_LOG}/{point:06}/{topic}-{partition}.avro", topic)

    def _file_of(self, point: int) -> Path:
        return self.path / _POINTS / f"{point:06}.json"


_REMEDY = "take it from another copy of the backup, or restore an earlier point that does without it"


class PartWriter:
    """Writes one file; without a record there is none.

    Args:
        root: The backup's directory.
        path: The file, relative to it.
        topic: Topic without the prefix.

    Attributes:
        ids: Ids of the schemas that values were decoded under.
    """

    def __init__(self, root: Path, path: str, topic: str) -> None:
        self._root, self._path = root, path
        self._rows, self._schema = Rows(topic), file_schema(topic)
        self._records = 0
        self.ids: set[int] = set()

    def __enter__(self) -> Self:
        full = self._root / self._path
        full.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = full.open("wb")
        # deflate is what every Avro tool can read; zstd is optional
        self._writer = Writer(self._file, self._schema, codec="deflate")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, record: Record) -> None:
        """Write a record."""
        row = self._rows.row(record)
        self._writer.write(row)
        self._records += 1
        if row["schema_id"] is not None:
            self.ids.add(row["schema_id"])

    def finish(self) -> File:
        """Return what was written, once the disk has it."""
        self._writer.flush()
        self._file.flush()
        os.fsync(self._file.fileno())
        full = self._root / self._path
        _sync(full.parent)
        with full.open("rb") as content:
            hash_ = file_digest(content, "sha256").hexdigest()
        return File(self._path, self._records, full.stat().st_size, hash_)


def _manifest(file: Path) -> Manifest:
    try:
        return from_text(file.read_bytes().decode())
    except (OSError, ValueError) as error:
        raise LabelloopError(f"{file} is not as it was written ({error}): take it from another copy") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
