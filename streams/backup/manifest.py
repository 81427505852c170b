"""What a backup consists of at one point, and what the next point has to add."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from streams.catalogue import TOPICS

FORMAT = 1

KEPT = tuple(
    name
    for name, topic in TOPICS.items()
    # feedback and flips are told once, in one transaction with the fact that says so: no worker tells them again
    if topic.kind == "fact" or name in ("feedback", "flips")
)
"""Topics of a backup: what cannot be computed from other topics."""

Place = tuple[str, int]
"""Topic without the prefix, and partition."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of records.

    Args:
        path: Where it lies, relative to the backup's directory.
        records: Number of records.
        size: Bytes.
        sha256: SHA-256 of its bytes, hexadecimal.
    """

    path: str
    records: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """A partition up to a point.

    Args:
        topic: Topic without the prefix.
        partition: Partition.
        build: Build number of the topic.
        next: Offset after the last that is part of it, markers of transactions included.
        last: Offset of its last record; None without records.
        last_sha256: SHA-256 of that record (`rows.digest`), by which the next backup knows the log again.
        files: Its files, in the order of the offsets.
    """

    topic: str
    partition: int
    build: int
    next: int
    last: int | None = None
    last_sha256: str = ""
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that records were written under; fingerprint is the SHA-256 of its canonical form, hexadecimal."""

    id: int
    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A point that can be restored.

    Args:
        point: Its number, from 1.
        taken_at: When, ISO 8601 in UTC.
        code_version: Version of labelloop that took it.
        partitions: Partitions of each item-keyed topic.
        schemas: Schemas of the records, by id.
        parts: All partitions, by topic and number.
    """

    point: int
    taken_at: str
    code_version: str
    partitions: int
    schemas: tuple[Schema, ...] = ()
    parts: tuple[Part, ...] = field(default=())

    @property
    def files(self) -> list[File]:
        """All its files, those of earlier points too."""
        return [file for part in self.parts for file in part.files]

    @property
    def records(self) -> int:
        """Number of records."""
        return sum(file.records for file in self.files)


def to_text(manifest: Manifest) -> str:
    """Return a manifest as JSON that ends with the SHA-256 of all before it."""
    content = {"format": FORMAT, **asdict(manifest)}
    return _text({**content, "sha256": hashlib.sha256(_text(content).encode()).hexdigest()})


def from_text(text: str) -> Manifest:
    """Return the manifest that `to_text` wrote.

    Raises:
        ValueError: it is another text, by as little as a bit, or of another format.
    """
    try:
        content = json.loads(text)
        told, format_ = content.pop("sha256"), content.pop("format")
        if type(format_) is int and format_ != FORMAT:
            raise ValueError(f"format {format_}, this program reads {FORMAT}")
        parts = tuple(_part(one) for one in content.pop("parts"))
        schemas = tuple(Schema(**one) for one in content.pop("schemas"))
        manifest = Manifest(**content, schemas=schemas, parts=parts)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no manifest of a backup: {error!r}") from error
    if to_text(manifest) != text:
        raise ValueError(f"its content is not what SHA-256 {str(told)[:12]} was taken of")
    return manifest


def _part(content: dict[str, Any]) -> Part:
    files = tuple(File(**file) for file in content["files"])
    for file in files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{file.path} lies outside the backup")
    return Part(**{**content, "files": files})


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def ranges(before: Manifest | None, builds: Mapping[str, int], ends: Mapping[Place, int]) -> dict[Place, range]:
    """Return the offsets that a backup reads of each partition: what came since the last point, and its last record.

    That record is read again because only it can tell whether this is the log that was backed up before.

    Args:
        before: The last point; None: there is none.
        builds: Build number of each topic.
        ends: Offset after the last record of each partition now.

    Raises:
        ValueError: the log is another one than that of the last point.
    """
    known = {} if before is None else {(part.topic, part.partition): part for part in before.parts}
    if before is not None and (missing := known.keys() - ends.keys()):
        raise ValueError(f"it has no {_names(missing)}")
    found = {}
    for place, end in ends.items():
        part = known.get(place)
        if part is not None and part.build != builds[place[0]]:
            raise ValueError(f"{place[0]} is build {builds[place[0]]}, and was build {part.build}")
        if part is not None and end < part.next:
            raise ValueError(f"{_names([place])} ends at {end:,}, and ended at {part.next:,}")
        found[place] = range(0 if part is None else part.next if part.last is None else part.last, end)
    return found


def _names(places: Sequence[Place] | set[Place]) -> str:
    return ", ".join(f"{topic}-{partition}" for topic, partition in sorted(places))
