"""What the crash tests do to workers and ask of the broker."""

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from streams import codec
from streams.catalogue import TOPICS
from tests.crash import work
from tests.crash.app import Config

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""Longest wait for anything: the machine may be busy with other things."""

_numbers = itertools.count()


class Stored(NamedTuple):
    """A record as read back."""

    partition: int
    offset: int
    key: bytes
    value: bytes


class Offsets(NamedTuple):
    """Committed position, read_uncommitted end and commit metadata by topic and partition."""

    committed: dict[tuple[str, int], int]
    ends: dict[tuple[str, int], int]
    metadata: dict[tuple[str, int], str]

    @property
    def lag(self) -> int:
        """Records and control records that were not passed yet."""
        return sum(end - max(0, self.committed[tp]) for tp, end in self.ends.items())


def wait_until(condition: Callable[[], bool], what: str, patience: float = PATIENCE_S) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it does not within `patience` seconds.
    """
    limit = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < limit, f"waited {patience:.0f} s for: {what}"
        time.sleep(0.05)


def read(servers: str, topic: str, isolation: str = "read_committed") -> list[Stored]:
    """Return all records of a topic up to its present end, by partition and offset."""
    return sorted(each(servers, topic, isolation))


def each(servers: str, topic: str, isolation: str = "read_committed") -> Iterator[Stored]:
    """Yield the same as they come."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "reader",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )
    with contextlib.closing(consumer):
        open_partitions = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in open_partitions])
        limit = time.monotonic() + PATIENCE_S
        while open_partitions:
            assert time.monotonic() < limit, f"{topic} cannot be read to its end"
            for message in consumer.consume(5000, 0.1):
                error = message.error()
                if error is None:
                    partition, offset = message.partition(), message.offset()
                    assert partition is not None
                    assert offset is not None
                    yield Stored(partition, offset, message.key() or b"", message.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition() or 0)
                else:
                    raise KafkaException(error)


class Worker:
    """A worker process.

    Args:
        config: How it runs.
        log: File its output is appended to.
    """

    def __init__(self, config: Config, log: Path) -> None:
        self.config, self._log = config, log
        self._from = log.stat().st_size if log.exists() else 0
        self.started = time.monotonic()
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.app", config.dump()],
                stdout=out,
                stderr=out,
                cwd=ROOT,
                start_new_session=True,
            )

    def log(self) -> str:
        """Return what this process has logged so far."""
        return self._log.read_bytes()[self._from :].decode(errors="replace")

    def wait_for(self, text: str, times: int = 1) -> float:
        """Wait until a text was logged; return the seconds since the start."""

        def seen() -> bool:
            found = self.log().count(text) >= times
            assert found or self.process.poll() is None, f"exit {self.process.returncode}\n{self.log()[-4000:]}"
            return found

        wait_until(seen, f"{text!r} in the log")
        return time.monotonic() - self.started

    def wait(self) -> int:
        """Wait for its end; return the exit status."""
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it as by kill -9."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """Ask it to stop; return the exit status."""
        self.process.terminate()
        return self.wait()

    def freeze(self) -> None:
        """Stop it in its tracks."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


class Cluster:
    """Topics of one test with their workers.

    Args:
        kafka: Bootstrap servers.
        home: Directory of the test.
        store: State store of the workers.
    """

    def __init__(self, kafka: str, home: Path, store: str) -> None:
        self.prefix = f"crash{time.time_ns() % 10**9}-{next(_numbers)}"
        self.home, self.log, self._kafka = home, list[work.Event](), kafka
        self.config = Config(kafka, str(home), self.prefix, store)
        self._admin = AdminClient({"bootstrap.servers": kafka})
        self._workers: list[Worker] = []
        self.create(*work.SOURCES, work.OUTPUT, work.CHANGELOG, "dead-letters")

    def topic(self, name: str) -> str:
        """Return the full name of a topic."""
        return f"{self.prefix}.{name}"

    def create(self, *names: str, **config: str) -> None:
        """Create topics of the catalogue and wait until they can be used."""
        new = [
            NewTopic(
                self.topic(name),
                TOPICS[name].partitions or self.config.partitions,
                1,
                config={**TOPICS[name].config(), **config},
            )
            for name in names
        ]
        for future in self._admin.create_topics(new).values():
            future.result(PATIENCE_S)

        def ready() -> bool:
            topics = self._admin.list_topics(timeout=10).topics
            return all(
                topic.topic in topics and all(p.leader >= 0 for p in topics[topic.topic].partitions.values())
                for topic in new
            )

        wait_until(ready, "topics")

    def recreate(self, name: str, **config: str) -> None:
        """Delete a topic and create it anew."""
        self._admin.delete_topics([self.topic(name)])[self.topic(name)].result(PATIENCE_S)
        wait_until(lambda: self.topic(name) not in self._admin.list_topics(timeout=10).topics, "the topic's end")
        self.create(name, **config)

    # Workers

    def worker(self, slot: int = 0, **changes: Any) -> Worker:
        """Start a worker in a slot."""
        config = replace(self.config, slot=slot, **changes)
        worker = Worker(config, self.home / f"worker-{slot}.log")
        self._workers.append(worker)
        return worker

    def end(self) -> None:
        """Kill what still runs."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.kill()

    # Input

    def load(self, log: Iterable[work.Event], transaction: int = 0) -> None:
        """Publish events; `transaction`: so many in a transaction, which leaves control records in the topic."""
        config: dict[str, Any] = {
            "bootstrap.servers": self._kafka,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": 20,
            "queue.buffering.max.messages": 500_000,
        }
        if transaction:
            config["transactional.id"] = f"{self.prefix}-load"
        producer = Producer(config)
        if transaction:
            producer.init_transactions(PATIENCE_S)
            producer.begin_transaction()
        for number, event in enumerate(log, 1):
            producer.produce(self.topic(event.topic), event.value, event.key)
            self.log.append(event)
            if transaction and number % transaction == 0:
                producer.commit_transaction(PATIENCE_S)
                producer.begin_transaction()
        if transaction:
            producer.commit_transaction(PATIENCE_S)
        assert producer.flush(PATIENCE_S) == 0

    # What came out

    def read(self, name: str, isolation: str = "read_committed") -> list[Stored]:
        """Return all records of a topic of this test, see `read`."""
        return read(self._kafka, self.topic(name), isolation)

    def offsets(self) -> Offsets:
        """Return how far the group has come; a broker that is away is asked again."""
        limit = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._offsets()
            except KafkaException:
                if time.monotonic() > limit:
                    raise
                self._admin = AdminClient({"bootstrap.servers": self._kafka})  # the old one keeps stale leader epochs

    def _offsets(self) -> Offsets:
        partitions = [
            TopicPartition(self.topic(name), partition)
            for name in work.SOURCES
            for partition in range(self.config.partitions)
        ]
        consumer = Consumer(
            {"bootstrap.servers": self._kafka, "group.id": self.topic("items"), "isolation.level": "read_uncommitted"}
        )
        with contextlib.closing(consumer):
            committed = consumer.committed(partitions, timeout=20)
        ends = self._admin.list_offsets(
            {tp: OffsetSpec.latest() for tp in partitions},  # type: ignore[no-untyped-call]
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
        )
        return Offsets(
            {(p.topic, p.partition): p.offset for p in committed},
            {(p.topic, p.partition): future.result(20).offset for p, future in ends.items()},
            {(p.topic, p.partition): p.metadata or "" for p in committed},
        )

    def drain(self, *alive: Worker) -> None:
        """Wait until the group has passed everything."""

        def drained() -> bool:
            for worker in alive:
                assert worker.process.poll() is None, f"exit {worker.process.returncode}\n{worker.log()[-4000:]}"
            return self.offsets().lag == 0

        wait_until(drained, "the group to pass everything")

    def worker_until_drained(self, **changes: Any) -> Worker:
        """Start a worker, and again whenever it ends with 70, until the group has passed everything; return it."""
        limit = time.monotonic() + 2 * PATIENCE_S
        worker = self.worker(**changes)
        while self.offsets().lag:
            assert time.monotonic() < limit, "the group never passes everything"
            if (status := worker.process.poll()) is not None:
                assert status == 70, worker.log()[-4000:]
                worker = self.worker(**changes)
            time.sleep(0.05)
        return worker

    def abort_in_changelog(self) -> None:
        """Leave an aborted transaction at the end of every partition of the changelog."""
        producer = Producer({"bootstrap.servers": self._kafka, "transactional.id": f"{self.prefix}-noise"})
        producer.init_transactions(PATIENCE_S)
        producer.begin_transaction()
        for partition in range(self.config.partitions):
            for _ in range(50):
                producer.produce(self.topic(work.CHANGELOG), b"{}", b"noise", partition)
        producer.flush(PATIENCE_S)
        producer.abort_transaction(PATIENCE_S)

    @contextlib.contextmanager
    def dead_worker(self, events: int) -> Iterator[Callable[[], None]]:
        """Hold the effects of `events` records of one partition in an open transaction; yield what commits it."""
        topic, partition = self.topic(work.SOURCES[0]), 0
        position = max(0, self.offsets().committed[topic, partition])
        rows, _ = work.expected(self.log[: len(self.log) // 2])
        producer = Producer(
            {
                "bootstrap.servers": self._kafka,
                "partitioner": "murmur2_random",
                "transactional.id": f"{self.prefix}-dead",
                "transaction.timeout.ms": 60_000,
            }
        )
        producer.init_transactions(PATIENCE_S)
        producer.begin_transaction()
        mine = [r for r in self.read(work.SOURCES[0]) if r.partition == partition and r.offset >= position][:events]
        for record in mine:
            row = rows.setdefault(record.key, work.new_row())
            if work.apply(row, record.value):
                producer.produce(self.topic(work.OUTPUT), work.output(record.key, row), record.key)
        for key in {record.key for record in mine}:
            producer.produce(self.topic(work.CHANGELOG), json.dumps(rows[key]).encode(), key, partition)
        producer.flush(PATIENCE_S)
        # the group is empty, so the metadata of nobody will do
        nobody = b"CGMDv2:" + (-1).to_bytes(4, "little", signed=True) + self.topic("items").encode() + b"\0\0\x01"
        producer.send_offsets_to_transaction(
            [TopicPartition(topic, partition, mine[-1].offset + 1)],
            nobody,
            PATIENCE_S,
        )
        yield lambda: producer.commit_transaction(PATIENCE_S)

    def wait_for_progress(self) -> None:
        """Wait until something more was committed, but not everything."""
        before = self.offsets().lag
        wait_until(lambda: self.offsets().lag < before, "progress")

    def verify(self, log: Iterable[work.Event] | None = None) -> None:
        """Check that every change is visible exactly once, in order, and that the state equals the offline one."""
        rows, outputs = work.expected(self.log if log is None else log)
        seen: Counter[tuple[bytes, int]] = Counter()
        last: dict[bytes, int] = {}
        for record in self.read(work.OUTPUT):
            version = json.loads(record.value)["version"]
            assert outputs.get((record.key, version)) == record.value, f"wrong output {record}"
            assert version > last.get(record.key, 0), f"out of order: {record}"
            last[record.key] = version
            seen[record.key, version] += 1
        twice = [change for change, times in seen.items() if times > 1]
        assert not twice, f"{len(twice)} outputs twice"
        assert len(seen) == len(outputs), f"{len(outputs) - len(seen)} outputs missing"
        self._verify_changelog(rows)

    def _verify_changelog(self, rows: dict[bytes, dict[str, Any]]) -> None:
        state: dict[bytes, dict[str, Any]] = {}
        owners = defaultdict(set)
        for record in self.read(work.CHANGELOG):
            row = json.loads(record.value)
            assert record.key not in state or row["version"] > state[record.key]["version"], f"stale row {record}"
            state[record.key] = row
            owners[record.key].add(record.partition)
        assert state == rows
        assert all(len(partitions) == 1 for partitions in owners.values())

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return the dead letters."""
        return [codec.decode(record.value)[1] for record in self.read("dead-letters")]

    def visible(self) -> dict[tuple[str, str], int]:
        """Return the number of records of the derived topics, by topic and isolation level."""
        return {
            (name, isolation): len(self.read(name, isolation))
            for name in (work.OUTPUT, work.CHANGELOG)
            for isolation in ("read_committed", "read_uncommitted")
        }


@contextlib.contextmanager
def cluster(kafka: str, home: Path, store: str) -> Iterator[Cluster]:
    """Make the topics of a test; kill its workers in the end."""
    made = Cluster(kafka, home, store)
    try:
        yield made
    finally:
        made.end()
