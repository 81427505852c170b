"""The story of one item: its facts in log order, each with what it caused.

Pure: the records are folded one after the other by the rules of the processor "items", and what is told after each is
what had changed. Tiers and priorities are not told: they depend on the fits of the day, which are not kept.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from streams import codec
from streams.catalogue import ACTIONS, ITEM_FACTS, TOPICS
from streams.dead_letters import given_back
from streams.errors import Poison
from streams.events import Event
from streams.keys import item_key
from streams.processors.admission import check_home, decoded
from streams.processors.answer import answer
from streams.processors.item_state import ItemState, new_state
from streams.processors.items import CONSUMER
from streams.processors.taking import take
from streams.processors.task import consensus, label_text, review_task
from streams.projects import Projects
from streams.replay.past import Logged

RECEIPTS = "feedback"
"""Topic of the receipts, which say what a fact led to."""

SOURCES = (*ITEM_FACTS, ACTIONS, RECEIPTS)
"""Topics that an item's story is made of, beside the settings of its project."""

_ORDER = {name: n for n, name in enumerate(TOPICS)}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened.

    Args:
        log_time: When the log got it, ms since 1970 UTC.
        topic: Where it lies, without the prefix.
        partition: Partition there.
        offset: Offset there; None of a change of the project's settings, which is told by its time.
        event_id: Id of the fact; None where the record cannot be read.
        actor: Who, as a pseudonym; None as above.
        role: Kind of the actor; None as above.
        says: What it says.
        reason: Why, in the actor's words.
        caused_by: event_id of what led to it.
        caused: What came of it, in order.
    """

    log_time: int
    topic: str
    partition: int
    offset: int | None
    event_id: str | None = None
    actor: str | None = None
    role: str | None = None
    says: str = ""
    reason: str | None = None
    caused_by: str | None = None
    caused: tuple[str, ...] = ()


def story(project: str, item_id: str, records: Iterable[Logged], projects: Projects, partitions: int) -> list[Step]:
    """Return what happened to an item, in log order; empty if nothing did.

    Within a topic the order is the offsets'; between topics the log times', ties as the catalogue has the topics.
    A change of the project's settings is told where it moved the item.

    Args:
        project: The item's project.
        item_id: The item.
        records: Records of `SOURCES`, in any order; those of other items are passed over.
        projects: Settings of all projects.
        partitions: Partitions of every item-keyed topic.
    """
    own = item_key(project, item_id)
    told = _Told(project, item_id, projects, partitions)
    receipts = defaultdict[str, list[str]](list)
    changes = iter(projects.history(project))
    change = next(changes, None)
    for log_time, record in _in_order(own, records):
        while change is not None and change.log_time <= log_time:
            told.settings(change.log_time, change.event)
            change = next(changes, None)
        if record.topic == RECEIPTS:
            cause, text = _receipt(record.value)
            receipts[cause].append(text)
        else:
            told.record(record)
    while change is not None:
        told.settings(change.log_time, change.event)
        change = next(changes, None)
    return [replace(step, caused=(*step.caused, *receipts.get(step.event_id or "", ()))) for step in told.steps]


def _in_order(own: bytes, records: Iterable[Logged]) -> Iterator[tuple[int, Logged]]:
    """Yield an item's records in log order, each with the time that it counts from.

    A broker's clock may have been set back: then a record counts from the time of the one before it in its topic.
    """
    of_topic = defaultdict[str, list[Logged]](list)
    for record in records:
        key = record.key
        if record.topic == ACTIONS:
            original = given_back(record.value, CONSUMER)
            key = None if original is None else original.key
        if key == own:
            of_topic[record.topic].append(record)
    streams = []
    for topic in sorted(of_topic, key=_ORDER.__getitem__):
        mine = sorted(of_topic[topic], key=lambda record: record.offset)
        streams.append([*zip(accumulate((record.timestamp for record in mine), max), mine, strict=True)])
    return heapq.merge(*streams, key=lambda one: one[0])


@dataclass(slots=True)
class _Told:
    """The item as far as it is told."""

    project: str
    item_id: str
    projects: Projects
    partitions: int
    steps: list[Step] = field(default_factory=list)
    state: ItemState | None = None
    status: str = ""

    def settings(self, log_time: int, event: Event) -> None:
        """Tell of a change of the project's settings, if it moves the item."""
        if self.state is not None and (moved := self._moved(self.state, log_time)):
            names = ("classes", "policy", "members", "guideline", "training")
            says = "changed " + ", ".join(name for name in names if event[name] is not None)
            if event["guideline"] is not None:
                says += f" {event['guideline']['version']}"
            self.steps.append(replace(_who(Step(log_time, "projects", 0, None), event), says=says, caused=moved))

    def record(self, record: Logged) -> None:
        """Tell of a record: what it says, and what came of it."""
        step = Step(record.timestamp, record.topic, record.partition, record.offset)
        original = given_back(record.value, CONSUMER) if record.topic == ACTIONS else None
        if original is not None:
            action = codec.decode_own(record.value)[1]
            topic = original.topic.rpartition(".")[2]  # no fact about an item has a dot in its topic's name
            place = original.partition, original.offset
            _, caused = self._folded(Logged(topic, *place, original.timestamp, original.key, original.value))
            says = f"gave the dead letter of {topic}-{place[0]}, offset {place[1]}, back"
            step = replace(step, actor=action["by"], says=says, reason=action["text"], caused=caused)
        else:
            event, caused = self._folded(record)
            step = step if event is None else _who(step, event)
            says = "cannot be read" if event is None else _says(record.topic, event)
            step = replace(step, says=says, caused=caused)
        self.steps.append(step)

    def _folded(self, record: Logged) -> tuple[Event | None, tuple[str, ...]]:
        """Return the fact in a record and what it caused."""
        event = None
        try:
            event = decoded(record.topic, record.value)
            _, state, moved, _ = take(record.topic, record, self.projects, self._state_of(record.partition))
        except Poison as poison:
            return event, (f"dead letter, {poison.reason}: {poison.detail}",)
        caused = _claimed(event, state["claims"], record.timestamp) if record.topic == "claims" else ()
        if not moved:
            return event, ("nothing: a further copy",)
        self.state = state
        return event, (*caused, *self._moved(state, record.timestamp))

    def _state_of(self, partition: int) -> Callable[[bytes, Event], ItemState]:
        def state_of(key: bytes, event: Event) -> ItemState:
            check_home(key, partition, self.partitions)
            return self.state or new_state(self.project, self.item_id)

        return state_of

    def _moved(self, state: ItemState, log_time: int) -> tuple[str, ...]:
        """Return how the task's status moved, by the settings as of `log_time`."""
        view = self.projects.at(self.project, log_time)
        known = answer(state, view)
        before, self.status = self.status, review_task(state, known, consensus(known, view), view)["status"]
        if before == self.status:
            return ()
        if self.status == "open":
            return ("opened the task" if before in ("", "unlabelled") else "re-opened the task",)
        if self.status == "unlabelled":
            return ("no label stands",) if before else ()
        return ("closed the task" if self.status == "closed" else "withdrew the item",)


def _who(step: Step, event: Event) -> Step:
    actor = event["actor"]
    why = event.get("reason")
    return replace(
        step,
        event_id=event["event_id"],
        actor=actor["id"],
        role=actor["kind"],
        reason=why,
        caused_by=event["caused_by"],
    )


def _claimed(event: Event, claims: Mapping[str, Any], log_time: int) -> tuple[str, ...]:
    """Return who holds the item after a claim fact: a lease that ended before it holds nothing."""
    until = claims["until"]
    owner = None if until is None or until <= log_time else claims["owner"]
    if owner is None:
        return ("nobody holds it",)
    held = f"{datetime.fromtimestamp(until / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    return (f"{'holds it' if owner == event['actor']['id'] else f'{owner} holds it'} until {held}",)


def _receipt(value: bytes | None) -> tuple[str, str]:
    """Return which fact a receipt is about, and what it tells."""
    receipt = codec.decode_own(value)[1]
    took = f"snapshot {receipt['snapshot']} took it" if receipt["snapshot"] else receipt["stage"]
    model = f", model {receipt['model_version']} {receipt['stage']}" if receipt["model_version"] else ""
    return receipt["caused_by"], f"receipt to {receipt['recipient']}: {took}{model}"


def _says(topic: str, event: Event) -> str:
    label = label_text(event.get("value"))
    match topic:
        case "items":
            return "withdrew it" if event["removed"] else event["text"] or event["media"] or "described it"
        case "labels":
            return "took the label back" if event["retracted"] else f"labelled it {label}"
        case "flags":
            return "settled a flag" if event["resolves"] else f"flagged it {event['kind']}: {event['text'] or '-'}"
        case "comments":
            return f"[{event['thread']}] {event['text']}" + (" (settled)" if event["resolved"] else "")
        case "corrections":
            undone = f" {event['undoes']}" if event["undoes"] else ""
            return f"{event['verdict']}{'' if label is None else f' {label}'}{undone}"
        case "predictions":
            likeliest = max(event["probabilities"].items(), key=lambda one: one[1], default=(None, 0.0))[0]
            return f"{event['model_version']} says {label if label is not None else likeliest}"
        case "gold":
            return f"gold {label} ({event['use']})"
        case _:
            return str(event["action"])
