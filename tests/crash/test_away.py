"""ClickHouse is away for minutes under load: memory stays what it was, and what waited is caught up sooner."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.producers.producer import Producer
from streams.query.lag import LagReader
from streams.query.wait import wait
from streams.settings import Settings
from tests.crash.cluster import ROOT
from tests.crash.real import Process, running
from tests.integration.sinking import count, prepare, sibling
from tests.integration.test_sink_crash import OwnServer
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(1800)]

FIRST, RATE, AWAY_S, GROWTH_MB = 10_000, 5_000, 300, 200.0

FACTS = ("labels",)
"""What is published, and what the sink has to catch up with, however far the processors are."""


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Iterator[tuple[Settings, OwnServer]]:
    """Return a ClickHouse of the test's own, and the settings with it."""
    home = tmp_path / "own"
    home.mkdir()
    server = OwnServer(home)
    with server.running():
        yield prepare(server.settings(settings)), server


def test_clickhouse_is_away_under_load(own: tuple[Settings, OwnServer]) -> None:
    """Its absence costs no memory: the same load is run while it is there, and then while it is away.

    What items and fitter keep of each fact they keep in both.
    """
    settings, server = own
    usual = under_load(prepare(sibling(settings, "usual")), None)
    away = under_load(settings, server)
    grown = {name: round(away[name] - usual[name]) for name in usual}
    print(f"most memory, MB: {usual} while ClickHouse is there; away: {grown} more")
    assert sum(max(0, mb) for mb in grown.values()) <= GROWTH_MB  # what one of them takes less hides no other's growth


def under_load(settings: Settings, server: OwnServer | None) -> dict[str, float]:
    """Run workers of their own under the load, with the server killed for its time; return each one's most memory."""
    with ExitStack() as stack:
        workers = {
            words[0]: stack.enter_context(running(settings, *words))
            for words in (("items", "--slot", "0"), ("quality", "--slot", "0"), ("sink",))
        }
        publish(settings, 0, FIRST)
        wait(settings, 300)
        if server is not None:
            server.kill()
        began = time.monotonic()
        most = load(settings, workers, FIRST, AWAY_S * RATE)
        with LagReader(settings) as log:
            ends = log.settled_offsets(FACTS)
            waiting = behind(log, ends)
            if server is not None:
                server.start()
            gone, began = time.monotonic() - began, time.monotonic()

            def is_caught_up() -> bool:
                raise_to(most, memory_mb(workers))
                return behind(log, ends) == 0

            eventually(is_caught_up, "the sink has stored what waited", gone)
            caught_up = time.monotonic() - began
        wait(settings, 1200)
        raise_to(most, memory_mb(workers))
        print(
            f"{gone:.0f} s, {AWAY_S * RATE / gone:,.0f} facts a second, {waiting:,} waited; "
            f"caught up in {caught_up:.0f} s"
        )
        assert count(settings, "uniqExact(event_id)") == FIRST + AWAY_S * RATE
        assert [worker.log() for worker in workers.values() if worker.ended() is not None] == []
        return {name: round(mb) for name, mb in most.items()}


def load(settings: Settings, workers: dict[str, Process], first: int, number: int) -> dict[str, float]:
    """Publish labels at the rate, by a process of its own; return the most memory of each process meanwhile, MB."""
    most = memory_mb(workers)
    with subprocess.Popen(command(first, number), env=environment(settings), cwd=ROOT) as publishing:
        while publishing.poll() is None:
            raise_to(most, memory_mb(workers))
            time.sleep(0.5)
    assert publishing.returncode == 0
    return most


def raise_to(most: dict[str, float], now: dict[str, float]) -> None:
    for name, mb in now.items():
        most[name] = max(most[name], mb)


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


def command(first: int, number: int) -> list[str]:
    return [sys.executable, "-m", "tests.crash.test_away", str(first), str(number)]


def environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, **settings.environment()}


def memory_mb(workers: dict[str, Process]) -> dict[str, float]:
    """Return the memory of each worker with its children, and of the broker, MB, shared pages divided."""
    found = {name: sum(map(pss_mb, family(worker.pid))) for name, worker in workers.items()}
    broker = [pid for pid in family(os.getpid()) if "kafka.Kafka" in Path(f"/proc/{pid}/cmdline").read_text()]
    return {**found, "broker": sum(map(pss_mb, broker))}


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def pss_mb(pid: int) -> float:
    """Return a process's memory, MB; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


if __name__ == "__main__":
    publish(Settings.load(), *map(int, sys.argv[1:]))
