"""Guards the contract: ids of schemas, examples, and that no edit breaks a reader.

Facts are kept for ever, so every version of a fact's schema must read every other one (full transitive
compatibility), and no field of theirs may go or get another name: Avro would read it as its default, without a word.
Of the rest, the newest must read the older ones.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

from fastavro import parse_schema

from streams import resources
from streams.catalogue import TOPICS
from streams.errors import LabelloopError

_MAX_ID = 2**31 - 1  # registries keep ids as signed 32-bit numbers


class Entry(TypedDict):
    """One schema of the lock file."""

    id: int
    name: str
    schema: dict[str, Any]


def schema_files(root: Path | None = None) -> dict[str, dict[str, Any]]:
    """Return the schemas of `schemas/*.avsc` by name."""
    folder = root or resources.directory("schemas")
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.avsc"))}


def read_lock(root: Path | None = None) -> list[Entry]:
    """Return the lock file's entries in the order of their ids."""
    path = (root or resources.directory("schemas")) / "lock.json"
    entries: list[Entry] = json.loads(path.read_text()) if path.exists() else []
    return entries


def examples(root: Path | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the examples of each schema by name, ready to encode; fields left out take their defaults.

    In the files, bytes are written as in Avro's own JSON: one character for each byte.
    """
    folder = root or resources.directory("schemas")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for schema, definition in schema_files(folder).items():
        binary = {field["name"] for field in definition["fields"] if "bytes" in field["type"]}
        for path in sorted((folder / "examples" / schema).glob("*.json")):
            record = json.loads(path.read_text())
            found.setdefault(schema, {})[path.stem] = {
                name: value.encode("latin-1") if name in binary and value is not None else value
                for name, value in record.items()
            }
    return found


def without_docs(schema: Any) -> Any:
    """Return a schema without its `doc` texts: rewording one is no new version."""
    if isinstance(schema, dict):
        return {key: without_docs(value) for key, value in schema.items() if key != "doc"}
    return [without_docs(part) for part in schema] if isinstance(schema, list) else schema


def problems(files: dict[str, dict[str, Any]], lock: list[Entry]) -> list[str]:
    """Return what keeps the files from being the contract, one line each; empty when all is well."""
    return breaking(files, lock) + [
        f"{name}: not in the lock file as it is: run `labelloop schemas lock` once it is compatible"
        for name in unlocked(files, lock)
    ]


def unlocked(files: dict[str, dict[str, Any]], lock: list[Entry]) -> list[str]:
    """Return the names of the schemas that are new or have changed."""
    newest = {entry["name"]: entry["schema"] for entry in lock}
    return [name for name, schema in files.items() if newest.get(name) != without_docs(schema)]


def breaking(files: dict[str, dict[str, Any]], lock: list[Entry]) -> list[str]:
    """Return what breaks the contract whatever is locked, one line each."""
    facts = {topic.schema for topic in TOPICS.values() if topic.kind == "fact"}
    found = [
        f"{name}: in the lock file but schemas/{name}.avsc is gone" for name in {e["name"] for e in lock} - {*files}
    ]
    ids = [0, *(entry["id"] for entry in lock)]
    found += [
        f"lock.json: id {later} comes after {earlier}: ids rise from 1 to {_MAX_ID} and are never used twice"
        for earlier, later in pairwise(ids)
        if not earlier < later <= _MAX_ID
    ]
    for name, schema in files.items():
        try:
            parse_schema(schema, _force=True)
        except Exception as error:  # the parser's errors are many; each is a broken file
            found.append(f"{name}: not an Avro schema: {error}")
            continue
        found += [f"{name}: {where} has no doc" for where in undocumented(schema)]
        versions = [entry for entry in lock if entry["name"] == name]
        for entry in versions:
            found += [
                f"{name}: cannot read version {entry['id']}: {why}" for why in incompatible(schema, entry["schema"])
            ]
            if name in facts:
                found += [
                    f"{name}: version {entry['id']} cannot read it: {why}"
                    for why in incompatible(entry["schema"], schema)
                ]
                found += [f"{name}: version {entry['id']}: {why}" for why in lost(entry["schema"], schema)]
    return found


def lost(stored: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Return what `schema` would lose of records written as `stored`, though Avro's rules allow it."""
    before, after = _types(stored), _types(schema)
    gone = [f"{path} is gone: no field of a fact may be removed or renamed" for path in before if path not in after]
    return gone + [
        f"{path} changes between string and bytes: it would be read as the other"
        for path in before
        if path in after and ("bytes" in before[path]) != ("bytes" in after[path])
    ]


def _types(schema: Any, where: str = "") -> dict[str, set[str]]:
    """Return the names of the types of each field, by dotted path; items of lists and maps have their field's path."""
    if isinstance(schema, str):
        return {where: {schema}}
    found: dict[str, set[str]] = {}
    parts = schema if isinstance(schema, list) else [schema.get(name) for name in ("items", "values")]
    inner = [_types(part, where) for part in parts if part is not None]
    if isinstance(schema, dict):
        found[where] = {schema["type"]} if isinstance(schema["type"], str) else set()
        fields = schema.get("fields", ())
        inner += [_types(field["type"], f"{where}.{field['name']}".lstrip(".")) for field in fields]
    for paths in inner:
        for path, names in paths.items():
            found.setdefault(path, set()).update(names)
    return found


def undocumented(schema: Any, where: str = "") -> list[str]:
    """Return the fields below `schema` that lack a `doc`, as dotted paths."""
    if isinstance(schema, list):
        return [path for part in schema for path in undocumented(part, where)]
    if not isinstance(schema, dict):
        return []
    found = []
    for field in schema.get("fields", ()):
        path = f"{where}.{field['name']}".lstrip(".")
        found += [] if field.get("doc") else [path]
        found += undocumented(field["type"], path)
    return found + [path for inner in ("items", "values") for path in undocumented(schema.get(inner), where)]


def incompatible(reader: dict[str, Any], writer: dict[str, Any]) -> list[str]:
    """Return why `reader` cannot read what `writer` wrote, by the rules of Avro's schema resolution."""
    try:
        from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
        from avro.schema import parse
    except ModuleNotFoundError:
        raise LabelloopError("schemas are checked with the development requirements: install labelloop[dev]") from None

    result = ReaderWriterCompatibilityChecker().get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    if result.compatibility == SchemaCompatibilityType.compatible:
        return []
    return sorted(f"{message} at {place}" for message, place in zip(result.messages, result.locations, strict=False))


def extended(files: dict[str, dict[str, Any]], lock: list[Entry]) -> list[Entry]:
    """Return the lock with a new id for each schema that is new or has changed."""
    changed = unlocked(files, lock)
    start = max((entry["id"] for entry in lock), default=0) + 1
    return lock + [Entry(id=start + n, name=name, schema=without_docs(files[name])) for n, name in enumerate(changed)]


def dump(lock: list[Entry]) -> str:
    """Return the lock file's text: one schema a line, so that a change shows as one line."""
    return "[\n" + ",\n".join(json.dumps(entry) for entry in lock) + "\n]\n"
