"""`labelloop model`: what models were trained, how they were judged, and who decided otherwise."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.cli.options import data_option, project_option
from streams.clock import SystemClock
from streams.errors import LabelloopError
from streams.events import Event
from streams.query.wait import wait as wait_for_all
from streams.settings import Settings
from streams.transport.plain import Publisher
from workers.history import Loop
from workers.log import HistoryReader, read_history
from workers.registry import About, fact, message

_PAUSE_S = 0.2


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
            _when(made.log_time),
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
    request = _publish(settings, project, "requested", About(snapshot=snapshot), by)
    if seconds is None:
        click.echo(request["event_id"])
        return
    _print_outcome(*_outcome(settings, project, request["event_id"], seconds))


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
    _publish(settings, project, "promoted", about, by)
    click.echo(f"{version} is the champion of {project}; its predictions follow")


def _publish(settings: Settings, project: str, stage: Any, about: About, by: str) -> Event:
    now = SystemClock().now_ms()
    event = fact(project, stage, about, by=by, occurred_at=now, salt=[now, time.monotonic_ns()])
    topic, key, value = message("models", event)
    Publisher(settings.kafka).send(settings.topic(topic), [(key, value)])
    return event


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


def _outcome(settings: Settings, project: str, request: str, seconds: float) -> tuple[Loop, Event]:
    """Return what became of a request, once all that follows from it is in the queue.

    Raises:
        LabelloopError: that took longer.
    """
    limit = time.monotonic() + seconds
    with Console(stderr=True).status("training") as status, HistoryReader(settings) as reader:
        while time.monotonic() < limit:
            loop = reader.read().loop(project)
            found = loop.outcome(request)
            if found is not None and loop.next_step() is None:  # its predictions and receipts are there too
                status.update("following what it changed")
                wait_for_all(settings, max(1.0, limit - time.monotonic()))
                return loop, found
            time.sleep(_PAUSE_S)
    raise LabelloopError(
        f"no model after {seconds:g} s: see whether a retraining worker runs (`labelloop status`) and what its log "
        "says, or start one with `labelloop worker retrain`"
    )


def _print_outcome(loop: Loop, event: Event) -> None:
    if event["stage"] == "failed":
        raise LabelloopError(f"no model: {event['reason']}")
    console = Console()
    console.print(f"{event['model_version']} was {_verdict(event)}")
    _print_gate(console, event)


def _print_gate(console: Console, judged: Event) -> None:
    table = Table("examples", "number", "champion", "this model", "difference, 95 %", "regressions", "", title="gate")
    table.title_justify = "left"
    for check in judged["checks"]:
        allowed = "" if check["allowed"] < 0 else f" of {check['allowed']} allowed"
        table.add_row(
            check["part"].replace("_", " "),
            f"{check['examples']:,}",
            _share(check["champion"]),
            _share(check["challenger"]),
            f"{check['low']:+.3f} to {check['high']:+.3f}",
            f"{check['regressions']}{allowed}",
            "passed" if check["passed"] else "refused",
        )
    if table.row_count:
        console.print(table)
    if judged["regressed"]:
        console.print(f"right before, wrong now: {escape(', '.join(judged['regressed']))}")


def _verdict(event: Event) -> str:
    return escape(event["stage"] + (f": {event['reason']}" if event["reason"] else ""))


def _share(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:g}"


def _when(log_time: int) -> str:
    return datetime.fromtimestamp(log_time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
