"""What a worker reads and writes beside Faust: whole partitions without a group, and records without a transaction."""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, heed, heed_hidden, kafka, once_led, reading
from streams.errors import NotNow
from streams.settings import Settings

_LIMIT_S = 10.0

_STALL_S = 20.0
"""How long a partition may stand still short of its end: a client that lost its way after a broker's death says nothing
of it."""

_TURN_S = 1.0
"""How long one turn of reading lasts at most, however fast records come."""


class Read(NamedTuple):
    """A record: topic, partition, log time (ms), value, key and offset."""

    topic: str
    partition: int
    log_time: int
    value: bytes | None
    key: bytes | None
    offset: int


class Follower:
    """Reads committed records of partitions that are named, from their beginning or from now on.

    Args:
        settings: Where Kafka is.
        whole: Full names of the topics that are read from their beginning.
        news: Full names of the topics of which only what comes from now on is read.
    """

    def __init__(self, settings: Settings, whole: Iterable[str], news: Iterable[str] = ()) -> None:
        self._settings = settings
        self._starts = {**dict.fromkeys(whole, OFFSET_BEGINNING), **dict.fromkeys(news, OFFSET_END)}
        self._positions: dict[tuple[str, int], int] = {}
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}  # position and end at the last look for a stall
        self._look_at = 0.0
        self._consumer = Consumer(
            {
                **reading(settings),
                "auto.offset.reset": "error",  # to jump to the end would leave out what is read whole
                "fetch.wait.max.ms": 50,
            },
            logger=CLIENT_LOG,
        )

    def assign(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Read these partitions (topic and number) and no others, from their starts."""
        wanted = {*partitions}
        self._positions, self._seen = {}, dict.fromkeys(wanted, (-1, -1))
        self._look_at = time.monotonic() + _STALL_S
        self._consumer.assign([TopicPartition(topic, number, self._starts[topic]) for topic, number in wanted])

    def read(self, seconds: float) -> Iterator[Read]:
        """Yield what is there after so many seconds.

        Raises:
            NotNow: a partition stands still although there is more to read, or what comes next is gone.
            Denied: the user may not read it.
        """
        now = time.monotonic()
        if now >= self._look_at:
            self._look()
            self._look_at = now + _STALL_S
        while messages := self._consumer.consume(2000, timeout=seconds):
            seconds = 0.0
            for message in messages:
                failure, at = message.error(), (message.topic() or "", message.partition() or 0)
                if failure is None:
                    self._positions[at] = (message.offset() or 0) + 1
                    yield Read(*at, message.timestamp()[1], message.value(), message.key(), message.offset() or 0)
                elif failure.code() == KafkaError._PARTITION_EOF:
                    self._positions[at] = max(self._positions.get(at, 0), message.offset() or 0)
                elif failure.code() == KafkaError._AUTO_OFFSET_RESET:
                    heed_hidden(self._consumer, at[0], self._settings)
                    raise NotNow(f"{at[0]}-{at[1]} lost what was to be read next: {failure}")
                else:
                    heed(failure, self._settings)
            if time.monotonic() >= now + _TURN_S:
                return

    def _look(self) -> None:
        """Compare where each partition is with where it was, and was to go, at the last look."""
        for (topic, partition), (before, end) in self._seen.items():
            position = self.position(topic, partition)
            if position == before and position < end:
                raise NotNow(f"{topic}-{partition} stands still at offset {position}")
            try:
                self._seen[topic, partition] = position, self.end(topic, partition)
            except NotNow:  # a broker that is away is waited for
                return

    def position(self, topic: str, partition: int) -> int:
        """Return the offset up to which a partition is read, 0 before anything is known."""
        return self._positions.get((topic, partition), 0)

    def knows(self, topic: str, partition: int) -> bool:
        """Return whether a partition was read to what was its end."""
        return (topic, partition) in self._positions

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()

    def end(self, topic: str, partition: int) -> int:
        """Return the offset at which a partition ends now for a reader of committed records.

        Raises:
            NotNow: the broker does not answer.
        """
        try:
            at = TopicPartition(topic, partition)
            return once_led(partial(self._consumer.get_watermark_offsets, at, timeout=_LIMIT_S))[1]
        except KafkaException as error:
            heed(error, self._settings)
            heed_hidden(self._consumer, topic, self._settings)  # then the client says no more than that it timed out
            raise NotNow(f"{topic}: {error}") from error


class Publisher:
    """Writes records, in order and each once, outside any transaction.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                **kafka(settings),
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "partitioner": "murmur2_random",
            },
            logger=CLIENT_LOG,
        )

    def send(self, topic: str, records: Iterable[tuple[bytes, bytes]], partition: int = -1) -> None:
        """Write records (key, value) and return when all of them are there.

        Raises:
            NotNow: the broker did not take them all.
            Denied: the user may not write them.
        """
        for key, value in records:
            while True:
                try:
                    self._producer.produce(topic, value, key, partition, on_delivery=self._delivered)
                except BufferError:
                    self._producer.poll(0.1)
                else:
                    break
        try:
            left = self._producer.flush(30)
        except KafkaException as error:
            heed(error, self._settings)
            raise NotNow(f"{topic}: {error}") from error
        if self._failed is not None:
            heed(self._failed, self._settings)
        if left or self._failed is not None:
            raise NotNow(f"{topic}: not all records were taken: {self._failed or 'no answer'}")

    def _delivered(self, error: KafkaError | None, message: object) -> None:
        self._failed = self._failed or error
