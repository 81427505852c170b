"""A broker that stops or is killed: a worker survives it or ends with 70; nothing is lost, doubled or left hanging."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from streams.embedded import child, kafka_server, launch, ports
from streams.embedded import kafka as broker
from streams.query.lag import LagReader
from streams.settings import ClickHouseAddress, Settings
from streams.transport import topics
from tests.crash import work
from tests.crash.app import Config
from tests.crash.cluster import Worker, cluster, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(300)]


ADDRESS = ClickHouseAddress("nowhere", 1, "nobody", "")


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

    def kill(self) -> None:
        """End it as by kill -9."""
        assert self._running is not None
        child.kill(self._running)
        self._running = None

    def prepare(self, changes: str = "") -> tuple[Path, tuple[str, ...]]:
        """Write its configuration, with other settings after it; return that file and the command to run it."""
        process = broker.prepare(self._home / "kafka", self._ports["kafka"], self._ports["controller"])
        config = self._home / "kafka" / "server.properties"
        config.write_text(config.read_text() + changes)
        return config, process.argv

    def ended_in_order(self) -> bool:
        """Return whether its files say so."""
        return (self._home / "kafka" / "log" / kafka_server.CLEAN).exists()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "broker")
    made.start()
    yield made
    made.stop()


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_that_starts_as_the_broker_dies_gets_ready_or_ends(own_broker: Broker, tmp_path: Path) -> None:
    """Each time at another moment of the start: it must not stand still for good."""
    for n in range(12):
        (tmp_path / str(n)).mkdir()
        with cluster(own_broker.address, tmp_path / str(n), "memory") as case:
            case.load(work.events(100))
            worker = case.worker()
            worker.wait_for("starts in slot" if n % 2 else "partitions assigned")
            time.sleep(0.03 * n)
            own_broker.kill()
            own_broker.start()

            def is_ready_or_ended(worker: Worker = worker) -> bool:
                return "ready," in worker.log() or worker.process.poll() is not None

            wait_until(is_ready_or_ended, f"the worker to get ready, or to end: {n}", 100)
            assert worker.process.poll() in (None, 70)
            case.end()
            case.worker_until_drained()
            case.verify()


@pytest.mark.slow
def test_no_broker(tmp_path: Path) -> None:
    """Without a broker a worker asks to be restarted."""
    worker = Worker(Config("127.0.0.1:1", str(tmp_path), "crash"), tmp_path / "log")
    assert worker.wait() == 70
    assert "does not answer" in worker.log()


def test_a_kill_leaves_no_transaction_hanging(own_broker: Broker) -> None:
    """What was open when the broker died is aborted when its time is over, and readers pass it."""
    admin = AdminClient({"bootstrap.servers": own_broker.address})
    admin.create_topics([NewTopic("outputs", 1, 1)])["outputs"].result(30)

    def end(isolation: IsolationLevel) -> int:
        partition = TopicPartition("outputs", 0)
        asked = admin.list_offsets({partition: OffsetSpec.latest()}, isolation_level=isolation, request_timeout=10)  # type: ignore[no-untyped-call]
        return int(asked[partition].result(15).offset)

    producer = Producer(
        {"bootstrap.servers": own_broker.address, "transactional.id": "dies", "transaction.timeout.ms": 3000}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("outputs", b"never committed")
    assert producer.flush(30) == 0
    own_broker.kill()
    assert not own_broker.ended_in_order()
    own_broker.start()
    wait_until(lambda: end(IsolationLevel.READ_UNCOMMITTED) == 2, "the marker of the abort")
    assert end(IsolationLevel.READ_COMMITTED) == 2
    own_broker.stop()
    assert own_broker.ended_in_order()


def test_offsets_are_told_after_a_kill_by_who_asked_before(own_broker: Broker, tmp_path: Path) -> None:
    """The metrics page asks by one connection for months; a killed broker has moved the epochs of all leaders."""
    settings = Settings(tmp_path, own_broker.address, ADDRESS, ADDRESS)
    topics.ensure(settings)
    with LagReader(settings) as reader:
        ends = reader.end_offsets(["labels"])
        own_broker.kill()
        own_broker.start()
        assert reader.end_offsets(["labels"]) == ends


def test_a_killed_brokers_registration_is_retired_for_good(own_broker: Broker) -> None:
    """The quorum is not stopped before its fencing is in the log, however long that waits for company."""
    own_broker.kill()
    config, command = own_broker.prepare("controller.quorum.append.linger.ms=4000\n")
    kafka_server.retire(config, list(command[4:]))
    (config.parent / "log" / kafka_server.CLEAN).touch()  # so that the start trusts what was done
    own_broker.start()


def test_a_broker_comes_back_after_a_start_that_failed(own_broker: Broker, tmp_path: Path) -> None:
    """Such a start leaves Kafka's mark of an end in order, and the killed broker's registration as it was."""
    own_broker.kill()
    config, command = own_broker.prepare("initial.broker.registration.timeout.ms=2000\n")
    (config.parent / "log" / kafka_server.CLEAN).touch()
    failed = child.spawn(command, tmp_path / "failed.log", os.environ, tmp_path)
    assert failed.wait(90) == 1
    assert "unable to register with the controller quorum" in (tmp_path / "failed.log").read_text()
    assert own_broker.ended_in_order()
    own_broker.start()
