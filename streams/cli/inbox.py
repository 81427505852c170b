"""`labelloop inbox`: what became of what a person corrected, flagged or labelled."""

from pathlib import Path

import click

from streams.cli.options import data_option
from streams.people import read_people
from streams.query.inbox import chosen, lines
from streams.query.inbox import inbox as read_inbox
from streams.settings import Settings


@click.command()
@click.option("--actor", required=True, metavar="NAME", help="Whose, as a pseudonym.")
@click.option("--project", "-p", help="Only of this project.")
@click.option("--all", "everything", is_flag=True, help="Also what is beyond the project's limit a day.")
@data_option
def inbox(actor: str, project: str | None, everything: bool, data: Path | None) -> None:
    """Say which models learnt from a person, and whether they now get it right.

    The newest model comes first, and of each model the most instructive receipts. No model had seen the item that is
    told of it: "learnt" means that it is right on the item having learnt from the others.

    Example: labelloop inbox --actor ria --project birds
    """
    settings = Settings.load(data)
    found = read_inbox(settings, actor, project)
    shown = chosen(found, everything)
    for line in lines(shown, read_people(settings.home)):
        click.echo(line)
    if not found:
        click.echo(f"nothing for {actor!r} yet: a receipt comes when a model that learnt is promoted", err=True)
    elif len(shown) < len(found):
        click.echo(f"{len(found) - len(shown):,} more: add --all", err=True)
