"""`labelloop audit`: whether log and tables agree."""

import json
import sys
from pathlib import Path

import click

from streams.cli.console import bar
from streams.cli.options import data_option
from streams.errors import LabelloopError
from streams.query.audit import Counts
from streams.query.auditing import Report
from streams.query.auditing import audit as run
from streams.query.lag import by_group
from streams.settings import Settings


@click.command()
@click.option("--project", "-p", help="Only this project; default: all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--max-lag", type=click.IntRange(min=0), metavar="N", help="A group further behind is a finding.")
@data_option
def audit(project: str | None, as_json: bool, max_lag: int | None, data: Path | None) -> None:
    """Compare the log with itself and with ClickHouse: lost rows, foreign rows, causes that are nowhere, dead letters.

    A line a finding. Exit status: 0 nothing found, 1 findings, 2 a server does not answer.

    Examples: labelloop audit --project birds; labelloop audit --max-lag 100000 --json
    """
    try:
        with bar("reading the log") as tell:
            report = run(Settings.load(data), project, max_lag, tell)
    except LabelloopError as error:
        click.echo(f"labelloop: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(_plain(report), indent=2))
    else:
        _show(report)
    if report.findings:
        sys.exit(1)


def _plain(report: Report) -> dict[str, object]:
    return {
        "partitions": [one._asdict() for one in report.counts],
        "lag": [{"group": one.group, "topic": one.topic, "records": one.records} for one in report.lags],
        "findings": [one._asdict() for one in report.findings],
    }


def _show(report: Report) -> None:
    wide = max(len(one.topic) for one in report.counts) + 4
    columns = ("offsets", "records", "distinct", "copies", "letters", "passed", "rows", "lost", "foreign")
    click.echo(f"{'partition':<{wide}}" + "".join(f"{name:>{_WIDTH}}" for name in columns))
    for one in report.counts:
        if one.records or one.rows or one.end:
            click.echo(_line(one, wide))
    click.echo(", ".join(f"{group} is {records:,} records behind" for group, records in by_group(report.lags).items()))
    for finding in report.findings:
        click.echo(finding.text)
    if not report.findings:
        click.echo("nothing found")


_WIDTH = 12


def _line(one: Counts, wide: int) -> str:
    offsets = f"{one.first}-{one.end}"
    numbers = (one.records, one.distinct, one.duplicates, one.dead_letters, one.passed, one.rows, one.lost, one.foreign)
    name = f"{one.topic}-{one.partition}"
    return f"{name:<{wide}}{offsets:>{_WIDTH}}" + "".join(f"{number:>{_WIDTH},}" for number in numbers)
