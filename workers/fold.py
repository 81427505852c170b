"""A project's facts, gathered by item: what the processor "items" keeps, whatever the order they are given in.

Two things are decided by the facts' places in the log, as the processor meets them: which copy of an event_id is the
first, and which fact would make its item too large.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streams import events
from streams.errors import Poison
from streams.events import Event, digest
from streams.keys import item_key
from streams.origins import Origin
from streams.processors.admission import authorise, check_home
from streams.processors.item_state import MAX_ITEM_BYTES, SET_FACTS, ItemState, fold, new_state
from streams.projects import Projects

KEPT = tuple(topic for topic in SET_FACTS if topic not in ("comments", "predictions"))
"""Topics whose facts have a part in training data. No model decides what trains one, and comments decide nothing."""


class Logged(NamedTuple):
    """A fact as the log holds it; `topic` is without the prefix, `log_time` in ms, `size` in bytes.

    `earlier` is where it lay in earlier builds of its topic.
    """

    topic: str
    partition: int
    offset: int
    log_time: int
    event: Event
    size: int
    earlier: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """What a model is told of an item: the last description that somebody gave of it.

    Args:
        item_id: The item.
        group: Group that the item is in; None of an item without.
        text: Its text, whole; None of an item without.
        features: Its numbers; empty if there are none, or they lie in a file.
        features_file: File that its numbers lie in; None where they lie in none.
        features_row: Row of that file, from 0.
        attributes: Whatever else is known of it, sorted pairs of name and text.
    """

    item_id: str
    group: str | None = None
    text: str | None = None
    features: tuple[float, ...] = ()
    features_file: str | None = None
    features_row: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """A project's facts that count.

    Args:
        states: State of each item that there is a fact of, by item_id, sorted.
        inputs: What each fact of the topic `items` says of its item, by item_id and event_id.
        refused: Number of facts that were passed over, by reason; of a conflict, the ids that conflict.
    """

    states: Mapping[str, ItemState]
    inputs: Mapping[tuple[str, str], Item]
    refused: Mapping[str, int]


def collect(project: str, facts: Iterable[Logged], projects: Projects, partitions: int) -> Collected:
    """Return the facts of a project that the processor "items" takes.

    Args:
        project: The project; facts of others are passed over.
        facts: Facts in any order.
        projects: Settings of all projects.
        partitions: Partitions of every item-keyed topic.
    """
    states: dict[str, ItemState] = {}
    inputs: dict[tuple[str, str], Item] = {}
    refused: Counter[str] = Counter()
    conflicts: set[tuple[str, str, str]] = set()
    for one in facts:
        topic, event = one.topic, one.event
        if event["project"] != project or topic not in KEPT:
            continue
        try:
            events.validate(topic, event, one.log_time)
            item_id, event_id = event["item_id"], event["event_id"]
            check_home(item_key(project, item_id), one.partition, partitions)
            authorise(topic, event, projects.at(project, one.log_time))
        except Poison as poison:
            refused[poison.reason] += 1
            continue
        if topic == "gold" and event["use"] == "evaluation":
            continue
        state = states.get(item_id)
        if state is None:
            state = states[item_id] = new_state(project, item_id)
        known = state["facts"].get(topic, {}).get(event_id)
        if known is not None:
            if known["digest"] != digest(event):
                conflicts.add((topic, item_id, event_id))
            if one.offset >= known["offset"]:
                continue
            del state["facts"][topic][event_id]
        fold(state, topic, event, one.log_time, 0)  # its size counts when all are known
        state["facts"][topic][event_id] |= {"offset": one.offset, "size": one.size, "earlier": one.earlier}
        if topic == "items":
            inputs[item_id, event_id] = _input(event)
    for state in states.values():
        state["bytes"] = sum(fact["size"] for of_topic in state["facts"].values() for fact in of_topic.values())
        if state["bytes"] > MAX_ITEM_BYTES:
            refused["item_too_large"] += _shrink(state)
    if conflicts:
        refused["id_conflict"] += len(conflicts)
    return Collected(dict(sorted(states.items())), inputs, dict(sorted(refused.items())))


def _input(event: Event) -> Item:
    return Item(
        event["item_id"],
        event["group"],
        event["text"],
        tuple(event["features"] or ()),
        event["features_file"],
        event["features_row"],
        tuple(sorted(event["attributes"].items())),
    )


def _shrink(state: ItemState) -> int:
    """Leave out the facts that pass an item's bound, as they came into the log, and return how many."""
    by_time = sorted(
        (fact["logged"], topic, fact["offset"], event_id)
        for topic, of_topic in state["facts"].items()
        for event_id, fact in of_topic.items()
    )
    state["bytes"], refused = 0, 0
    for _, topic, _, event_id in by_time:
        size = state["facts"][topic][event_id]["size"]
        if state["bytes"] + size > MAX_ITEM_BYTES:
            del state["facts"][topic][event_id]
            refused += 1
        else:
            state["bytes"] += size
    return refused
