"""What a real broker makes of the producer: partitions, refusals, one copy of each record, settings read back."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from streams import codec
from streams.catalogue import TOPICS
from streams.cli.project import project
from streams.cli.publish import import_, publish
from streams.errors import LabelloopError
from streams.keys import partition_of
from streams.producers.producer import DeliveryError, Producer
from streams.query.projects import read_projects
from streams.settings import Settings
from streams.transport import topics
from tests.crash.cluster import wait_until

pytestmark = pytest.mark.stack


@pytest.fixture
def stack(settings: Settings) -> Settings:
    topics.ensure(settings)
    return settings


@pytest.fixture
def cli(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    return CliRunner(catch_exceptions=False)


def records(settings: Settings, name: str) -> list[Message]:
    """Return all that lies in a topic."""
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "test", "enable.partition.eof": True})
    partitions = TOPICS[name].partitions or settings.partitions
    consumer.assign([TopicPartition(settings.topic(name), n, OFFSET_BEGINNING) for n in range(partitions)])
    found: list[Message] = []
    ends = 0
    while ends < partitions:
        for message in consumer.consume(1000, timeout=0.1):
            error = message.error()
            if error is None:
                found.append(message)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ends += 1
    consumer.close()
    return found


def test_a_record_lands_in_the_partition_of_its_key(stack: Settings) -> None:
    with Producer(stack) as producer:
        ids = {producer.label("Vögel/1", f"item {n}", "anna", n % 3) for n in range(300)}
    found = records(stack, "labels")
    assert {codec.decode(message.value())[1]["event_id"] for message in found} == ids
    assert len(found) == 300
    assert {message.partition() for message in found} == {*range(stack.partitions)}
    for message in found:
        assert message.partition() == partition_of(message.key() or b"", stack.partitions)


def test_a_tick_lies_in_every_partition(stack: Settings) -> None:
    with Producer(stack) as producer:
        producer.tick()
    assert sorted(message.partition() or 0 for message in records(stack, "ticks")) == [*range(stack.partitions)]


def test_what_the_broker_refuses_surfaces_at_flush(stack: Settings) -> None:
    limit = ConfigEntry("max.message.bytes", "500", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, stack.topic("comments"), incremental_configs=[limit])
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)
    text = "".join(chr(n) for n in range(0x4E00, 0x4E00 + 2000))  # does not compress below the limit

    def is_refused() -> bool:
        try:
            with Producer(stack) as producer:
                producer.comment("birds", "img-7", "anna", "beak", text)
        except DeliveryError:
            return True
        return False

    wait_until(is_refused, "the broker's new limit")  # told of at once, but in force only some time later
    taken = len(records(stack, "comments"))
    with Producer(stack) as producer:
        producer.comment("birds", "img-7", "anna", "beak", "short")
        producer.flush()
        event_id = producer.comment("birds", "img-7", "anna", "beak", text)
        with pytest.raises(DeliveryError, match=event_id) as caught:
            producer.flush()
    assert len(caught.value.failed) == 1
    assert len(records(stack, "comments")) == taken + 1


def test_without_topics_the_first_send_says_what_to_do(settings: Settings) -> None:
    with Producer(settings) as producer, pytest.raises(LabelloopError, match="run `labelloop up`"):
        producer.label("birds", "img-7", "anna", "wren")
    with pytest.raises(LabelloopError, match="labelloop up"):
        read_projects(settings)


def test_an_import_ends_with_status_1_if_a_line_was_bad_and_twice_gives_the_same_ids(
    cli: CliRunner, stack: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "labels.jsonl"
    rows = [{"item_id": "i", "annotator_id": "a", "label": label} for label in ("A", "B", "A")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "oops\n")
    arguments = ["labels", str(file), "--project", "p"]
    assert cli.invoke(import_, [*arguments, "--dry-run"]).exit_code == 1
    assert records(stack, "labels") == []
    for _ in range(2):
        result = cli.invoke(import_, arguments)
        assert result.exit_code == 1
        assert f"{file}:4: not JSON" in result.output
    found = [codec.decode(message.value())[1] for message in records(stack, "labels")]
    assert [event["value"]["choice"] for event in found] == ["A", "B", "A"] * 2
    assert [event["event_id"] for event in found[:3]] == [event["event_id"] for event in found[3:]]
    assert len({event["event_id"] for event in found}) == 3


PUBLISHED = {
    "labels": ["label", "img-7", "wren", "--by", "anna"],
    "flags": ["flag", "img-7", "unclear", "--by", "anna"],
    "comments": ["comment", "img-7", "beak", "why?", "--by", "anna"],
    "corrections": ["correction", "img-7", "corrected", "robin", "--by", "rev-1"],
    "predictions": ["prediction", "img-7", "--model", "m1", "--probability", "wren=0.9"],
    "items": ["item", "img-7", "--text", "a bird"],
    "gold": ["gold", "img-7", '["a", "b"]', "--json", "--by", "lead-1"],
    "claims": ["claim", "img-7", "--by", "rev-1"],
}


def test_each_kind_of_fact_can_be_published_by_hand(cli: CliRunner, stack: Settings) -> None:
    for topic, arguments in PUBLISHED.items():
        ids = []
        for _ in range(2):
            result = cli.invoke(publish, [*arguments, "--project", "birds", "--at", "2026-05-04T10:00:00Z"])
            assert result.exit_code == 0, result.output
            ids.append(result.output.strip())
        found = [codec.decode(message.value())[1] for message in records(stack, topic)]
        assert [event["event_id"] for event in found] == ids, topic
        assert ids[0] == ids[1], topic


def test_project_settings_are_merged_shown_and_told_with_their_history(cli: CliRunner) -> None:
    assert "no project has settings" in cli.invoke(project, ["list"]).output
    for changes in (
        ["--by", "lead-1", "--classes", "wren, robin", "--member", "anna=reviewer", "--policy", "p0=0.4"],
        ["--by", "lead-2", "--member", "ben=lead", "--policy", "lease_ms=600000", "--guideline", "v2:robin"],
        ["--by", "lead-2", "--member", "anna="],
    ):
        result = cli.invoke(project, ["set", "--project", "birds", *changes])
        assert result.exit_code == 0, result.output
    listed = cli.invoke(project, ["list"]).output
    assert "birds" in listed
    assert "lead-2" in listed
    shown = cli.invoke(project, ["show", "--project", "birds"]).output
    for part in ("wren, robin", "0.4", "600000", "ben (lead)", "v2", "lead-1"):
        assert part in shown, part
    with pytest.raises(LabelloopError, match="a policy has no 'p9'"):
        cli.invoke(project, ["set", "--project", "birds", "--by", "x", "--policy", "p9=1"])


def test_settings_read_back_are_those_that_were_published(stack: Settings) -> None:
    with Producer(stack) as producer:
        producer.project("birds", "lead-1", classes=["wren"], members={"rev-1": "reviewer"})
    projects = read_projects(stack)
    (change,) = projects.history("birds")
    view = projects.at("birds", change.log_time)
    assert (view.classes, view.members) == (("wren",), {"rev-1": "reviewer"})
    assert projects.at("birds", change.log_time - 1).classes is None
