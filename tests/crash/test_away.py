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
from streams.query.wait import wait
from streams.settings import Settings
from tests.crash.cluster import ROOT
from tests.crash.real import Process, behind, running
from tests.integration.sinking import count, prepare
from tests.integration.test_sink_crash import OwnServer
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(1800)]

AWAY_S, RATE, GROWTH_MB = 300, 5_000, 200.0


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Iterator[tuple[Settings, OwnServer]]:
    """Return a ClickHouse of the test's own, and the settings with it."""
    home = tmp_path / "own"
    home.mkdir()
    server = OwnServer(home)
    with server.running():
        yield prepare(server.settings(settings)), server


def test_clickhouse_is_away_under_load(own: tuple[Settings, OwnServer]) -> None:
    settings, server = own
    with ExitStack() as stack:
        workers = {
            words[0]: stack.enter_context(running(settings, *words))
            for words in (("items", "--slot", "0"), ("quality", "--slot", "0"), ("sink",))
        }
        publish(settings, 0, 10 * RATE)
        wait(settings, 300)
        server.kill()
        before = memory_mb(workers)
        began, most, sent = time.monotonic(), before, 10 * RATE
        with subprocess.Popen(command(sent, AWAY_S * RATE), env=environment(settings), cwd=ROOT) as load:
            while load.poll() is None:
                most = {name: max(most[name], mb) for name, mb in memory_mb(workers).items()}
                time.sleep(0.5)
        assert load.returncode == 0
        away = time.monotonic() - began
        waiting = behind(settings, "sink")
        server.start()
        began = time.monotonic()
        eventually(lambda: behind(settings, "sink") == 0, "the sink has caught up", away)
        caught_up = time.monotonic() - began
        wait(settings, 600)
        growth = sum(most.values()) - sum(before.values())
        print(
            f"away {away:.0f} s, {AWAY_S * RATE / away:,.0f} events a second, {waiting:,} records waited; caught up in "
            f"{caught_up:.0f} s; memory {before} MB, at most {most} MB"
        )
        assert growth <= GROWTH_MB
        assert count(settings, "uniqExact(event_id)") == sent + AWAY_S * RATE
        assert [worker.log() for worker in workers.values() if worker.ended() is not None] == []


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
