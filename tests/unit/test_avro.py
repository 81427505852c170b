"""The compiled readers and writers against fastavro's."""

import random
from io import BytesIO
from struct import error as StructError
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from streams import avro, contract

SCHEMAS = {entry["name"]: parse_schema(entry["schema"]) for entry in contract.read_lock()}  # the newest of each name
EXAMPLES = [(name, record) for name, records in contract.examples().items() for record in records.values()]


READERS = {name: avro.reader(schema) for name, schema in SCHEMAS.items()}


def plain(name: str, record: dict[str, Any]) -> bytes:
    out = BytesIO()
    schemaless_writer(out, SCHEMAS[name], record)
    return out.getvalue()


def fast(name: str, raw: bytes) -> dict[str, Any] | None:
    try:
        record, end = READERS[name](raw, 0)
    except (ValueError, IndexError, StructError):
        return None
    return record if end == len(raw) else None


def slow(name: str, raw: bytes) -> Any:
    body = BytesIO(raw)
    try:
        record = schemaless_reader(body, SCHEMAS[name], None)
    except Exception:
        return None
    return record if body.tell() == len(raw) else None


@pytest.mark.parametrize(("name", "record"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_bytes_and_records_are_those_of_fastavro(name: str, record: dict[str, Any]) -> None:
    raw = plain(name, record)
    assert avro.writer(SCHEMAS[name])(record) == raw
    assert fast(name, raw) == slow(name, raw)


def test_what_is_broken_is_read_by_neither_or_by_both_alike() -> None:
    chance, read = random.Random(0), 0
    for name, record in EXAMPLES:
        raw = plain(name, record)
        for _ in range(40):
            broken = bytearray(raw)
            for _ in range(chance.randint(1, 3)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            ours, theirs = fast(name, bytes(broken)), slow(name, bytes(broken))
            assert repr(ours) == repr(theirs)  # not a number equals not even itself
            read += ours is not None
        assert all(fast(name, raw[:end]) == slow(name, raw[:end]) for end in range(len(raw)))
    assert read > 300


@pytest.mark.parametrize("number", [0, -1, 63, 64, -65, 1023, 1024, 2**31, -(2**63), 2**63 - 1])
def test_numbers_of_every_length_are_written_and_read(number: int) -> None:
    schema = parse_schema({"type": "record", "name": "n.N", "fields": [{"name": "n", "type": "long"}]})
    out = BytesIO()
    schemaless_writer(out, schema, {"n": number})
    raw = avro.writer(schema)({"n": number})
    assert raw == out.getvalue()
    assert avro.reader(schema)(raw, 0) == ({"n": number}, len(raw))


BLOCKS = parse_schema(
    {
        "type": "record",
        "name": "b.B",
        "fields": [
            {"name": "list", "type": {"type": "array", "items": "string"}},
            {"name": "map", "type": {"type": "map", "values": "int"}},
        ],
    }
)


def test_blocks_with_a_size_are_read_as_other_programs_write_them() -> None:
    raw = b"\x02\x02a" + b"\x03\x08\x02b\x02c" + b"\0" + b"\x01\x06\x02k\x08" + b"\0"
    assert avro.reader(BLOCKS)(raw, 0) == ({"list": ["a", "b", "c"], "map": {"k": 4}}, len(raw))


@pytest.mark.parametrize(
    "raw", [b"\x01", b"\x02\x01a", b"\xff" * 11, b"\xff" * 9 + b"\x03", b"\xfe\xff\xff\xff\x0f"], ids=repr
)
def test_sizes_that_cannot_be_are_refused(raw: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        avro.reader(BLOCKS)(raw, 0)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"list": [1], "map": {}},
        {"list": None, "map": {}},
        {"list": [], "map": {"k": "1"}},
        {"list": [], "map": {"k": 1.5}},
        {"list": [], "map": {"k": None}},
        {"list": [], "map": {"k": 2**63}},
        {"list": ["\ud800"], "map": {}},
    ],
    ids=repr,
)
def test_what_does_not_match_is_not_written(record: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, OverflowError)):
        avro.writer(BLOCKS)(record)


@pytest.mark.parametrize("kind", ["float", ["null", "string", "long"], ["string", "null"], {"type": "fixed"}], ids=repr)
def test_a_schema_of_another_make_is_refused(kind: Any) -> None:
    schema = {"type": "record", "name": "x.X", "fields": [{"name": "x", "type": kind}]}
    with pytest.raises(NotImplementedError):
        avro.writer(schema)
