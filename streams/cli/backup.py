"""`labelloop backup` and `labelloop restore`: the log as files, and back."""

import os
from pathlib import Path

import click
from rich.table import Table

from streams.backup.folder import Folder
from streams.backup.manifest import Manifest
from streams.cli.console import bar
from streams.cli.options import data_option
from streams.cli.servers import with_servers
from streams.clock import SystemClock
from streams.settings import NOWHERE, Settings, data_directory
from streams.terminal import Console

_folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))


@click.command()
@_folder
@click.option("--list", "list_", is_flag=True, help="Show the points that DIR can restore; take none.")
@data_option
def backup(folder: Path, list_: bool, data: Path | None) -> None:
    """Copy the log to DIR, or what came since the last time.

    Each time is a point that `labelloop restore` can go back to. The stack may run meanwhile. DIR holds Avro container
    files and, for each point, a manifest with their hashes; docs/backup.md says what else of a stack must be kept.

    Example: labelloop backup backups/birds
    """
    if list_:
        _show(Folder(folder).points())
        return
    from streams.backup.take import take

    with bar("reading") as tell:
        made = take(Settings.load(data), Folder(folder), SystemClock(), tell)
    if made is None:
        click.echo(f"nothing came since point {Folder(folder).point().point}")
    else:
        click.echo(f"point {made.point}: {_sizes(made)}")


@click.command()
@_folder
@click.option(
    "--at", "point", metavar="POINT", type=click.IntRange(1), help="Go back to this point; default: the last."
)
@data_option
def restore(folder: Path, point: int | None, data: Path | None) -> None:
    """Put the log that lies in DIR onto an empty stack.

    Every record gets its offset and its time, so that snapshots and exports mean what they meant; all files are
    compared with their hashes first. No stack may run in the data directory: servers are started for as long as it
    takes, and then `labelloop up` computes the rest. LABELLOOP_KAFKA and LABELLOOP_CLICKHOUSE name servers to use
    instead. A restore that broke off begins again.

    \b
    Examples:
      labelloop restore backups/birds --data .labelloop
      labelloop restore backups/birds --at 3
    """
    from streams.backup.restore import check
    from streams.backup.restore import restore as fill

    home, files = data_directory(data), Folder(folder)
    manifest = files.point(point)
    # the addresses are not looked at yet: what is read here is how many partitions the stack is to have
    planned = Settings.load(home, {"LABELLOOP_KAFKA": "-", "LABELLOOP_CLICKHOUSE": NOWHERE, **os.environ})
    with bar("comparing") as tell:
        check(files, manifest, planned.partitions, tell)

    def run(settings: Settings) -> None:
        with bar("writing") as tell:
            fill(settings, files, manifest, tell)

    if "LABELLOOP_KAFKA" in os.environ:
        run(Settings.load(home))
    else:
        with_servers(home, run)
    click.echo(f"restored point {manifest.point} of {manifest.taken_at}: {_sizes(manifest)}")
    click.echo(f"Next: labelloop up --detach --data {home}")


def _show(points: list[Manifest]) -> None:
    table = Table("point", "taken at (UTC)", "records", "of them new", "MB")
    before = 0
    for manifest in points:
        size = sum(file.size for file in manifest.files) / 1e6
        new = manifest.records - before
        table.add_row(str(manifest.point), manifest.taken_at, f"{manifest.records:,}", f"{new:,}", f"{size:,.1f}")
        before = manifest.records
    Console().print(table)


def _sizes(manifest: Manifest) -> str:
    files = manifest.files
    return f"{manifest.records:,} records in {len(files):,} files, {sum(file.size for file in files) / 1e6:,.1f} MB"
