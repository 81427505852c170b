"""Lag against a real broker."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from streams.errors import LabelloopError
from streams.query.lag import Lag, end_offsets, lag
from streams.settings import Settings
from streams.transport.topics import ensure

pytestmark = pytest.mark.stack


def test_lag_counts_what_no_one_committed_and_falls_with_each_commit(settings: Settings) -> None:
    ensure(settings)
    assert all(entry.records == 0 for entry in lag(settings))
    producer = Producer({"bootstrap.servers": settings.kafka})
    for _ in range(5):
        producer.produce(settings.topic("labels"), b"any", partition=1)
    assert producer.flush(30) == 0
    assert end_offsets(settings, ["labels"]) == {("labels", partition): 5 * (partition == 1) for partition in range(4)}
    assert [entry for entry in lag(settings) if entry.records] == [Lag("items", "labels", 5), Lag("sink", "labels", 5)]
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": settings.topic("items")})
    consumer.commit(offsets=[TopicPartition(settings.topic("labels"), 1, 3)], asynchronous=False)
    consumer.close()
    assert [entry for entry in lag(settings) if entry.records] == [Lag("items", "labels", 2), Lag("sink", "labels", 5)]


def test_topics_that_were_never_made_are_an_error(settings: Settings) -> None:
    with pytest.raises(LabelloopError, match="does not tell offsets"):
        lag(settings)
