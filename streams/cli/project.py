"""`labelloop project`: the settings of projects, and who changed them when."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from streams.cli.console import told_time
from streams.cli.options import data_option, project_option
from streams.errors import LabelloopError
from streams.events import ROLES, Event
from streams.producers.producer import Producer
from streams.projects import POLICY_FIELDS, TRAINING_FIELDS, Policy, Training
from streams.query.projects import read_projects
from streams.settings import Settings
from streams.terminal import Console

_WEIGHTS = {n.partition("_")[2]: n for n in POLICY_FIELDS if n.startswith(("weight_", "doubt_"))}
"""Field of the policy by reason."""

_TYPES: dict[str, type[str] | type[int] | type[float]] = {n: type(v) for n, v in asdict(Policy()).items()}


@click.group()
def project() -> None:
    """Classes, policy, members and guidelines of projects."""


@project.command("list")
@data_option
def list_(data: Path | None) -> None:
    """List the projects that have settings.

    Example: labelloop project list
    """
    projects = read_projects(Settings.load(data))
    table = Table("project", "classes", "members", "guideline", "last changed (UTC)", "by")
    for name in projects.names():
        last = projects.history(name)[-1]
        view = projects.at(name, last.log_time)
        table.add_row(
            escape(name),
            "-" if view.classes is None else str(len(view.classes)),
            "-" if view.members is None else str(len(view.members)),
            escape(view.guidelines[-1].version) if view.guidelines else "-",
            told_time(last.log_time),
            escape(last.event["actor"]["id"]),
        )
    if table.row_count:
        Console().print(table)
    else:
        click.echo("no project has settings: set some with `labelloop project set`; a project needs none to work")


@project.command()
@project_option
@data_option
def show(project: str, data: Path | None) -> None:
    """Show a project's present settings, and who changed what when.

    Example: labelloop project show --project birds
    """
    projects = read_projects(Settings.load(data))
    history = projects.history(project)
    view = projects.at(project, history[-1].log_time if history else 0)
    settings = Table("setting", "value", title=escape(project), title_justify="left")
    settings.add_row("classes", "any" if view.classes is None else escape(", ".join(view.classes)))
    for name, number in asdict(view.policy).items():
        settings.add_row(f"policy {name}", str(number))
    for name, number in asdict(view.training).items():
        settings.add_row(f"training {name}", escape(", ".join(number) or "-") if name == "columns" else str(number))
    settings.add_row("members", "anybody" if view.members is None else escape(_members(view.members)))
    settings.add_row("guidelines", escape(", ".join(guideline.version for guideline in view.guidelines)) or "none")
    changes = Table("when (UTC)", "who", "what", title="history", title_justify="left")
    for change in history:
        changes.add_row(told_time(change.log_time), escape(change.event["actor"]["id"]), escape(_what(change.event)))
    Console().print(settings, changes)


@project.command("set")
@project_option
@click.option("--by", required=True, metavar="ACTOR", help="Who changes it, as a pseudonym.")
@click.option("--classes", metavar="A,B,C", help="All classes in order; a label outside them is refused from then on.")
@click.option("--policy", multiple=True, metavar="NAME=VALUE", help=f"One of {', '.join(POLICY_FIELDS)}; repeatable.")
@click.option(
    "--weight",
    "weights",
    multiple=True,
    metavar="REASON=VALUE",
    help=f"What a reason adds to a task's priority: {', '.join(_WEIGHTS)}; repeatable.",
)
@click.option(
    "--training", multiple=True, metavar="NAME=VALUE", help=f"One of {', '.join(TRAINING_FIELDS)}; repeatable."
)
@click.option(
    "--member", multiple=True, metavar="ACTOR=ROLE", help=f"{', '.join(ROLES)}, or nothing: leave; repeatable."
)
@click.option("--guideline", metavar="VERSION[:A,B]", help="A new guideline version and the classes it changes.")
@data_option
def set_(
    project: str,
    by: str,
    classes: str | None,
    policy: tuple[str, ...],
    weights: tuple[str, ...],
    training: tuple[str, ...],
    member: tuple[str, ...],
    guideline: str | None,
    data: Path | None,
) -> None:
    """Change settings of a project; what is not named stays as it is.

    A change is in force for whatever the log gets after it. Open tasks that it moves follow within seconds, all others
    with the next fact about the item or with `labelloop settle`. Of stale_guideline and comment the weight is the
    probability, 0 to 1, that they add to that of a wrong answer; of all others it is a factor, 0 to 4, 1: none.

    Example: labelloop project set --project birds --by lead-1 --classes wren,robin --member anna=reviewer

    Example: labelloop project set --project birds --by lead-1 --weight edge_case=1.5
    """
    policy = (*policy, *map(_weight, weights))
    if not (classes or policy or training or member or guideline):
        raise LabelloopError("nothing to set: give --classes, --policy, --weight, --training, --member or --guideline")
    changes: dict[str, Any] = {}
    if classes:
        changes["classes"] = _split(classes)
    if guideline:
        version, _, changed = guideline.partition(":")
        changes["guideline"] = {"version": version, "classes": _split(changed)}
    settings = Settings.load(data)
    if policy or training or member:  # these are published whole: what is there already goes along
        projects = read_projects(settings)
        history = projects.history(project)
        view = projects.at(project, history[-1].log_time if history else 0)
        if policy:
            changes["policy"] = {**asdict(view.policy), **dict(map(read_policy, policy))}
        if training:
            changes["training"] = {**asdict(view.training), **dict(map(_training, training))}
        if member:
            members = {**(view.members or {}), **dict(map(_member, member))}
            changes["members"] = {actor: role for actor, role in members.items() if role}
    with Producer(settings, source="cli") as producer:
        event_id = producer.project(project, by, **changes)
    click.echo(event_id)


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def read_policy(text: str) -> tuple[str, str | int | float]:
    """Return the field of a policy and its value that NAME=VALUE gives.

    Raises:
        LabelloopError: there is no such field, or its value is of another type.
    """
    name, _, value = text.partition("=")
    kind = _TYPES.get(name.strip())
    if kind is None:
        raise LabelloopError(f"a policy has no {name!r}: use {', '.join(POLICY_FIELDS)}")
    try:
        return name.strip(), kind(value.strip())
    except ValueError:
        raise LabelloopError(
            f"policy {name} is {value!r}: give a {'whole number' if kind is int else 'number'}"
        ) from None


def _training(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if name not in TRAINING_FIELDS:
        raise LabelloopError(f"a training policy has no {name!r}: use {', '.join(TRAINING_FIELDS)}")
    kind = type(getattr(Training(), name))
    if kind is tuple:
        return name, _split(value)
    if kind is bool:
        if value not in ("true", "false"):
            raise LabelloopError(f"training {name} is {value!r}: give true or false")
        return name, value == "true"
    try:
        return name, kind(value)
    except ValueError:
        raise LabelloopError(
            f"training {name} is {value!r}: give a {'whole number' if kind is int else 'number'}"
        ) from None


def _weight(text: str) -> str:
    reason, _, value = text.partition("=")
    if reason.strip() not in _WEIGHTS:
        raise LabelloopError(f"no weight is called {reason!r}: use {', '.join(_WEIGHTS)}")
    return f"{_WEIGHTS[reason.strip()]}={value}"


def _member(text: str) -> tuple[str, str]:
    actor, equals, role = text.rpartition("=")
    if not equals or not actor:
        raise LabelloopError(f"--member is {text!r}: give ACTOR=ROLE, such as anna=reviewer; anna= removes anna")
    return actor.strip(), role.strip()


def _members(members: Any) -> str:
    return ", ".join(f"{actor} ({role})" for actor, role in sorted(members.items()))


def _what(event: Event) -> str:
    """Return what a fact set, in one line."""
    said = []
    if event["classes"] is not None:
        said.append("classes " + ", ".join(event["classes"]))
    if event["policy"] is not None:
        said.append("policy " + ", ".join(f"{name}={value}" for name, value in event["policy"].items()))
    if event["training"] is not None:
        said.append("training " + ", ".join(f"{name}={value}" for name, value in event["training"].items()))
    if event["members"] is not None:
        said.append("members " + _members(event["members"]))
    if event["guideline"] is not None:
        changed = event["guideline"]["classes"]
        said.append(f"guideline {event['guideline']['version']}" + (f" of {', '.join(changed)}" if changed else ""))
    return "; ".join(said)
