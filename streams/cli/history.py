"""`labelloop history`: all that happened to an item, from the log."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.console import bar, told_time
from streams.cli.options import data_option, project_option
from streams.query.story import read_story
from streams.settings import Settings


@click.command()
@click.argument("item")
@project_option
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", help="Default: table.")
@data_option
def history(item: str, project: str, form: Literal["table", "jsonl"], data: Path | None) -> None:
    """Tell the whole story of an item, from the log and in its order: who, what, why, and what it caused.

    \b
    Examples:
      labelloop history img-7 --project birds
      labelloop history img-7 --project birds --format jsonl
    """
    with bar("reading the log") as tell:
        steps = read_story(Settings.load(data), project, item, tell)
    if form == "jsonl":
        for step in steps:
            click.echo(json.dumps(asdict(step), ensure_ascii=False))
        return
    table = Table(title=f"{project}/{item}", title_justify="left", box=None)
    for column in ("when (UTC)", "who", "what", "why", "caused"):
        table.add_column(column, overflow="fold")
    for step in steps:
        who = f"{step.actor} ({step.role})" if step.role else step.actor or "-"
        why = "; ".join(filter(None, (step.reason, step.caused_by and f"after {step.caused_by}")))
        cells = (who, f"{step.topic}: {step.says}", why, "; ".join(step.caused))
        table.add_row(told_time(step.log_time), *map(Text, cells))
    Console().print(table)
