"""What the tables hold and say: first copies, refused rows, comments, and an analyst who can change nothing."""

import io
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams import codec
from streams.errors import LabelloopError
from streams.query.sql import describe, sql
from streams.settings import Settings
from streams.sinks.checks import check_tables
from streams.sinks.migrate import migrate
from streams.sinks.tables import columns
from streams.sinks.writer import Writer
from tests.integration.sinking import (
    FACTS,
    SUNK,
    content,
    count,
    label,
    log_text,
    prepare,
    publish,
    publish_raw,
    query,
    settled,
    sink,
)
from tests.waiting import eventually

pytestmark = pytest.mark.stack


def test_every_table_and_column_is_commented_and_every_topic_has_its_columns(settings: Settings) -> None:
    migrate(settings)
    out = io.StringIO()
    describe(settings, "json", out)
    dictionary = json.loads(out.getvalue())
    assert not [entry for entry in dictionary if not entry["about"] or not entry["meaning"]]
    stored = {(entry["table"], entry["column"]) for entry in dictionary}
    for topic in FACTS:
        assert {(topic, column.name) for column in columns(topic)} <= stored
    windows = query(
        settings,
        "SELECT name, toUInt64OrZero(extract(engine_full, 'non_replicated_deduplication_window = ([0-9]+)')) "
        "FROM system.tables WHERE database = currentDatabase() AND engine = 'ReplacingMergeTree'",
    )
    assert dict(windows).keys() == {*SUNK, "review_history"}
    assert min(window for _, window in windows) >= 10_000


def test_a_table_that_remembers_too_few_inserts_is_refused(settings: Settings) -> None:
    prepare(settings)
    with closing(Writer(settings.clickhouse)) as writer:
        check_tables(writer)
        query(settings, "ALTER TABLE flags MODIFY SETTING non_replicated_deduplication_window = 10")
        with pytest.raises(LabelloopError, match="flags are not there or remember fewer than 1000 inserts"):
            check_tables(writer)


def test_migrating_again_changes_nothing_and_an_edited_file_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE a (n Int64 COMMENT 'N.') ENGINE = MergeTree ORDER BY n;\n")
    assert migrate(settings, tmp_path) == ["0001_a.sql"]
    assert migrate(settings, tmp_path) == []
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE a (n Int32 COMMENT 'N.') ENGINE = MergeTree ORDER BY n;\n")
    with pytest.raises(LabelloopError, match="edited after it was applied"):
        migrate(settings, tmp_path)


def test_the_first_copy_of_a_fact_is_kept(settings: Settings) -> None:
    prepare(settings)
    publish(settings, [label(1, "first")])
    with sink(settings):
        eventually(lambda: count(settings) == 1, log_text(settings))
        publish(settings, [label(1, "second"), label(2)])
        eventually(lambda: count(settings) == 2 and settled(settings), log_text(settings))
    assert query(settings, "SELECT label FROM labels FINAL WHERE event_id = 'label-1'") == [("first",)]
    assert len(content(settings)) == 2


def test_what_cannot_be_stored_is_a_dead_letter_and_its_neighbours_rows(settings: Settings) -> None:
    prepare(settings)
    publish(settings, map(label, range(20)))
    publish_raw(settings, [(b"p/x", b"not avro"), (b"p/x", b"\0\0\0\xff\xff...")])
    publish(settings, [label(20, occurred_at=2**62), *map(label, range(21, 40))])
    with sink(settings):
        eventually(
            lambda: count(settings, "count()", "dead_letters FINAL") == 3 and settled(settings), log_text(settings)
        )
    assert {event_id for (event_id,) in query(settings, "SELECT event_id FROM labels")} == {
        f"label-{n}" for n in range(40) if n != 20
    }
    letters = query(settings, "SELECT consumer, topic, reason FROM dead_letters FINAL ORDER BY reason")
    assert letters == [
        ("sink", settings.topic("labels"), reason) for reason in ("invalid", "undecodable", "unknown_schema")
    ]


def test_a_missing_table_stops_the_sink_and_costs_no_record(settings: Settings) -> None:
    prepare(settings)
    publish(settings, map(label, range(100)))
    with sink(settings) as process:
        eventually(lambda: count(settings) == 100, log_text(settings))
        query(settings, "RENAME TABLE labels TO away")
        publish(settings, map(label, range(100, 200)))
        assert process.wait(60) not in (0, None)
    query(settings, "RENAME TABLE away TO labels")
    with sink(settings):
        eventually(lambda: count(settings) == 200 and settled(settings), log_text(settings))
    assert count(settings, "count()", "dead_letters") == 0


def test_forgotten_offsets_beside_rows_are_an_error(settings: Settings) -> None:
    prepare(settings)
    publish(settings, map(label, range(100)))
    with sink(settings):
        eventually(lambda: count(settings) == 100 and settled(settings), log_text(settings))
    moved = replace(settings, home=settings.home / "b")
    eventually(lambda: forgotten(moved), "the group is empty")
    with sink(moved) as process:
        assert process.wait(60) != 0
    assert "has no offset for" in log_text(moved)
    assert "Traceback" not in log_text(moved)
    assert count(settings, "count()") == 100


def forgotten(settings: Settings) -> bool:
    """Make the broker forget the group, which it does once the group is empty."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    group = settings.topic("sink")
    try:
        admin.delete_consumer_groups([group])[group].result(10)
    except KafkaException:
        return False
    return True


def test_the_analyst_reads_and_changes_nothing(settings: Settings) -> None:
    prepare(settings)
    for statement in (
        "INSERT INTO labels SELECT * FROM labels",
        "DROP TABLE labels",
        "ALTER TABLE labels DELETE WHERE 1",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT * FROM nowhere",
        "SELEC",
    ):
        with pytest.raises(LabelloopError) as refusal:
            sql(settings, statement, "table", io.StringIO())
        assert "\n" not in str(refusal.value), statement
        assert "Stack trace" not in str(refusal.value), statement
    out = io.StringIO()
    sql(settings, "SELECT count() AS n FROM labels", "json", out)
    assert json.loads(out.getvalue()) == [{"n": 0}]


def test_the_position_passes_the_markers_of_transactions(settings: Settings) -> None:
    """A derived topic ends in a control record: the committed position must lie behind it."""
    prepare(settings)
    producer = Producer({"bootstrap.servers": settings.kafka, "transactional.id": settings.topic("test")})
    producer.init_transactions(30)
    snapshot = {
        "project": "p",
        "item_id": "i",
        "kind": "choice",
        "n_labels": 1,
        "votes": {"a": 1},
        "majority": "a",
        "updated_at": 1,
    }
    for commit in (True, False, True):
        producer.begin_transaction()
        producer.produce(settings.topic("disagreement"), codec.encode("disagreement", snapshot), b"p/i", partition=0)
        producer.flush(30)  # what was not sent is aborted without a trace
        producer.commit_transaction() if commit else producer.abort_transaction()
    with sink(settings):
        eventually(lambda: settled(settings), log_text(settings))
    assert query(settings, "SELECT count(), uniqExact(_offset) FROM disagreement FINAL") == [(1, 1)]
    reader = Consumer({"bootstrap.servers": settings.kafka, "group.id": settings.topic("sink")})
    committed = reader.committed([TopicPartition(settings.topic("disagreement"), 0)], timeout=30)
    reader.close()
    assert committed[0].offset == 6
