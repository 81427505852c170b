"""Receipts: whoever corrected, flagged or labelled hears which model learnt from it, and what that model does now.

Pure: computed from a snapshot's facts and the predictions of the model and the one before it, of which neither had seen
the item that it speaks of.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams import events
from streams.processors.answer import last, last_by_actor, standing
from streams.processors.item_state import Fact, ItemState
from workers.artifact import text_of
from workers.dataset import Dataset, Row, Value
from workers.gate import is_right, tolerance_of

Receipt = dict[str, Any]
"""A record of the schema `feedback`."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A model that learnt, and what it says of the snapshot's items beside the one before it.

    Args:
        version: The model.
        snapshot: What it was trained on.
        before: What the former model says of each item; None: there was none.
        after: What the model says of each item.
    """

    version: str
    snapshot: str
    before: Mapping[str, Value] | None
    after: Mapping[str, Value]


class _Cause(NamedTuple):
    """A correction or flag: its topic, id and fact, the item's facts, and who hears of it in which role."""

    kind: str
    event_id: str
    fact: Fact
    item_id: str
    to: str
    role: str
    label: tuple[str, Fact] | None


class _Alike(NamedTuple):
    """Judged items that have something in common: their number, and how many each model has right."""

    items: int
    before: int
    after: int


def receipts(
    dataset: Dataset, lesson: Lesson, new: Collection[str], already: Mapping[str, int], per_day: int
) -> list[Receipt]:
    """Return a receipt for each recipient of each new correction and flag, sorted by recipient and place.

    The author of a correction or flag hears of it; of a correction also every annotator whose standing label it sets
    right, of a confirmation those who gave that label, of a flag those whose label is not what was trained on. Nobody
    hears of a verdict that was taken back, of "unsure", or of what settles a flag.

    The most instructive come first: what the model has learnt, then what it has wrong, then what it had right before.

    Args:
        dataset: The snapshot's facts and rows.
        lesson: The model that learnt.
        new: event_ids of the corrections and flags that no earlier promoted model learnt from.
        already: Receipts by recipient that they were told of on this UTC day.
        per_day: Receipts that a person is told of in a day at most.
    """
    rows = {row.item_id: row for row in dataset.rows}
    tolerance = tolerance_of([row.value for row in dataset.rows])
    right = {item: _right(lesson, row, tolerance) for item, row in rows.items()}
    alike = _likeness(rows, right)
    by_recipient: defaultdict[str, list[tuple[bool, Receipt]]] = defaultdict(list)
    for cause in _causes(dataset, rows, new):
        confirmed = cause.fact.get("verdict") == "confirmed"
        receipt = _receipt(dataset, lesson, cause, rows.get(cause.item_id), right, alike)
        by_recipient[cause.to].append((confirmed, receipt))
    found = []
    for recipient, its in sorted(by_recipient.items()):
        its.sort(key=lambda one: _instructive(*one))
        left = per_day - already.get(recipient, 0)
        for place, (_, receipt) in enumerate(its, 1):
            found.append(receipt | {"place": place, "told": place <= left})
    return found


def _right(lesson: Lesson, row: Row, tolerance: float) -> tuple[bool | None, bool]:
    """Return whether the former and the new model have an item right; of no former model None."""
    before = None if lesson.before is None else is_right(lesson.before.get(row.item_id), row.value, tolerance)
    return before, is_right(lesson.after.get(row.item_id), row.value, tolerance)


def _common(row: Row) -> list[str]:
    """Return what an item may have in common with others: its group, and each of its classes."""
    group = [] if row.item.group is None else [f"group:{row.item.group}"]
    return [*dict.fromkeys(group + [f"class:{label}" for label in events.classes_in(row.value)])]


def _likeness(rows: Mapping[str, Row], right: Mapping[str, tuple[bool | None, bool]]) -> dict[str, _Alike]:
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item, row in rows.items():
        if row.source != "consensus":
            for name in _common(row):
                before, after = right[item]
                sums[name].update({"items": 1, "before": bool(before), "after": after})
    return {name: _Alike(one["items"], one["before"], one["after"]) for name, one in sums.items()}


def _causes(dataset: Dataset, rows: Mapping[str, Row], new: Collection[str]) -> Iterator[_Cause]:
    for item, state in dataset.states.items():
        facts = state["facts"]
        resolved = rows[item].value if item in rows else None
        corrections, flags = facts.get("corrections", {}), facts.get("flags", {})
        verdicts = standing(corrections)
        counts = last(verdicts)
        for event_id, fact in verdicts.items():
            if event_id in new and fact["verdict"] != "unsure":
                yield _Cause("corrections", event_id, fact, item, fact["actor"], "author", None)
                if counts is not None and event_id == counts[0] and fact["value"] is not None:
                    agrees = fact["verdict"] == "confirmed"
                    yield from _labellers("corrections", event_id, fact, state, fact["value"], agrees)
        for event_id, fact in flags.items():
            if event_id in new and fact["resolves"] is None:
                yield _Cause("flags", event_id, fact, item, fact["actor"], "author", None)
                if resolved is not None:
                    yield from _labellers("flags", event_id, fact, state, resolved, agrees=False)


def _labellers(kind: str, event_id: str, fact: Fact, state: ItemState, right: Value, agrees: bool) -> Iterator[_Cause]:
    """Yield the annotators whose standing label is the right value, or is not, but for the author."""
    for annotator, label in sorted(last_by_actor(state["facts"].get("labels", {})).items()):
        value = label[1]["value"]
        if value is not None and annotator != fact["actor"] and (text_of(value) == text_of(right)) == agrees:
            yield _Cause(kind, event_id, fact, state["item_id"], annotator, "labeller", label)


def _receipt(
    dataset: Dataset,
    lesson: Lesson,
    cause: _Cause,
    row: Row | None,
    right: Mapping[str, tuple[bool | None, bool]],
    alike: Mapping[str, _Alike],
) -> Receipt:
    item = cause.item_id
    before, after = right.get(item, (None, None))
    name, similar = (None, _Alike(0, 0, 0)) if row is None else _similar(row, (before, bool(after)), alike)
    usual = "reviewer" if cause.kind == "corrections" else "annotator"
    return {
        "event_id": events.event_id("feedback", dataset.project, cause.event_id, cause.to, cause.role, lesson.version),
        "project": dataset.project,
        "item_id": item,
        "recipient": cause.to,
        "caused_by": cause.event_id,
        "stage": "promoted",
        "snapshot": lesson.snapshot,
        "model_version": lesson.version,
        "before": _whole(None if lesson.before is None else lesson.before.get(item)),
        "after": _whole(lesson.after.get(item)),
        "at": dataset.as_of,
        "recipient_role": cause.role,
        "cause_kind": cause.kind,
        "by": cause.fact["actor"],
        "by_role": (dataset.view.members or {}).get(cause.fact["actor"], usual),
        "label_event": None if cause.label is None else cause.label[0],
        "label": None if cause.label is None else text_of(cause.label[1]["value"]),
        "resolved": None if row is None else text_of(row.value),
        "right_before": before,
        "right_after": after,
        "similar": name,
        "similar_items": similar.items,
        "similar_right_before": similar.before,
        "similar_right_after": similar.after,
    }


def _similar(row: Row, right: tuple[bool | None, bool], alike: Mapping[str, _Alike]) -> tuple[str | None, _Alike]:
    """Return what an item has in common with other judged items, its group before its classes, and their numbers."""
    for name in _common(row):
        others = alike.get(name, _Alike(0, 0, 0))
        if row.source != "consensus":  # an item is not similar to itself
            others = _Alike(others.items - 1, others.before - bool(right[0]), others.after - right[1])
        if others.items:
            return name, others
    return None, _Alike(0, 0, 0)


def _whole(value: Value | None) -> dict[str, Any] | None:
    return None if value is None else dict(events.value_of(value["kind"], events.content_of(value)))


def _instructive(confirmed: bool, receipt: Receipt) -> tuple[int, bool, str, str]:
    """Return the order of receipts: what the model has learnt, then what it still has wrong, then the rest.

    Of each what was set right comes before what was confirmed.
    """
    if receipt["right_after"] is None:
        rank = 3
    elif receipt["right_after"]:
        rank = 2 if receipt["right_before"] else 0
    else:
        rank = 1
    return rank, confirmed, receipt["item_id"], receipt["event_id"]
