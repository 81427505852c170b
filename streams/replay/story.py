"""The whole story of one item: who did what, why, and what came of it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from streams import codec
from streams.errors import Poison
from streams.events import Event
from streams.processors.answer import answer
from streams.processors.item_state import ItemState, new_state
from streams.processors.taking import take
from streams.processors.task import consensus, label_text, review_task
from streams.projects import Projects, ProjectView
from streams.replay.past import Logged, in_order

FACT, REFUSED, TOLD = "fact", "refused", "told"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to an item.

    Args:
        at: Log time, ms.
        kind: `fact`; `refused`: a fact that does not count; `told`: a receipt.
        topic: Topic without the prefix.
        who: Pseudonym of whoever said it, or is told of it.
        role: Their kind, or role in the project at that time.
        says: What they said.
        why: Reason, or the event that led to it; empty without any.
        caused: What it changed at the item: its task, the shown answer, who holds it; empty if nothing.
        event_id: The fact's id; empty where it cannot be read.
    """

    at: int
    kind: str
    topic: str
    who: str
    role: str
    says: str
    why: str
    caused: str
    event_id: str


def story(project: str, item_id: str, records: Iterable[Logged], projects: Projects) -> list[Entry]:
    """Return what happened to an item, by log time.

    What came of a fact is told by the votes alone, without the skill of a refit: it says what this fact did, not what
    became known of the annotators meanwhile.

    Args:
        project: The project.
        item_id: The item.
        records: Its facts, and the receipts about it.
        projects: Settings of all projects.
    """
    state, told = new_state(project, item_id), list[Entry]()
    seen: dict[str, int] = {}
    for record in in_order(records):
        if record.topic == "feedback":
            told.append(_receipt(record, seen))
            continue
        view = projects.at(project, record.timestamp)
        before = _standing(state, view)
        try:
            event, moved = _take(record, state, projects)
        except Poison as poison:
            told.append(_refused(record, poison))
            continue
        caused = _changes(before, _standing(state, view)) if moved else "a copy: nothing"
        seen.setdefault(event["event_id"], len(told) + 1)
        told.append(
            Entry(
                record.timestamp,
                FACT,
                record.topic,
                event["actor"]["id"],
                _role(event, view),
                _said(record.topic, event),
                _why(event, seen),
                caused,
                event["event_id"],
            )
        )
    return told


def _take(record: Logged, state: ItemState, projects: Projects) -> tuple[Event, bool]:
    taken = take(record.topic, record, projects, lambda key, event: state)
    return taken.event, taken.moved


def _standing(state: ItemState, view: ProjectView) -> dict[str, str]:
    """Return what may change at an item, as text."""
    known = answer(state, view)
    shown = consensus(known, view)
    task = review_task(state, known, shown, view)
    owner = task["owner"]
    return {
        "task": task["status"] if task["tier"] is None else f"{task['status']} in {task['tier']}",
        "answer": label_text(shown.value) or "none",
        "held by": owner or "nobody",
    }


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    return "; ".join(f"{what} {before[what]} → {now}" for what, now in after.items() if now != before[what])


def _role(event: Event, view: ProjectView) -> str:
    kind: str = event["actor"]["kind"]
    return (view.members or {}).get(event["actor"]["id"], kind)


def _why(event: Event, seen: Mapping[str, int]) -> str:
    """Return the reason that a fact gives, and what led to it: the number of an entry above, or its id."""
    parts = [str(event["reason"])] if event.get("reason") else []
    cause = event["caused_by"]
    if cause is not None:
        parts.append(f"because of {seen[cause]}" if cause in seen else f"because of {cause}")
    return "; ".join(parts)


def _said(topic: str, event: Event) -> str:
    """Return what a fact says, in one line."""
    value = label_text(event["value"]) if event.get("value") else None
    match topic:
        case "items":
            return "withdrawn" if event["removed"] else str(event["text"] or event["media"] or "described")
        case "labels":
            return "takes the label back" if event["retracted"] else value or "nothing"
        case "flags":
            if event["resolves"] is not None:
                return "settles a flag"
            return f"{event['kind']}: {event['text']}" if event["text"] else str(event["kind"])
        case "comments":
            return f"[{event['thread']}] {event['text']}" + (" (settled)" if event["resolved"] else "")
        case "corrections":
            return f"{event['verdict']} {value or ''}".strip()
        case "predictions":
            likely = max(event["probabilities"].items(), key=lambda one: one[1], default=None)
            said = value or (f"{likely[0]} at {likely[1]:.2f}" if likely else "nothing")
            return f"{said}, by {event['model_version']}"
        case "gold":
            return f"{value} ({event['use']})"
        case _:
            return str(event["action"])


def _refused(record: Logged, poison: Poison) -> Entry:
    try:
        event: Mapping[str, Any] = codec.decode(record.value)[1]
        who, kind, event_id = event["actor"]["id"], event["actor"]["kind"], event["event_id"]
    except (Poison, KeyError, TypeError):
        who = kind = event_id = ""
    caused = f"a dead letter: {poison.reason}"
    return Entry(record.timestamp, REFUSED, record.topic, who, kind, poison.detail, "", caused, event_id)


def _receipt(record: Logged, seen: Mapping[str, int]) -> Entry:
    try:
        _, receipt = codec.decode(record.value)
        model, right = receipt["model_version"], receipt["right_after"]
        cause = receipt["caused_by"]
        says = receipt["stage"] + (f" by {model}" if model else "")
        if right is not None:
            says += ", which gets it right" if right else ", which still gets it wrong"
        why = f"because of {seen.get(cause, cause)}"
        return Entry(
            record.timestamp,
            TOLD,
            record.topic,
            receipt["recipient"],
            receipt["recipient_role"],
            says,
            why,
            "",
            receipt["event_id"],
        )
    except (Poison, KeyError) as error:
        return Entry(record.timestamp, REFUSED, record.topic, "", "", f"cannot be read: {error}", "", "", "")
