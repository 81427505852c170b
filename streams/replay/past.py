"""The items of one project as they were at a place in the log. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streams.errors import Poison
from streams.events import Event
from streams.processors.admission import check_home
from streams.processors.item_state import ItemState, new_state
from streams.processors.taking import take
from streams.projects import Projects


class Logged(NamedTuple):
    """A record of a fact topic as the log holds it; `topic` is without the prefix, `timestamp` the log time, ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Past:
    """What the facts up to a place make of a project's items.

    Args:
        states: State of each item, by its key, sorted; nothing of it was emitted.
        refused: Number of facts that do not count, by reason.
        as_of: Log time of the last fact, ms; 0 without any.
    """

    states: Mapping[bytes, ItemState]
    refused: Mapping[str, int]
    as_of: int


def past(records: Iterable[Logged], projects: Projects, partitions: int) -> Past:
    """Return what facts of a project come to.

    Two topics share no order, so records are taken by log time: it decides which claim came before which verdict.

    Args:
        records: Facts of one project, those of a partition in the order of their offsets.
        projects: Settings of all projects.
        partitions: Partitions of every item-keyed topic.
    """
    states: dict[bytes, ItemState] = {}
    refused, as_of = Counter[str](), 0
    for record in in_order(records):

        def state_of(key: bytes, event: Event, home: int = record.partition) -> ItemState:
            found = states.get(key)
            if found is None:
                check_home(key, home, partitions)
                found = new_state(event["project"], event["item_id"])
            return found

        try:
            key, state, _, _ = take(record.topic, record, projects, state_of)
        except Poison as poison:
            refused[poison.reason] += 1
            continue
        states[key] = state
        as_of = max(as_of, record.timestamp)
    return Past(dict(sorted(states.items())), dict(sorted(refused.items())), as_of)


def in_order(records: Iterable[Logged]) -> list[Logged]:
    """Return records by log time; what one partition got in the same millisecond keeps its order."""
    return sorted(records, key=lambda one: (one.timestamp, one.topic, one.partition, one.offset))
