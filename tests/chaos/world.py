"""The stack of one run: servers, workers and the proxies between them, each process started again when it ends."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from streams.embedded import child, clickhouse, kafka, launch, ports
from streams.embedded.backoff import FIRST_DELAY, History
from streams.embedded.stack import prepare_servers
from streams.settings import Settings
from tests.chaos.faults import CLIENTS, WORKERS, Mutant
from tests.chaos.proxy import Mode, Proxies
from tests.waiting import children

ROOT = Path(__file__).parents[2]
_LISTENERS = ("kafka", "controller", "clickhouse", "clickhouse_http")
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
_FULL = (0, resource.RLIM_INFINITY)

_NO_MERGES = """<clickhouse>
    <merge_tree>
        <max_bytes_to_merge_at_max_space_in_pool>1</max_bytes_to_merge_at_max_space_in_pool>
        <max_bytes_to_merge_at_min_space_in_pool>1</max_bytes_to_merge_at_min_space_in_pool>
        <parts_to_delay_insert>100000</parts_to_delay_insert>
        <parts_to_throw_insert>100000</parts_to_throw_insert>
        <max_avg_part_size_for_too_many_parts>1</max_avg_part_size_for_too_many_parts>
    </merge_tree>
</clickhouse>
"""


@dataclass(slots=True)
class Part:
    """One process.

    Args:
        process: How it is started.
        cwd: Where.
        is_server: Whether others need it.
        popen: It, while it runs.
        next_start: When it is started again, monotonic seconds.
        started: When it was started last.
        killed: Whether the nemesis ended it.
        deaths: How often the nemesis did.
        history: Its own failures.
        ends: How often it ended by itself, by exit status.
    """

    process: launch.Process
    cwd: Path
    is_server: bool
    popen: "subprocess.Popen[bytes] | None" = None
    next_start: float = 0.0
    started: float = 0.0
    killed: bool = False
    deaths: int = 0
    history: History = field(default_factory=History)
    ends: Counter[int] = field(default_factory=Counter)


class World:
    """All processes. Only the main thread may start any (see `child.spawn`).

    Args:
        home: Data directory, new.
        merges: Whether ClickHouse merges parts.
        mutant: Deliberate fault of the workers.
    """

    def __init__(self, home: Path, *, merges: bool = True, mutant: Mutant | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self._merges, self._mutant = home, merges, mutant
        self.proxies = Proxies()
        wanted = [*_LISTENERS, *(f"{kind} {client}" for client in CLIENTS for kind in ("listener", "proxy", "table"))]
        self._ports, _ = ports.assign(home, wanted)
        self._passwords = clickhouse.passwords(home)
        self.parts: dict[str, Part] = {}
        self.given_up: list[str] = []
        """Processes that the supervisor of `labelloop up` would not start again."""
        self._parked: set[str] = set()

    def settings(self, client: str | None = None) -> Settings:
        """Return where the servers are for a client, behind its proxies; None: directly."""
        names = ("kafka", "clickhouse") if client is None else (f"proxy {client}", f"table {client}")
        broker, tables = (self._ports[name] for name in names)
        writer, analyst = (clickhouse.address(user, self._passwords[user], tables) for user in clickhouse.USERS)
        return Settings(self.home, f"{ports.LOCALHOST}:{broker}", writer, analyst)

    def clock_file(self, client: str) -> Path:
        """Return the file that tells by how much a client's clock is wrong, ms."""
        return self.home / f"{client}.clock"

    def start(self) -> None:
        """Start the servers, make topics and tables, start the workers.

        Raises:
            LabelloopError: a server does not start.
        """
        for client in CLIENTS:
            self.clock_file(client).write_text("0")
            self.proxies.add(self._ports[f"proxy {client}"], self._ports[f"listener {client}"])
            self.proxies.add(self._ports[f"table {client}"], self._ports["clickhouse"])
        for process in (self._clickhouse(), self._kafka()):
            self.parts[process.name] = Part(process, self.home, is_server=True)
            self._spawn(self.parts[process.name])
        started = [(part.process, part.popen) for part in self.parts.values() if part.popen is not None]
        launch.wait_ready(started, self.home)
        prepare_servers(self.settings())
        for name in WORKERS:
            self.parts[name] = Part(self._worker(name), ROOT, is_server=False)
            self._spawn(self.parts[name])

    def _kafka(self) -> launch.Process:
        """Return the broker: each client has a listener, whose advertised address is the client's proxy."""
        process = kafka.prepare(self.home / "kafka", self._ports["kafka"], self._ports["controller"])
        config = self.home / "kafka" / "server.properties"
        names = {client: client.upper().replace("-", "") for client in CLIENTS}

        def addresses(kind: str) -> str:
            direct = f"PLAINTEXT://{ports.LOCALHOST}:{self._ports['kafka']}"
            others = (f"{name}://{ports.LOCALHOST}:{self._ports[f'{kind} {c}']}" for c, name in names.items())
            return ",".join([direct, *others])

        protocols = ",".join(f"{name}:PLAINTEXT" for name in ("CONTROLLER", "PLAINTEXT", *names.values()))
        config.write_text(
            f"{config.read_text()}\n"
            f"listener.security.protocol.map={protocols}\n"
            f"listeners={addresses('listener')},CONTROLLER://{ports.LOCALHOST}:{self._ports['controller']}\n"
            f"advertised.listeners={addresses('proxy')}\n"
        )
        return process

    def _clickhouse(self) -> launch.Process:
        root = self.home / "clickhouse"
        process = clickhouse.prepare(
            root, self.home / "logs", self._ports["clickhouse"], self._ports["clickhouse_http"], self._passwords
        )
        if not self._merges:
            (root / "config.d" / "merges.xml").write_text(_NO_MERGES)
        return process

    def _worker(self, name: str) -> launch.Process:
        kind, slot = name.split("-")
        flags = ["--clock", str(self.clock_file(name)), *(["--mutant", self._mutant] if self._mutant else [])]
        words = [kind] if kind == "sink" else [kind, "--slot", slot]
        argv = (sys.executable, "-m", "tests.chaos.process", *flags, "worker", *words)
        env = {**self.settings(name).environment(), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        return launch.Process(name, argv, env)

    def _spawn(self, part: Part) -> None:
        log = launch.log_file(self.home, part.process.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        env: Mapping[str, str] = {**os.environ, **part.process.env}
        part.popen = child.spawn(part.process.argv, log, env, part.cwd)
        part.started, part.killed = time.monotonic(), False

    # What the nemesis does

    def runs(self, name: str) -> bool:
        """Return whether a process runs; the workload, whose actors are threads of this one, always does."""
        return name not in self.parts or self._pid(name) is not None

    def _pid(self, name: str) -> int | None:
        popen = self.parts[name].popen
        return popen.pid if popen is not None and popen.poll() is None else None

    def kill(self, name: str, seconds: float) -> None:
        """End a process as by kill -9; it is started again after so many seconds."""
        part = self.parts[name]
        if part.popen is not None and part.popen.poll() is None:
            part.killed = True
            part.deaths += 1
            part.popen.kill()
        part.next_start = max(part.next_start, time.monotonic() + seconds)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process and its children."""
        if (pid := self._pid(name)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def connections(self, client: str, server: str, mode: Mode) -> None:
        """Treat the connections of a client to a server otherwise."""
        self.proxies.enter(self._ports[f"{'proxy' if server == 'kafka' else 'table'} {client}"], mode)

    def fill_disk(self, name: str, *, full: bool) -> None:
        """Make each write of a process and its children to a file fail, or let them write again."""
        if (pid := self._pid(name)) is not None:
            for one in (pid, *children(pid)):  # what these start inherits it
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(one, resource.RLIMIT_FSIZE, _FULL if full else _UNLIMITED)

    def tick(self) -> None:
        """Notice ends, and start again what is due."""
        now = time.monotonic()
        for name, part in self.parts.items():
            if part.popen is not None and (status := part.popen.poll()) is not None:
                self._ended(name, part, status, now)
            if name in self._parked:
                if part.popen is not None and not part.killed:
                    part.killed = True
                    part.popen.terminate()
            elif part.popen is None and now >= part.next_start and (part.is_server or self._servers_run()):
                self._spawn(part)

    def _ended(self, name: str, part: Part, status: int, now: float) -> None:
        assert part.popen is not None
        child.kill(part.popen)  # what it may have started itself
        part.popen = None
        if part.killed:
            return
        part.ends[status] += 1
        part.history = part.history.after_failure(now, now - part.started)
        delay = part.history.delay(status)
        if delay is None:
            self.given_up.append(f"{name} ended with {status}: {self.last_words(name)}")
            part.history, delay = History(), FIRST_DELAY
        part.next_start = max(part.next_start, now + delay)

    def _servers_run(self) -> bool:
        return all(part.popen is not None for part in self.parts.values() if part.is_server)

    def park(self, name: str) -> None:
        """Ask a process to stop, and do not start it again; return when `tick`, in another thread, saw its end."""
        self._parked.add(name)
        while self.parts[name].popen is not None:
            time.sleep(0.05)

    def unpark(self, name: str) -> None:
        """Let a process start again."""
        self._parked.discard(name)

    def is_whole(self) -> bool:
        """Return whether every process runs and every server serves."""
        return all(part.popen is not None and part.process.is_ready() for part in self.parts.values())

    def last_words(self, name: str) -> str:
        """Return the end of a process' log."""
        return child.last_lines(launch.log_file(self.home, name), 3).strip()

    def offline(self, database: str) -> Settings:
        """Return settings of another database on the same server."""
        settings = self.settings()
        writer, analyst = (replace(at, database=database) for at in (settings.clickhouse, settings.analyst))
        return replace(settings, clickhouse=writer, analyst=analyst)

    def stop(self) -> None:
        """End everything, workers first."""
        for servers in (False, True):
            for part in self.parts.values():
                if part.is_server == servers and part.popen is not None:
                    child.stop(part.popen, 0 if not servers else 2)
                    part.popen = None
        self.proxies.close()
