"""Splits JSON lines and CSV into cells, line by line: an unreadable line is a problem of its own, not of the file.

Lines come as bytes, so that one that is not UTF-8 can be told apart.
"""

import codecs
import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import orjson

from streams.catalogue import MAX_FACT_BYTES
from streams.cells import unguarded
from streams.errors import LabelloopError

Format = Literal["jsonl", "csv"]

Cells = dict[str, Any]
"""A line's cells by column."""


class BadLine(ValueError):
    """Why a line is no fact."""


def read(format: Format, lines: Iterable[bytes], needed: tuple[str, ...]) -> Iterator[tuple[int, Cells | BadLine]]:
    """Return the number of each line that is not blank, from 1, and its cells or why there are none.

    Args:
        format: How the lines are written.
        lines: The lines with their ends.
        needed: Columns that a CSV file must have; a JSON line is judged by itself.

    Raises:
        LabelloopError: the file as a whole is unusable.
    """
    return read_csv(lines, needed) if format == "csv" else read_jsonl(lines)


def read_jsonl(lines: Iterable[bytes]) -> Iterator[tuple[int, Cells | BadLine]]:
    """Return each line's object."""
    for number, line in enumerate(_without_mark(lines), 1):
        if not line.strip():
            continue
        try:
            cells = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield number, BadLine(f"not JSON: {error.msg} at character {error.pos + 1}")
            continue
        yield number, cells if isinstance(cells, dict) else BadLine("not a JSON object: write one {...} a line")


def read_csv(lines: Iterable[bytes], needed: tuple[str, ...]) -> Iterator[tuple[int, Cells | BadLine]]:
    """Return each row's cells, stripped but for `text`, without guards against formulas; empty ones are left out.

    A row counts as the line it begins on.

    Raises:
        LabelloopError: the first line does not name the columns that are needed.
    """
    csv.field_size_limit(MAX_FACT_BYTES)  # a larger cell is no fact, and a quote left open must not eat the file
    physical = _Lines(line.decode("utf-8", "surrogateescape") for line in _without_mark(lines))
    header = _header(physical, needed)
    reader = csv.reader(physical, strict=True)
    while header:
        number = physical.next_record()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, BadLine(f"not CSV: {error} (is a quote left open?)")
            physical.give_back()  # only its first line is bad
            reader = csv.reader(physical, strict=True)
            continue
        if not row:
            continue
        if len(row) != len(header):
            yield number, BadLine(f"{len(row)} cells, but the first line names {len(header)} columns")
        elif not _is_text(row):
            yield number, BadLine("not UTF-8: save the file as UTF-8")
        else:
            stripped = (
                (name, unguarded(cell.strip()), unguarded(cell)) for name, cell in zip(header, row, strict=True)
            )
            # a text is kept as it is: spans count its characters
            yield number, {name: whole if name == "text" else cell for name, cell, whole in stripped if cell}


class _Lines:
    """The lines of a file, which knows those of the present record and can take them back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self._taken: list[str] = []
        self._passed = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self._taken.append(line)
        return line

    def next_record(self) -> int:
        """Return the number of the line the next record begins on, from 1."""
        self._passed += len(self._taken)
        self._taken.clear()
        return self._passed + 1

    def give_back(self) -> None:
        """Let all lines of the present record but its first be read again."""
        self._back.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]


def _header(lines: _Lines, needed: tuple[str, ...]) -> list[str]:
    """Return the columns that the first line that is not blank names; none of an empty file."""
    try:
        names = [name.strip() for name in next(filter(None, csv.reader(lines, strict=True)), [])]
    except csv.Error as error:
        raise LabelloopError(
            f"the first line is not CSV: {error}: it must name the columns, and end in a line feed"
        ) from (error)
    if not _is_text(names):
        raise LabelloopError("the first line is not UTF-8: save the file as UTF-8")
    missing = [name for name in needed if name not in names]
    if names and (missing or len({*names}) < len(names)):
        what = f"no column {', '.join(missing)}" if missing else "a column twice"
        raise LabelloopError(f"the first line names {what}: it must name the columns, it has {', '.join(names)}")
    return names


def _is_text(cells: list[str]) -> bool:
    """Return whether all of it was UTF-8 in the file."""
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_mark(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Return the lines without the byte order mark that some programs put first."""
    first = True
    for line in lines:
        if first:
            first = False
            if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise LabelloopError("the file is UTF-16: save it as UTF-8")
            line = line.removeprefix(codecs.BOM_UTF8)
        yield line
