"""Stacks of a test's own: `python -m tests.crash.stack DIR PART`, where PART is `servers` or `workers`.

Servers and workers are supervised by two processes, so that several sets of workers, each with topics and tables of
its own, share the servers of one test module.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from streams.embedded import child, stack, state
from streams.settings import Settings, read_stack
from tests.crash.cluster import ROOT, wait_until


class Stack:
    """A supervisor in a process of its own.

    Args:
        home: Its data directory.
        part: What it runs, see `tests.crash.stack`.
        environ: Variables that name servers, prefix and database.
    """

    def __init__(self, home: Path, part: str, environ: dict[str, str]) -> None:
        home.mkdir()
        self.home = home
        env = {name: value for name, value in os.environ.items() if not name.startswith("LABELLOOP_")} | environ
        self._log = home / "console"
        self._process = child.spawn((sys.executable, "-m", "tests.crash.stack", str(home), part), self._log, env, ROOT)

    def wait(self) -> None:
        """Wait until all of it runs."""

        def runs() -> bool:
            assert self._process.poll() is None, self._log.read_text()
            return read_stack(self.home) is not None

        wait_until(runs, "the stack's start", 120)

    def kill(self, name: str) -> None:
        """End one of its processes as by kill -9 and see it being started again."""
        status = self._status(name)
        assert status.pid is not None, self._log.read_text()
        os.kill(status.pid, signal.SIGKILL)
        wait_until(lambda: self._status(name).restarts > status.restarts, f"the restart of {name}")

    def tell(self) -> None:
        """Print what its processes said last: what a failed test shows of them."""
        for status in state.read_statuses(self.home):
            print(status)
            log = (self.home / "logs" / f"{status.name}.log").read_text(errors="replace").splitlines()
            print("\n".join(line for line in log if " aiokafka" not in line and "%3|" not in line)[-4000:])

    def restarts(self) -> dict[str, int]:
        """Return how often each of its processes was started again; none of them may have been given up."""
        statuses = state.read_statuses(self.home)
        assert [status for status in statuses if status.state == "stopped"] == []
        return {status.name: status.restarts for status in statuses}

    def stop(self) -> None:
        """Stop it in order."""
        child.stop(self._process, 60)

    def _status(self, name: str) -> state.Status:
        return next(status for status in state.read_statuses(self.home) if status.name == name)


def _say(line: str) -> None:
    print(line, flush=True)


def _ready(_: Mapping[str, str]) -> None:
    _say("ready")


def _nothing(_: Settings) -> None:
    """Prepare neither topics nor tables."""


if __name__ == "__main__":
    home = Path(sys.argv[1])
    match sys.argv[2]:
        case "servers":
            stack.up(home, [], _say, _ready, prepare=_nothing)
        case "workers":  # the environment names the servers
            stack.up(home, stack.worker_processes(1), _say, _ready)
