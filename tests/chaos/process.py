"""Runs one of our own commands with what a test wants to be wrong: `python -m tests.chaos.process FLAG... WORDS`.

`--clock FILE` makes every clock wrong by the milliseconds in the file; `--mutant NAME` puts a deliberate fault into
the product, which the checker must find. The product itself has no switch for either. A sink gives its inserts up soon
in any case.
"""

import sys
import time
from pathlib import Path

from tests.chaos.faults import Mutant
from tests.chaos.mutants import MUTATIONS, Patch, replace

INSERT_LIMIT_S = 5.0
"""The product waits for a minute, longer than a run may leave a server frozen."""

_LOOK_S = 0.02


def move_clock(file: Path, patch: Patch = replace) -> None:
    """Make this process's wall time wrong by what the file says, from one look to the next, whoever asks for it."""
    right, looked, wrong_ms = time.time_ns, float("-inf"), 0

    def time_ns() -> int:
        nonlocal looked, wrong_ms
        if time.monotonic() - looked > _LOOK_S:
            looked, wrong_ms = time.monotonic(), int(file.read_text() or 0)
        return right() + wrong_ms * 1_000_000

    patch(time, "time_ns", time_ns)
    patch(time, "time", lambda: time_ns() / 1e9)


def hurry_inserts(patch: Patch = replace) -> None:
    """Let the sink give an insert up while ClickHouse is frozen, which then does it all the same."""
    from streams.sinks import writer

    patch(writer, "LIMIT_S", INSERT_LIMIT_S)


def mutate(mutant: Mutant) -> None:
    """Put a deliberate fault into the product as this process has loaded it."""
    MUTATIONS[mutant].apply(replace)


if __name__ == "__main__":
    words = sys.argv[1:]
    while words[0].startswith("--"):
        flag, value, *words = words
        if flag == "--clock":
            move_clock(Path(value))
        else:
            mutate(value)  # type: ignore[arg-type]
    if "sink" in words:
        hurry_inserts()
    from streams.cli import main

    sys.argv = ["labelloop", *words]
    main()
