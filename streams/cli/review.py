"""The reviewer's commands: see the queue, take an item, judge it, look at its story."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.catalogue import TIERS
from streams.cli.options import data_option, project_option
from streams.errors import LabelloopError
from streams.query.display import queue_table, task_table
from streams.query.item import history
from streams.query.review import ReviewQueue
from streams.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def _reviewer_option(command: F) -> F:
    text = "Who reviews; default: $LABELLOOP_REVIEWER, else the login name."
    return click.option("--as", "reviewer", metavar="NAME", help=text)(command)


def _tier_option(command: F) -> F:
    return click.option("--tier", "tiers", multiple=True, type=click.Choice(TIERS), help="Only this tier; repeatable.")(
        command
    )


def _open(data: Path | None, project: str, reviewer: str | None, tiers: tuple[str, ...] = ()) -> ReviewQueue:
    return ReviewQueue(project, tiers or TIERS, reviewer=reviewer, settings=Settings.load(data))


@click.command()
@project_option
@_reviewer_option
@_tier_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Tasks to show.")
@click.option("--format", "format_", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
@data_option
def queue(
    project: str, reviewer: str | None, tiers: tuple[str, ...], limit: int, format_: str, data: Path | None
) -> None:
    """Show what to review next, the most urgent first.

    Example: labelloop queue --project birds --tier p0 --limit 5
    """
    with _open(data, project, reviewer, tiers) as tasks:
        head = tasks.head(limit)
    if format_ == "jsonl":
        for task in head:
            click.echo(orjson.dumps(task))
    elif head:
        Console().print(queue_table(head))
    else:
        click.echo(f"nothing to review in {project!r}", err=True)


@click.command()
@project_option
@_reviewer_option
@_tier_option
@data_option
def take(project: str, reviewer: str | None, tiers: tuple[str, ...], data: Path | None) -> None:
    """Claim the most urgent free task and show it.

    Example: labelloop take --project birds --as ria
    """
    with _open(data, project, reviewer, tiers) as tasks:
        for task in tasks:
            if tasks.claim(task):
                Console().print(task_table(tasks.get(task["item_id"])))
                return
    click.echo(f"nothing to review in {project!r}", err=True)
    sys.exit(1)


@click.command()
@click.argument("item")
@project_option
@_reviewer_option
@data_option
def renew(item: str, project: str, reviewer: str | None, data: Path | None) -> None:
    """Keep a claimed item for another lease.

    Example: labelloop renew img-7 --project birds
    """
    with _open(data, project, reviewer) as tasks:
        if not tasks.renew(tasks.get(item)):
            raise LabelloopError(f"{item!r} is not yours any more: take it again")


@click.command()
@click.argument("item")
@project_option
@_reviewer_option
@data_option
def release(item: str, project: str, reviewer: str | None, data: Path | None) -> None:
    """Give a claimed item back.

    Example: labelloop release img-7 --project birds
    """
    with _open(data, project, reviewer) as tasks:
        tasks.release(tasks.get(item))


@click.command()
@click.argument("item")
@project_option
@_reviewer_option
@data_option
def skip(item: str, project: str, reviewer: str | None, data: Path | None) -> None:
    """Give an item back and never be given it again.

    Example: labelloop skip img-7 --project birds
    """
    with _open(data, project, reviewer) as tasks:
        tasks.skip(tasks.get(item))


@click.command()
@click.argument("item")
@click.argument("value")
@project_option
@_reviewer_option
@click.option("--reason", help="Why, in your words.")
@data_option
def correct(item: str, value: str, project: str, reviewer: str | None, reason: str | None, data: Path | None) -> None:
    """Say what is right.

    Example: labelloop correct img-7 wren --project birds --reason "white eye-stripe"
    """
    with _open(data, project, reviewer) as tasks:
        click.echo(tasks.verdict(tasks.get(item), "corrected", value, reason=reason))


@click.command()
@click.argument("item")
@project_option
@_reviewer_option
@click.option("--reason", help="Why, in your words.")
@data_option
def confirm(item: str, project: str, reviewer: str | None, reason: str | None, data: Path | None) -> None:
    """Say that the shown answer is right.

    Example: labelloop confirm img-7 --project birds
    """
    with _open(data, project, reviewer) as tasks:
        task = tasks.get(item)
        if task["consensus"] is None:
            raise LabelloopError(f"{item!r} shows no answer to confirm: use `labelloop correct`")
        click.echo(tasks.verdict(task, "confirmed", reason=reason))


@click.command()
@click.argument("item")
@project_option
@_reviewer_option
@click.option("--reason", help="Why, in your words.")
@data_option
def unsure(item: str, project: str, reviewer: str | None, reason: str | None, data: Path | None) -> None:
    """Ask another reviewer: you are not given the item again.

    Example: labelloop unsure img-7 --project birds --reason "back to the camera"
    """
    with _open(data, project, reviewer) as tasks:
        click.echo(tasks.verdict(tasks.get(item), "unsure", reason=reason))


@click.command()
@click.argument("item")
@project_option
@_reviewer_option
@data_option
def undo(item: str, project: str, reviewer: str | None, data: Path | None) -> None:
    """Take back the standing verdict of an item.

    Example: labelloop undo img-7 --project birds
    """
    with _open(data, project, reviewer) as tasks:
        click.echo(tasks.undo(item))


@click.command()
@click.argument("item")
@project_option
@data_option
def show(item: str, project: str, data: Path | None) -> None:
    """Show an item: labels side by side, prediction, verdict, and all that happened to it.

    Example: labelloop show img-7 --project birds
    """
    settings = Settings.load(data)
    with ReviewQueue(project, settings=settings) as tasks:
        Console().print(task_table(tasks.get(item)))
    events = history(settings, project, item)
    table = Table(title="history", title_justify="left", box=None)
    for column in ("when (UTC)", "what", "who", "says"):
        table.add_column(column, overflow="fold")
    for event in events:
        table.add_row(event["at"].strftime("%Y-%m-%d %H:%M:%S"), event["topic"], event["actor"], Text(event["says"]))
    Console().print(table)
