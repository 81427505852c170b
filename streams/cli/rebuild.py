"""`labelloop rebuild`: build what is derived again from the log, and put right what differs."""

import json
import os
import sys
from pathlib import Path

import click
from rich.table import Table

from streams.cli.console import bar
from streams.cli.options import data_option
from streams.cli.servers import with_servers
from streams.embedded import state
from streams.errors import LabelloopError
from streams.rebuild.compare import Comparison, told
from streams.rebuild.tables import rebuild_table, rebuild_view
from streams.rebuild.targets import KEPT, Target, chosen, targets
from streams.rebuild.topics import check_stack, rebuild_topics
from streams.settings import Settings, data_directory
from streams.terminal import Console, printable_lines

Found = list[tuple[Target, Comparison]]


@click.command()
@click.argument("names", metavar="[TARGET]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Compare only.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@data_option
def rebuild(names: tuple[str, ...], dry_run: bool, as_json: bool, data: Path | None) -> None:
    """Build topics, tables and views again from the log, compare them with the live ones, and put right what differs.

    TARGET is a derived topic, a table or a view, or `all`; without one the targets are listed. A name that a topic and
    a table share means both, and a view stands for the tables that it reads as well. Topics are compared with what
    `labelloop settle` leaves. The workers may run while topics are put right and while anything is compared; to
    exchange a table the sink must not run. Where no stack runs in the data directory, its servers are started for as
    long as it takes.

    Exit status: 0 all is equal or was put right; 1 with --dry-run something differs; 2 it could not be done, and what
    it names is as it was.

    \b
    Examples:
      labelloop rebuild
      labelloop rebuild review.state labels
      labelloop rebuild all --dry-run
    """
    try:
        if not names:
            _list(as_json)
            return
        wanted, home, found = chosen(names), data_directory(data), Found()

        def run(settings: Settings) -> None:
            found.extend(_rebuild(settings, wanted, swap=not dry_run, quiet=as_json))

        def run_alone(settings: Settings) -> None:
            from streams.embedded.stack import prepare_servers

            prepare_servers(settings)
            run(settings)

        if "LABELLOOP_KAFKA" in os.environ or state.holder(home) is not None:
            run(Settings.load(home))
        elif home.is_dir():
            with_servers(home, run_alone)
        else:
            raise LabelloopError(f"no stack is in {home}: name its directory with --data")
    except LabelloopError as error:
        click.echo(f"labelloop: {printable_lines(str(error))}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps([_plain(*one, put_right=not dry_run) for one in found], indent=1))
    if dry_run and not all(comparison.is_equal for _, comparison in found):
        sys.exit(1)


def _rebuild(settings: Settings, wanted: list[Target], *, swap: bool, quiet: bool) -> Found:
    """Rebuild one after the other, and tell of each when it is done."""
    check_stack(settings)
    found = Found()

    def tell(target: Target, comparison: Comparison) -> None:
        found.append((target, comparison))
        if not quiet:
            click.echo(_line(target, comparison, put_right=swap))

    if topics := [target for target in wanted if target.kind == "topic"]:
        with bar("folding the facts") as passed:
            results = rebuild_topics(settings, [target.name for target in topics], write=swap, tell=passed)
        for target in topics:
            tell(target, results[target.name])
    for target in wanted:
        if target.kind == "table":
            with bar(f"filling {target.name}") as passed:
                result = rebuild_table(settings, target.name, swap=swap, tell=passed)
            tell(target, result)
        elif target.kind == "view":
            tell(target, rebuild_view(settings, target.name, swap=swap))
    return found


def _line(target: Target, comparison: Comparison, *, put_right: bool) -> str:
    name = f"{target.kind} {target.name}"
    if target.kind == "view":
        equal = "defined as in the migrations"
        differs = "is missing" if comparison.missing else "is defined otherwise"
    else:
        equal = f"{comparison.equal:,} equal"
        differs = ", ".join([equal, *told(comparison)])
    if comparison.is_equal:
        return f"{name}: {equal}"
    return f"{name}: {differs}{': put right' if put_right else ''}"


def _plain(target: Target, comparison: Comparison, *, put_right: bool) -> dict[str, object]:
    counts = {name: int(getattr(comparison, name)) for name in ("equal", "differing", "missing", "extra")}
    return {
        "kind": target.kind,
        "name": target.name,
        **counts,
        "put_right": put_right and not comparison.is_equal,
    }


def _list(as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([target._asdict() for target in targets()], indent=1))
        return
    table = Table("target", "kind", "built from", box=None)
    for target in targets():
        table.add_row(target.name, target.kind, target.source)
    Console().print(table)
    for name, why in KEPT.items():
        click.echo(f"not built again: {name}, for {why}")
