"""A recorded history in the repository: the log's records byte for byte, and the state that they must give for ever.

`log.avro` is an Avro container with one plain schema, so that reading it needs none of the product's code;
`state.jsonl` holds a statement a line, so that a difference shows as one line.
"""

import json
from collections.abc import Iterable, Iterator
from hashlib import md5
from io import BytesIO
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

from fastavro import parse_schema, reader, schemaless_reader, writer

from streams import contract
from streams.codec import HEADER_BYTES

HISTORIES = Path(__file__).parent / "histories"

PARTITIONS = 4
"""Partitions of the item-keyed topics in every history."""

_ROUNDING = 1e-9
"""What numbers may differ by: products of arrays are rounded as a processor likes, and fits go on from there."""

_RECORD = {
    "type": "record",
    "name": "Record",
    "fields": [
        {"name": "topic", "type": "string", "doc": "Topic without the prefix."},
        {"name": "partition", "type": "int"},
        {"name": "offset", "type": "long"},
        {"name": "timestamp", "type": "long", "doc": "The record's timestamp, ms since 1970 UTC."},
        {"name": "key", "type": ["null", "bytes"]},
        {"name": "value", "type": ["null", "bytes"]},
        {
            "name": "headers",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Header",
                    "fields": [{"name": "key", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
                },
            },
        },
    ],
}


class Record(NamedTuple):
    """A record as Kafka held it; `topic` is without the prefix, `timestamp` in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Statement(NamedTuple):
    """One line of the state: what it is about, its key, and what is so.

    Args:
        about: The part of the state, e.g. `review.state`.
        key: What is meant within it.
        schema: Id of the schema that `value` is a record of; None: of none.
        value: Plain JSON; of records without what is null, false, zero or empty.
    """

    about: str
    key: str
    schema: int | None
    value: Any

    def line(self) -> str:
        """Return it as a line of `state.jsonl`."""
        return json.dumps([*self], ensure_ascii=False)


def names() -> list[str]:
    """Return the names of the histories there are."""
    return sorted(path.parent.name for path in HISTORIES.glob("*/log.avro"))


def read(name: str) -> tuple[list[Record], list[Statement]]:
    """Return the records of a history in the order in which they were recorded, and its state."""
    folder = HISTORIES / name
    with (folder / "log.avro").open("rb") as file:
        rows: list[Any] = [*reader(file)]
    records = [
        Record(**{**row, "headers": tuple((header["key"], header["value"]) for header in row["headers"])})
        for row in rows
    ]
    lines = (folder / "state.jsonl").read_text(encoding="utf-8").splitlines()
    return records, [Statement(*json.loads(line)) for line in lines]


def write(name: str, records: Iterable[Record], state: Iterable[Statement]) -> Path:
    """Write a new history and return its folder.

    Raises:
        FileExistsError: there is one of that name.
    """
    folder = HISTORIES / name
    folder.mkdir(parents=True)
    rows = [
        {**one._asdict(), "headers": [{"key": key, "value": value} for key, value in one.headers]} for one in records
    ]
    out = BytesIO()
    writer(out, parse_schema(_RECORD), rows, codec="deflate", sync_marker=md5(name.encode()).digest())
    (folder / "log.avro").write_bytes(out.getvalue())
    (folder / "state.jsonl").write_text("".join(one.line() + "\n" for one in state), encoding="utf-8")
    return folder


def schema_ids(records: Iterable[Record]) -> set[int]:
    """Return the ids of the schemas in the lock that records are really written under."""
    schemas = {entry["id"]: parse_schema(entry["schema"]) for entry in contract.read_lock()}
    found = set()
    for record in records:
        raw = record.value or b""
        id_ = int.from_bytes(raw[1:HEADER_BYTES], "big")
        if raw[:1] == b"\0" and id_ in schemas and _fits(raw[HEADER_BYTES:], schemas[id_]):
            found.add(id_)
    return found


def _fits(body: bytes, schema: Any) -> bool:
    stream = BytesIO(body)
    try:
        schemaless_reader(stream, schema, None)
    except Exception:  # whatever the decoders meet: it is a bad record, and meant to be one
        return False
    return stream.tell() == len(body)


def differences(recorded: Iterable[Statement], found: Iterable[Statement]) -> Iterator[str]:
    """Yield what is no longer so, a line each; none: all is as it was recorded.

    A field that a later schema has added, and a column that a table did not have, is no difference.
    """
    schemas = {entry["id"]: entry["schema"] for entry in contract.read_lock()}
    before = {(one.about, one.key): one for one in recorded}
    after = {(one.about, one.key): one for one in found}
    for place, one in before.items():
        now = after.get(place)
        if now is None:
            yield f"{one.about} {one.key}: is gone"
            continue
        value = now.value if one.schema is None else known(now.value, schemas[one.schema])
        if one.about == "columns":
            value = {name: hash_ for name, hash_ in value.items() if name in one.value}
        yield from (f"{one.about} {one.key}: {what}" for what in _unlike(one.value, json.loads(json.dumps(value)), ""))
    yield from (f"{about} {key}: is new" for about, key in sorted(after.keys() - before.keys()))


def known(value: Any, schema: Any) -> Any:
    """Return a record with the fields alone that a schema has."""
    named: dict[str, Any] = {}

    def cut(part: Any, type_: Any) -> Any:
        if isinstance(type_, str):
            return cut(part, named[type_]) if type_ in named else part
        if isinstance(type_, list):
            kinds: dict[type, tuple[str, ...]] = {dict: ("record", "map"), list: ("array",)}
            fits = [one for one in type_ if _kind(one, named) in kinds.get(type(part), ())]
            for one in type_:
                note(one)
            return cut(part, fits[0]) if fits else part
        note(type_)
        if type_["type"] == "record":
            types = {field["name"]: field["type"] for field in type_["fields"]}
            return {name: cut(inner, types[name]) for name, inner in part.items() if name in types}
        if type_["type"] == "array":
            return [cut(inner, type_["items"]) for inner in part]
        if type_["type"] == "map":
            return {name: cut(inner, type_["values"]) for name, inner in part.items()}
        return part

    def note(type_: Any) -> None:
        """Remember the named types in a schema: further on they are meant by name."""
        if isinstance(type_, list):
            for one in type_:
                note(one)
        elif isinstance(type_, dict):
            if type_["type"] == "record":
                named[type_["name"]] = named[f"labelloop.{type_['name']}"] = type_
            for inner in (type_.get("items"), type_.get("values"), *(f["type"] for f in type_.get("fields", ()))):
                note(inner)

    note(schema)
    return cut(value, schema)


def _kind(type_: Any, named: dict[str, Any]) -> str:
    if isinstance(type_, str):
        return "record" if type_ in named else type_
    return str(type_["type"])


def _unlike(before: Any, after: Any, where: str) -> Iterator[str]:
    """Yield the paths at which two values differ, with both."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from _unlike(before.get(name), after.get(name), f"{where}.{name}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _unlike(one, other, f"{where}.{n}".lstrip("."))
    elif isinstance(before, float) and isinstance(after, float):
        if not isclose(before, after, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
            yield f"{where + ' ' if where else ''}was {before!r}, is now {after!r}"
    elif before != after:
        yield f"{where + ' ' if where else ''}was {before!r:.200}, is now {after!r:.200}"
