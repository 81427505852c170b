"""`labelloop schemas`: the contract's check, its lock file, and its export."""

import json
import os
import sys

import click

from streams import contract, resources
from streams.catalogue import TOPICS


@click.group()
def schemas() -> None:
    """Check, lock and export the Avro schemas."""


@schemas.command()
def check() -> None:
    """Refuse a schema change that would break a reader.

    Example: labelloop schemas check
    """
    _refuse(contract.problems(contract.schema_files(), contract.read_lock()))
    click.echo(f"{len(contract.schema_files())} schemas: compatible, documented, locked")


@schemas.command()
def lock() -> None:
    """Give new ids to new and changed schemas.

    Example: labelloop schemas lock
    """
    path, files, before = resources.directory("schemas") / "lock.json", contract.schema_files(), contract.read_lock()
    _refuse(contract.breaking(files, before))
    after = contract.extended(files, before)
    path.write_text(contract.dump(after))
    for entry in after[len(before) :]:
        click.echo(f"{entry['name']}: id {entry['id']}")


@schemas.command()
def export() -> None:
    """Print the schemas of every topic as requests for a Schema Registry in import mode, one JSON line each.

    Example: labelloop schemas export > subjects.jsonl
    """
    prefix = os.environ.get("LABELLOOP_PREFIX", "labelloop")
    for topic in TOPICS.values():
        versions = [entry for entry in contract.read_lock() if entry["name"] == topic.schema]
        for version, entry in enumerate(versions, 1):
            body = {"id": entry["id"], "version": version, "schemaType": "AVRO", "schema": json.dumps(entry["schema"])}
            click.echo(json.dumps({"subject": f"{prefix}.{topic.name}-value", "request": body}))


def _refuse(problems: list[str]) -> None:
    """End with status 1 if there are problems."""
    for line in problems:
        click.echo(line, err=True)
    if problems:
        sys.exit(1)
