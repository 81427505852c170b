"""The whole stack of one data directory: `up` and `down`."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from streams.clock import Clock, SystemClock
from streams.embedded import clickhouse, exposition, jars, kafka, ports, state
from streams.embedded.launch import Process
from streams.embedded.supervisor import STOP_SECONDS, Supervisor
from streams.errors import LabelloopError
from streams.settings import STACK_FILE, Settings

PORTS = ("kafka", "controller", "clickhouse", "clickhouse_http", "metrics")

Say = Callable[[str], None]


def worker_processes(items_workers: int) -> tuple[Process, ...]:
    """Return the workers of a stack."""
    command = (sys.executable, "-m", "streams.cli", "worker")
    return (
        *(Process(f"items-{n}", (*command, "items", "--slot", str(n))) for n in range(items_workers)),
        Process("quality", (*command, "quality", "--slot", "0")),
        Process("retrain", (*command, "retrain", "--slot", "0")),
        Process("sink", (*command, "sink")),
    )


def prepare_servers(settings: Settings) -> None:
    """Create what is missing: topics in Kafka, tables in ClickHouse.

    Raises:
        LabelloopError: a server refuses.
    """
    from streams.sinks.migrate import migrate
    from streams.transport.topics import ensure

    with ThreadPoolExecutor(2) as pool:
        topics, tables = pool.submit(ensure, settings), pool.submit(migrate, settings)
        topics.result()
        tables.result()


def up(
    home: Path,
    workers: Sequence[Process],
    say: Say,
    ready: Callable[[Mapping[str, str]], None],
    *,
    prepare: Callable[[Settings], None] = prepare_servers,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> None:
    """Run the stack of a data directory until SIGINT or SIGTERM, then stop it in order.

    Args:
        home: Data directory, created if it does not exist.
        workers: What to run beside the servers.
        say: Shows a line of progress.
        ready: Called once everything runs, with the content of `stack.json`.
        prepare: Creates topics and tables before the workers start.
        environ: Names servers to use instead of embedded ones: `LABELLOOP_KAFKA`, `LABELLOOP_CLICKHOUSE`.
        clock: Wall time.

    Raises:
        LabelloopError: a stack runs there already, or a server does not start.
    """
    env = os.environ if environ is None else environ
    with _signals(), state.exclusive(home):
        state.remove(home)
        metrics_directory = home / "metrics"
        shutil.rmtree(metrics_directory, ignore_errors=True)
        metrics_directory.mkdir()
        supervisor = Supervisor(home, metrics_directory, clock or SystemClock(), say)
        try:
            chosen, moved = ports.assign(home, PORTS)
            for line in moved:
                say(line)
            stack = _start_servers(home, supervisor, chosen, env, say)
            supervisor.wait_for_servers()
            settings = _settings(home, stack, env)
            say("preparing topics and tables")
            prepare(settings)
            shared = settings.environment() | {
                "PROMETHEUS_MULTIPROC_DIR": str(metrics_directory),
                "PYTHONUNBUFFERED": "1",  # a crash's last words are in the log
            }
            if workers:
                say(f"starting {', '.join(worker.name for worker in workers)}")
            for worker in workers:
                supervisor.add_worker(Process(worker.name, worker.argv, {**shared, **worker.env}))
            exposition.serve(chosen["metrics"], metrics_directory, settings)
            stack |= settings.access()
            state.write_stack(home, stack)
            ready(stack)
            supervisor.watch()
        except KeyboardInterrupt:
            say("stopping")
        finally:
            _ignore_signals()
            (home / STACK_FILE).unlink(missing_ok=True)
            supervisor.stop()
            state.remove(home)


def down(home: Path) -> None:
    """Stop the stack of a data directory and return when all its processes are gone.

    Raises:
        LabelloopError: no stack runs there.
    """
    pid = state.holder(home)
    if pid is None:
        raise LabelloopError(f"no stack runs in {home}: nothing to stop")
    os.kill(pid, signal.SIGTERM)
    if not _let_go(home, 2 * STOP_SECONDS + 10):
        os.kill(pid, signal.SIGKILL)  # its children die with it
        _let_go(home, STOP_SECONDS)
        state.remove(home)


def _start_servers(
    home: Path, supervisor: Supervisor, chosen: Mapping[str, int], env: Mapping[str, str], say: Say
) -> dict[str, str]:
    """Start the servers that the environment does not name, and return where all of them are."""
    stack = {"pid": str(os.getpid()), "metrics": f"http://{ports.LOCALHOST}:{chosen['metrics']}/metrics"}
    if outside := env.get("LABELLOOP_CLICKHOUSE"):
        stack["clickhouse"], stack["analyst"] = outside, env.get("LABELLOOP_CLICKHOUSE_ANALYST") or outside
    else:
        say("starting ClickHouse")
        secret = clickhouse.passwords(home)
        port, http_port = chosen["clickhouse"], chosen["clickhouse_http"]
        supervisor.add_server(clickhouse.prepare(home / "clickhouse", home / "logs", port, http_port, secret))
        for key, user in (("clickhouse", "writer"), ("analyst", "analyst")):
            stack[key] = clickhouse.address(user, secret[user], port).url()
        stack["http"] = f"http://{ports.LOCALHOST}:{http_port}"
    if outside := env.get("LABELLOOP_KAFKA"):
        stack["kafka"] = outside
    else:
        say("starting Kafka" if jars.are_cached() else "starting Kafka (once: downloading 45 MB of jars)")
        supervisor.add_server(kafka.prepare(home / "kafka", chosen["kafka"], chosen["controller"]))
        stack["kafka"] = f"{ports.LOCALHOST}:{chosen['kafka']}"
    return stack


def _settings(home: Path, stack: Mapping[str, str], env: Mapping[str, str]) -> Settings:
    found = {
        "LABELLOOP_KAFKA": stack["kafka"],
        "LABELLOOP_CLICKHOUSE": stack["clickhouse"],
        "LABELLOOP_CLICKHOUSE_ANALYST": stack["analyst"],
    }
    return Settings.load(home, {**env, **found})


def _let_go(home: Path, seconds: float) -> bool:
    """Wait until nobody holds a data directory; return whether that happened in time."""
    deadline = time.monotonic() + seconds
    while state.holder(home) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def _signals() -> Iterator[None]:
    """Make SIGTERM what Ctrl-C is."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """From here on everything is being stopped; a second Ctrl-C must not leave half of it running."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
