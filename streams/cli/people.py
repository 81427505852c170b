"""`labelloop people`, `forget`: who a pseudonym is, and nobody any more."""

from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from streams.cli.options import data_option
from streams.people import forget_person, name_person, read_people
from streams.settings import data_directory
from streams.terminal import Console


@click.group()
def people() -> None:
    """Who a pseudonym is: kept in the data directory, never in the log."""


@people.command("set")
@click.argument("actor")
@click.argument("name")
@data_option
def set_(actor: str, name: str, data: Path | None) -> None:
    """Note the name of the person behind a pseudonym; the inbox, histories and past states then show it.

    Example: labelloop people set anna "Anna Example"
    """
    name_person(data_directory(data), actor, name)


@people.command("list")
@data_option
def list_(data: Path | None) -> None:
    """List the pseudonyms whose person is known.

    Example: labelloop people list
    """
    names = read_people(data_directory(data)).names
    if not names:
        click.echo("nobody is known: the log has pseudonyms alone; `labelloop people set` names a person")
        return
    table = Table("pseudonym", "name")
    for actor, name in names.items():
        table.add_row(Text(actor), Text(name))
    Console().print(table)


@click.command()
@click.argument("actor")
@data_option
def forget(actor: str, data: Path | None) -> None:
    """Forget who a pseudonym is. What it did stays, as that of somebody unknown: labels, skill, statistics.

    Example: labelloop forget anna
    """
    was_known = forget_person(data_directory(data), actor)
    known = "is forgotten" if was_known else "was not known here"
    click.echo(
        f"who {actor!r} is {known}. The log keeps what was done under the pseudonym, so that every count and model "
        "stays; it names nobody. Copies of people.json elsewhere, and texts that name a person, are yours to delete"
    )
