"""`labelloop history`, `state`, `whatif`: what was, from the log alone."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import click
from rich.table import Table
from rich.text import Text

from streams import codec
from streams.cli.console import bar, read_time, told_time
from streams.cli.options import F, data_option, project_option
from streams.cli.project import read_policy
from streams.errors import LabelloopError
from streams.keys import item_key
from streams.origins import Cut
from streams.people import People, read_people
from streams.processors.task import label_text
from streams.projects import POLICY_FIELDS, Policy
from streams.replay.compare import Difference, difference, queue
from streams.replay.past import Past
from streams.replay.reading import ends_at, ends_in, listed, read_past, read_story
from streams.replay.settled import Settled, settled
from streams.settings import Settings
from streams.terminal import Console

_TOLD = ("review.state", "judgements", "disagreement", "labels.corrected", "skill", "agreement")
"""Topics whose content is told; a topic of the project as a whole has nothing about one item."""

_SHOWN = 20
_NAMED = 10


def _place_options(command: F) -> F:
    """Add `--at TIME` and `--offsets FILE`, passed on as `at: str | None` and `offsets: Path | None`."""
    at = click.option("--at", metavar="TIME", help="A past time, ISO 8601, UTC unless it says otherwise; default: now.")
    offsets = click.option(
        "--offsets",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Past offsets: a file with what `labelloop state --json` printed then, or the manifest of a snapshot.",
    )
    return at(offsets(command))


def _ends(settings: Settings, at: str | None, offsets: Path | None) -> Cut:
    if at and offsets:
        raise click.UsageError("give --at or --offsets, not both")
    return ends_in(settings, offsets) if offsets else ends_at(settings, read_time(at, "--at") if at else None)


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
    settings = Settings.load(data)
    with bar("reading the log") as tell:
        steps = read_story(settings, project, item, tell)
    if form == "jsonl":
        for step in steps:
            click.echo(json.dumps(asdict(step), ensure_ascii=False))
        return
    table = Table(title=Text(f"{project}/{item}"), title_justify="left", box=None)
    for column in ("when (UTC)", "who", "what", "why", "caused"):
        table.add_column(column, overflow="fold")
    people = read_people(settings.home)
    for step in steps:
        actor = "-" if step.actor is None else people.shown(step.actor)
        who = f"{actor} ({step.role})" if step.role else actor
        why = "; ".join(filter(None, (step.reason, step.caused_by and f"after {step.caused_by}")))
        cells = (who, f"{step.topic}: {step.says}", why, "; ".join(step.caused))
        table.add_row(told_time(step.log_time), *map(Text, cells))
    Console().print(table)


@click.command()
@project_option
@click.option("--item", help="This item alone.")
@_place_options
@click.option("--limit", type=click.IntRange(1), default=_SHOWN, help=f"Tasks to show; default: {_SHOWN}.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, whole, with the offsets.")
@data_option
def state(
    project: str, item: str | None, at: str | None, offsets: Path | None, limit: int, as_json: bool, data: Path | None
) -> None:
    """Show what queue, agreement and skill were at a time, or one item: computed from the facts up to there.

    The answer is that of a stack that was settled at that moment (see `labelloop settle`): it follows from the facts
    alone.

    \b
    Examples:
      labelloop state --project birds --at 2026-11-01T12:00
      labelloop state --project birds --at 2026-11-01T12:00 --item img-7
      labelloop state --project birds --json > then.json
      labelloop state --project birds --offsets then.json
    """
    settings = Settings.load(data)
    ends = _ends(settings, at, offsets)
    with bar("reading the log") as tell:
        past, projects = read_past(settings, project, ends, tell)
    found = settled(project, past.states.values(), projects.latest(project))
    key = None if item is None else item_key(project, item)
    if key is not None and key not in past.states:
        raise LabelloopError(f"the log has no fact about item {item!r} of {project!r} up to there")
    records = {
        topic: [_without_number(value) for name, value in sorted(found.records[topic].items()) if _is_about(name, key)]
        for topic in _TOLD
    }
    if as_json:
        told = {"project": project, "as_of": past.as_of, "offsets": listed(settings, ends), **records}
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    _show_state(project, past, records, limit, read_people(settings.home))


def _is_about(name: bytes, item: bytes | None) -> bool:
    return item is None or name == item or name.startswith(item + b"/")


def _without_number(value: bytes) -> dict[str, Any]:
    """Return a record without the number of a refit: what was computed anew has none."""
    return {name: content for name, content in codec.decode(value)[1].items() if name != "refit"}


def _show_state(project: str, past: Past, records: dict[str, list[dict[str, Any]]], limit: int, people: People) -> None:
    console, tasks = Console(), records.get("review.state", [])
    waiting = queue(tasks)
    console.print(
        Text(
            f"{project} as of {told_time(past.as_of)} UTC: {len(tasks):,} items, {len(waiting):,} of them to review"
            + "".join(f"; {count:,} facts do not count: {reason}" for reason, count in past.refused.items())
        )
    )
    shown = waiting[:limit] if len(tasks) > 1 else tasks
    table = Table(title="tasks", title_justify="left")
    for column in ("item", "status", "tier", "priority", "answer", "p wrong", "labels", "reasons"):
        table.add_column(column, overflow="fold")
    for task in shown:
        cells = (task["item_id"], task["status"], task["tier"] or "-", f"{task['priority']:.3f}")
        wrong = "-" if task["p_wrong"] is None else f"{task['p_wrong']:.3f}"
        answer = label_text(task["consensus"]) or "-"
        table.add_row(*map(Text, (*cells, answer, wrong, str(task["n_labels"]), ", ".join(task["reasons"]))))
    console.print(table)
    for one in records.get("agreement", []):
        if one["scope"] == "project":
            told = ((name, one[name]) for name in ("alpha", "fleiss", "ac1", "raw") if one.get(name) is not None)
            console.print(Text("agreement: " + ", ".join(f"{name} {value:.3f}" for name, value in told)))
    if skill := records.get("skill", []):
        table = Table(title="skill", title_justify="left")
        for column in ("annotator", "labels", "accuracy"):
            table.add_column(column)
        for one in skill:
            table.add_row(
                *map(Text, (people.shown(one["annotator"]), f"{one['n_labels']:,}", f"{one['accuracy']:.3f}"))
            )
        console.print(table)


@click.command()
@project_option
@click.option(
    "--policy", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The other policy, as JSON."
)
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help=f"One of {', '.join(POLICY_FIELDS)}.")
@_place_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@data_option
def whatif(
    project: str,
    file: Path | None,
    changes: tuple[str, ...],
    at: str | None,
    offsets: Path | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Show what another policy would have changed: the queue's order, its tiers, how many verdicts are needed.

    Nothing is published. The policy is the present one but for what the file or --set names.

    \b
    Examples:
      labelloop whatif --project birds --set p0=0.6 --set resolve_confidence=0.9
      labelloop whatif --project birds --policy strict.json --at 2026-11-01
    """
    settings = Settings.load(data)
    ends = _ends(settings, at, offsets)
    with bar("reading the log") as tell:
        past, projects = read_past(settings, project, ends, tell)
    view = projects.latest(project)
    other = replace(view, policy=_policy(view.policy, file, changes))
    before, after = (_tasks(settled(project, past.states.values(), one)) for one in (view, other))
    found = difference(before, after)
    if as_json:
        moved = [{"from": a, "to": b, "items": n} for (a, b), n in found.tiers.items()]
        click.echo(json.dumps({**asdict(found), "tiers": moved}, indent=1, ensure_ascii=False))
        return
    _show_difference(f"{project} as of {told_time(past.as_of)} UTC", found)


def _policy(present: Policy, file: Path | None, changes: Sequence[str]) -> Policy:
    """Return a policy with what a file and options change.

    Raises:
        LabelloopError: they name no policy.
    """
    named: list[str] = []
    if file is not None:
        try:
            named = [f"{name}={value}" for name, value in json.loads(file.read_text(encoding="utf-8")).items()]
        except (OSError, ValueError, AttributeError) as error:
            raise LabelloopError(f"{file} is no policy, an object of names and values: {error}") from error
    if not named and not changes:
        raise click.UsageError("give --policy or --set")
    return replace(present, **dict(map(read_policy, (*named, *changes))))  # type: ignore[arg-type]


def _tasks(found: Settled) -> list[dict[str, Any]]:
    return [codec.decode(value)[1] for _, value in sorted(found.records["review.state"].items())]


def _show_difference(title: str, found: Difference) -> None:
    if found.is_none:
        click.echo(f"{title}: nothing would be different")
        return
    table = Table("", "", title=Text(title), title_justify="left", show_header=False)
    table.add_row("verdicts needed", f"{found.open_before:,} → {found.open_after:,}")
    table.add_row("only then to review", _names(found.opened))
    table.add_row("no longer to review", _names(found.closed))
    table.add_row("another answer", _names(found.answers))
    for (before, after), count in found.tiers.items():
        table.add_row(f"tier {before} → {after}", f"{count:,}")
    for k, share in found.overlap.items():
        table.add_row(f"first {k} that stay so", f"{share:.0%}")
    table.add_row("order (Kendall's tau)", "-" if found.tau is None else f"{found.tau:.3f}")
    Console().print(table)


def _names(items: Sequence[str]) -> Text:
    more = f" and {len(items) - _NAMED:,} more" if len(items) > _NAMED else ""
    return Text(f"{len(items):,}: {', '.join(items[:_NAMED])}{more}" if items else "0")
