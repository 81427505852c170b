"""What changed between two snapshots of a project: which labels, by whom, and why."""

from collections.abc import Iterator
from dataclasses import dataclass

from streams.processors.item_state import Fact, ItemState, order
from workers.dataset import Dataset, Row, Value

UNSAID = "nobody said anything new of it: other items or settings changed what its labels count"


@dataclass(frozen=True, slots=True)
class Change:
    """An item whose value is another one, or came, or went.

    Args:
        item_id: The item.
        before: Its value in the first snapshot; None: it had none.
        after: Its value in the second; None: it has none.
        source: What resolved it in the second snapshot, `none` without a value.
        actors: Who said what is new about it, sorted.
        why: What they said, the last first: a verdict with its reason, gold, labels, or that the item was removed.
    """

    item_id: str
    before: Value | None
    after: Value | None
    source: str
    actors: tuple[str, ...]
    why: tuple[str, ...]


def diff(a: Dataset, b: Dataset) -> list[Change]:
    """Return what changed from one data set to another of the same project, by item_id."""
    before, after = {row.item_id: row for row in a.rows}, {row.item_id: row for row in b.rows}
    return [
        _change(item_id, before.get(item_id), after.get(item_id), a, b)
        for item_id in sorted({*before, *after})
        if _value(before.get(item_id)) != _value(after.get(item_id))
    ]


def _value(row: Row | None) -> Value | None:
    return None if row is None else row.value


def _change(item_id: str, before: Row | None, after: Row | None, a: Dataset, b: Dataset) -> Change:
    new = sorted(_new(a.states.get(item_id), b.states.get(item_id)), key=lambda one: order(*one[1:]), reverse=True)
    if after is not None and after.source != "consensus":  # what else was said has not decided it
        evidence = [one for one in new if one[1] in after.evidence]
        new = evidence or [one for one in new if one[0] == "corrections"]
    return Change(
        item_id,
        _value(before),
        _value(after),
        "none" if after is None else after.source,
        tuple(sorted({fact["actor"] for _, _, fact in new})),
        tuple(_why(topic, fact) for topic, _, fact in new) or (UNSAID,),
    )


def _new(before: ItemState | None, after: ItemState | None) -> Iterator[tuple[str, str, Fact]]:
    """Yield topic, event_id and content of the facts that the second state of an item has and the first has not."""
    had = before["facts"] if before is not None else {}
    has = after["facts"] if after is not None else {}
    for topic in ("items", "labels", "corrections", "gold"):
        known = had.get(topic, {})
        yield from ((topic, event_id, fact) for event_id, fact in has.get(topic, {}).items() if event_id not in known)


def _why(topic: str, fact: Fact) -> str:
    match topic:
        case "corrections":
            return f"{fact['verdict']}: {fact['reason']}" if fact["reason"] else str(fact["verdict"])
        case "gold":
            return f"gold for {fact['use']}"
        case "labels":
            return "a label" if fact["value"] is not None else "a label taken back"
    return "removed" if fact["removed"] else "described"
