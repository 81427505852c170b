"""The reviewer's commands: see the queue, take an item, judge it, look at its story."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streams.catalogue import TIERS
from streams.cli.options import data_option, project_option
from streams.errors import LabelloopError
from streams.query.display import queue_table, task_table
from streams.query.item import history
from streams.query.review import ReviewQueue
from streams.settings import Settings
from streams.terminal import Console

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
        head, held = tasks.head(limit), tasks.held()
    if format_ == "jsonl":
        for task in head:
            click.echo(orjson.dumps(task))
    elif head:
        Console().print(queue_table(head))
    else:
        click.echo(f"nothing to review in {project!r}", err=True)
    if held:
        click.echo(f"{held:,} more tasks wait for another day: the project has a budget of reviews a day", err=True)


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
                now = tasks.get(task["item_id"])
                Console().print(task_table(now, tasks.similar(now)))
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
@click.argument("item", required=False)
@project_option
@_reviewer_option
@click.option(
    "--group", metavar="NAME", help="Confirm all open tasks of a group, see `labelloop show`, instead of ITEM."
)
@click.option("--dry-run", is_flag=True, help="Only show the tasks of the group.")
@click.option("--yes", is_flag=True, help="Do not ask before a group is confirmed.")
@click.option("--reason", help="Why, in your words.")
@data_option
def confirm(
    item: str | None,
    project: str,
    reviewer: str | None,
    group: str | None,
    dry_run: bool,
    yes: bool,
    reason: str | None,
    data: Path | None,
) -> None:
    """Say that the shown answer of ITEM, or of each item of a group, is right.

    Of a group what changes while you look, is claimed by others or has your own label is left out and told.

    Example: labelloop confirm img-7 --project birds

    Example: labelloop confirm --group "pair:wren|robin" --project birds --dry-run
    """
    if (item is None) == (group is None) or (dry_run and group is None):
        raise LabelloopError("name one item, or a group with --group; --dry-run is for a group")
    with _open(data, project, reviewer) as tasks:
        if group is not None:
            _confirm_group(tasks, group, dry_run, yes, reason)
            return
        task = tasks.get(str(item))
        if task["consensus"] is None:
            raise LabelloopError(f"{item!r} shows no answer to confirm: use `labelloop correct`")
        click.echo(tasks.verdict(task, "confirmed", reason=reason))


def _confirm_group(tasks: ReviewQueue, group: str, dry_run: bool, yes: bool, reason: str | None) -> None:
    """Show the tasks of a group and, when the reviewer says so, confirm them."""
    found = tasks.group(group)
    if not found:
        click.echo(f"group {group!r} has no open task: nothing to confirm", err=True)
        return
    Console().print(queue_table(found, escape(f"{len(found)} open tasks of {group}")))
    if dry_run:
        return
    if not yes:
        click.confirm(f"Confirm the shown answers of these {len(found)} items?", abort=True)
    settled = tasks.confirm_group(group, {task["item_id"]: task["revision"] for task in found}, reason=reason)
    for name, why in settled.refused.items():
        click.echo(f"left out: {name} {why}", err=True)
    click.echo(f"{len(settled.verdicts)} confirmed, {len(settled.refused)} left out; batch {settled.batch}")


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
        task = tasks.get(item)
        Console().print(task_table(task, tasks.similar(task)))
    events = history(settings, project, item)
    table = Table(title="history", title_justify="left", box=None)
    for column in ("when (UTC)", "what", "who", "says"):
        table.add_column(column, overflow="fold")
    for event in events:
        table.add_row(event["at"].strftime("%Y-%m-%d %H:%M:%S"), event["topic"], event["actor"], Text(event["says"]))
    Console().print(table)
