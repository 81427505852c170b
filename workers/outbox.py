"""What the retraining worker publishes: records and the group's positions in one transaction.

The positions carry the group's generation: a worker that lost its partitions while it was stopped is refused by the
broker, whatever it still holds.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, Producer, TopicPartition

from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, kafka
from streams.settings import Settings

TRANSACTION_TIMEOUT_MS = 30_000
"""How long a dead worker's open transaction may hold back readers."""

LIMIT_S = 25.0
"""Longest a transaction is tried; below its own limit."""


class Message(NamedTuple):
    """A record to publish: topic without the prefix, key, value."""

    topic: str
    key: bytes
    value: bytes


class Outbox:
    """Publishes in transactions.

    Args:
        settings: Where the broker is.
        slot: The worker's place: a new process there aborts what an earlier one left open.

    Raises:
        KafkaException: the broker starts no transactions.
    """

    def __init__(self, settings: Settings, slot: int) -> None:
        self._settings = settings
        self._producer = Producer(
            {
                **kafka(settings),
                "transactional.id": f"{settings.prefix}.retrain.{slot}",
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "compression.type": "lz4",
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_MESSAGE_BYTES,
            },
            logger=CLIENT_LOG,
        )
        _retry(self._producer.init_transactions, time.monotonic() + 2 * LIMIT_S)

    def publish(self, messages: Sequence[Message], positions: Mapping[tuple[str, int], int], group: Any) -> None:
        """Publish all of `messages` or none, and commit `positions`.

        Args:
            messages: What to publish.
            positions: Offset to go on from by topic (full name) and partition.
            group: The group's metadata, as it was when the partitions were assigned.

        Raises:
            KafkaException: the broker refused or did not answer: nothing of it counts, and the process must end.
        """
        limit = time.monotonic() + LIMIT_S
        self._producer.begin_transaction()
        for topic, key, value in messages:
            while True:
                try:
                    self._producer.produce(self._settings.topic(topic), value, key)
                except BufferError:
                    self._producer.poll(0.05)
                else:
                    break
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        _retry(self._producer.send_offsets_to_transaction, limit, offsets, group)
        _retry(self._producer.commit_transaction, limit)


def _retry(call: Callable[..., Any], limit: float, *arguments: Any) -> None:
    while True:
        try:
            call(*arguments, max(0.1, limit - time.monotonic()))
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > limit:
                raise
        else:
            return
