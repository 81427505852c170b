"""Keeps processes running: starts them, notices their ends, starts them again or gives them up, stops them in order."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from streams import metrics
from streams.clock import Clock
from streams.embedded import child, launch
from streams.embedded.backoff import STOP_FOR_GOOD, History
from streams.embedded.launch import Process
from streams.embedded.state import State, Status, write_statuses

POLL_SECONDS = 0.1
STOP_SECONDS = 20.0
"""How long the processes may take to end before they are killed: first all workers, then all servers."""


@dataclass(slots=True)
class _Member:
    """A process under supervision."""

    process: Process
    state: State = "stopped"
    popen: "subprocess.Popen[bytes] | None" = None
    since: float = 0.0  # monotonic seconds, when the state began
    since_ms: int = 0
    restarts: int = 0
    last_error: str = ""
    history: History = field(default_factory=History)
    next_start: float = 0.0  # monotonic seconds

    def status(self) -> Status:
        pid = self.popen.pid if self.popen else None
        return Status(self.process.name, self.state, pid, self.restarts, self.since_ms, self.last_error)


class Supervisor:
    """Servers, and the workers that need them.

    Args:
        home: Data directory; logs and the processes' state are written there.
        metrics_directory: Where workers leave their metrics.
        clock: Tells when a state began.
        say: Shows a line to whoever watches.
        monotonic: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        home: Path,
        metrics_directory: Path,
        clock: Clock,
        say: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._metrics, self._clock, self._say = home, metrics_directory, clock, say
        self._monotonic = monotonic
        self._servers: list[_Member] = []
        self._workers: list[_Member] = []

    def add_server(self, process: Process) -> None:
        """Start a server; `wait_for_servers` tells when it serves."""
        self._servers.append(member := _Member(process))
        self._start(member)

    def wait_for_servers(self) -> None:
        """Wait until every server serves.

        Raises:
            LabelloopError: one ended or took too long; a first start is not tried twice.
        """
        started = [(member.process, member.popen) for member in self._servers if member.popen]
        launch.wait_ready(started, self._home)
        for member in self._servers:
            self._enter(member, "running")

    def add_worker(self, process: Process) -> None:
        """Start a worker."""
        self._workers.append(member := _Member(process))
        self._start(member)

    def watch(self) -> None:
        """Look after the processes until an exception, such as that of a signal, ends the watch."""
        while True:
            self.tick()
            time.sleep(POLL_SECONDS)

    def tick(self) -> None:
        """Look at every process once."""
        now = self._monotonic()
        for member in (*self._servers, *self._workers):
            if member.popen and (status := member.popen.poll()) is not None:
                self._ended(member, status, now)
            elif member.state == "starting":
                self._look_at_start(member, now)
            elif member.state == "waiting" and now >= member.next_start and self._may_start(member):
                member.restarts += 1
                metrics.RESTARTS.labels(member.process.name).inc()
                self._start(member)

    def stop(self) -> None:
        """End the workers, then the servers; return when all are gone."""
        for group in (self._workers, self._servers):
            child.stop_all([member.popen for member in group if member.popen], STOP_SECONDS)

    def _may_start(self, member: _Member) -> bool:
        """Return whether what the process needs is there: a worker without its servers would only fail again."""
        return member in self._servers or all(server.state == "running" for server in self._servers)

    def _start(self, member: _Member) -> None:
        member.popen = launch.start(member.process, self._home)
        self._enter(member, "starting" if member in self._servers else "running")

    def _look_at_start(self, member: _Member, now: float) -> None:
        """See whether a server that was started again serves by now; one that hangs is ended, and so has failed."""
        if member.process.is_ready():
            self._say(f"{member.process.name} is back")
            self._enter(member, "running")
        elif now - member.since > launch.START_SECONDS and member.popen:
            member.popen.kill()

    def _ended(self, member: _Member, status: int, now: float) -> None:
        assert member.popen
        name, log = member.process.name, launch.log_file(self._home, member.process.name)
        child.kill(member.popen)  # what it may have started itself
        mark_process_dead(member.popen.pid, str(self._metrics))  # type: ignore[no-untyped-call]
        member.popen = None
        how = f"exit status {status}" if status >= 0 else f"signal {-status}"
        member.last_error = f"{how}: {child.last_lines(log, 1).strip()}"
        member.history = member.history.after_failure(now, now - member.since)
        delay = member.history.delay(status)
        if delay is None:
            why = "asked to stay stopped" if status == STOP_FOR_GOOD else "failed too often and is given up"
            self._say(f"{name} {why} ({how}); {log} ends with:\n{child.last_lines(log)}")
            self._enter(member, "stopped")
        else:
            self._say(f"{name} ended ({how}), next start in {delay:g} s; see {log}")
            member.next_start = now + delay
            self._enter(member, "waiting")

    def _enter(self, member: _Member, state: State) -> None:
        member.state, member.since, member.since_ms = state, self._monotonic(), self._clock.now_ms()
        metrics.PROCESS_UP.labels(member.process.name).set(state == "running")
        write_statuses(self._home, [member.status() for member in (*self._servers, *self._workers)])
