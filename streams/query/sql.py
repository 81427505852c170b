"""SQL as the read-only analyst, its results streamed as a table, CSV or JSON; and the data dictionary."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, groupby, islice
from typing import Any, Literal, TextIO

from clickhouse_driver.errors import Error, ServerException
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from streams.cells import guarded
from streams.clickhouse import connect, first_line, refusal
from streams.errors import LabelloopError
from streams.settings import Settings
from streams.terminal import Console

Format = Literal["table", "csv", "json"]
Row = Sequence[Any]

_PAGE_ROWS = 1000
"""Rows of one drawn table; a longer result is drawn as several, so that nothing waits for its end."""

_NARROWEST = 24
"""Below so many characters the widest column of a table is not worth wrapping."""

_GAP = 2  # between two columns
_UNBOUNDED = 1_000_000  # columns of a file or pipe

_DICTIONARY = """
SELECT t.name AS table, t.comment AS about, c.name AS column, c.type AS type, c.comment AS meaning
FROM system.tables AS t
INNER JOIN system.columns AS c ON c.database = t.database AND c.table = t.name
WHERE t.database = %(database)s AND t.engine != 'MaterializedView' -- what only fills a table
ORDER BY t.name, c.position
"""


def rows(
    settings: Settings, query: str, parameters: Mapping[str, Any] | None = None
) -> tuple[list[str], Iterator[Row]]:
    """Return a query's column names and its rows as they arrive, asked as the analyst, who can change nothing.

    Raises:
        LabelloopError: what the server or the connection says, in one line; while the rows are read, too.
    """
    result = _read(settings, query, parameters)
    header: Row = next(result, ())
    return [name for name, _ in header], result


def _read(settings: Settings, query: str, parameters: Mapping[str, Any] | None) -> Iterator[Row]:
    at = settings.analyst
    client = connect(at, readonly=2)  # even where the only access given is the writer's
    try:
        yield from client.execute_iter(query, parameters, with_column_types=True)
    except ServerException as error:
        raise refusal(error, at) or LabelloopError(f"ClickHouse: {first_line(error)}") from error
    except (Error, EOFError, OSError) as error:
        said = f"ClickHouse at {at.host}:{at.port} does not answer: {' '.join(str(error).split())}"
        raise refusal(error, at) or LabelloopError(said) from error
    finally:
        client.disconnect()


def sql(settings: Settings, query: str, form: Format, out: TextIO) -> None:
    """Run a query and write its result.

    Raises:
        LabelloopError: the server refuses the query, or does not answer.
    """
    names, result = rows(settings, query)
    write(names, result, form, out)


def describe(settings: Settings, form: Format, out: TextIO) -> None:
    """Write the data dictionary: every table and column with its meaning.

    Raises:
        LabelloopError: the server does not answer.
    """
    names, result = rows(settings, _DICTIONARY, {"database": settings.analyst.database})
    if form != "table":
        write(names, result, form, out)
        return
    console = _console(out)
    for (name, about), found in groupby(result, lambda row: (row[0], row[1])):
        console.print(Text(f"{name}: {about}", "bold"), soft_wrap=True)
        _draw(console, ("column", "type", "meaning"), (row[2:] for row in found))


def write(names: Sequence[str], result: Iterator[Row], form: Format, out: TextIO) -> None:
    """Write rows in a format, each as it arrives."""
    if form == "csv":
        write_csv(names, result, out)
    elif form == "json":
        _write_json(names, result, out)
    else:
        _write_table(names, result, out)


def write_csv(names: Sequence[str], result: Iterable[Row], out: TextIO) -> None:
    """Write CSV; a text that a spreadsheet would take for a formula is guarded (`streams.cells`)."""
    writer = csv.writer(out, lineterminator="\n")
    if names:
        writer.writerow(map(guarded, names))
    writer.writerows([_guarded(value) for value in row] for row in result)


def _guarded(value: Any) -> Any:
    if isinstance(value, str):
        return guarded(value)
    return value if value is None or isinstance(value, int | float) else _text(value)


def _write_json(names: Sequence[str], result: Iterable[Row], out: TextIO) -> None:
    """Write one JSON array, an object a line."""
    before = "[\n"
    for row in result:
        record = {name: plain(value) for name, value in zip(names, row, strict=True)}
        out.write(f"{before}{json.dumps(record, ensure_ascii=False)}")
        before = ",\n"
    out.write("[]\n" if before == "[\n" else "\n]\n")


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are none become null, times and the like become text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(part) for part in value]
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds" if value.microsecond else "seconds")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _write_table(names: Sequence[str], result: Iterator[Row], out: TextIO) -> None:
    if not names:
        return
    console = _console(out)
    _draw(console, names, islice(result, _PAGE_ROWS))
    for row in result:
        _draw(console, names, chain([row], islice(result, _PAGE_ROWS - 1)))


def _console(out: TextIO) -> Console:
    """Return what draws tables: on a terminal as wide as it is, else as wide as their content."""
    return Console(file=out, width=None if out.isatty() else _UNBOUNDED)


def _draw(console: Console, names: Sequence[str], page: Iterable[Row]) -> None:
    """Draw rows as a table; where it is too wide to be read, each row as a list of its cells."""
    values = list(page)
    cells = [[_cell(value) for value in row] for row in values]
    widths = sorted(max(map(len, column)) + _GAP for column in zip(names, *cells, strict=True))
    if sum(widths[:-1]) + min(widths[-1], _NARROWEST) > console.width:
        for row in cells:
            console.rule(characters="─")
            console.print(
                *(Text.assemble((f"{n}: ", "bold"), cell) for n, cell in zip(names, row, strict=True)), sep="\n"
            )
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for n, name in enumerate(names):
        numeric = bool(values) and all(_is_number(row[n]) for row in values)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    """Return a value as one line that a terminal takes for text only."""
    text = "" if value is None else _text(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _text(value: Any) -> str:
    simple = plain(value)
    return json.dumps(simple, ensure_ascii=False) if isinstance(simple, list | dict) else str(simple)
