"""How far the consumers are behind the log."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from streams.catalogue import ACTIONS, ITEM_FACTS, TOPICS
from streams.clients import answered, heed, kafka, once_led, said
from streams.errors import LabelloopError
from streams.query.log import reader, records
from streams.settings import Settings
from streams.sinks.tables import TABLES

SOURCES = {
    "items": (*ITEM_FACTS, "rescores", ACTIONS),
    "quality": ("fits", ACTIONS),
    "retrain": ("labels.corrected",),
    "sink": tuple(TABLES),
}
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


def by_group(lags: Iterable[Lag]) -> Counter[str]:
    """Return how many records each consumer group is behind, in all its topics."""
    behind = Counter[str]()
    for one in lags:
        behind[one.group] += one.records
    return behind


class LagReader:
    """Asks Kafka how far log and groups are; what it is connected by is kept between two questions.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = {
            **kafka(settings),
            "log_level": 0,
        }
        self._admin = AdminClient(self._client)
        # Asked for topics, a client connects, else it may answer the other question 3 s late; and it learns the epochs
        # of the leaders, which a broker that was killed has moved: else it asks by the old ones for five minutes.
        self._informed = False
        self._groups: dict[str, Consumer] = {}

    def __enter__(self) -> "LagReader":
        return self

    def __exit__(self, *_: object) -> None:
        for consumer in self._groups.values():
            consumer.close()

    def lag(self) -> list[Lag]:
        """Return the lag of every group in each of its topics, also where it never committed anything.

        Raises:
            LabelloopError: Kafka does not answer, or the topics were never made.
        """
        ends = self.end_offsets({topic for sources in SOURCES.values() for topic in sources})
        found = []
        for group, sources in SOURCES.items():
            passed = self.committed(group, [key for key in ends if key[0] in sources])
            for topic in sources:
                behind = (max(0, end - passed[key]) for key, end in ends.items() if key[0] == topic)
                found.append(Lag(group, topic, sum(behind)))
        return found

    def end_offsets(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """Return the offset after the last record of each partition, open transactions included.

        Args:
            topics: Topics without the prefix.

        Raises:
            LabelloopError: Kafka does not answer, or a topic was never made.
        """
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        return self._offsets(topics, latest, IsolationLevel.READ_UNCOMMITTED)

    def settled_offsets(self, topics: Iterable[str], log_time: int | None = None) -> dict[tuple[str, int], int]:
        """Return the offset after the last record of each partition that no open transaction holds back.

        Args:
            topics: Topics without the prefix.
            log_time: Only records that the log got up to then, ms, count; None: all.

        Raises:
            LabelloopError: Kafka does not answer, or a topic was never made.
        """
        committed = IsolationLevel.READ_COMMITTED
        ends = self._offsets(topics, OffsetSpec.latest(), committed)  # type: ignore[no-untyped-call]
        if log_time is None:
            return ends
        later = OffsetSpec.for_timestamp(log_time + 1)
        firsts = self._offsets(topics, later, committed)
        return self._behind_markers(
            {key: min(end, firsts[key]) if firsts[key] >= 0 else end for key, end in ends.items()}, ends, log_time
        )

    def _behind_markers(
        self, found: dict[tuple[str, int], int], ends: Mapping[tuple[str, int], int], log_time: int
    ) -> dict[tuple[str, int], int]:
        """Return the offsets behind the last record that the log got up to a time.

        Kafka finds the first offset that is later, and that of a transaction's marker too. In a log that was restored
        the markers are of the day of the restore, later than records behind them: so the records are looked at.
        """
        with reader(self._settings) as consumer:
            rest = {key: range(offset, ends[key]) for key, offset in found.items()}
            until = records(consumer, self._settings, rest, until=lambda message: message.timestamp()[1] > log_time)
            for topic, message in until:
                found[topic, message.partition() or 0] = (message.offset() or 0) + 1
        return found

    def readable_ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset after the last record of partitions that no open transaction holds back.

        Args:
            topic: Topic without the prefix.
            partitions: Its partitions, however many the settings say.

        Raises:
            LabelloopError: Kafka does not answer, or there is no such partition.
        """
        latest, committed = OffsetSpec.latest(), IsolationLevel.READ_COMMITTED  # type: ignore[no-untyped-call]
        ends = self._offsets_of([(topic, partition) for partition in partitions], latest, committed)
        return {partition: end for (_, partition), end in ends.items()}

    def _offsets(
        self, topics: Iterable[str], spec: OffsetSpec, isolation: IsolationLevel
    ) -> dict[tuple[str, int], int]:
        """Return what `spec` asks for of each partition; -1: there is no such offset."""
        wanted = [
            (topic, partition)
            for topic in topics
            for partition in range(TOPICS[topic].partitions or self._settings.partitions)
        ]
        return self._offsets_of(wanted, spec, isolation)

    def _offsets_of(
        self, places: Iterable[tuple[str, int]], spec: OffsetSpec, isolation: IsolationLevel
    ) -> dict[tuple[str, int], int]:
        wanted = {TopicPartition(self._settings.topic(topic), n): (topic, n) for topic, n in places}
        try:
            found = once_led(lambda: self._ask([*wanted], spec, isolation), _LIMIT_S)
        except KafkaException as error:
            raise self._unanswered(error) from error
        return {wanted[at]: offset for at, offset in found.items()}

    def _ask(
        self, wanted: Sequence[TopicPartition], spec: OffsetSpec, isolation: IsolationLevel
    ) -> dict[TopicPartition, int]:
        if not self._informed:
            self._admin.list_topics(timeout=_LIMIT_S)
            self._informed = True
        futures = self._admin.list_offsets(
            dict.fromkeys(wanted, spec), isolation_level=isolation, request_timeout=_LIMIT_S
        )
        wait(futures.values())  # a client that is dropped with answers outstanding can crash the process
        try:
            return answered({partition: future.result().offset for partition, future in futures.items()})
        except KafkaException:
            self._informed = False
            raise

    def committed(self, group: str, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return what a group has committed in each partition, 0 where nothing.

        Asked as a consumer that joins nothing: `AdminClient.list_consumer_group_offsets` of librdkafka 2.16 ends the
        process with a segmentation fault while the broker loads the group (librdkafka issue 5040).
        """
        if group not in self._groups:
            # read_uncommitted: an open transaction is not waited for; its offsets do not count
            asking = {"group.id": self._settings.topic(group), "isolation.level": "read_uncommitted"}
            self._groups[group] = Consumer({**self._client, **asking})
        try:
            asked = [TopicPartition(self._settings.topic(topic), partition) for topic, partition in partitions]
            answer = self._groups[group].committed(asked, timeout=_LIMIT_S)
            if failed := next((position.error for position in answer if position.error), None):
                raise KafkaException(failed)
        except KafkaException as error:
            raise self._unanswered(error) from error
        return {key: max(0, position.offset) for key, position in zip(partitions, answer, strict=True)}

    def _unanswered(self, error: KafkaException) -> LabelloopError:
        heed(error, self._settings)
        return LabelloopError(f"Kafka at {self._settings.kafka} does not tell offsets: {said(error, self._settings)}")


def lag(settings: Settings) -> list[Lag]:
    """Return the lag of every group, asked once (`LagReader.lag`)."""
    with LagReader(settings) as reader:
        return reader.lag()


def end_offsets(settings: Settings, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """Return the ends of topics, asked once (`LagReader.end_offsets`)."""
    with LagReader(settings) as reader:
        return reader.end_offsets(topics)
