"""Tables as a year of annotation leaves them, filled straight by SQL: see `fill.sql`."""

from pathlib import Path

from streams.sinks.migrate import refreshed, statements
from streams.sinks.writer import Writer

PROJECT = "bench-3"
"""The project that is asked about; there are ten, all of one size."""


def fill(writer: Writer, labels: int) -> None:
    """Fill the tables.

    Args:
        writer: Of a database with empty tables.
        labels: Number of labels; of the rest in proportion.
    """
    names, *fills = statements(Path(__file__).with_name("fill.sql").read_text())
    for one in fills:
        writer.query(one.replace("{names}", names).replace("{labels}", str(labels)))


def refresh(writer: Writer) -> None:
    """Have the tables that ClickHouse computes every so often computed now, and wait for it."""
    for what in ("REFRESH", "WAIT"):
        for table in refreshed():
            writer.query(f"SYSTEM {what} VIEW {table}_refresh")
