"""The ceiling of the sink: clickhouse-driver inserting columns that are there already, in batches as the sink's.

Run as `python -m bench.prepared COUNT`; what it took is told as in `bench.runtimes.task`.
"""

import sys

from bench.runtimes.task import Stopwatch
from bench.sink import labels
from streams.settings import Settings
from streams.sinks.rows import Raw, build
from streams.sinks.runner import MAX_RECORDS
from streams.sinks.writer import Writer


def main(count: int) -> None:
    """Insert so many labels into the table of labels."""
    raws = [Raw(n, 1_800_000_000_000, key, value) for n, (key, value) in enumerate(labels(MAX_RECORDS))]
    rows, watch, writer = build("labels", "labels", 0, 1, raws), Stopwatch(count), Writer(Settings.load().clickhouse)
    writer.query("SELECT 1")
    done = False
    while not done:
        size = min(MAX_RECORDS, count - watch.seen)
        done = watch.saw(size)
        writer.insert("labels", rows.names, [column[:size] for column in rows.columns], f"prepared-{watch.seen}")
    watch.end()


if __name__ == "__main__":
    main(int(sys.argv[1]))
