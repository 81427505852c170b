"""`labelloop snapshot`: what models are trained on, taken, checked, compared and given away."""

import json
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from streams.cli.console import bar, read_time, told_time
from streams.cli.options import F, data_option, project_option
from streams.errors import LabelloopError
from streams.events import Actor, Event
from streams.producers.facts import Fact
from streams.producers.producer import Producer
from streams.settings import Settings
from streams.sinks.tables import label_text
from streams.terminal import Console
from workers.dataset import Dataset, Value
from workers.facts import Source, files_directory, load, positions
from workers.log import read_history
from workers.snapshot import (
    Position,
    differences,
    fixed_of,
    frozen,
    positions_of,
    read_positions,
    snapshot_event,
)


def _source_option(command: F) -> F:
    """Add `--from SOURCE`, passed on as `source`."""
    option = click.option(
        "--from",
        "source",
        type=click.Choice(["log", "clickhouse"]),
        default="log",
        help="Where to read the facts: the log, whole, or the rows of this project in ClickHouse. Default: log.",
    )
    return option(command)


def _manifest_option(command: F) -> F:
    """Add `--manifest FILE`, passed on as `manifest: Path | None`."""
    option = click.option(
        "--manifest",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="The snapshot that this file of an export names, also if it was taken elsewhere.",
    )
    return option(command)


def _files_option(command: F) -> F:
    """Add `--files DIR`, passed on as `files: Path | None`."""
    option = click.option(
        "--files",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Directory that features_file is relative to; default: `files` in the data directory.",
    )
    return option(command)


@click.group()
def snapshot() -> None:
    """What models are trained on: rows computed from the facts, the same whenever and wherever they are computed."""


@snapshot.command()
@project_option
@click.option("--by", required=True, metavar="ACTOR", help="Who takes it, as a pseudonym.")
@click.option("--at", metavar="TIME", help="As of a past time, ISO 8601, UTC unless it says otherwise; default: now.")
@click.option(
    "--offsets",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="As of the offsets in a file: a manifest, or a list of topic, partition, offset and build.",
)
@_source_option
@_files_option
@data_option
def create(
    project: str, by: str, at: str | None, offsets: Path | None, source: Source, files: Path | None, data: Path | None
) -> None:
    """Take a snapshot and publish what it is.

    \b
    Examples:
      labelloop snapshot create --project birds --by lead-1
      labelloop snapshot create --project birds --by lead-1 --at 2026-11-01T12:00
    """
    if at and offsets:
        raise click.UsageError("give --at or --offsets, not both")
    settings = Settings.load(data)
    upto = read_json(offsets, read_positions) if offsets else positions(settings, read_time(at, "--at") if at else None)
    known = [made.event for made in read_history(settings).loop(project).snapshots.values()]
    with bar("reading the facts") as tell:
        dataset = load(settings, project, upto, frozen(known), source, tell)
    fact = _made(dataset, upto, settings, files, dataset.files, by)
    name = fact.event["snapshot"]
    published = next((event for event in known if event["snapshot"] == name), None)
    if published is None:
        with Producer(settings, source="cli") as producer:
            producer.send(fact)
    elif wrong := _differences(published, fact.event):
        raise LabelloopError(f"{name} was published before, and is another one now: {wrong}")
    click.echo(f"{name}: {len(dataset.rows):,} rows of {len(dataset.items):,} items, {dataset.content_hash}")
    for reason, count in dataset.refused.items():
        click.echo(f"{count:,} facts do not count: {reason}", err=True)


@snapshot.command("list")
@project_option
@data_option
def list_(project: str, data: Path | None) -> None:
    """List the snapshots of a project, oldest first.

    Example: labelloop snapshot list --project birds
    """
    snapshots = _snapshots(Settings.load(data), project)
    table = Table("snapshot", "as of (UTC)", "cause", "by", "rows", "verdicts", "SHA-256")
    for event in snapshots:
        table.add_row(
            event["snapshot"],
            told_time(event["as_of"]),
            escape(event["cause"]),
            escape(event["actor"]["id"]),
            f"{event['rows']:,}",
            f"{event['source_counts'].get('verdict', 0):,}",
            event["content_hash"][:12],
        )
    Console().print(table)


@snapshot.command()
@click.argument("name", required=False)
@project_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, whole: the manifest.")
@data_option
def show(name: str | None, project: str, as_json: bool, data: Path | None) -> None:
    """Show what a snapshot is; without a name the newest.

    Example: labelloop snapshot show --project birds s-0f3a9c21b7d4
    """
    event = _named(_snapshots(Settings.load(data), project), name)
    if as_json:
        click.echo(json.dumps(event, indent=2, sort_keys=True, ensure_ascii=False))
        return
    table = Table("", "", title=event["snapshot"], title_justify="left", show_header=False)
    for what, told in {
        "as of (UTC)": told_time(event["as_of"]),
        "cause": f"{event['cause']}, by {event['actor']['id']}",
        "rows": f"{event['rows']:,}",
        "sources": _counts(event["source_counts"]),
        "classes": _counts(event["class_counts"]),
        "label schemas": ", ".join(event["schema_versions"]) or "-",
        "guidelines": ", ".join(event["guideline_versions"]) or "-",
        "fixed examples": f"{len(event['fixed']):,}",
        "feature files": ", ".join(event["files"]) or "-",
        "labelloop": event["code_version"],
        "SHA-256": event["content_hash"],
        "settings": event["settings"],
        "offsets": ", ".join(f"{one.topic}-{one.partition}: {one.offset:,}" for one in positions_of(event)),
    }.items():
        table.add_row(what, escape(told))
    Console().print(table)


@snapshot.command()
@click.argument("name", required=False)
@project_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder; made if missing.")
@_manifest_option
@_source_option
@data_option
def export(name: str | None, project: str, out: Path, manifest: Path | None, source: Source, data: Path | None) -> None:
    """Write a snapshot's rows as Parquet and CSV, with a dataset card and the manifest to make it again.

    The same snapshot gives the same bytes, wherever it is exported. Without a name the newest.

    Example: labelloop snapshot export --project birds --out birds-data
    """
    from workers.export import export as write  # pyarrow takes its time

    settings = Settings.load(data)
    event, dataset = _again(settings, project, name, manifest, source)
    if event["content_hash"] != dataset.content_hash:
        raise LabelloopError(f"the rows of {event['snapshot']} come out otherwise: see `labelloop snapshot verify`")
    write(dataset, event, out)
    click.echo(f"{out}: {len(dataset.rows):,} rows")


@snapshot.command()
@click.argument("name", required=False)
@project_option
@_manifest_option
@_source_option
@_files_option
@data_option
def verify(
    name: str | None, project: str, manifest: Path | None, source: Source, files: Path | None, data: Path | None
) -> None:
    """Compute a snapshot again from the facts and compare; without a name the newest. Status 1 if it is not the same.

    Example: labelloop snapshot verify --project birds --from clickhouse
    """
    settings = Settings.load(data)
    event, dataset = _again(settings, project, name, manifest, source)
    found = _made(dataset, positions_of(event), settings, files, event["files"], event["actor"]["id"])
    if wrong := _differences(event, found.event):
        raise LabelloopError(f"{event['snapshot']} is not the same: {wrong}")
    click.echo(f"{event['snapshot']}: the same {len(dataset.rows):,} rows, {dataset.content_hash}")


@snapshot.command()
@click.argument("a")
@click.argument("b", required=False)
@project_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, an object a line.")
@_source_option
@data_option
def diff(a: str, b: str | None, project: str, as_json: bool, source: Source, data: Path | None) -> None:
    """Say which labels changed from snapshot A to B, by default the newest: who changed them, and why.

    Example: labelloop snapshot diff --project birds s-0f3a9c21b7d4
    """
    from workers.diff import diff as compare

    settings = Settings.load(data)
    (_, before), (_, after) = (_again(settings, project, name, None, source) for name in (a, b))
    changes = compare(before, after)
    if as_json:
        for change in changes:
            told = {field: getattr(change, field) for field in change.__slots__}
            click.echo(json.dumps(told, ensure_ascii=False))
        return
    table = Table("item", "before", "after", "resolved by", "who", "why")
    for change in changes:
        table.add_row(
            escape(change.item_id),
            _label(change.before),
            _label(change.after),
            change.source,
            escape(", ".join(change.actors)),
            escape("; ".join(change.why)),
        )
    Console().print(table)
    click.echo(f"{len(changes):,} labels changed")


def _snapshots(settings: Settings, project: str) -> list[Event]:
    """Return the snapshots of a project, oldest first.

    Raises:
        LabelloopError: there are none.
    """
    found = [made.event for made in read_history(settings).loop(project).snapshots.values()]
    if not found:
        raise LabelloopError(f"{project!r} has no snapshot: take one with `labelloop snapshot create`")
    return found


def _named(snapshots: list[Event], name: str | None) -> Event:
    found = [event for event in snapshots if name in (None, event["snapshot"])]
    if not found:
        known = ", ".join(event["snapshot"] for event in snapshots[-10:])
        raise LabelloopError(f"no snapshot {name!r}: there are {known}")
    return found[-1]


def _again(
    settings: Settings, project: str, name: str | None, manifest: Path | None, source: Source
) -> tuple[Event, Dataset]:
    """Return a snapshot that was published, and what its facts come to now."""
    earlier: dict[str, Value]
    if manifest is not None:
        event = read_json(manifest, _whole)
        if event["project"] != project:
            raise LabelloopError(f"{manifest} is about {event['project']!r}, not {project!r}")
        earlier = fixed_of(event)
    else:
        snapshots = _snapshots(settings, project)
        event = _named(snapshots, name)
        earlier = frozen(snapshots[: snapshots.index(event)])
    with bar("reading the facts") as tell:
        return event, load(settings, project, positions_of(event), earlier, source, tell)


def _made(
    dataset: Dataset, upto: list[Position], settings: Settings, files: Path | None, names: Iterable[str], by: str
) -> Fact:
    from workers.features import Files, Refused  # scikit-learn takes its time to load

    try:
        hashes = Files(files or files_directory(settings)).hashes(names)
    except Refused as why:
        raise LabelloopError(str(why)) from None
    actor = Actor(id=by, kind="lead")
    return snapshot_event(dataset, upto, "by_hand", actor=actor, code_version=version("labelloop"), files=hashes)


def _differences(told: Event, found: Event) -> str:
    wrong = differences(told, found)
    if wrong and told["code_version"] != found["code_version"]:
        wrong.append(f"it was computed by labelloop {told['code_version']}, this is {found['code_version']}")
    return "; ".join(wrong)


def _whole(content: Any) -> Event:
    event: Event = content
    if missing := {"snapshot", "project", "offsets", "fixed", "content_hash"} - event.keys():
        raise ValueError(f"{', '.join(sorted(missing))} missing")
    return event


def read_json(path: Path, take: Callable[[Any], Any]) -> Any:
    """Return what a file of JSON says.

    Raises:
        LabelloopError: it is no such file.
    """
    try:
        return take(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LabelloopError(
            f"{path} is no manifest of a snapshot, see `labelloop snapshot show --json`: {error}"
        ) from error


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "-"


def _label(value: Value | None) -> str:
    return "-" if value is None else escape(label_text(value))
