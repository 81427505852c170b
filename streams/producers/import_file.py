"""Imports one file: reads it twice (its hash, then its lines) and sends each line's fact; nothing is held in memory."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from streams.errors import LabelloopError
from streams.producers.facts import Fact
from streams.producers.imports import Problem, Source, parse
from streams.producers.lines import Format
from streams.producers.values import InvalidFact

KEPT_PROBLEMS = 20
"""Bad lines that are told one by one; the rest is counted."""

_ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


@dataclass(slots=True)
class Summary:
    """What became of a file: facts sent, lines left out, and the first reasons."""

    sent: int = 0
    bad: int = 0
    problems: list[Problem] = field(default_factory=list)


def import_file(
    path: Path,
    kind: str,
    project: str,
    send: Callable[[Fact], object],
    *,
    format: Format | None = None,
    name: str = "import",
    use: str = "evaluation",
    progress: Callable[[int], None] = lambda _: None,
    summary: Summary | None = None,
) -> Summary:
    """Send the fact of every good line of a file.

    Args:
        path: The file.
        kind: One of `imports.KINDS`.
        project: Project the facts belong to.
        send: Takes each fact, e.g. `Producer.send`; raises `InvalidFact` for one that breaks the contract.
        format: How the file is written; default: by its ending.
        name: Name of the source.
        use: What gold is used for.
        progress: Told the number of bytes read since the last call.
        summary: Filled as the file is read, for a caller that wants to tell of it even when `send` fails.

    Raises:
        LabelloopError: the file cannot be read, or is unusable as a whole.
    """
    format = format or _ENDINGS.get(path.suffix.lower())
    if format is None:
        raise LabelloopError(f"{path} does not end in {', '.join(_ENDINGS)}: name its format with --format")
    summary = summary or Summary()
    try:
        with path.open("rb") as file:
            source = Source(project, hashlib.file_digest(file, "sha256").hexdigest(), name, use)
            file.seek(0)
            for line in parse(kind, format, _told(file, progress), source):
                if not isinstance(line, Problem):
                    number, fact = line
                    try:
                        send(fact)
                        summary.sent += 1
                        continue
                    except InvalidFact as error:
                        line = Problem(number, str(error))
                summary.bad += 1
                if len(summary.problems) < KEPT_PROBLEMS:
                    summary.problems.append(line)
    except OSError as error:
        why = error.strerror or f"{error}; it is read twice, so it must be a regular file"
        raise LabelloopError(f"{path} cannot be read: {why}") from error
    return summary


def _told(file: BinaryIO, progress: Callable[[int], None]) -> Iterator[bytes]:
    """Return the lines, telling of each quarter megabyte."""
    read = 0
    for line in file:
        read += len(line)
        if read > 1 << 18:
            progress(read)
            read = 0
        yield line
    progress(read)
