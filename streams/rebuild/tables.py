"""Fills a table from the log beside the live one, compares the two, and exchanges them; and the same of a view.

What is filled ends where the sink stands, so that it goes on as if nothing had happened. While it runs tables are only
compared: what it inserts between the last look and the exchange would be lost.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress

from streams.catalogue import ACTIONS, TOPICS
from streams.errors import LabelloopError, NotNow
from streams.query.lag import LagReader
from streams.query.log import Tell, part_of, reader, records
from streams.query.running import running
from streams.rebuild.compare import Comparison
from streams.settings import Settings
from streams.sinks.migrate import views
from streams.sinks.rows import CONSUMER, Raw, Rows, build, redriven
from streams.sinks.runner import MAX_BYTES, MAX_RECORDS
from streams.sinks.tables import FACT_IDENTITY, IDENTITY, TABLES
from streams.sinks.writer import Refused, Writer
from streams.transport.topics import builds

_BESIDE = "__rebuild_"

Positions = Mapping[tuple[str, int], int]
"""Offset up to which the sink has stored each partition, by topic and partition."""


def rebuild_table(settings: Settings, table: str, *, swap: bool, tell: Tell = lambda passed, of: None) -> Comparison:
    """Compare a table with the log as far as the sink has stored it.

    Args:
        settings: Where the servers are.
        table: One of `TABLES`.
        swap: Whether to put what was built from the log in the table's place if they differ.
        tell: Told of the progress.

    Returns:
        What differed, in rows, copies merged.

    Raises:
        LabelloopError: a server does not answer, the sink runs although the two are to be exchanged, or it stored more
            meanwhile; the live table is as before.
    """
    positions = _positions(settings, table)
    try:
        with closing(Writer(settings.clickhouse)) as writer:
            built = _make_beside(writer, table, "TABLE")
            try:
                writer.query(f"CREATE TABLE {built} AS {table}")
                _fill(settings, writer, table, built, positions, tell)
                found = _compare(writer, table, built)
                if _positions(settings, table) != positions:
                    raise LabelloopError(f"the sink stored more of {table} meanwhile: compare again when it is quieter")
                if swap and not found.is_equal:
                    _exchange(settings, writer, table, built)
            finally:
                with suppress(NotNow, LabelloopError):  # the next rebuild drops it
                    writer.query(f"DROP TABLE IF EXISTS {built}")
    except NotNow as error:
        raise LabelloopError(f"{table} could not be built: {error}") from error
    return found


def empty_tables(settings: Settings) -> None:
    """Put an empty table in the place of each that the sink fills; it fills them anew when its positions are forgotten.

    A new table, because an emptied one may go on to remember the ranges that it was given, and pass them over.
    What `review_history` keeps of the past stays.

    Raises:
        LabelloopError: the server does not answer.
    """
    there = "SELECT name FROM system.tables WHERE database = currentDatabase()"
    try:
        with closing(Writer(settings.clickhouse)) as writer:
            found = {str(name) for (name,) in writer.query(there)}
            for table in sorted({*TABLES.values()} & found):
                built = _make_beside(writer, table, "TABLE")
                writer.query(f"CREATE TABLE {built} AS {table}")
                writer.query(f"EXCHANGE TABLES {table} AND {built}")
                writer.query(f"DROP TABLE {built}")
    except NotNow as error:
        raise LabelloopError(f"the tables could not be emptied: {error}") from error


def rebuild_view(settings: Settings, name: str, *, swap: bool) -> Comparison:
    """Compare the definition of a view with what the migrations make of it.

    Args:
        settings: Where ClickHouse is.
        name: One of `views`.
        swap: Whether to define the view anew if they differ.

    Raises:
        LabelloopError: the server does not answer.
    """
    statement = views()[name]
    rest = statement.partition(name)[2]
    try:
        with closing(Writer(settings.clickhouse)) as writer:
            built = _make_beside(writer, name, "VIEW")
            writer.query(f"CREATE VIEW {built}{rest}")
            live, right = _definition(writer, name), _definition(writer, built).replace(built, name)
            writer.query(f"DROP VIEW {built}")
            if swap and live != right:
                writer.query(f"CREATE OR REPLACE VIEW {name}{rest}")
    except NotNow as error:
        raise LabelloopError(f"{name} could not be built: {error}") from error
    return Comparison(equal=live == right, differing=bool(live) and live != right, missing=not live)


def _positions(settings: Settings, table: str) -> Positions:
    with LagReader(settings) as lag:
        places = [
            (topic, n)
            for topic in (*_sources(table), ACTIONS)
            for n in range(TOPICS[topic].partitions or settings.partitions)
        ]
        return lag.committed(CONSUMER, places)


def _sources(table: str) -> list[str]:
    return [topic for topic, of in TABLES.items() if of == table]


def _make_beside(writer: Writer, name: str, what: str) -> str:
    """Return a name of its own beside a table or view; what a rebuild left there that broke off is dropped.

    So is what another one builds at this moment: that one fails, and neither puts a half in the place of the whole.
    """
    asked = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, %(beside)s)"
    for (left,) in writer.query(asked, {"beside": name + _BESIDE}):
        writer.query(f"DROP {what} IF EXISTS `{left}`")
    return f"{name}{_BESIDE}{time.time_ns()}"


def _fill(settings: Settings, writer: Writer, table: str, built: str, positions: Positions, tell: Tell) -> None:
    """Insert the rows of every record that the sink has passed, as it makes them."""
    numbers, passed, total = builds(settings), 0, sum(positions.values())
    actions = list[Raw]()
    for (topic, partition), end in positions.items():
        came: Iterable[Raw] = _records(settings, (topic, partition), end, part_of(tell, passed, total))
        passed += end
        if topic == ACTIONS:
            came = [*came]
            actions += came
        if TABLES[topic] == table:
            for some in _chunks(_standing(topic, came)):
                rows = build(topic, settings.topic(topic), partition, numbers[topic], some)
                _insert(writer, built, rows, f"{topic}:{partition}:{some[0].offset}-{some[-1].offset}")
    names = {settings.topic(topic): topic for topic in _sources(table)}
    for group, given in redriven(names, actions).items():  # each lies in the table by its own coordinates
        rows = build(group.topic, group.full_name, group.partition, numbers[group.topic], given)
        _insert(writer, built, rows, f"{group.topic}:{group.partition}:given-{group.attempt}")


def _standing(topic: str, came: Iterable[Raw]) -> Iterable[Raw]:
    """Return the records of a partition that count: of a compacted topic the newest of each key that says anything."""
    if not TOPICS[topic].compact:
        return came
    newest = {record.key: record for record in came}
    return sorted(record for record in newest.values() if record.value is not None)


def _records(settings: Settings, place: tuple[str, int], end: int, tell: Tell) -> Iterator[Raw]:
    with reader(settings) as consumer:
        for _, message in records(consumer, settings, {place: range(end)}, tell):
            yield Raw(message.offset() or 0, message.timestamp()[1], message.key(), message.value())


def _chunks(came: Iterable[Raw]) -> Iterator[list[Raw]]:
    """Cut records into batches of the size that the sink inserts."""
    some, size = list[Raw](), 0
    for record in came:
        some.append(record)
        size += len(record.value or b"")
        if len(some) >= MAX_RECORDS or size >= MAX_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _insert(writer: Writer, built: str, rows: Rows, token: str) -> None:
    """Insert rows, but for those that the server refuses: they are dead letters of the sink."""
    if not rows.records:
        return
    try:
        writer.insert(built, rows.names, rows.columns, token)
    except Refused:
        half = len(rows.records) // 2
        for start, stop in ((0, half), (half, len(rows.records))) if half else ():
            part = Rows(rows.names, [column[start:stop] for column in rows.columns], rows.records[start:stop], [])
            _insert(writer, built, part, f"{token}/{start}")


def _compare(writer: Writer, table: str, built: str) -> Comparison:
    names = ", ".join(f"`{name}`" for name in IDENTITY.get(table, FACT_IDENTITY))
    hashes = f"sipHash128(toString(tuple({names}))) AS identity, sipHash128(toString(tuple(*))) AS content"
    statement = f"""
        SELECT
            countIf(live AND built AND same),
            countIf(live AND built AND NOT same),
            countIf(built AND NOT live),
            countIf(live AND NOT built)
        FROM
        (
            SELECT max(side = 0) AS live, max(side = 1) AS built, min(content) = max(content) AS same
            FROM
            (
                SELECT 0 AS side, {hashes} FROM {table} FINAL
                UNION ALL
                SELECT 1 AS side, {hashes} FROM {built} FINAL
            )
            GROUP BY identity
        )"""
    return Comparison(*writer.query(statement)[0])


def _exchange(settings: Settings, writer: Writer, table: str, built: str) -> None:
    """Put a table in the place of the live one, at once.

    Raises:
        LabelloopError: the sink runs.
    """
    if CONSUMER in running(settings):
        raise LabelloopError(
            f"{table} differs, and the sink runs (one that was killed counts for 10 s more): stop it, then rebuild "
            "(`labelloop down`; rebuild starts the servers alone)"
        )
    writer.query(f"EXCHANGE TABLES {table} AND {built}")


def _definition(writer: Writer, name: str) -> str:
    """Return how the server has a view, nothing if there is none."""
    asked = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = %(name)s"
    return "".join(str(text) for (text,) in writer.query(asked, {"name": name}))
