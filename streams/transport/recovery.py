"""What a new owner of a partition must know before it reads its state back.

Between a dead worker's EndTxn and its markers the committed offsets may already lie past its transaction while the
changelog's last stable offset still lies before it. So first the committed offsets are taken once no transaction can
move them any more (librdkafka asks for stable ones, aiokafka cannot), then the changelogs' read_uncommitted ends: all
that those transactions wrote lies before them.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import wait

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from streams.clients import answered, heed, kafka, once_led
from streams.settings import Settings
from streams.transport.guards import leave
from streams.transport.positions import Partition, Suspect

STABLE_LIMIT_S = 60.0
"""Longest wait for another worker's transaction to be decided."""

_ATTEMPT_S = 2.0

log = logging.getLogger("labelloop.transport")

Committed = dict[Partition, tuple[int | None, Suspect | None]]
"""Committed position, None without one, and suspect range by partition."""


def stable_offsets(settings: Settings, group: str, partitions: Sequence[Partition]) -> Committed:
    """Return the committed offsets that no open transaction can move any more; blocks until there are such."""
    if not partitions:
        return {}
    consumer = Consumer(
        {
            **kafka(settings),
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    try:
        started, told = time.monotonic(), False
        while True:
            try:
                found = consumer.committed([TopicPartition(*tp) for tp in partitions], timeout=_ATTEMPT_S)
                unstable = next((p.error for p in found if p.error), None)
                if unstable is None:
                    return {
                        Partition(p.topic, p.partition): (
                            p.offset if p.offset >= 0 else None,
                            Suspect.parse(p.metadata),
                        )
                        for p in found
                    }
                heed(unstable, settings)
                why: object = unstable
            except KafkaException as error:
                heed(error, settings)
                why = error
            if not told:
                log.warning("committed offsets are not stable yet, waiting: %s", why)
                told = True
            if time.monotonic() - started > STABLE_LIMIT_S:
                leave(f"no stable offsets after {STABLE_LIMIT_S:.0f} s: {why}")
            time.sleep(0.1)
    finally:
        consumer.close()


def log_ends(settings: Settings, partitions: Sequence[Partition]) -> dict[Partition, int]:
    """Return the read_uncommitted end of each partition.

    Raises:
        KafkaException: the broker does not answer.
    """
    if not partitions:
        return {}
    admin = AdminClient({**kafka(settings), "log_level": 5})  # must outlive its futures
    admin.list_topics(timeout=10)  # a client that has no connection yet may answer the other question 3 s late

    def ask() -> dict[Partition, int]:
        futures = admin.list_offsets(
            {TopicPartition(*tp): OffsetSpec.latest() for tp in partitions},  # type: ignore[no-untyped-call]
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=10,
        )
        wait(futures.values(), 15)
        return answered({Partition(p.topic, p.partition): future.result(0).offset for p, future in futures.items()})

    return once_led(ask)
