"""`labelloop rebuild`: build what is derived again from the log, and put right what differs."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.table import Table

from streams.cli.console import bar
from streams.cli.options import data_option
from streams.cli.servers import with_servers
from streams.clock import SystemClock
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
@click.option(
    "--partitions",
    metavar="N",
    type=click.IntRange(1),
    help="Move all item-keyed topics to N partitions instead, facts included, with their log times.",
)
@data_option
def rebuild(names: tuple[str, ...], dry_run: bool, as_json: bool, partitions: int | None, data: Path | None) -> None:
    """Build topics, tables and views again from the log, compare them with the live ones, and put right what differs.

    TARGET is a derived topic, a table or a view, or `all`; without one the targets are listed. A name that a topic and
    a table share means both, and a view stands for the tables that it reads as well. Topics are compared with what
    `labelloop settle` leaves. The workers may run while topics are put right and while anything is compared; to
    exchange a table the sink must not run. Where no stack runs in the data directory, its servers are started for as
    long as it takes.

    With --partitions the log itself is built again: no workers may run, and nothing may be published until it is done.
    If it breaks off, the same command goes on with it. Then set LABELLOOP_PARTITIONS=N; docs/rebuild.md has the rest.

    Exit status: 0 all is equal or was put right; 1 with --dry-run something differs; 2 it could not be done, and what
    it names is as it was.

    \b
    Examples:
      labelloop rebuild
      labelloop rebuild review.state labels
      labelloop rebuild all --dry-run
      labelloop rebuild --partitions 12
    """
    if partitions is not None and (names or dry_run or as_json):
        raise click.UsageError("--partitions stands alone: it moves the whole log, and all that is derived with it")
    try:
        if partitions is not None:
            _move(data_directory(data), partitions)
            return
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

        _with_servers(home, run, run_alone)
    except LabelloopError as error:
        click.echo(f"labelloop: {printable_lines(str(error))}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps([_plain(*one, put_right=not dry_run) for one in found], indent=1))
    if dry_run and not all(comparison.is_equal for _, comparison in found):
        sys.exit(1)


def _with_servers(home: Path, run: Callable[[Settings], None], run_alone: Callable[[Settings], None]) -> None:
    """Call `run` where servers are named or run already, else `run_alone` with servers that run for that long.

    Raises:
        LabelloopError: there is no stack, or what they raise.
    """
    if "LABELLOOP_KAFKA" in os.environ or state.holder(home) is not None:
        run(Settings.load(home))
    elif home.is_dir():
        with_servers(home, run_alone)
    else:
        raise LabelloopError(f"no stack is in {home}: name its directory with --data")


def _move(home: Path, partitions: int) -> None:
    """Move the log to another partition count."""
    from streams.rebuild.move import Moved, move

    done = list[Moved]()

    def run(settings: Settings) -> None:
        done.append(move(settings, partitions, SystemClock(), bar))

    _with_servers(home, run, run)
    click.echo(
        f"moved to {partitions} partitions: {done[0].records:,} records. The log as it was lies in {done[0].copy}"
    )
    click.echo(
        f"Next: set LABELLOOP_PARTITIONS={partitions}, for the stack and for every command, then start it: the workers "
        "compute the rest"
    )


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
