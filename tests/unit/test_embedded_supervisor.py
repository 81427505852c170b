"""The supervisor over small processes that need no server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.clock import ManualClock
from streams.embedded import child
from streams.embedded import supervisor as module
from streams.embedded.backoff import FAILURES_ALLOWED, STOP_FOR_GOOD
from streams.embedded.launch import Process
from streams.embedded.state import Status, read_statuses
from streams.embedded.supervisor import Supervisor
from tests.waiting import eventually, is_alive

FOREVER = "import signal, sys; print('here', flush=True); signal.pause()"


class Watched:
    """A supervisor whose time is set, and what it said."""

    def __init__(self, home: Path) -> None:
        self.home, self.now, self.said = home, 1000.0, list[str]()
        metrics = home / "metrics"
        metrics.mkdir()
        self.supervisor = Supervisor(home, metrics, ManualClock(7), self.said.append, lambda: self.now)

    def add(self, code: str) -> None:
        self.supervisor.add_worker(Process("worker", (sys.executable, "-c", code)))

    @property
    def status(self) -> Status:
        (status,) = read_statuses(self.home)
        return status

    def tick_until(self, condition: Callable[[Status], bool]) -> Status:
        def met() -> bool:
            self.supervisor.tick()
            return condition(self.status)

        eventually(met, f"after {self.status}")
        return self.status

    def log(self) -> str:
        return (self.home / "logs" / "worker.log").read_text()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        found = Watched(tmp_path)
        stack.callback(found.supervisor.stop)
        yield found


def test_a_crashed_process_is_reported_and_started_again(watched: Watched) -> None:
    watched.add("raise SystemExit('out of luck')")
    status = watched.tick_until(lambda status: status.state == "waiting")
    assert (status.pid, status.restarts, status.since_ms) == (None, 0, 7)
    assert status.last_error == "exit status 1: out of luck"
    assert watched.said == [
        f"worker ended (exit status 1), next start in 0.5 s; see {watched.home / 'logs' / 'worker.log'}"
    ]
    watched.supervisor.tick()
    assert watched.status.state == "waiting"  # not before its time
    watched.now += 0.5
    watched.supervisor.tick()
    assert (watched.status.state, watched.status.restarts) == ("running", 1)


def test_a_killed_process_is_named_by_its_signal(watched: Watched) -> None:
    watched.add("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert watched.tick_until(lambda status: status.state == "waiting").last_error.startswith("signal 9")


def test_a_worker_that_asks_to_stay_stopped_is_not_started_again(watched: Watched) -> None:
    watched.add(f"print('too many dead letters'); raise SystemExit({STOP_FOR_GOOD})")
    watched.tick_until(lambda status: status.state == "stopped")
    watched.now += 1000
    watched.supervisor.tick()
    assert watched.status.state == "stopped"
    assert "asked to stay stopped" in watched.said[0]
    assert watched.said[0].endswith("too many dead letters")


def test_a_process_that_keeps_failing_is_given_up_with_its_last_words(watched: Watched) -> None:
    watched.add("raise SystemExit('out of luck')")
    for _ in range(FAILURES_ALLOWED - 1):
        watched.tick_until(lambda status: status.state == "waiting")
        watched.now += 10
    status = watched.tick_until(lambda status: status.state == "stopped")
    assert status.restarts == FAILURES_ALLOWED - 1
    assert "given up" in watched.said[-1]
    assert watched.said[-1].endswith("out of luck")


def test_stop_ends_processes_that_ignore_it_and_their_children(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    grandchild = f"subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid"
    watched.add(
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"print({grandchild}, flush=True); signal.pause()"
    )
    first_line = eventually(lambda: watched.log().partition("\n")[0], "the child's log")
    eventually(lambda: "here" in watched.log(), "the grandchild's log")
    watched.supervisor.stop()
    assert not is_alive(watched.status.pid or 0)
    eventually(lambda: not is_alive(int(first_line)), "the grandchild's end")


def test_children_are_started_by_the_main_thread_alone(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="main thread"):
        pool.submit(child.spawn, ["true"], tmp_path / "log", {}, tmp_path).result()


@pytest.mark.parametrize("start", ["_become(os.getppid(), command)", "_watch(command)"])
def test_a_child_dies_with_its_parent(tmp_path: Path, start: str) -> None:
    """Runs both ways of dying with one's parent, the kernel's and the pipe's, wherever the test runs."""
    if start.startswith("_become") and sys.platform != "linux":
        pytest.skip("only Linux tells a child of its parent's death")
    command = [sys.executable, "-c", f"import os; print(os.getpid(), flush=True); {FOREVER}"]
    wrapper = f"import os, sys; from streams.embedded.child import _become, _watch; command = {command!r}; {start}"
    parent = (
        "import signal, subprocess, sys;"
        f"p = subprocess.Popen([sys.executable, '-c', {wrapper!r}], stdin=subprocess.PIPE); signal.pause()"
    )
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "-c", parent], stdout=log, env=os.environ) as running,
    ):
        pid = int(eventually(lambda: (tmp_path / "log").read_text().partition("\n")[0], "the child's pid"))
        assert is_alive(pid)
        running.kill()
        eventually(lambda: not is_alive(pid), "the child's end")
