"""What a sink asks of its tables before it writes to them."""

import re

from clickhouse_driver.errors import Error

from streams.clickhouse import connect, refusal
from streams.errors import LabelloopError
from streams.settings import ClickHouseAddress
from streams.sinks.tables import TABLES, columns
from streams.sinks.writer import Writer

DEDUPLICATION_WINDOW = 1000
"""Ranges of a table that ClickHouse must remember at least, to know one it has seen."""


def filled(writer: Writer) -> set[tuple[str, int]]:
    """Return topic and partition of all rows there are.

    Raises:
        NotNow: the server is away.
    """
    return {
        (str(topic), int(partition))
        for table in set(TABLES.values())
        for topic, partition in writer.query(f"SELECT DISTINCT _topic, _partition FROM {table}")
    }


def check_tables(writer: Writer) -> None:
    """Check that every table is there with the columns of its records, and remembers the ranges it was given.

    Raises:
        LabelloopError: one is not, or does not.
        NotNow: the server is away.
    """
    rows = writer.query("SELECT name, engine, engine_full FROM system.tables WHERE database = currentDatabase()")
    told, usual = {str(name): window(engine, clauses) for name, engine, clauses in rows}, 0
    if None in told.values():
        [(usual,)] = writer.query(
            "SELECT toUInt64(value) FROM system.replicated_merge_tree_settings "
            "WHERE name = 'replicated_deduplication_window'"
        )
    remembered = {name: usual if size is None else size for name, size in told.items()}
    small = sorted({table for table in TABLES.values() if remembered.get(table, 0) < DEDUPLICATION_WINDOW})
    if small:
        raise LabelloopError(
            f"tables {', '.join(small)} are not there or remember fewer than {DEDUPLICATION_WINDOW} inserts: "
            "apply the migrations: `labelloop migrate`"
        )
    there = set(writer.query("SELECT table, name FROM system.columns WHERE database = currentDatabase()"))
    wanted = {(table, column.name) for topic, table in TABLES.items() for column in columns(topic)}
    if missing := sorted(f"{table}.{name}" for table, name in wanted - there):
        raise LabelloopError(f"the tables lack {', '.join(missing)}: apply the migrations: `labelloop migrate`")


def window(engine: str, clauses: str) -> int | None:
    """Return how many inserts a table remembers; None: as many as is usual on its server.

    Args:
        engine: The engine's name: a replicated one (ClickHouse Cloud makes each so) heeds another setting.
        clauses: The engine with its clauses, as `system.tables` has them.
    """
    is_replicated = engine.startswith(("Replicated", "Shared"))
    name = "replicated_deduplication_window" if is_replicated else "non_replicated_deduplication_window"
    found = re.search(rf"\b{name} = (\d+)", clauses)
    return int(found[1]) if found else None if is_replicated else 0


def filled_tables(address: ClickHouseAddress) -> list[str]:
    """Return the tables that hold rows, sorted; none where the database was never made.

    Raises:
        LabelloopError: the server does not answer.
    """
    try:
        with connect(address, "") as client:
            found = client.execute(
                "SELECT name FROM system.tables WHERE database = %(database)s AND total_rows > 0",
                {"database": address.database},
            )
    except (Error, OSError) as error:
        raise refusal(error, address) or LabelloopError(
            f"ClickHouse at {address.host}:{address.port} does not answer: {error}"
        ) from error
    return sorted({str(name) for (name,) in found} & {*TABLES.values()})
