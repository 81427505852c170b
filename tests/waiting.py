"""Other processes, as a test sees them: waiting for what they do, in place of sleeping and hoping."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str, seconds: float = 60) -> T:
    """Return the first true value of `condition`; fail after so many seconds, naming what was waited for."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return value


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a dead one that nobody has waited for does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state) and not state.startswith("Z")


def children(pid: int) -> set[int]:
    """Return the child processes of one, whichever of its threads started them; none of one that has ended."""
    with suppress(OSError):
        files = Path(f"/proc/{pid}/task").glob("*/children")
        return {int(child) for file in files for child in file.read_text().split()}
    return set()
