"""Starting processes and waiting until they serve."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streams.embedded import child
from streams.errors import LabelloopError

START_SECONDS = 90
"""How long a server may take to serve; a loaded laptop after a crash needs most of it."""
_POLL_SECONDS = 0.05


def _at_once() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Process:
    """One process to keep running, be it a server or a worker.

    Args:
        name: Short name, also of its log file.
        argv: The command; it holds no secret, since any user of the machine can read it.
        env: Variables added to the environment.
        is_ready: Whether it serves; asked often, so it answers within a second.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] = _at_once


def log_file(home: Path, name: str) -> Path:
    """Return the log of a process."""
    return home / "logs" / f"{name}.log"


def start(process: Process, home: Path) -> "subprocess.Popen[bytes]":
    """Start a process in a data directory; it dies with this one."""
    log = log_file(home, process.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    return child.spawn(process.argv, log, {**os.environ, **process.env}, home)


def wait_ready(started: Sequence[tuple[Process, "subprocess.Popen[bytes]"]], home: Path) -> None:
    """Wait until all of them serve.

    Raises:
        LabelloopError: one ended, or took longer than `START_SECONDS`; with the last lines of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    for process, popen in started:
        while not process.is_ready():
            log = log_file(home, process.name)
            if popen.poll() is not None:
                raise LabelloopError(f"{process.name} did not start; {log} ends with:\n{child.last_lines(log)}")
            if time.monotonic() > deadline:
                raise LabelloopError(
                    f"{process.name} is not ready after {START_SECONDS} s; {log} ends with:\n{child.last_lines(log)}"
                )
            time.sleep(_POLL_SECONDS)
