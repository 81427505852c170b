"""Serves the embedded ClickHouse until it is ended: `python -m streams.embedded.clickhouse_server DIR`."""

import os
import sys
import tempfile
from pathlib import Path

from streams import background

# The endless query keeps the server up: it sleeps a second at a time.
_SERVE = (
    "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT sleepEachRow(1) FROM system.numbers "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_threads = 1 FORMAT Null"
)


def serve(root: Path) -> None:
    """Serve the configuration of a folder; does not return."""
    background.step_back()  # an insert or a query takes every core it finds, and the queue would wait for it
    with tempfile.TemporaryDirectory() as empty:  # importing chdb where a config.xml lies would start on it
        os.chdir(empty)
        from chdb import _chdb

        os.chdir(root)
    _chdb.query(_SERVE, "CSV", path=str(root / "data"))  # type: ignore[attr-defined]  # compiled, no stubs


if __name__ == "__main__":
    serve(Path(sys.argv[1]).absolute())
