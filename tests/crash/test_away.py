"""ClickHouse is away for minutes under load: memory stays what it was, and what waited is caught up sooner."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from streams.producers.producer import Producer
from streams.query.lag import SOURCES, LagReader
from streams.query.wait import wait
from streams.settings import Settings
from tests.crash.cluster import ROOT
from tests.crash.real import Process, running
from tests.crash.stack import Stack
from tests.integration.own_server import OwnServer
from tests.integration.sinking import count, prepare
from tests.waiting import children, eventually

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(2400)]

FIRST, RATE, AWAY_S, GROWTH_MB = 10_000, 5_000, 300, 200.0
WORKERS = (("items", "--slot", "0"), ("quality", "--slot", "0"), ("sink",), ("retrain", "--slot", "0"))


def test_clickhouse_is_away_under_load(tmp_path: Path) -> None:
    """Its absence costs no memory: the same load is run while it is there, and then while it is away.

    What items and fitter keep of each fact they keep in both. Each run has a broker of its own: one that had served the
    first would have grown by it.
    """
    usual = under_load(tmp_path / "usual", is_away=False)
    away = under_load(tmp_path / "away", is_away=True)
    grown = {name: round(away[name] - usual[name]) for name in usual}
    print(f"most memory, MB: {usual} while ClickHouse is there; away: {grown} more")
    assert sum(max(0, mb) for mb in grown.values()) <= GROWTH_MB  # what one of them takes less hides no other's growth


def under_load(home: Path, *, is_away: bool) -> dict[str, float]:
    """Run servers and workers of their own under the load; return each process's most memory, MB.

    Args:
        home: Folder of their files.
        is_away: Whether ClickHouse is killed for the time of the load.
    """
    home.mkdir()
    with ExitStack() as stack:
        broker = Stack(home / "servers", "servers", {})
        stack.callback(broker.stop)
        broker.wait()
        server = OwnServer(home)
        stack.enter_context(server.running())
        settings = prepare(server.settings(Settings.load(broker.home, {})))
        workers = {words[0]: stack.enter_context(running(settings, *words)) for words in WORKERS}
        publish(settings, 0, FIRST)
        wait(settings, 300)
        if is_away:
            server.kill()
        began = time.monotonic()
        with most_memory(workers) as most:
            load(settings, FIRST, AWAY_S * RATE)
            with LagReader(settings) as log:
                ends = log.settled_offsets(SOURCES["sink"])
                waiting = behind(log, ends)
                if is_away:
                    server.start()
                gone, began = time.monotonic() - began, time.monotonic()
                eventually(lambda: behind(log, ends) == 0, "the sink has stored what waited", gone)
                caught_up = time.monotonic() - began
            wait(settings, 1200)
        rate = AWAY_S * RATE / gone
        print(f"{gone:.0f} s, {rate:,.0f} facts a second, {waiting:,} waited; caught up in {caught_up:.0f} s")
        assert rate > 0.95 * RATE
        assert count(settings, "uniqExact(event_id)") == FIRST + AWAY_S * RATE
        assert [worker.log() for worker in workers.values() if worker.ended() is not None] == []
        return {name: round(mb) for name, mb in most.items()}


def load(settings: Settings, first: int, number: int) -> None:
    """Publish labels at the rate, by a process of its own."""
    publishing = (sys.executable, "-m", "tests.crash.test_away", str(first), str(number))
    subprocess.run(publishing, env={**os.environ, **settings.environment()}, cwd=ROOT, check=True)


@contextmanager
def most_memory(workers: dict[str, Process]) -> Iterator[dict[str, float]]:
    """Look at each process's memory twice a second, until the end of the block: it takes as long as the last fit."""
    most, over = memory_mb(workers), Event()

    def look() -> None:
        while not over.wait(0.5):
            for name, mb in memory_mb(workers).items():
                most[name] = max(most[name], mb)

    looking = Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        over.set()
        looking.join()


def behind(log: LagReader, ends: dict[tuple[str, int], int]) -> int:
    """Return how many records before some ends the sink has not stored."""
    passed = log.committed("sink", [*ends])
    return sum(max(0, end - passed[at]) for at, end in ends.items())


def publish(settings: Settings, first: int, number: int) -> None:
    """Publish labels at the rate, five of an item one after the other."""
    began = time.monotonic()
    with Producer(settings, source="load") as producer:
        for n in range(first, first + number):
            producer.label("p", f"i{n // 5}", f"a{n % 5}", "cat" if n % 3 else "dog")
            if not n % 500:
                time.sleep(max(0.0, began + (n - first) / RATE - time.monotonic()))


def memory_mb(workers: dict[str, Process]) -> dict[str, float]:
    """Return the memory of each worker with its children, and of the broker, MB, shared pages divided."""
    found = {name: sum(map(pss_mb, family(worker.pid))) for name, worker in workers.items()}
    broker = [pid for pid in family(os.getpid()) if "kafka.Kafka" in command(pid)]
    return {**found, "broker": sum(map(pss_mb, broker))}


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def command(pid: int) -> str:
    """Return what a process runs; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def pss_mb(pid: int) -> float:
    """Return a process's memory, MB; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


if __name__ == "__main__":
    publish(Settings.load(), *map(int, sys.argv[1:]))
