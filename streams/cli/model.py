"""`labelloop model`: what models were trained, how they were judged, and who decided otherwise."""

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from streams.cli.console import told_time
from streams.cli.options import data_option, project_option
from streams.errors import LabelloopError
from streams.events import Event
from streams.query.display import gate_table
from streams.settings import Settings
from streams.terminal import Console
from workers.ask import outcome, publish
from workers.history import Loop
from workers.log import read_history
from workers.registry import About


@click.group()
def model() -> None:
    """Models of a project: train, compare, promote, go back."""


@model.command("list")
@project_option
@data_option
def list_(project: str, data: Path | None) -> None:
    """List the models of a project, the newest last.

    Example: labelloop model list --project birds
    """
    loop = read_history(Settings.load(data)).loop(project)
    table = Table("model", "trained (UTC)", "snapshot", "rows", "accuracy", "gate", "")
    for version, event in loop.trained.items():
        judged, made = loop.judged.get(version), loop.snapshots[event["snapshot"]]
        table.add_row(
            version,
            told_time(made.log_time),
            event["snapshot"],
            f"{made.event['rows']:,}",
            _share(event["metrics"].get("accuracy")),
            "-" if judged is None else _verdict(judged),
            "champion" if version == loop.champion else "",
        )
    failures = [event["reason"] for event in loop.failures.values()]
    if table.row_count:
        Console().print(table)
    else:
        click.echo(f"{project!r} has no model: train one with `labelloop model train --project {project}`")
    if failures:
        click.echo(f"{len(failures)} snapshots could not be trained on, the last one: {failures[-1]}")


@model.command()
@project_option
@click.argument("version", required=False)
@data_option
def show(project: str, version: str | None, data: Path | None) -> None:
    """Show a model whole: features, measurements, gate, regressed items; default: the champion.

    Example: labelloop model show --project birds m-41d07a5e9f2c
    """
    loop = read_history(Settings.load(data)).loop(project)
    event = loop.trained[_known(loop, project, version)]
    table = Table("what", "value", title=escape(event["model_version"]), title_justify="left")
    table.add_row("snapshot", event["snapshot"])
    table.add_row("trainer", escape(event["trainer"] or "-"))
    table.add_row("spec", escape(event["spec"]))
    for name, number in sorted(event["metrics"].items()):
        table.add_row(name, f"{number:g}")
    table.add_row("libraries", escape(", ".join(f"{name} {is_}" for name, is_ in sorted(event["libraries"].items()))))
    if (left_out := loop.left_out.get(event["model_version"])) is not None:
        table.add_row("left out", escape(left_out))
    console = Console()
    console.print(table)
    judged = loop.judged.get(event["model_version"])
    if judged is not None:
        _print_gate(console, judged)


@model.command()
@project_option
@click.argument("first")
@click.argument("second")
@data_option
def compare(project: str, first: str, second: str, data: Path | None) -> None:
    """Show two models side by side, each as it was measured on its own snapshot.

    Example: labelloop model compare --project birds m-0a1b2c3d4e5f m-41d07a5e9f2c
    """
    loop = read_history(Settings.load(data)).loop(project)
    one, other = (loop.trained[_known(loop, project, version)] for version in (first, second))
    table = Table("what", first, second)
    table.add_row("snapshot", one["snapshot"], other["snapshot"])
    rows = [loop.snapshots[event["snapshot"]].event for event in (one, other)]
    table.add_row("rows", *(f"{event['rows']:,}" for event in rows))
    for name in sorted({*one["metrics"], *other["metrics"]}):
        table.add_row(name, *(_number(event["metrics"].get(name)) for event in (one, other)))
    for event in (one, other):
        if (judged := loop.judged.get(event["model_version"])) is not None:
            table.add_section()
            table.add_row("gate", *(_verdict(judged) if event is this else "" for this in (one, other)))
    Console().print(table)


@model.command()
@project_option
@click.option("--by", default="lead", show_default=True, metavar="ACTOR", help="Who asks, as a pseudonym.")
@click.option("--snapshot", help="Train on this snapshot instead of a new one.")
@click.option(
    "--wait",
    "seconds",
    is_flag=False,
    flag_value=600.0,
    type=float,
    metavar="SECONDS",
    help="Wait, 600 s if no number is given, until its predictions and receipts are in the queue, or it is refused.",
)
@data_option
def train(project: str, by: str, snapshot: str | None, seconds: float | None, data: Path | None) -> None:
    """Ask for a model now, whatever the policy says.

    Example: labelloop model train --project birds --wait
    """
    settings = Settings.load(data)
    if snapshot is not None and snapshot not in read_history(settings).loop(project).snapshots:
        raise LabelloopError(f"{project!r} has no snapshot {snapshot!r}: see `labelloop snapshot list`")
    request = publish(settings, project, "requested", About(snapshot=snapshot), by)
    if seconds is None:
        click.echo(request["event_id"])
        return
    with Console(stderr=True).status("training, and following what it changes"):
        _, event = outcome(settings, project, request["event_id"], seconds)
    _print_outcome(event)


@model.command()
@project_option
@click.argument("version")
@click.option("--by", required=True, metavar="ACTOR", help="Who decides, as a pseudonym.")
@click.option("--reason", help="Why, in their words.")
@data_option
def promote(project: str, version: str, by: str, reason: str | None, data: Path | None) -> None:
    """Make a model the champion, whatever the gate said.

    Example: labelloop model promote --project birds m-41d07a5e9f2c --by lead-1 --reason "rare birds count more"
    """
    settings = Settings.load(data)
    loop = read_history(settings).loop(project)
    _promote(settings, project, loop, _known(loop, project, version), by, reason or "by hand")


@model.command()
@project_option
@click.option("--by", required=True, metavar="ACTOR", help="Who decides, as a pseudonym.")
@click.option("--reason", help="Why, in their words.")
@data_option
def rollback(project: str, by: str, reason: str | None, data: Path | None) -> None:
    """Make the model before the champion the champion again.

    Example: labelloop model rollback --project birds --by lead-1
    """
    settings = Settings.load(data)
    loop = read_history(settings).loop(project)
    before = next((p.version for p in reversed(loop.promotions) if p.version != loop.champion), None)
    if before is None:
        raise LabelloopError(f"{project!r} has no earlier champion to go back to: see `labelloop model list`")
    _promote(settings, project, loop, before, by, reason or "rollback")


def _promote(settings: Settings, project: str, loop: Loop, version: str, by: str, reason: str) -> None:
    if version == loop.champion:
        raise LabelloopError(f"{version} is the champion already")
    about = About(version, loop.trained[version]["snapshot"], loop.champion, reason)
    publish(settings, project, "promoted", about, by)
    click.echo(f"{version} is the champion of {project}; its predictions follow")


def _known(loop: Loop, project: str, version: str | None) -> str:
    """Return a version that there is, the champion for None.

    Raises:
        LabelloopError: there is none.
    """
    if version is None and loop.champion is not None:
        return loop.champion
    if version is None or version not in loop.trained:
        what = "no champion" if version is None else f"no model {version!r}"
        raise LabelloopError(f"{project!r} has {what}: see `labelloop model list --project {project}`")
    return version


def _print_outcome(event: Event) -> None:
    if event["stage"] == "failed":
        raise LabelloopError(f"no model: {event['reason']}")
    console = Console()
    console.print(f"{event['model_version']} was {_verdict(event)}")
    _print_gate(console, event)


def _print_gate(console: Console, judged: Event) -> None:
    if judged["checks"]:
        console.print(gate_table(judged))
    if judged["regressed"]:
        console.print(f"right before, wrong now: {escape(', '.join(judged['regressed']))}")


def _verdict(event: Event) -> str:
    return escape(event["stage"] + (f": {event['reason']}" if event["reason"] else ""))


def _share(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:g}"
