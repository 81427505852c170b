"""`labelloop sql`, `export`, `report`, `wait`, `settle`: what analysts, leads and scripts read."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

import click

from streams.cli.options import data_option, project_option
from streams.clock import SystemClock
from streams.errors import LabelloopError
from streams.query import export as exports
from streams.query import settle as settling
from streams.query import sql as queries
from streams.query import wait as waits
from streams.settings import Settings
from streams.terminal import Console


@click.command()
@click.argument("query", required=False)
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", help="Default: table.")
@click.option("--describe", is_flag=True, help="Print the data dictionary: every table and column with its meaning.")
@data_option
def sql(query: str | None, form: queries.Format, describe: bool, data: Path | None) -> None:
    """Ask ClickHouse as the read-only analyst.

    Example: labelloop sql "SELECT * FROM annotator_accuracy_daily"
    """
    if describe == (query is not None):
        raise click.UsageError("give a query, or --describe")
    settings = Settings.load(data)
    if query is None:
        queries.describe(settings, form, sys.stdout)
    else:
        queries.sql(settings, query, form, sys.stdout)


@click.command()
@click.argument("what", type=click.Choice(["items", "annotators"]))
@project_option
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", help="Default: jsonl.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File; default: stdout.")
@data_option
def export(what: exports.What, project: str, form: exports.Format, output: Path | None, data: Path | None) -> None:
    """Export the present answer of every item, or the accuracy of every annotator.

    Example: labelloop export items --project birds --format csv --output answers.csv
    """
    settings = Settings.load(data)
    with _replaced(output) if output else nullcontext(sys.stdout) as out:
        exports.export(settings, what, project, form, out)


@click.command()
@project_option
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder; made if it is not there."
)
@data_option
def report(project: str, out: Path, data: Path | None) -> None:
    """Write a project's quality report: one page with plots, and the numbers behind them as CSV.

    The page is whole in itself: it opens from disk, asks nobody for anything, and can be mailed. `labelloop settle`
    before makes its estimates those of all labels.

    Example: labelloop report --project birds --out birds-report
    """
    from streams.report.shell import make  # matplotlib takes its time

    click.echo(make(Settings.load(data), project, out, SystemClock()))


@contextmanager
def _replaced(file: Path) -> Iterator[TextIO]:
    """Open what becomes `file` when all is written: a failure leaves the former content.

    Raises:
        LabelloopError: the file cannot be written.
    """
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            yield out
        part.replace(file)
    except OSError as error:
        raise LabelloopError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


@click.command()
@click.option("--timeout", type=click.FloatRange(0), default=120.0, help="Seconds; default: 120.")
@data_option
def wait(timeout: float, data: Path | None) -> None:
    """Wait until everything that was published has been processed and stored.

    Example: labelloop wait --timeout 60
    """
    settings = Settings.load(data)
    if not sys.stderr.isatty():
        waits.wait(settings, timeout)
        return
    with Console(stderr=True).status("waiting") as status:
        waits.wait(settings, timeout, lambda records: status.update(f"{records:,} records to go"))


@click.command()
@project_option
@click.option("--timeout", type=click.FloatRange(0), default=120.0, help="Seconds; default: 120.")
@data_option
def settle(project: str, timeout: float, data: Path | None) -> None:
    """Refit a project now, score all its items again, and wait until that is stored.

    What comes out depends on the facts alone, not on the order in which they came.

    Example: labelloop settle --project birds
    """
    settings = Settings.load(data)
    if not sys.stderr.isatty():
        settling.settle(settings, project, timeout)
        return
    with Console(stderr=True).status("settling") as status:
        settling.settle(settings, project, timeout, lambda records: status.update(f"{records:,} records to go"))
