"""Avro in the Confluent wire format: `0x00`, the schema id as 4 big-endian bytes, the body.

`schemas/lock.json` is the only authority on ids. What an older program wrote resolves to the present schema of the
same name.
"""

import json
from functools import cache
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.types import Schema

from streams import avro, resources
from streams.errors import LabelloopError, Poison

Record = dict[str, Any]

HEADER_BYTES = 5

_NEWER = 1000
"""How far beyond our newest schema id a newer labelloop may be; ids further off are no ids of ours."""


class _Registry:
    """Schemas by id and the newest of each name, read once from the lock file."""

    def __init__(self) -> None:
        entries = json.loads((resources.directory("schemas") / "lock.json").read_text())
        self.ids: dict[str, int] = {entry["name"]: entry["id"] for entry in entries}
        self.schemas: dict[int, Schema] = {entry["id"]: parse_schema(entry["schema"]) for entry in entries}
        self.names: dict[int, str] = {entry["id"]: entry["name"] for entry in entries}


_registry = _Registry()


@cache
def _reader(id_: int) -> avro.Reader:
    """Return the reader of what was written under a schema: of the newest of its name, or resolving to that."""
    written, newest = _registry.schemas[id_], _registry.ids[_registry.names[id_]]
    if id_ == newest:
        return avro.reader(written)

    read, write = avro.reader(written), avro.writer(written)

    def resolving(raw: bytes, at: int) -> tuple[Record, int]:
        # fastavro passes over what is no longer there without a look at the end of the bytes: an array that claims to
        # be endless would hold it for ever. So it is given what was read already, written as it should be.
        record, end = read(raw, at)
        return schemaless_reader(BytesIO(write(record)), written, _registry.schemas[newest]), end  # type: ignore[return-value]

    return resolving


@cache
def _writer(name: str) -> tuple[bytes, avro.Writer]:
    """Return what a record of the newest schema called `name` begins with, and the writer of the rest."""
    id_ = _registry.ids[name]
    return b"\0" + id_.to_bytes(4, "big"), avro.writer(_registry.schemas[id_])


def schema_id(name: str) -> int:
    """Return the id of the newest schema called `name`."""
    return _registry.ids[name]


def newest(name: str) -> tuple[bytes, Schema]:
    """Return what begins every record of the newest schema called `name`, and that schema, parsed."""
    return _writer(name)[0], _registry.schemas[_registry.ids[name]]


def encode(name: str, record: Record) -> bytes:
    """Return `record` as the newest schema called `name`.

    Raises:
        ValueError, TypeError, KeyError: the record does not match the schema; programs of ours check before.
    """
    header, write = _writer(name)
    try:
        return header + write(record)
    except (ValueError, TypeError, KeyError, ArithmeticError):
        _refuse(_registry.schemas[_registry.ids[name]], record)
        raise


def _refuse(schema: Any, record: Record) -> None:
    """Let fastavro say which field of a record does not match: told the branch of a union, it says what within it."""
    branches = {field["name"]: field["type"][1] for field in schema["fields"] if isinstance(field["type"], list)}
    records = {field: branch["name"] for field, branch in branches.items() if "fields" in branch}
    told = {field: (record_name, record[field]) for field, record_name in records.items() if record.get(field)}
    schemaless_writer(BytesIO(), schema, {**record, **told})


def decode(raw: bytes | None) -> tuple[str, Record]:
    """Return the schema's name and the record, resolved to the newest schema of that name.

    Raises:
        Poison: `undecodable` or `unknown_schema`.
    """
    if raw is None or len(raw) < HEADER_BYTES or raw[0] != 0:
        raise Poison(
            "undecodable",
            "the value does not begin with 0x00 and a schema id: write it in the Confluent wire format (docs/tools.md)",
        )
    id_ = int.from_bytes(raw[1:HEADER_BYTES], "big")
    name = _registry.names.get(id_)
    if name is None:
        raise Poison(
            "unknown_schema",
            f"schema id {id_} is not in schemas/lock.json: use an id listed there; if it is of a newer labelloop, "
            "upgrade this worker and give the record back with `labelloop dlq redrive`",
        )
    try:
        record, end = _reader(id_)(raw, HEADER_BYTES)
    except Exception as error:  # whatever the readers meet: all of it is a bad body
        raise Poison("undecodable", f"the body is not a {name} record of schema {id_}: {error!r}") from None
    if end > len(raw):
        raise Poison("undecodable", f"the body is not a {name} record of schema {id_}: it ends too early")
    if end < len(raw):
        raise Poison("undecodable", f"{len(raw) - end} bytes follow the {name} record of schema {id_}")
    return name, record


def decode_own(raw: bytes | None) -> tuple[str, Record]:
    """Return what `decode` does of a record that only our own processors write.

    A newer one wrote what is unknown here. To pass it over would lose it for good, so this program is not to go on.

    Raises:
        Poison: `undecodable` or `unknown_schema`.
        LabelloopError: a newer labelloop wrote it.
    """
    id_ = int.from_bytes(raw[1:HEADER_BYTES], "big") if raw is not None and raw[:1] == b"\0" else 0
    newest = max(_registry.names)
    if newest < id_ <= newest + _NEWER:
        raise LabelloopError(
            f"a newer labelloop wrote a record under schema {id_}, and this one knows up to {newest}: upgrade this "
            "process too (docs/upgrades.md); nothing is lost"
        )
    return decode(raw)
