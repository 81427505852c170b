"""How one record of a fact topic changes its item: asked by whoever folds facts, live or from the log."""

from collections.abc import Callable
from typing import NamedTuple

from streams import events
from streams.events import Event
from streams.processors.admission import authorise, decoded, own_key
from streams.processors.answer import unsure_reviewers
from streams.processors.claims import apply_claim
from streams.processors.item_state import ItemState, fold
from streams.projects import Projects
from streams.transport.batch import Record


class Taken(NamedTuple):
    """A fact that counts: its item's key, the item's state with it, whether that changed, and the fact itself."""

    key: bytes
    state: ItemState
    moved: bool
    event: Event


def take(topic: str, record: Record, projects: Projects, state_of: Callable[[bytes, Event], ItemState]) -> Taken:
    """Return what a record makes of its item, in place.

    Args:
        topic: Catalogue name of the topic, one of `ITEM_FACTS`.
        record: The record.
        projects: Settings of all projects up to the record's log time.
        state_of: Gives the state of an item by its key.

    Raises:
        Poison: it can never count; the state is as before.
    """
    event = decoded(topic, record.value)
    events.validate(topic, event, record.timestamp)
    key = own_key(event, record.key)
    state = state_of(key, event)
    view = projects.at(event["project"], record.timestamp)
    authorise(topic, event, view)
    if topic == "claims":
        unsure_by = unsure_reviewers(state["facts"].get("corrections", {}))
        moved = apply_claim(state["claims"], event, record.timestamp, view.policy.lease_ms, unsure_by)
    else:
        moved = fold(state, topic, event, record.timestamp, len(record.value or b""))
    return Taken(key, state, moved, event)
