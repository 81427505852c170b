"""The sink's loop.

For all partitions that are due together it does, in this order:

1. commit the unchanged positions with the ranges in the metadata (the intent);
2. send dead letters and wait for them;
3. insert each range under its token (see `inserts`);
4. commit the positions behind the ranges.

A crash after any step is followed by the same ranges again (see `ledger`).
"""

import logging
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams import metrics
from streams.clients import CLIENT_LOG, heed, kafka, once_led
from streams.errors import LabelloopError, NotNow
from streams.settings import Settings
from streams.sinks import checks
from streams.sinks.inserts import MAX_WAIT_S, Inserts, Partition
from streams.sinks.ledger import Ledger, Range
from streams.sinks.letters import Letters
from streams.sinks.rows import CONSUMER, Raw
from streams.sinks.tables import TABLES
from streams.sinks.writer import Writer

MAX_RECORDS = 25_000
RANGE_BYTES = 4 * 1024 * 1024
"""What is enough of long records: the rows of a range take some twenty times their bytes while they are made."""
ALONG = 0.25
"""What has this share of a full range is written along with one: rows are made while another's are sent."""
MAX_BYTES = 16 * 1024 * 1024
"""Of all partitions together: what waits takes several times as much memory."""
FETCH_BYTES = 4 * 1024 * 1024
"""Of one answer of the broker, which is compressed and stays whole until its last record is taken."""
MAX_AGE_S = 1.0
MAX_PATIENCE_S = 10.0
"""The longest that a record waits where writes are slow: a wait of less than a few writes makes many small ones."""
IDLE_S = 0.1
"""With nothing new for so long at the end of a partition, what is there is written."""
SESSION_TIMEOUT_MS = 10_000
POLL_LIMIT_MS = 300_000
"""The group takes a member that asks for nothing for so long for dead."""
POLL_EVERY_S = 10.0
"""Between slow inserts it asks so often: those of one write may take longer than the limit, all together."""

log = logging.getLogger("labelloop.sink")

_KICKED = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._ASSIGNMENT_LOST,
    }
)
"""The group is being divided anew, and what this process holds is no longer its own."""

_RETRIED = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    }
)
"""The broker is away for now."""


class _Revoked(Exception):
    """The group took the partitions while their rows waited, or the process is asked to stop."""


class Sink:
    """Writes every topic that has a table; one process of any number.

    Args:
        settings: Where the servers are.
        builds: Build number by topic.
    """

    def __init__(self, settings: Settings, builds: Mapping[str, int]) -> None:
        self._settings = settings
        self._names = {settings.topic(name): name for name in TABLES}
        self._writer = Writer(settings.clickhouse)
        self._ledgers: dict[Partition, Ledger[Raw]] = {}
        self._since: dict[Partition, float] = {}
        self._ended: set[Partition] = set()
        self._patience_s = MAX_AGE_S
        self._stopping = False
        self._paused = False
        self._generation = self._writing = 0
        self._polled = 0.0  # when the group was asked last, monotonic seconds
        self._consumer = Consumer(
            {
                **kafka(settings),
                "group.id": settings.topic("sink"),
                "enable.auto.commit": False,
                "auto.offset.reset": "error",  # where to go on is decided with the assignment
                "isolation.level": "read_committed",
                "enable.partition.eof": True,  # tells the position behind control records
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                "max.poll.interval.ms": POLL_LIMIT_MS,
                "fetch.wait.max.ms": 100,
                "fetch.min.bytes": 1024 * 1024,  # a fetch names all partitions, and rows wait for others anyway
                "fetch.max.bytes": FETCH_BYTES,
                "queued.max.messages.kbytes": 16_384,
                "allow.auto.create.topics": False,
            },
            logger=CLIENT_LOG,
        )
        self._inserts = Inserts(self._names, builds, self._writer, Letters(settings), self._stay)

    def run(self) -> None:
        """Read and write until SIGTERM or SIGINT.

        Raises:
            LabelloopError: the server's deduplication windows are too small, or offsets are missing.
            TooManyBugs: too many records cannot be stored by a fault of ours.
            KafkaException: the group refused a commit or Kafka failed for good: start again.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._check_patiently()
        self._consumer.subscribe(list(self._names), on_assign=self._on_assign, on_revoke=self._on_revoke)
        try:
            while not self._stopping:
                came = self._read()
                with suppress(_Revoked):
                    self._write(self._due(idle=not came))
                self._resume()
            log.info("asked to stop")
        finally:
            self._consumer.close()
            self._inserts.close()
            self._writer.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _check_patiently(self) -> None:
        """Check the tables as soon as the server answers."""
        wait = 0.1
        while not self._stopping:
            try:
                checks.check_tables(self._writer)
                return
            except NotNow as error:
                log.warning("%s; trying again in %.1f s", error, wait)
                self._consumer.poll(wait)  # not yet in the group: no more than a pause
                wait = min(wait * 2, MAX_WAIT_S)

    # Reading

    def _read(self) -> bool:
        """Take what has come; return whether there were records."""
        now, came = time.monotonic(), False
        self._polled = now
        for message in self._consumer.consume(5_000, timeout=IDLE_S):
            came = self._take(message, now) or came
        return came

    def _take(self, message: Message, now: float) -> bool:
        """Take a record or what the broker says of a partition; return whether it is a record."""
        error, offset = message.error(), int(message.offset() or 0)
        partition = (str(message.topic()), int(message.partition() or 0))
        ledger = self._ledgers.get(partition)
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                if ledger is not None:
                    ledger.reach(offset)
                    self._ended.add(partition)
            elif error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise KafkaException(error)  # the next assignment finds the place to go on at
            else:
                heed(error, self._settings)
            return False
        if ledger is None:
            return False  # of an assignment that is gone
        value = message.value()
        self._since.setdefault(partition, now)
        self._ended.discard(partition)
        ledger.add(offset, Raw(offset, message.timestamp()[1], message.key(), value), len(value or b""))
        return True

    def _due(self, *, idle: bool) -> list[Partition]:
        now, ledgers = time.monotonic(), self._ledgers.values()
        whole = sum(ledger.size for ledger in ledgers)
        full = any(ledger.waiting >= MAX_RECORDS or ledger.size >= RANGE_BYTES for ledger in ledgers)
        records, size = (MAX_RECORDS * ALONG, RANGE_BYTES * ALONG) if full else (MAX_RECORDS, RANGE_BYTES)
        return [
            partition
            for partition, ledger in self._ledgers.items()
            if ledger.due(
                (idle and partition in self._ended)  # a broker that takes its time is not the end
                or whole >= MAX_BYTES
                or ledger.waiting >= records
                or ledger.size >= size
                or now - self._since.get(partition, now) >= self._patience_s
            )
        ]

    # Writing

    def _write(self, partitions: Sequence[Partition]) -> None:
        if not partitions:
            return
        started, self._writing = time.monotonic(), self._generation
        ranges = {partition: self._ledgers[partition].close() for partition in partitions}
        intents = [
            TopicPartition(*partition, self._ledgers[partition].position, range_.dump())
            for partition, (range_, _) in ranges.items()
            if range_ is not None
        ]
        if intents:
            self._commit(intents)
        stored: dict[Partition, int] = {}
        try:
            for partition, (range_, records) in ranges.items():
                if time.monotonic() - self._polled > POLL_EVERY_S:
                    self._stay(IDLE_S)
                if range_ is not None and records:
                    stored[partition] = self._inserts.store(partition, range_, records)
            self._inserts.finish()
        finally:
            self._inserts.give_up()
        positions = [
            TopicPartition(*partition, self._ledgers[partition].passed(range_))
            for partition, (range_, _) in ranges.items()
        ]
        self._commit(positions)
        for partition in partitions:
            if self._ledgers[partition].waiting:
                self._since[partition] = started  # what came behind a noted range
            else:
                self._since.pop(partition, None)
        for partition, count in stored.items():
            metrics.RECORDS.labels(CONSUMER, self._names[partition[0]]).inc(count)
            metrics.BATCH_RECORDS.labels(CONSUMER).observe(count)
        took = time.monotonic() - started
        self._patience_s = min(MAX_PATIENCE_S, max(MAX_AGE_S, 4 * took))
        metrics.COMMIT_SECONDS.labels(CONSUMER).observe(took)

    def _commit(self, offsets: list[TopicPartition]) -> None:
        """Commit; while the broker is away, try again.

        A commit of positions that never succeeds does no harm: the next owner inserts the noted ranges again, and
        their tokens make that change nothing.
        """
        wait = 0.1
        while True:
            try:
                committed = self._consumer.commit(offsets=offsets, asynchronous=False)
                error = next((p.error for p in committed or () if p.error), None)
            except KafkaException as failure:
                error = failure.args[0]
            if error is None:
                return
            if error.code() in _KICKED:
                raise _Revoked
            if error.code() not in _RETRIED:
                raise KafkaException(error)
            log.warning("Kafka: %s; trying again in %.1f s", error.str(), wait)
            self._stay(wait)
            wait = min(wait * 2, MAX_WAIT_S)

    def _stay(self, seconds: float) -> None:
        """Keep the membership alive without reading on: memory must not grow while the server is away or slow.

        Raises:
            _Revoked: the group is divided anew since the write began, or the process is to stop.
        """
        self._paused = True
        self._consumer.pause(self._consumer.assignment())
        limit = time.monotonic() + seconds
        while (now := time.monotonic()) < limit:
            message, self._polled = self._consumer.poll(0.05), now
            if message is not None:
                self._take(message, now)
            if self._generation != self._writing:
                raise _Revoked
            if self._stopping:
                raise _Revoked  # what is not inserted is inserted by the next start

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._consumer.resume(self._consumer.assignment())

    # Assignment

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._generation += 1
        committed = consumer.committed(partitions, timeout=30)
        filled = checks.filled(self._writer) if any(found.offset < 0 for found in committed) else set()
        for found in committed:
            if found.error:
                raise KafkaException(found.error)
            name, number = found.topic, found.partition
            low, high = once_led(partial(consumer.get_watermark_offsets, TopicPartition(name, number), 30))
            if found.offset < 0 and (self._names[name], number) in filled:
                raise LabelloopError(
                    f"group {self._settings.topic('sink')} has no offset for {name}-{number}, yet its table has rows: "
                    "the broker forgot it; restore the group's offsets, or empty the table"
                )
            if found.offset > high:
                raise LabelloopError(
                    f"{name}-{number} ends at {high}, yet {found.offset} records of it are stored: the topic was made "
                    f"anew; empty its table and delete the group's offsets of it ({self._settings.topic('sink')})"
                )
            if 0 <= found.offset < low:
                log.warning("%s-%d begins at %d: what lay from %d on was deleted", name, number, low, found.offset)
            ledger = Ledger[Raw](max(0, found.offset), Range.parse(found.metadata))
            ledger.reach(low)
            self._ledgers[name, number] = ledger
        consumer.assign(
            [TopicPartition(t, p, ledger.reached or OFFSET_BEGINNING) for (t, p), ledger in self._ledgers.items()]
        )
        consumer.resume(consumer.assignment())  # librdkafka keeps a pause over the loss of the partition
        self._paused = False
        log.info("%d partitions are ours", len(partitions))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop what waits: nothing of it is committed, the next owner reads it again."""
        self._generation += 1
        self._ledgers.clear()
        self._since.clear()
        self._ended.clear()
