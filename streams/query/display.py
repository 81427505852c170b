"""How tasks look to people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from streams.query.tasks import Task

_NAMED = 5


def queue_table(tasks: list[Task], title: str | None = None) -> Table:
    """Return the head of a queue as a table for people."""
    table = Table(title=title, title_justify="left")
    for column in ("tier", "priority", "item", "shown", "votes", "reasons"):
        table.add_column(column, overflow="fold", justify="right" if column == "priority" else "left")
    table.columns[-1].min_width = 15  # no reason is broken in two
    for task in tasks:
        votes = ", ".join(f"{c['label']} x{len(c['annotators'])}" for c in task["candidates"])
        table.add_row(
            task["tier"],
            f"{task['priority']:.3f}",
            Text(task["item_id"]),
            Text(_label(task["consensus"])),
            Text(votes),
            "\n".join(task["reasons"]),
        )
    return table


def task_table(task: Task, similar: Mapping[str, list[str]] | None = None) -> Table:
    """Return one task whole, as a table for people.

    Args:
        task: The task.
        similar: Other open items of each of its groups.
    """
    table = Table(show_header=False, box=None)
    table.add_row("item", Text(task["item_id"]))
    for name in ("text", "media", "group"):
        if task[name] is not None:
            table.add_row(name, Text(task[name]))
    table.add_row("status", " ".join(filter(None, (task["status"], task["tier"]))))
    reasons = [_weighed(task, reason) for reason in task["reasons"]]
    table.add_row("reasons", ", ".join(reasons) or "-")
    table.add_row("shown answer", Text(f"{_label(task['consensus'])} ({task['consensus_source']})"))
    if task["p_wrong"] is not None:
        table.add_row("probably wrong", f"{task['p_wrong']:.1%}")
    for candidate in task["candidates"]:
        table.add_row("label", Text(f"{candidate['label']}: {', '.join(candidate['annotators'])}"))
    if task["prediction"] is not None:
        prediction = task["prediction"]
        says = _label(prediction["value"]) if prediction["value"] else _probabilities(prediction["probabilities"])
        table.add_row("prediction", Text(f"{says} ({prediction['model_version']})"))
    for group, items in (similar or {}).items():
        more = ", ..." if len(items) > _NAMED else ""
        table.add_row("similar", Text(f"{group}: {len(items)} more open: {', '.join(items[:_NAMED])}{more}"))
    if task["verdict"] is not None:
        verdict = task["verdict"]
        why = f": {verdict['reason']}" if verdict["reason"] else ""
        value = _label(verdict["value"]) if verdict["value"] else ""
        table.add_row("verdict", Text(f"{verdict['verdict']} {value} by {verdict['reviewer']}{why}"))
    if task["unsure_by"]:
        table.add_row("unsure", Text(", ".join(task["unsure_by"])))
    if task["owner"] is not None and task["lease_until"] is not None:
        until = datetime.fromtimestamp(task["lease_until"] / 1000, UTC)
        table.add_row("claimed", Text(f"{task['owner']} until {until:%Y-%m-%d %H:%M:%S} UTC"))
    return table


def _weighed(task: Task, reason: str) -> str:
    """Return a reason with what it adds to the priority."""
    if reason in task["doubts"]:
        return f"{reason} (+{task['doubts'][reason]:.0%})"
    return f"{reason} (x{task['terms'][reason]:.3g})" if reason in task["terms"] else reason


def gate_table(judged: Mapping[str, Any]) -> Table:
    """Return what the regression gate compared, as a table for people.

    Args:
        judged: The fact `promoted` or `refused` of a model.
    """
    table = Table("examples", title="gate", title_justify="left")
    for column in ("number", "champion", "this model", "difference, 95 %", "regressions"):
        table.add_column(column, justify="right")
    table.add_column("")
    for check in judged["checks"]:
        allowed = "" if check["allowed"] < 0 else f" of {check['allowed']} allowed"
        table.add_row(
            check["part"].replace("_", " "),
            f"{check['examples']:,}",
            f"{check['champion']:.1%}",
            f"{check['challenger']:.1%}",
            f"{100 * check['low']:+.1f} to {100 * check['high']:+.1f}",
            f"{check['regressions']}{allowed}",
            "passed" if check["passed"] else "refused",
        )
    return table


def _label(value: dict[str, Any] | None) -> str:
    if value is None:
        return "-"
    content = value[value["kind"]]
    return content if isinstance(content, str) else orjson.dumps(content).decode()


def _probabilities(probabilities: dict[str, float]) -> str:
    ordered = sorted(probabilities.items(), key=lambda entry: -entry[1])
    return ", ".join(f"{label} {probability:.0%}" for label, probability in ordered[:3])
