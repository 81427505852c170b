"""The catalogue's topics are made once, as declared, and are not quietly another number of partitions."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from streams.catalogue import TOPICS
from streams.errors import LabelloopError, NotNow
from streams.settings import ClickHouseAddress, Settings
from streams.transport import topics

pytestmark = pytest.mark.stack

_NOWHERE = ClickHouseAddress("127.0.0.1", 9, "nobody", "")


@pytest.fixture
def unmade(kafka: str, tmp_path: Path) -> Settings:
    """Settings with a prefix of the test's own, and no topics yet."""
    return Settings(tmp_path, kafka, _NOWHERE, _NOWHERE, prefix=f"topics{time.time_ns()}", partitions=3)


def test_topics_are_made_as_declared_and_noted(unmade: Settings) -> None:
    topics.ensure(unmade)
    admin = AdminClient({"bootstrap.servers": unmade.kafka, "log_level": 5})
    found = admin.list_topics(timeout=10).topics
    for name, topic in TOPICS.items():
        assert len(found[unmade.topic(name)].partitions) == (topic.partitions or 3)
    resources = [ConfigResource(ResourceType.TOPIC, unmade.topic(name)) for name in TOPICS]
    for resource, future in admin.describe_configs(resources).items():
        declared = TOPICS[resource.name.removeprefix(f"{unmade.prefix}.")].config()
        assert {key: entry.value for key, entry in future.result(10).items() if key in declared} == declared
    assert topics.builds(unmade) == dict.fromkeys(TOPICS, 1)
    topics.check(unmade, TOPICS)


def test_making_them_again_changes_nothing_and_is_fast(unmade: Settings) -> None:
    topics.ensure(unmade)
    end = _end(unmade)
    started = time.monotonic()
    topics.ensure(unmade)
    assert time.monotonic() - started < 5  # 2 s with the machine to itself
    assert _end(unmade) == end


def test_what_is_missing_is_made(unmade: Settings) -> None:
    topics.ensure(unmade)
    admin = AdminClient({"bootstrap.servers": unmade.kafka, "log_level": 5})
    admin.delete_topics([unmade.topic("ticks")])[unmade.topic("ticks")].result(20)
    limit = time.monotonic() + 20
    while unmade.topic("ticks") in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < limit
    with pytest.raises(LabelloopError, match=r"ticks does not exist.*labelloop up"):
        topics.check(unmade, ["ticks"])
    topics.ensure(unmade)
    topics.check(unmade, ["ticks"])


def test_another_partition_count_is_refused_with_the_remedy(unmade: Settings) -> None:
    topics.ensure(unmade)
    other = replace(unmade, partitions=5)
    with pytest.raises(LabelloopError, match="has 3 partitions, not 5: set LABELLOOP_PARTITIONS"):
        topics.ensure(other)
    with pytest.raises(LabelloopError, match="LABELLOOP_PARTITIONS"):
        topics.check(other, ["labels"])


def test_builds_of_topics_never_made(unmade: Settings) -> None:
    with pytest.raises(LabelloopError, match="never made"):
        topics.builds(unmade)


def test_a_broker_that_does_not_answer(unmade: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_LIMIT_S", 0.5)
    away = replace(unmade, kafka="127.0.0.1:1")
    with pytest.raises(LabelloopError, match="does not answer"):
        topics.ensure(away)
    with pytest.raises(NotNow, match="does not answer"):
        topics.check(away, ["labels"])


def _end(settings: Settings) -> int:
    """Return the end of the catalogue topic."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "end"})
    try:
        end: int = consumer.get_watermark_offsets(TopicPartition(settings.topic("catalogue"), 0), timeout=10)[1]
        return end
    finally:
        consumer.close()
