"""`labelloop agreement`: how far the annotators agree, for who leads them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click
from rich.table import Table
from rich.text import Text

from streams.cli.options import data_option, project_option
from streams.errors import LabelloopError
from streams.query.agreement import COEFFICIENTS, Agreed, By, agreed
from streams.query.projects import read_projects
from streams.settings import Settings
from streams.terminal import Console


@click.command()
@project_option
@click.option("--by", type=click.Choice(get_args(By)), help="Part by part; default: the project as a whole.")
@click.option("--interval", is_flag=True, help="With 95 % intervals, by bootstrap over items.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, an object a line, with all digits.")
@data_option
def agreement(project: str, by: By | None, interval: bool, as_json: bool, data: Path | None) -> None:
    """Say how far the annotators of a project agree, beyond chance and in all.

    \b
    raw     share of annotator pairs that agree
    alpha   Krippendorff's, nominal; ordinal, interval and ratio where labels are ordered or numbers
    fleiss  Fleiss' kappa
    ac1     Gwet's, stable where nearly all is of one class
    kappa   Cohen's, of two annotators

    Example: labelloop agreement --project birds --by class --interval
    """
    settings = Settings.load(data)
    view = read_projects(settings).latest(project)
    found = agreed(settings, project, view, by, interval)
    if as_json:
        for one in found:
            click.echo(json.dumps(_record(one), ensure_ascii=False))
    elif not found:
        raise LabelloopError("no item has labels of two annotators that could be compared")
    else:
        Console(width=None if sys.stdout.isatty() else 200).print(_table(by, found))


def _record(one: Agreed) -> dict[str, object]:
    ends = {f"{name}_interval": found for name, found in one.intervals.items()}
    return {"name": [*one.name], "items": one.items, **one.values, **ends}


def _table(by: By | None, found: Sequence[Agreed]) -> Table:
    names = [name for name in (*COEFFICIENTS, "kappa") if any(name in one.values for one in found)]
    table = Table()
    if by is not None:
        table.add_column(by, overflow="fold")
    for name in ("items", *names):
        table.add_column(name.replace("_", " "), justify="right")
    for one in found:
        part = [] if by is None else [Text(", ".join(one.name))]
        table.add_row(*part, f"{one.items:,}", *(_cell(one, coefficient) for coefficient in names))
    return table


def _cell(one: Agreed, name: str) -> Text:
    value, ends = one.values.get(name), one.intervals.get(name)
    if value is None:
        return Text("-")
    return Text(f"{value:.3f}" if ends is None else f"{value:.3f} ({ends[0]:.3f} to {ends[1]:.3f})")
