"""`labelloop migrate` and `labelloop refold`: what an upgrade needs (docs/upgrades.md)."""

from pathlib import Path

import click

from streams.cli.options import data_option
from streams.settings import Settings


@click.command()
@data_option
def migrate(data: Path | None) -> None:
    """Create the topics, tables and columns that are missing; workers may run meanwhile.

    `labelloop up` does it too. Run it before the workers of a newer labelloop start; or as somebody who may create
    things, so that workers need not (docs/security.md).

    Example: labelloop migrate
    """
    from streams.sinks.migrate import migrate as apply
    from streams.transport.topics import ensure

    settings = Settings.load(data)
    ensure(settings)
    applied = apply(settings)
    click.echo("\n".join(applied) if applied else "nothing to do: all migrations are applied")


@click.command()
@data_option
def refold(data: Path | None) -> None:
    """Have the workers of "items" build their state again from the facts; first stop them all.

    Needed when they say that the state has another format. No fact is touched.

    Example: labelloop refold
    """
    from streams.rebuild.refold import refold as forget

    forget(Settings.load(data))
    click.echo("done: the next start of the workers of 'items' begins with the first fact; `labelloop status` shows it")
