"""Writes records to the offsets they must have, and makes the holes between them."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streams.backup.holes import Abort, Append, Commit, Mark, Write
from streams.backup.manifest import Part
from streams.backup.rows import Record
from streams.catalogue import TOPICS
from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, kafka, once_led, reading, said
from streams.errors import LabelloopError
from streams.settings import Settings

LIMIT_S = 30.0
"""How long Kafka may take for an answer."""

AGAIN = "see that nobody else writes to this stack, then begin again"

_PAUSE_S = 0.002
_DELIVERY_MS = 120_000


def answer(settings: Settings, ask: Callable[[], Any]) -> Any:
    """Return what Kafka answers.

    Raises:
        LabelloopError: it refuses, or does not answer.
    """
    try:
        return ask()
    except KafkaException as error:
        raise LabelloopError(f"Kafka at {settings.kafka} refuses: {said(error, settings)}: {AGAIN}") from error


class Writer:
    """Writes one partition after the other, each record to its offset.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._config = {
            **kafka(settings),
            "acks": "all",
            "compression.type": "lz4",
            "message.max.bytes": 2 * MAX_MESSAGE_BYTES,  # what `_mark` sends must be refused by the broker
            "delivery.timeout.ms": _DELIVERY_MS,
        }
        self._plain = Producer({**self._config, "enable.idempotence": True, "linger.ms": 20}, logger=CLIENT_LOG)
        self._transactions: Producer | None = None
        self._ends = Consumer(reading(settings), logger=CLIENT_LOG)
        self._next = 0  # offset of the next record in the partition that is written
        self._wrong = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._plain.purge()
        self._ends.close()

    def write(self, part: Part, write: Write) -> None:
        """Write to the end of a partition; of records alone the offsets are told later.

        Raises:
            LabelloopError: an offset is not the one it must be, or Kafka does not take it.
        """
        match write:
            case Append(record):
                self._append(part, self._plain, record)
                self._next = record.offset + 1
            case Commit(record):
                self._flush(self._plain)
                self._in_transaction(part, lambda producer: self._append(part, producer, record), commit=True)
                self._reach(part, record.offset + 2)
            case Abort(count):
                self._flush(self._plain)
                self._in_transaction(part, lambda producer: self._fill(part, producer, count), commit=False)
                self._reach(part, self._next + count + 1)
            case Mark():
                self._flush(self._plain)
                self._mark(part)
                self._reach(part, self._next + 1)
        if self._wrong:
            raise LabelloopError(self._wrong)

    def finish(self, part: Part) -> None:
        """Wait until the partition has everything; the next write is to another one.

        Raises:
            LabelloopError: an offset is not the one it must be, or Kafka did not take it.
        """
        self._flush(self._plain)
        self._reach(part, part.next)
        self._next = 0

    def _transactional(self, name: str, **config: str) -> Producer:
        own = {"transactional.id": self._settings.topic(name), "transaction.timeout.ms": _DELIVERY_MS}
        producer = Producer({**self._config, **own, **config}, logger=CLIENT_LOG)
        answer(self._settings, partial(producer.init_transactions, LIMIT_S))
        return producer

    def _in_transaction(self, part: Part, send: Callable[[Producer], None], *, commit: bool) -> None:
        if self._transactions is None:
            self._transactions = self._transactional("restore")
        producer = self._transactions
        answer(self._settings, producer.begin_transaction)
        send(producer)
        self._flush(producer)
        end = producer.commit_transaction if commit else producer.abort_transaction
        answer(self._settings, partial(end, LIMIT_S))

    def _mark(self, part: Part) -> None:
        """Leave the marker of a transaction that holds nothing: its one record is larger than the topic takes."""
        producer = self._transactional("restore-mark", **{"compression.type": "none"})
        answer(self._settings, producer.begin_transaction)
        size = int(TOPICS[part.topic].config()["max.message.bytes"])
        self._send(producer, part, bytes(size), None, 1, [], None)
        producer.flush(LIMIT_S)
        answer(self._settings, partial(producer.abort_transaction, LIMIT_S))

    def _append(self, part: Part, producer: Producer, record: Record) -> None:
        arrived = partial(self._arrived, part, record.offset, record.timestamp)
        self._send(producer, part, record.value, record.key, record.timestamp, [*record.headers], arrived)

    def _fill(self, part: Part, producer: Producer, count: int) -> None:
        for _ in range(count):
            self._send(producer, part, b"", None, 1, [], None)

    def _send(
        self,
        producer: Producer,
        part: Part,
        value: bytes | None,
        key: bytes | None,
        timestamp: int,
        headers: list[tuple[str, str | bytes | None]],
        arrived: Callable[[KafkaError | None, Message], None] | None,
    ) -> None:
        while True:
            try:
                producer.produce(
                    self._settings.topic(part.topic),
                    value,
                    key,
                    part.partition,
                    timestamp=timestamp,
                    headers=headers,
                    on_delivery=arrived,
                )
                break
            except BufferError:  # the queue is full: wait until the broker has taken some
                producer.poll(0.1)
            except KafkaException as error:
                raise LabelloopError(
                    f"{part.topic}-{part.partition} takes no more: {said(error, self._settings)}"
                ) from error
        producer.poll(0)

    def _arrived(self, part: Part, offset: int, timestamp: int, error: KafkaError | None, message: Message) -> None:
        if self._wrong:
            return
        if error is not None:
            self._wrong = f"{part.topic}-{part.partition} did not take offset {offset:,}: {said(error, self._settings)}"
        elif message.offset() != offset:
            self._wrong = f"{part.topic}-{part.partition} gave offset {message.offset()} to {offset}: {AGAIN}"
        elif message.timestamp()[1] != timestamp:
            self._wrong = f"{part.topic}-{part.partition} did not take the time of offset {offset:,}: {AGAIN}"

    def _flush(self, producer: Producer) -> None:
        while len(producer):  # ends: what is not delivered in time fails
            producer.flush(1.0)
        if self._wrong:
            raise LabelloopError(self._wrong)

    def _reach(self, part: Part, end: int) -> None:
        """Wait until a partition ends where it must: a marker comes some time after its transaction was ended.

        Raises:
            LabelloopError: it does not come to that.
        """
        limit = time.monotonic() + LIMIT_S
        at = TopicPartition(self._settings.topic(part.topic), part.partition)
        while True:
            found = answer(self._settings, partial(once_led, partial(self._ends.get_watermark_offsets, at, LIMIT_S)))
            if found is not None and found[1] == end:
                self._next = end
                return
            if (found is not None and found[1] > end) or time.monotonic() > limit:
                raise LabelloopError(f"{part.topic}-{part.partition} ends at {found and found[1]}, not {end}: {AGAIN}")
            time.sleep(_PAUSE_S)
