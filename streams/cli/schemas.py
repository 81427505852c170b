"""`labelloop schemas`: the contract's check, its lock file, and its export."""

import json
import sys

import click

from streams import contract, resources


@click.group()
def schemas() -> None:
    """Check, lock and export the Avro schemas."""


@schemas.command()
def check() -> None:
    """Refuse a schema change that would break a reader.

    Example: labelloop schemas check
    """
    found = contract.problems(contract.schema_files(), contract.read_lock())
    for line in found:
        click.echo(line, err=True)
    if found:
        sys.exit(1)
    click.echo(f"{len(contract.schema_files())} schemas: compatible, documented, locked")


@schemas.command()
def lock() -> None:
    """Give new ids to new and changed schemas.

    Example: labelloop schemas lock
    """
    path = resources.directory("schemas") / "lock.json"
    before = contract.read_lock()
    after = contract.extended(contract.schema_files(), before)
    path.write_text(contract.dump(after))
    for entry in after[len(before) :]:
        click.echo(f"{entry['name']}: id {entry['id']}")


@schemas.command()
def export() -> None:
    """Print every schema as requests for a Schema Registry in import mode, one JSON line each.

    Example: labelloop schemas export > subjects.jsonl
    """
    count: dict[str, int] = {}
    for entry in contract.read_lock():
        version = count[entry["name"]] = count.get(entry["name"], 0) + 1
        body = {"id": entry["id"], "version": version, "schemaType": "AVRO", "schema": json.dumps(entry["schema"])}
        click.echo(json.dumps({"subject": f"labelloop.{entry['name']}", "request": body}))
