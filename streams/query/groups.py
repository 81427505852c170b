"""Similar tasks settled with one verdict: which of them may be, and the facts that do it. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from streams import events
from streams.producers import facts
from streams.producers.facts import Fact
from streams.query.tasks import Task


class Settled(NamedTuple):
    """What became of a group.

    Args:
        batch: What all its verdicts name as their cause.
        verdicts: The facts, one an item.
        refused: Items that were left out, and why.
    """

    batch: str
    verdicts: list[Fact]
    refused: dict[str, str]


def confirm(
    group: str,
    tasks: Iterable[Task],
    seen: Mapping[str, str],
    reviewer: str,
    now_ms: int,
    reason: str | None = None,
) -> Settled:
    """Confirm the shown answers of a group's open tasks.

    The facts have no time of their own and ids derived from what was judged: given again before the first were folded,
    they are the same ones.

    Args:
        group: The group.
        tasks: Its open tasks as they are now.
        seen: Revision by item of what the reviewer was shown.
        reviewer: Who confirms.
        now_ms: The time by which leases are judged, ms.
        reason: Why, in the reviewer's words.
    """
    verdicts, refused, there = [], dict[str, str](), set[str]()
    project, batch = "", ""
    for task in sorted(tasks, key=lambda task: str(task["item_id"])):
        item, project = task["item_id"], task["project"]
        there.add(item)
        batch = batch or events.event_id("group", project, group, reviewer)
        why = _refusal(task, seen.get(item), reviewer, now_ms)
        if why is not None:
            refused[item] = why
            continue
        fact = facts.correction(
            project,
            item,
            reviewer,
            "confirmed",
            task["consensus"],
            reason=reason,
            task_revision=task["revision"],
            caused_by=batch,
            source="review",
        )
        verdicts.append(fact.identified(str(task["updated_at"])))  # an undone verdict can be given anew
    refused |= {item: "is open no more, or in another group" for item in seen if item not in there}
    return Settled(batch, verdicts, refused)


def _refusal(task: Task, seen: str | None, reviewer: str, now_ms: int) -> str | None:
    """Return why a task is left out, None if it is not."""
    if seen is None:
        return "came after you looked"
    if seen != task["revision"]:
        return "has changed since you looked"
    if task["consensus"] is None:
        return "shows no answer"
    owner, until = task["owner"], task["lease_until"]
    if owner not in (None, reviewer) and until is not None and until > now_ms:
        return f"is claimed by {owner}"
    if reviewer in task["annotators"]:
        return "has your own label"
    return "is for another reviewer" if reviewer in task["skipped_by"] or reviewer in task["unsure_by"] else None
