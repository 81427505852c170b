"""Avro in the Confluent wire format: `0x00`, the schema id as 4 big-endian bytes, the body.

`schemas/lock.json` is the only authority on ids. What an older program wrote resolves to the present schema of the
same name.
"""

import json
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.types import Schema

from streams import resources
from streams.errors import LabelloopError, Poison

Record = dict[str, Any]

HEADER_BYTES = 5

_NEWER = 1000
"""How far beyond our newest schema id a newer labelloop may be; ids further off are no ids of ours."""


class _Registry:
    """Schemas by id and the newest of each name, read once from the lock file."""

    def __init__(self) -> None:
        entries = json.loads((resources.directory("schemas") / "lock.json").read_text())
        newest = {entry["name"]: entry["id"] for entry in entries}
        parsed = {entry["id"]: parse_schema(entry["schema"]) for entry in entries}
        self.ids: dict[str, int] = newest
        # id -> (name, writer's schema, reader's schema or None where they are the same: reading is faster without)
        self.by_id: dict[int, tuple[str, Schema, Schema | None]] = {
            entry["id"]: (
                entry["name"],
                parsed[entry["id"]],
                None if newest[entry["name"]] == entry["id"] else parsed[newest[entry["name"]]],
            )
            for entry in entries
        }
        # name -> (header, schema, full name of the record in each field that is null or a record)
        self.writers: dict[str, tuple[bytes, Schema, dict[str, str]]] = {
            name: (b"\0" + id_.to_bytes(4, "big"), parsed[id_], _nullable_records(parsed[id_]))
            for name, id_ in newest.items()
        }


def _nullable_records(schema: Any) -> dict[str, str]:
    """Return the full name of the record in each field that is null or a record."""
    found = {}
    for field in schema["fields"]:
        union = field["type"]
        if isinstance(union, list) and len(union) == 2 and union[0] == "null":
            record = union[1]["name"] if isinstance(union[1], dict) and union[1]["type"] == "record" else union[1]
            if isinstance(record, str) and "." in record:  # a named type; primitives have no namespace
                found[field["name"]] = record
    return found


_registry = _Registry()


def schema_id(name: str) -> int:
    """Return the id of the newest schema called `name`."""
    return _registry.ids[name]


def encode(name: str, record: Record) -> bytes:
    """Return `record` as the newest schema called `name`.

    Raises:
        ValueError, TypeError, KeyError: the record does not match the schema; programs of ours check before.
    """
    header, schema, nullable_records = _registry.writers[name]
    # Told which branch of a union it is, fastavro need not try each of them: a quarter less time.
    told = {
        field: (record_name, record[field])
        for field, record_name in nullable_records.items()
        if record.get(field) is not None
    }
    out = BytesIO()
    out.write(header)
    schemaless_writer(out, schema, {**record, **told} if told else record)
    return out.getvalue()


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
    entry = _registry.by_id.get(id_)
    if entry is None:
        raise Poison(
            "unknown_schema",
            f"schema id {id_} is not in schemas/lock.json: use an id listed there; if it is of a newer labelloop, "
            "upgrade this worker and give the record back with `labelloop dlq redrive`",
        )
    name, writer, reader = entry
    body = BytesIO(raw)
    body.seek(HEADER_BYTES)
    try:
        record = schemaless_reader(body, writer, reader)
    except Exception as error:  # fastavro raises whatever its decoders meet: all of it is a bad body
        raise Poison("undecodable", f"the body is not a {name} record of schema {id_}: {error!r}") from None
    if body.tell() != len(raw):
        raise Poison("undecodable", f"{len(raw) - body.tell()} bytes follow the {name} record of schema {id_}")
    return name, record  # type: ignore[return-value]


def decode_own(raw: bytes | None) -> tuple[str, Record]:
    """Return what `decode` does of a record that only our own processors write.

    A newer one wrote what is unknown here. To pass it over would lose it for good, so this program is not to go on.

    Raises:
        Poison: `undecodable` or `unknown_schema`.
        LabelloopError: a newer labelloop wrote it.
    """
    id_ = int.from_bytes(raw[1:HEADER_BYTES], "big") if raw is not None and raw[:1] == b"\0" else 0
    newest = max(_registry.by_id)
    if newest < id_ <= newest + _NEWER:
        raise LabelloopError(
            f"a newer labelloop wrote a record under schema {id_}, and this one knows up to {newest}: upgrade this "
            "process too (docs/upgrades.md); nothing is lost"
        )
    return decode(raw)
