"""The product's own workers as processes of a test."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from streams.embedded import child
from streams.errors import LabelloopError
from streams.query.lag import lag
from streams.settings import Settings
from tests.crash.cluster import ROOT
from workers.trainers import TRAINERS

CLI = (sys.executable, "-m", "streams.cli")


class Process:
    """A worker of a stack, started again in the same slot as often as a test wants.

    Args:
        settings: Where the servers are.
        words: What to run, e.g. `items --slot 0`.
        cli: The command line that it is a command of.
    """

    def __init__(self, settings: Settings, *words: str, cli: tuple[str, ...] = CLI) -> None:
        self._settings, self._words, self._cli = settings, words, cli
        self._file = settings.home / f"{words[0]}.log"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self._settings.home.mkdir(exist_ok=True)
        own = {name: value for name, value in os.environ.items() if name == TRAINERS}
        environment = {**self._settings.environment(), **own, "PATH": "", "PYTHONUNBUFFERED": "1"}
        self._running = child.spawn((*self._cli, "worker", *self._words), self._file, environment, ROOT)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._running is not None
        return self._running.pid

    def ended(self) -> int | None:
        """Return its exit status, None while it runs."""
        assert self._running is not None
        return self._running.poll()

    def kill(self) -> None:
        """End it as by kill -9."""
        assert self._running is not None
        assert self._running.poll() is None, self.log()
        self._running.kill()
        self._running.wait()

    def stop(self) -> int:
        """Ask it to stop; return the exit status."""
        assert self._running is not None
        self._running.terminate()
        return self._running.wait(60)

    def end(self) -> None:
        """End it if it runs."""
        if self._running is not None and self._running.poll() is None:
            child.kill(self._running)

    def log(self) -> str:
        """Return the end of its log."""
        return child.last_lines(self._file, 40)


@contextlib.contextmanager
def running(settings: Settings, *words: str, cli: tuple[str, ...] = CLI) -> Iterator[Process]:
    """Run a worker until the end of the block."""
    process = Process(settings, *words, cli=cli)
    process.start()
    try:
        yield process
    finally:
        process.end()


def behind(settings: Settings, group: str) -> int | None:
    """Return the records a group has not passed; None while the broker cannot tell, as after its start."""
    try:
        return sum(entry.records for entry in lag(settings) if entry.group == group)
    except LabelloopError:
        return None
