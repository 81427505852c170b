"""What the supervisor tells other commands: one lock, two files and a word on how each process does."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

from streams.errors import LabelloopError
from streams.files import write_private
from streams.settings import STACK_FILE

LOCK_FILE = "up.lock"
PROCESSES_FILE = "processes.json"

State = Literal["starting", "running", "waiting", "stopped"]


@dataclass(frozen=True, slots=True)
class Status:
    """How one process does.

    Args:
        name: Name of the process.
        state: `starting` until it serves, `waiting` for its next start, `stopped` when there will be none.
        pid: Process id, None while it does not run.
        restarts: Times it was started again.
        since_ms: When the state began.
        last_error: Why it last ended, empty if it never did.
    """

    name: str
    state: State
    pid: int | None
    restarts: int
    since_ms: int
    last_error: str


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Hold a data directory; it is let go when the process ends, however it ends.

    Raises:
        LabelloopError: a stack runs there already.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / LOCK_FILE).open("a+") as lock:
        if not _locked(lock):
            raise already_runs(home, _pid_in(home))
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _locked(lock: TextIO) -> bool:
    """Try to lock a file; more than once, because `holder` locks it for an instant too."""
    for _ in range(5):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def already_runs(home: Path, pid: int | None) -> LabelloopError:
    """Return the error of a second `up`."""
    return LabelloopError(
        f"a stack runs in {home} already (process {pid or 'unknown'}): use it, "
        f"or stop it with `labelloop down --data {home}`"
    )


def holder(home: Path) -> int | None:
    """Return the process id of the supervisor that holds a data directory, None if nobody does."""
    try:
        with (home / LOCK_FILE).open("r") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _pid_in(home)
    except FileNotFoundError:
        pass
    return None


def _pid_in(home: Path) -> int | None:
    text = (home / LOCK_FILE).read_text()
    return int(text) if text else None


def write_statuses(home: Path, statuses: Sequence[Status]) -> None:
    """Tell how the processes do."""
    write_private(home / PROCESSES_FILE, json.dumps([asdict(status) for status in statuses], indent=2))


def read_statuses(home: Path) -> list[Status]:
    """Return how the processes of the running stack do; empty while it starts."""
    try:
        return [Status(**row) for row in json.loads((home / PROCESSES_FILE).read_text())]
    except FileNotFoundError:
        return []


def write_stack(home: Path, stack: dict[str, str]) -> None:
    """Tell where the servers are: from now on commands find them."""
    write_private(home / STACK_FILE, json.dumps(stack, indent=2))


def remove(home: Path) -> None:
    """Take back what was told, at a stop and before a start."""
    for name in (STACK_FILE, PROCESSES_FILE):
        (home / name).unlink(missing_ok=True)
