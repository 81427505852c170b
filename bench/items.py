"""Throughput of the items worker and of the sink beside a plain Kafka loop and stock Faust, all in one run.

Run as `make bench`; prints a table and writes `bench/results/items.json`. The machine's speed drifts, so that ratios
within the run are what counts: every round runs each runtime once, and the median of the rounds is told.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient
from rich.table import Table

from bench.runtimes.rounds import Took
from bench.runtimes.task import peak_mb
from bench.workload import labels, publish
from bench.written import tell, write
from streams.embedded import child, clickhouse, kafka, launch, ports
from streams.errors import LabelloopError
from streams.query.lag import lag
from streams.settings import Settings
from streams.sinks.migrate import migrate
from streams.terminal import Console
from streams.transport.topics import ensure

RESULT = Path(__file__).parent / "results" / "items.json"
STOCK_SHARE = 5
"""Stock Faust gets a fifth of the events: its rate does not depend on their number, and it is slow."""
_LIMIT_S = 600.0


@contextmanager
def servers(home: Path) -> Iterator[Settings]:
    """Run a Kafka and a ClickHouse of the benchmark's own."""
    chosen, _ = ports.assign(home, ("kafka", "controller", "clickhouse", "clickhouse_http"))
    secret = clickhouse.passwords(home)
    processes = [
        kafka.prepare(home / "kafka", chosen["kafka"], chosen["controller"]),
        clickhouse.prepare(home / "clickhouse", home / "logs", chosen["clickhouse"], chosen["clickhouse_http"], secret),
    ]
    with ExitStack() as stack:
        started = []
        for process in processes:
            popen = launch.start(process, home)
            stack.callback(child.stop, popen, 10)
            started.append((process, popen))
        launch.wait_ready(started, home)
        writer = clickhouse.address("writer", secret["writer"], chosen["clickhouse"])
        yield Settings(home, f"{ports.LOCALHOST}:{chosen['kafka']}", writer, writer)


def apart(settings: Settings, prefix: str) -> Settings:
    """Return the same servers with topics and tables of a run's own."""
    database = replace(settings.clickhouse, database=prefix)
    return replace(settings, prefix=prefix, clickhouse=database, analyst=database)


def worker_took(settings: Settings, name: str, count: int) -> Took:
    """Return what a worker process takes for the labels, from its joining the group to its last commit.

    Raises:
        LabelloopError: it did not finish.
    """
    environment = os.environ | settings.environment()
    log = launch.log_file(settings.home, f"{settings.prefix}-{name}")
    log.parent.mkdir(parents=True, exist_ok=True)
    process = child.spawn([sys.executable, "-m", "streams.cli", "worker", name], log, environment, settings.home)
    try:
        limit, started, cpu = time.monotonic() + _LIMIT_S, 0.0, 0.0
        while time.monotonic() < limit and process.poll() is None:
            if not started:
                started, cpu = (
                    (time.perf_counter(), _cpu_seconds(process.pid)) if _has_joined(settings, name) else (0.0, 0.0)
                )
            elif not next(e.records for e in lag(settings) if (e.group, e.topic) == (name, "labels")):
                seconds = time.perf_counter() - started
                return Took(count, seconds, _cpu_seconds(process.pid) - cpu, peak_mb(process.pid))
            time.sleep(0.02)
    finally:
        child.stop(process, 30)
    raise LabelloopError(f"the {name} worker did not finish; {log} ends with:\n{child.last_lines(log)}")


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far, all threads; 0 where there is no /proc to tell it."""
    told = Path(f"/proc/{pid}/stat")
    if not told.is_file():
        return 0.0
    user, system = told.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _has_joined(settings: Settings, name: str) -> bool:
    group = settings.topic(name)
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    try:
        return bool(admin.describe_consumer_groups([group])[group].result(5).state == ConsumerGroupState.STABLE)
    except KafkaException:
        return False  # not even asked for yet


def peer_rate(settings: Settings, module: str, count: int, out_prefix: str) -> float:
    """Return the events a second that a peer prints.

    Raises:
        LabelloopError: it printed none.
    """
    ensure(replace(settings, prefix=out_prefix))
    command = [sys.executable, "-m", f"bench.{module}", str(count), out_prefix]
    done = subprocess.run(
        command, env=os.environ | settings.environment(), capture_output=True, text=True, timeout=_LIMIT_S
    )
    if told := re.search(r"events_per_second ([0-9.]+)", done.stdout):
        return float(told[1])
    raise LabelloopError(f"{module} told no rate:\n{done.stdout[-500:]}{done.stderr[-1500:]}")


def one_round(settings: Settings, number: int, records: Sequence[tuple[bytes, bytes]]) -> dict[str, float]:
    """Return the events a second of each runtime, on topics of the round's own."""
    prefix = f"r{number}"
    here = apart(settings, prefix)
    ensure(here)
    migrate(here)
    publish(here, list(records))
    return {
        "sink": worker_took(here, "sink", len(records)).rate,
        "labelloop": worker_took(here, "items", len(records)).rate,
        "plain": peer_rate(here, "plain", len(records), f"{prefix}-plain"),
        "faust": peer_rate(here, "stock", len(records) // STOCK_SHARE, f"{prefix}-stock"),
    }


def report(rounds: Sequence[Mapping[str, float]], events: int) -> dict[str, object]:
    """Return medians, spread and ratios of all rounds."""
    names = tuple(rounds[0])
    return {
        "events": events,
        "rounds": len(rounds),
        "events_per_second": {name: round(statistics.median(r[name] for r in rounds)) for name in names},
        "lowest": {name: round(min(r[name] for r in rounds)) for name in names},
        "highest": {name: round(max(r[name] for r in rounds)) for name in names},
        "labelloop_to_faust": round(statistics.median(r["labelloop"] / r["faust"] for r in rounds), 2),
        "labelloop_to_plain": round(statistics.median(r["labelloop"] / r["plain"] for r in rounds), 2),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="distinct label facts")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each runtime")
    asked = parser.parse_args()
    console = Console()
    records = labels(asked.events)
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        rounds = []
        for number in range(asked.rounds):
            rounds.append(one_round(settings, number, records))
            console.print(f"round {number + 1}: " + ", ".join(f"{n} {rate:,.0f}/s" for n, rate in rounds[-1].items()))
    found = report(rounds, asked.events)
    write(RESULT, found)
    table = Table("runtime, one process", "events a second", "lowest", "highest")
    for name in rounds[0]:
        rates = sorted(r[name] for r in rounds)
        table.add_row(name, *(f"{rate:,.0f}" for rate in (statistics.median(rates), rates[0], rates[-1])))
    console.print(f"{asked.events:,} labels, median of {asked.rounds} rounds")
    console.print(table)
    console.print(
        f"labelloop is {found['labelloop_to_faust']} times stock Faust, {found['labelloop_to_plain']} of plain"
    )
    tell(console, RESULT)


if __name__ == "__main__":
    try:
        main()
    except LabelloopError as error:
        sys.exit(f"bench: {error}")
