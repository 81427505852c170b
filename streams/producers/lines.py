"""Splits JSON lines and CSV into cells, line by line: an unreadable line is a problem of its own, not of the file.

Lines come as bytes, so that one that is not UTF-8 can be told apart.
"""

import codecs
import csv
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import orjson

from streams.catalogue import MAX_FACT_BYTES
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
    """Return each row's cells, stripped; empty ones are left out. A row counts as the line it begins on."""
    csv.field_size_limit(MAX_FACT_BYTES)  # a larger cell is no fact, and a quote left open must not eat the file
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for line in _without_mark(lines)), strict=True)
    header = [name.strip() for name in next(reader, [])]
    if not header:
        return
    missing = [name for name in needed if name not in header]
    if missing or len({*header}) < len(header):
        what = f"no column {', '.join(missing)}" if missing else "a column twice"
        raise LabelloopError(f"the first line names {what}: it must name the columns, it has {', '.join(header)}")
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, BadLine(f"not CSV: {error} (is a quote left open?)")
            continue
        if not row:
            continue
        if len(row) != len(header):
            yield number, BadLine(f"{len(row)} cells, but the first line names {len(header)} columns")
            continue
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            yield number, BadLine("not UTF-8: save the file as UTF-8")
            continue
        yield number, {name: cell for name, text in zip(header, row, strict=True) if (cell := text.strip())}


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
