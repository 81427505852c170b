"""`labelloop dlq`: what could not be processed, and what to do about it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from streams import codec
from streams.cli.console import read_time, told_time
from streams.cli.options import data_option
from streams.clock import SystemClock
from streams.dead_letters import Original
from streams.errors import LabelloopError, Poison, Reason
from streams.query import dlq as shell
from streams.query.letters import Filter, Letter, grouped
from streams.query.projects import read_projects
from streams.settings import Settings
from streams.terminal import printable, printable_lines

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN = 20
"""Letters that nothing was done about, told one by one."""

_ADVICE = {
    "redrive": "Once what refused it is mended",
    "republish": "It would be taken if it came now",
}

_ids = click.argument("ids", nargs=-1, metavar="[ID]...")
_by = click.option("--by", required=True, metavar="ACTOR", help="Who decides, as a pseudonym.")


def _filters(command: F) -> F:
    """Add the options that say which letters are meant."""
    for option in (
        click.option("--since", metavar="TIME", help="Refused since then, ISO 8601, UTC unless it says otherwise."),
        click.option("--project", "-p", help="Of this project."),
        click.option("--topic", help="Of records of this topic, without the prefix."),
        click.option("--consumer", help="Refused by it: items, quality, retrain or sink."),
        click.option("--reason", type=click.Choice(get_args(Reason)), help="Refused for this reason."),
    ):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """List, show and settle dead letters: records that could not be processed."""


@dlq.command("list")
@_filters
@click.option("--all", "everything", is_flag=True, help="Also those that are settled.")
@click.option("--each", is_flag=True, help="One a line, with its ID.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, for programs.")
@data_option
def list_(everything: bool, each: bool, as_json: bool, data: Path | None, **filters: str | None) -> None:
    """Count the open letters by reason, consumer and topic.

    Example: labelloop dlq list --reason bug --each
    """
    settings = Settings.load(data)
    wanted = _filter(settings, filters, everything=everything)
    found = [letter for letter in shell.read_letters(settings) if wanted.takes(letter)]
    if each:
        for letter in found:
            click.echo(json.dumps(_described(settings, letter)) if as_json else _line(settings, letter))
    elif as_json:
        for group in grouped(found):
            click.echo(json.dumps(group._asdict()))
    else:
        for group in grouped(found):
            topic = group.topic.removeprefix(f"{settings.prefix}.")
            click.echo(
                f"{group.open:>7,} open of {group.letters:,}  {group.reason} by {group.consumer} in {topic}, "
                f"{told_time(group.first)} to {told_time(group.last)}"
            )
    if not found and not as_json:
        click.echo("no dead letters" if everything else "no open dead letters", err=True)


@dlq.command()
@click.argument("id")
@click.option("--raw", type=click.Path(path_type=Path, dir_okay=False), help="Write the original bytes to this file.")
@data_option
def show(id: str, raw: Path | None, data: Path | None) -> None:
    """Show one letter: where the record lies, why it was refused and what to do, and what it says.

    Example: labelloop dlq show items:labels:2:41
    """
    settings = Settings.load(data)
    letter = shell.chosen(shell.read_letters(settings), [id], Filter())[0]
    with shell.Bodies(settings) as bodies:
        record = next((record for _, record in bodies.letters([letter])), None)
        if record is None:
            raise LabelloopError(f"the letter {id} is not in its topic any more")
        original = bodies.original(letter, record)
        projects, now_ms = read_projects(settings), SystemClock().now_ms()
        way = shell.find_way(settings, letter, original, bodies, projects, now_ms)
    for name, text in _described(settings, letter).items():
        click.echo(f"{name:<11}{printable(str(text))}")
    click.echo(f"\n{printable_lines(record['detail'])}\n")
    if original is None:
        click.echo(f"{record['value_bytes']:,} bytes, which neither the letter nor its topic holds; they begin with")
        click.echo(record["value_head"].hex(" "))
    else:
        click.echo(_content(original))
    if letter.state == "open":
        redrive_it = f": labelloop dlq redrive {id} --by ACTOR"
        click.echo(f"\n{printable(way.why) if way.action is None else _ADVICE[way.action] + redrive_it}")
    if raw is not None:
        if original is None:
            raise LabelloopError(f"the bytes of {id} are not there any more")
        raw.write_bytes(original.value or b"")


@dlq.command()
@_ids
@_filters
@_by
@click.option("--text", help="What was mended, in your words.")
@data_option
def redrive(ids: tuple[str, ...], by: str, text: str | None, data: Path | None, **filters: str | None) -> None:
    """Give open letters' records back to the consumer that refused them, once what refused them is mended.

    After a mended fault of ours a record counts at its own place in the log, as if it had never failed. One that came
    before its time (its class was not declared, its reviewer was none) is published again, and counts from now on. What
    is refused again opens its letter again.

    Example: labelloop dlq redrive --reason bug --consumer items --by ops
    """
    settings = Settings.load(data)
    wanted = _wanted(settings, ids, filters)
    given, published, skipped = shell.Desk(settings, by, SystemClock()).redrive(ids, wanted, text)
    click.echo(f"{given:,} given back, {published:,} published again, {len(skipped):,} left as they are")
    _tell(skipped)


@dlq.command()
@_ids
@_filters
@_by
@click.option("--text", required=True, help="Why, in your words.")
@data_option
def drop(ids: tuple[str, ...], by: str, text: str, data: Path | None, **filters: str | None) -> None:
    """Settle open letters without processing their records; nothing is deleted.

    Example: labelloop dlq drop items:labels:2:41 --by ops --text "sent again by the tool"
    """
    settings = Settings.load(data)
    dropped, skipped = shell.Desk(settings, by, SystemClock()).drop(ids, _wanted(settings, ids, filters), text)
    click.echo(f"{dropped:,} dropped, {len(skipped):,} left as they are")
    _tell(skipped)


def _wanted(settings: Settings, ids: tuple[str, ...], filters: dict[str, str | None]) -> Filter:
    if bool(ids) == any(filters.values()):
        raise click.UsageError("give IDs, or say which letters by --reason, --consumer, --topic, --project or --since")
    return _filter(settings, filters)


def _filter(settings: Settings, filters: dict[str, str | None], *, everything: bool = False) -> Filter:
    topic, since = filters["topic"], filters["since"]
    return Filter(
        filters["reason"],
        filters["consumer"],
        settings.topic(topic) if topic else None,
        filters["project"],
        read_time(since, "--since") if since else None,
        everything,
    )


def _described(settings: Settings, letter: Letter) -> dict[str, str]:
    """Return what is told of a letter, by name."""
    done = letter.done
    found = {
        "id": letter.identity.name(settings.prefix),
        "state": letter.state,
        "reason": letter.reason,
        "project": letter.project,
        "logged_at": told_time(letter.log_time),
        "refused_at": told_time(letter.at),
    }
    if done is not None:
        found |= {"last_done": done.action, "by": done.by, "done_at": told_time(-done.before), "text": done.text}
    return found


def _line(settings: Settings, letter: Letter) -> str:
    told = _described(settings, letter)
    by = f" by {told['by']}: {told['text']}" if letter.state != "open" else ""
    return printable(f"{told['id']}  {told['refused_at']}  {told['reason']}  {told['project']}  {told['state']}{by}")


def _content(original: Original) -> str:
    """Return what a record says, decoded where it can be, else its bytes."""
    value = original.value or b""
    try:
        name, content = codec.decode(value)
    except Poison:
        return f"{len(value):,} bytes that cannot be decoded:\n{value.hex(' ')}"
    return f"{name}:\n{json.dumps(content, indent=2, ensure_ascii=False, default=repr)}"


def _tell(skipped: shell.Skipped) -> None:
    for name, why in skipped[:_SHOWN]:
        click.echo(f"  {name}: {printable(why)}", err=True)
    if len(skipped) > _SHOWN:
        click.echo(f"  and {len(skipped) - _SHOWN:,} more", err=True)
