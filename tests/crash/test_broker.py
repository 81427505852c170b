"""A broker that is away for a while: a worker survives it or ends with 70; nothing is lost and nothing doubled."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded import child, launch, ports
from streams.embedded import kafka as broker
from tests.crash import work
from tests.crash.app import Config
from tests.crash.cluster import Worker, cluster, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(300)]


class Broker:
    """A broker of the test's own, which may be restarted.

    Args:
        home: Folder of its files.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self._home = home
        self._ports, _ = ports.assign(home, ("kafka", "controller"))
        self._running: subprocess.Popen[bytes] | None = None
        self.address = f"{ports.LOCALHOST}:{self._ports['kafka']}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        process = broker.prepare(self._home / "kafka", self._ports["kafka"], self._ports["controller"])
        self._running = launch.start(process, self._home)
        launch.wait_ready([(process, self._running)], self._home)

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._running is not None:
            child.stop(self._running, 20)
            self._running = None


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "broker")
    made.start()
    yield made
    made.stop()


def test_broker_restarts_in_mid_run(own_broker: Broker, tmp_path: Path) -> None:
    with cluster(own_broker.address, tmp_path, "memory") as case:
        case.load(work.events(20_000))
        worker = case.worker(slow=0.1, batch=500)
        worker.wait_for("first batch")
        case.wait_for_progress()
        own_broker.stop()
        own_broker.start()
        back = case.offsets().lag

        def goes_on_or_ends() -> bool:
            return case.offsets().lag < back or worker.process.poll() is not None

        wait_until(goes_on_or_ends, "the worker to go on, or to end")  # it must not stand still
        assert worker.process.poll() in (None, 70)
        case.end()
        worker = case.worker_until_drained()
        assert worker.terminate() == 0
        case.verify()


def test_no_broker(tmp_path: Path) -> None:
    """Without a broker a worker asks to be restarted."""
    worker = Worker(Config("127.0.0.1:1", str(tmp_path), "crash"), tmp_path / "log")
    assert worker.wait() == 70
    assert "does not answer" in worker.log()
