"""A topic that every worker reads whole: up to a log time, or to its end."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.errors import NotNow
from streams.settings import Settings
from streams.transport.broadcast import Broadcast

pytestmark = pytest.mark.stack

Applied = list[tuple[bytes | None, int]]


class Topic:
    """A topic of one partition, and a reader of it."""

    def __init__(self, settings: Settings) -> None:
        self.name, self.applied = settings.topic("told"), Applied()
        admin = AdminClient({"bootstrap.servers": settings.kafka})
        admin.create_topics([NewTopic(self.name, 1, 1, config={"message.timestamp.type": "LogAppendTime"})])[
            self.name
        ].result(30)
        self._producer = Producer({"bootstrap.servers": settings.kafka})
        self.reader = Broadcast(settings, self.name, lambda value, at: self.applied.append((value, at)))

    def put(self, *values: bytes) -> int:
        """Append records; return the log time of the last one, ms."""
        times: list[int] = []
        for value in values:
            self._producer.produce(
                self.name, value, on_delivery=lambda error, message: times.append(message.timestamp()[1])
            )
        assert self._producer.flush(30) == 0
        return times[-1]

    def values(self) -> list[bytes | None]:
        return [value for value, _ in self.applied]


@pytest.fixture
def topic(settings: Settings) -> Iterator[Topic]:
    made = Topic(settings)
    with closing(made.reader):
        yield made


def test_what_the_log_got_until_then_is_applied_in_order_and_once(topic: Topic) -> None:
    at = topic.put(b"a", b"b")
    topic.reader.read_until(at)
    assert topic.values() == [b"a", b"b"]
    assert [told for _, told in topic.applied][-1] == at
    topic.put(b"c")
    topic.reader.read_until(at)  # known already: nobody is asked
    assert topic.values() == [b"a", b"b"]
    topic.reader.read_to_end()
    assert topic.values() == [b"a", b"b", b"c"]
    assert topic.reader.position == 3


def test_a_topic_that_is_not_there_is_told_by_who_needs_it(settings: Settings) -> None:
    with (
        closing(Broadcast(settings, settings.topic("nowhere"), lambda value, at: None)) as reader,
        pytest.raises(NotNow),
    ):
        reader.read_until(1)
