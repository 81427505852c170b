"""How far the consumers are behind the log."""

from collections.abc import Iterable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from streams.catalogue import ITEM_FACTS, TOPICS
from streams.errors import LabelloopError
from streams.settings import Settings
from streams.sinks.tables import TABLES

SOURCES = {"items": (*ITEM_FACTS, "rescores"), "quality": ("fits",), "sink": tuple(TABLES)}
"""What each consumer group reads; both are named without the prefix."""
_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Lag:
    """Records of a topic that a group has not passed; markers of transactions count as records.

    Args:
        group: Consumer group without the prefix.
        topic: Topic without the prefix.
        records: Number of records.
    """

    group: str
    topic: str
    records: int


def lag(settings: Settings, admin: AdminClient | None = None) -> list[Lag]:
    """Return the lag of every group in each of its topics, also where it never committed anything.

    Args:
        settings: Where Kafka is.
        admin: A client to use, else one is made.

    Raises:
        LabelloopError: Kafka does not answer, or the topics were never made.
    """
    admin = admin or AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    ends = end_offsets(settings, {topic for sources in SOURCES.values() for topic in sources}, admin)
    found = []
    for group, sources in SOURCES.items():
        passed = _committed(settings, group, [key for key in ends if key[0] in sources])
        for topic in sources:
            behind = (max(0, end - passed[key]) for key, end in ends.items() if key[0] == topic)
            found.append(Lag(group, topic, sum(behind)))
    return found


def end_offsets(
    settings: Settings, topics: Iterable[str], admin: AdminClient | None = None
) -> dict[tuple[str, int], int]:
    """Return the offset after the last record of each partition, open transactions included.

    Args:
        settings: Where Kafka is.
        topics: Topics without the prefix.
        admin: A client to use, else one is made.

    Raises:
        LabelloopError: Kafka does not answer, or a topic was never made.
    """
    admin = admin or AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    wanted = {
        TopicPartition(settings.topic(topic), partition): (topic, partition)
        for topic in topics
        for partition in range(TOPICS[topic].partitions or settings.partitions)
    }
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    futures = admin.list_offsets(dict.fromkeys(wanted, latest), request_timeout=_LIMIT_S)
    wait(futures.values())  # a client that is dropped with answers outstanding can crash the process
    try:
        return {wanted[partition]: future.result().offset for partition, future in futures.items()}
    except KafkaException as error:
        raise _unanswered(settings, error) from error


def _committed(settings: Settings, group: str, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return what a group has committed in each partition, 0 where nothing.

    Asked as a consumer that joins nothing: `AdminClient.list_consumer_group_offsets` of librdkafka 2.16 ends the
    process with a segmentation fault while the broker loads the group (librdkafka issue 5040).
    """
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": settings.topic(group),
            "isolation.level": "read_uncommitted",  # an open transaction is not waited for: its offsets do not count
            "log_level": 0,
        }
    )
    try:
        asked = [TopicPartition(settings.topic(topic), partition) for topic, partition in partitions]
        answer = consumer.committed(asked, timeout=_LIMIT_S)
        if failed := next((position.error for position in answer if position.error), None):
            raise KafkaException(failed)
    except KafkaException as error:
        raise _unanswered(settings, error) from error
    finally:
        consumer.close()
    return {key: max(0, position.offset) for key, position in zip(partitions, answer, strict=True)}


def _unanswered(settings: Settings, error: KafkaException) -> LabelloopError:
    return LabelloopError(f"Kafka at {settings.kafka} does not tell offsets: {error.args[0].str()}")
