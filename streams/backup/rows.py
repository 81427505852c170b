"""A record of the log as a row of an Avro container file, and back, byte for byte.

A row holds the value decoded under its writer's schema, so that any Avro tool reads it. Avro leaves a writer some
freedom (blocks of arrays, over-long numbers, bytes behind the body), so a value is kept decoded only where encoding it
again gives the same bytes, and as `raw` bytes where not. One file holds a partition in order whatever schemas wrote it:
`value` is a union of all versions of the topic's schema, each under a namespace of its own id, because a union may not
hold two types of one name.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from streams import codec, contract
from streams.catalogue import TOPICS

Row = dict[str, Any]

_NAMESPACE = "labelloop."


class Record(NamedTuple):
    """A record of the log.

    Args:
        offset: Its offset.
        timestamp: Its timestamp, ms since 1970 UTC.
        timestamp_type: What the timestamp is: LogAppendTime, CreateTime (in a log that was restored) or NotAvailable.
        key: Its key.
        headers: Its headers in order.
        value: Its value, in the wire format if it is one of ours.
    """

    offset: int
    timestamp: int
    timestamp_type: str
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None


def digest(record: Record) -> str:
    """Return the SHA-256 of what a record says and where it lies, hexadecimal.

    The type of the timestamp has no part in it: a restored log, whose records are the same, has another.
    """
    told = (record.offset, record.timestamp, record.key, record.headers, record.value)
    return hashlib.sha256(repr(told).encode()).hexdigest()


@cache
def versions(topic: str) -> Mapping[int, Any]:
    """Return the versions of a topic's schema, by id."""
    name = TOPICS[topic].schema
    return {entry["id"]: entry["schema"] for entry in contract.read_lock() if entry["name"] == name}


@cache
def fingerprints(topic: str) -> Mapping[int, str]:
    """Return the SHA-256 of the canonical form of each version of a topic's schema, hexadecimal, by id."""
    return {id_: fingerprint(to_parsing_canonical_form(schema), "SHA-256") for id_, schema in versions(topic).items()}


def file_schema(topic: str) -> Any:
    """Return the schema of the rows of a topic."""
    return {
        "type": "record",
        "name": "LogRecord",
        "namespace": "labelloop.backup",
        "doc": f"A record of the topic {topic}.",
        "fields": [
            {"name": "offset", "type": "long", "doc": "Offset in the partition."},
            {"name": "timestamp", "type": "long", "doc": "The log's time, milliseconds since 1970-01-01 UTC."},
            {"name": "timestamp_type", "type": "string", "doc": "LogAppendTime, CreateTime or NotAvailable."},
            {"name": "key", "type": ["null", "bytes"], "doc": "Key, percent-encoded UTF-8."},
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
                "doc": "Headers in order.",
            },
            {"name": "schema_id", "type": ["null", "int"], "doc": "Id of the schema that `value` was written under."},
            {
                "name": "value",
                "type": ["null", *(_apart(id_, schema) for id_, schema in versions(topic).items())],
                "doc": "The value; null where there is none, or it is in `raw`.",
            },
            {
                "name": "raw",
                "type": ["null", "bytes"],
                "doc": "The value's bytes where decoding and encoding does not give them back.",
            },
        ],
    }


def _apart(id_: int, schema: Any) -> Any:
    """Return a schema whose names lie in a namespace of its id."""

    def moved(part: Any) -> Any:
        if isinstance(part, list):
            return [moved(one) for one in part]
        if isinstance(part, dict):
            found = {
                key: moved(value) if key in ("type", "items", "values", "fields") else value
                for key, value in part.items()
                if not key.startswith("__")  # the parser's own
            }
            return found | {"name": renamed(found["name"])} if part.get("type") == "record" else found
        return renamed(part) if isinstance(part, str) else part

    def renamed(name: str) -> str:
        return f"{_NAMESPACE}s{id_}.{name.removeprefix(_NAMESPACE)}" if name.startswith(_NAMESPACE) else name

    return moved(parse_schema(schema))  # parsed: every name is a full one


class Rows:
    """Turns the records of one topic into rows.

    Args:
        topic: Topic without the prefix.
    """

    def __init__(self, topic: str) -> None:
        self._schemas = {id_: parse_schema(schema) for id_, schema in versions(topic).items()}
        self._branches = {id_: _apart(id_, schema)["name"] for id_, schema in versions(topic).items()}

    def row(self, record: Record) -> Row:
        """Return a record as fastavro writes it under `file_schema`."""
        id_, value = self._decoded(record.value)
        return {
            "offset": record.offset,
            "timestamp": record.timestamp,
            "timestamp_type": record.timestamp_type,
            "key": record.key,
            "headers": [{"key": key, "value": value} for key, value in record.headers],
            "schema_id": id_,
            "value": None if id_ is None else (self._branches[id_], value),
            "raw": record.value if id_ is None else None,
        }

    def _decoded(self, raw: bytes | None) -> tuple[int | None, Any]:
        """Return schema id and value, twice None where encoding the value again does not give the same bytes."""
        if raw is None or len(raw) < codec.HEADER_BYTES or raw[0] != 0:
            return None, None
        id_ = int.from_bytes(raw[1 : codec.HEADER_BYTES], "big")
        schema = self._schemas.get(id_)
        if schema is None:
            return None, None
        try:
            value = schemaless_reader(BytesIO(raw[codec.HEADER_BYTES :]), schema, None)
            same = _encoded(id_, schema, value) == raw
        except Exception:  # fastavro raises whatever its decoders meet: such bytes are kept as they are
            return None, None
        return (id_, value) if same else (None, None)


class Records:
    """Turns rows of one file into the records they were.

    Args:
        schema: The schema that the file carries: no later program changes what it means.

    Raises:
        ValueError: it is not the schema of such a file.
    """

    def __init__(self, schema: Any) -> None:
        try:
            fields = {field["name"]: field["type"] for field in schema["fields"]}
            branches = [branch for branch in fields["value"] if branch != "null"]
            # labelloop.s12.Label: the id is in the name
            self._schemas = {int(one["name"].split(".")[1].removeprefix("s")): parse_schema(one) for one in branches}
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"not the schema of a backup: {error!r}") from error

    def record(self, row: Row) -> Record:
        """Return the record that a row was.

        Raises:
            ValueError: the row names a schema that the file does not carry.
        """
        id_, value = row["schema_id"], row["raw"]
        if id_ is not None:
            if id_ not in self._schemas:
                raise ValueError(f"offset {row['offset']} names schema {id_}, which the file does not carry")
            value = _encoded(id_, self._schemas[id_], row["value"])
        headers = tuple((header["key"], header["value"]) for header in row["headers"])
        return Record(row["offset"], row["timestamp"], row["timestamp_type"], row["key"], headers, value)


def _encoded(id_: int, schema: Any, value: Any) -> bytes:
    out = BytesIO()
    out.write(b"\0" + id_.to_bytes(4, "big"))
    schemaless_writer(out, schema, value)
    return out.getvalue()
