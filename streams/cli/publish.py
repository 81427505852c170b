"""`labelloop import` and `labelloop publish`: facts from files and from the command line."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from rich.markup import escape
from rich.progress import Progress, TransferSpeedColumn
from rich.table import Table

from streams import events
from streams.cli.options import data_option, project_option
from streams.clock import SystemClock
from streams.errors import LabelloopError
from streams.producers.import_file import Summary, import_file
from streams.producers.imports import KINDS
from streams.producers.producer import Producer
from streams.producers.values import as_time
from streams.producers.wire import encoded
from streams.settings import Settings
from streams.terminal import Console

F = TypeVar("F", bound=Callable[..., Any])


@click.command("import")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@project_option
@click.option("--dry-run", is_flag=True, help="Check every line, send nothing; needs no running stack.")
@click.option("--use", type=click.Choice(events.GOLD_USES), default="evaluation", show_default=True, help="Gold's use.")
@click.option("--source", default="import", show_default=True, help="Name of the source the facts come from.")
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv"]), help="Default: by the file's ending.")
@data_option
def import_(
    kind: str,
    file: Path,
    project: str,
    dry_run: bool,
    use: str,
    source: str,
    format_: Any,
    data: Path | None,
) -> None:
    """Publish the lines of a JSONL or CSV file.

    Importing the same file again changes nothing. Bad lines are listed with their number, the good ones go on; the
    status is 1 if there were any. Columns, besides any others, which are kept as attributes:

    \b
      items        item_id, text, media or url, group, features, features_file, row, task_type, removed
      labels       item_id, annotator_id, label, time_spent_s, retracted
      gold         item_id, label, actor_id
      predictions  item_id, model_version, label, probabilities, out_of_sample, novelty, imported
      corrections  item_id, reviewer_id, verdict, value, reason, undoes
      flags        item_id, actor_id, kind, text, severity, resolves
      comments     item_id, actor_id, thread, text
      all of them  timestamp, schema_version, guideline_version

    Example: labelloop import labels labels.jsonl --project birds
    """
    clock, summary = SystemClock(), Summary()
    began = time.perf_counter()
    with Progress(
        *Progress.get_default_columns(), TransferSpeedColumn(), console=Console(stderr=True), disable=not _on_terminal()
    ) as progress:
        task = progress.add_task(f"{kind} of {escape(file.name)}", total=file.stat().st_size)

        def run(send: Callable[..., object]) -> None:
            import_file(
                file,
                kind,
                project,
                send,
                format=format_,
                name=source,
                use=use,
                progress=lambda read: progress.advance(task, read),
                summary=summary,
            )

        try:
            if dry_run:
                run(lambda fact: encoded(fact, clock.now_ms()))
            else:
                with Producer(Settings.load(data), source=source, clock=clock) as producer:
                    run(producer.send)
        except LabelloopError:
            _tell_problems(file, summary)
            raise
    _report(kind, file, summary, time.perf_counter() - began, "good" if dry_run else "published")
    if summary.bad:
        sys.exit(1)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _tell_problems(file: Path, summary: Summary) -> None:
    for problem in summary.problems:
        click.echo(f"{file}:{problem.line}: {problem.reason}", err=True)
    if summary.bad > len(summary.problems):
        click.echo(f"... and {summary.bad - len(summary.problems):,} more bad lines", err=True)


def _report(kind: str, file: Path, summary: Summary, seconds: float, sent: str) -> None:
    _tell_problems(file, summary)
    lines = summary.sent + summary.bad
    if not lines:
        click.echo(f"{file} has no lines: nothing to import")
        return
    table = Table("file", "kind", sent, "bad lines", "seconds", "lines/s")
    table.add_row(
        escape(file.name), kind, f"{summary.sent:,}", f"{summary.bad:,}", f"{seconds:.1f}", f"{lines / seconds:,.0f}"
    )
    Console().print(table)


@click.group()
def publish() -> None:
    """Publish one fact and print its event_id."""


class _Time(click.ParamType):
    """ISO 8601, or seconds or milliseconds since 1970 UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        moment = as_time(value)
        if moment is None:
            self.fail(f"{value!r} is no time: give ISO 8601, such as 2026-05-04T12:00:00Z", param, ctx)
        return moment


class _Pair(click.ParamType):
    """NAME=NUMBER."""

    name = "name=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        name, _, number = str(value).rpartition("=")
        try:
            return name, float(number)
        except ValueError:
            return self.fail(f"{value!r}: give a class and its probability, such as cat=0.9", param, ctx)


def _common(command: F) -> F:
    """Add what every fact may say: project, item, time, guideline."""
    for option in (
        data_option,
        click.option("--guideline-version", help="Guideline in force when the person acted."),
        click.option("--at", "occurred_at", type=_Time(), help="When it happened; default: now. Part of the event_id."),
        project_option,
        click.argument("item"),
    ):
        command = option(command)
    return command


_by = click.option("--by", required=True, metavar="ACTOR", help="Who, as a pseudonym.")
_as_json = click.option("--json", "as_json", is_flag=True, help='VALUE is JSON: a list of classes, or {"kind": ...}.')


def _publish(fact: str, item: str, *given: Any, project: str, data: Path | None, **fields: Any) -> None:
    """Call the producer's method named `fact` and print the event_id."""
    with Producer(Settings.load(data), source="cli") as producer:
        event_id = getattr(producer, fact)(project, item, *given, **fields)
    click.echo(event_id)


def _value(text: str | None, as_json: bool) -> Any:
    if text is None or not as_json:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise LabelloopError(f"the value is not JSON: {error.msg}; give a class, or JSON with --json") from None


@publish.command()
@_common
@click.argument("value", required=False)
@_as_json
@_by
@click.option("--duration-ms", type=int, help="Time spent on it.")
@click.option("--retracted", is_flag=True, help="Take the label back; no VALUE then.")
def label(item: str, value: str | None, as_json: bool, by: str, **fields: Any) -> None:
    """Publish an annotator's label of ITEM; it replaces their earlier one.

    Example: labelloop publish label img-7 wren --by anna --project birds
    """
    _publish("label", item, by, _value(value, as_json), **fields)


@publish.command()
@_common
@click.argument("kind")
@_by
@click.option("--severity", type=float, default=0.5, show_default=True, help="How sure the doubt is, 0 to 1.")
@click.option("--text", help="Explanation.")
@click.option("--resolves", metavar="EVENT_ID", help="The flag that this settles.")
def flag(item: str, kind: str, by: str, **fields: Any) -> None:
    """Doubt ITEM; KIND is any word, such as wrong or unclear.

    Example: labelloop publish flag img-7 unclear --by anna --text "two birds" --project birds
    """
    _publish("flag", item, by, kind, **fields)


@publish.command()
@_common
@click.argument("thread")
@click.argument("text")
@_by
@click.option("--parent", metavar="EVENT_ID", help="The comment that is answered.")
@click.option("--anchor", help="Id of the region or span that is meant.")
@click.option("--resolved", is_flag=True, help="This settles the thread.")
def comment(item: str, thread: str, text: str, by: str, **fields: Any) -> None:
    """Say TEXT in a THREAD about ITEM.

    Example: labelloop publish comment img-7 beak "Is this a wren?" --by anna --project birds
    """
    _publish("comment", item, by, thread, text, **fields)


@publish.command()
@_common
@click.argument("verdict", type=click.Choice(events.VERDICTS))
@click.argument("value", required=False)
@_as_json
@_by
@click.option("--reason", help="Why.")
@click.option("--task-revision", help="Revision of the review task that led to it.")
@click.option("--undoes", metavar="EVENT_ID", help="The verdict that undone takes back.")
def correction(item: str, verdict: str, value: str | None, as_json: bool, by: str, **fields: Any) -> None:
    """Give a reviewer's VERDICT on ITEM; corrected and confirmed name the right VALUE.

    Example: labelloop publish correction img-7 corrected robin --by rev-1 --reason "red breast" --project birds
    """
    _publish("correction", item, by, verdict, _value(value, as_json), **fields)


@publish.command()
@_common
@click.argument("value", required=False)
@_as_json
@click.option("--model", required=True, metavar="VERSION", help="Model version that predicts.")
@click.option("--probability", type=_Pair(), multiple=True, help="Probability of a class, such as wren=0.9.")
@click.option("--novelty", type=float, help="How unlike the training data the item is, 0 to 1.")
@click.option("--out-of-sample", is_flag=True, help="The model was not trained on this item.")
@click.option("--imported", is_flag=True, help="The answer of a consensus computed elsewhere, not a model's.")
def prediction(
    item: str, value: str | None, as_json: bool, model: str, probability: tuple[tuple[str, float], ...], **fields: Any
) -> None:
    """Publish what a model says of ITEM.

    Example: labelloop publish prediction img-7 wren --model m3 --probability wren=0.9 --project birds
    """
    _publish("prediction", item, model, _value(value, as_json), probabilities=dict(probability), **fields)


@publish.command()
@_common
@click.option("--text", help="The text to annotate.")
@click.option("--media", metavar="URL", help="Address of the image, audio or video.")
@click.option("--features-file", help="File that holds the features.")
@click.option("--features-row", type=int, help="Row in that file, from 0.")
@click.option("--group", help="Items of one group are alike.")
@click.option("--task-type", help="What is asked for, e.g. choice or boxes.")
@click.option("--removed", is_flag=True, help="Withdraw the item.")
def item(item: str, **fields: Any) -> None:
    """Publish ITEM, or what is now known of it.

    Example: labelloop publish item img-7 --media https://example.org/7.jpg --project birds
    """
    _publish("item", item, **fields)


@publish.command()
@_common
@click.argument("value")
@_as_json
@_by
@click.option("--use", type=click.Choice(events.GOLD_USES), default="evaluation", show_default=True, help="Its use.")
def gold(item: str, value: str, as_json: bool, **fields: Any) -> None:
    """Publish the known answer of ITEM.

    Example: labelloop publish gold img-7 robin --by lead-1 --use truth --project birds
    """
    _publish("gold", item, _value(value, as_json), **fields)


@publish.command()
@_common
@click.argument("action", type=click.Choice(events.CLAIM_ACTIONS), default="claim")
@_by
@click.option("--lease-ms", type=int, help="How long it holds; default: the policy's lease.")
@click.option("--task-revision", help="Revision of the review task that is claimed.")
def claim(item: str, action: str, by: str, **fields: Any) -> None:
    """Take ITEM for review, or renew, release or skip it.

    Example: labelloop publish claim img-7 --by rev-1 --project birds
    """
    _publish("claim", item, by, action, **fields)
