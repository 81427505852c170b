"""Every example of every schema becomes a row, and every field has its column."""

import json
from typing import Any

import pytest

from streams import codec, contract, events
from streams.catalogue import TOPICS
from streams.sinks.rows import LOG_COLUMNS, Raw, build
from streams.sinks.tables import TABLES, VOLATILE, columns, version
from tests.unit.facts import fact, label

EXAMPLES = [
    pytest.param(topic, record, id=f"{topic}-{name}")
    for topic in TABLES
    for name, record in contract.examples()[str(TOPICS[topic].schema)].items()
]


LOGGED = 1_800_000_000_000


def raw(name: str, record: dict[str, Any], offset: int = 7) -> Raw:
    return Raw(offset, LOGGED, b"k", codec.encode(name, record))


@pytest.mark.parametrize(("topic", "record"), EXAMPLES)
def test_every_example_becomes_one_row(topic: str, record: dict[str, Any]) -> None:
    given = raw(str(TOPICS[topic].schema), record)
    rows = build(topic, f"x.{topic}", 3, 1, [given])
    assert not rows.dead
    assert {len(column) for column in rows.columns} == {1}
    row = dict(zip(rows.names, (column[0] for column in rows.columns), strict=True))
    assert (row["logged_at"], row["_topic"], row["_partition"], row["_offset"]) == (LOGGED, topic, 3, 7)
    assert build(topic, f"x.{topic}", 3, 1, [given]) == rows, "a token stands for the rows: they must never differ"


@pytest.mark.parametrize("topic", TABLES)
def test_every_field_of_a_schema_has_a_column(topic: str) -> None:
    names = {column.name for column in columns(topic)}
    for field in contract.schema_files()[str(TOPICS[topic].schema)]["fields"]:
        name = field["name"]
        assert name in names or f"{name}_id" in names or f"{name}_value" in names, f"{topic}: {name}"


def test_every_topic_is_sunk_but_those_that_say_nothing_to_analysts() -> None:
    assert TOPICS.keys() - TABLES.keys() == {
        *("ticks", "annotators", "rescores", "settles", "fits", "catalogue"),
        *("items-state-changelog", "quality-state-changelog"),
    }
    assert set(LOG_COLUMNS) <= VOLATILE


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        ("choice", "cat", "cat"),
        ("text", "a cat", "a cat"),
        ("number", 1.5, "1.5"),
        ("choices", ["b", "a"], '["b","a"]'),
    ],
)
def test_a_value_has_its_kind_a_text_to_group_by_and_the_whole(kind: str, content: object, text: str) -> None:
    given = fact("labels", "a", value=events.value_of(kind, content))
    rows = build("labels", "x.labels", 0, 1, [raw("labels", given)])
    row = dict(zip(rows.names, (column[0] for column in rows.columns), strict=True))
    assert (row["value_kind"], row["label"]) == (kind, text)
    assert json.loads(row["value"]) == {"kind": kind, kind: content}


def test_bad_records_become_dead_letters_and_their_neighbours_rows() -> None:
    good = raw("labels", label("a", "x"), 1)
    bad = [
        Raw(2, 5, b"k", b"not avro"),
        Raw(3, 5, None, None),
        Raw(4, 5, b"k", b"\0\0\0\xff\xff" + b"x"),
        raw("labels", label("a", "x"), 5)._replace(value=codec.encode("labels", label("a", "x"))[:-4]),
        raw("labels", label("a", "x"), 6)._replace(value=codec.encode("gold", _gold())),
        raw("labels", {**label("a", "x"), "value": {**events.choice("x"), "kind": "keypoints"}}, 7),
        raw("labels", {**label("a", "x"), "value": {**events.choice("x"), "choice": None}}, 8),
    ]
    rows = build("labels", "x.labels", 2, 1, [good, *bad, raw("labels", label("b", "x"), 9)])
    assert [record.offset for record in rows.records] == [1, 9]
    assert {len(column) for column in rows.columns} == {2}
    assert [(letter.offset, letter.reason) for letter in rows.dead] == [
        (2, "undecodable"),
        (3, "undecodable"),
        (4, "unknown_schema"),
        (5, "undecodable"),
        (6, "invalid"),
        (7, "invalid"),
        (8, "invalid"),
    ]
    assert {(letter.consumer, letter.topic, letter.partition) for letter in rows.dead} == {("sink", "x.labels", 2)}


def _gold() -> dict[str, Any]:
    return {**label("a", "x"), "use": "truth"}


def test_of_facts_the_first_copy_wins_of_snapshots_the_newest_build_and_offset() -> None:
    assert version("fact", 1, 5) > version("fact", 1, 6)
    assert version("derived", 1, 5) < version("derived", 1, 6) < version("derived", 2, 0)
    assert 0 <= version("fact", 1, 2**62) < 2**64
