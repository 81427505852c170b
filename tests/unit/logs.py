"""Logs of a project for tests: facts with a place, an arrival time and a size."""

from collections.abc import Iterable

from streams import codec
from streams.events import Event
from streams.keys import item_key, partition_of
from workers.dataset import Logged

PARTITIONS = 4


def logged(topic: str, event: Event, offset: int = 0, log_time: int = 1_000_000) -> Logged:
    """Return a fact as the log holds it."""
    home = partition_of(item_key(event["project"], event["item_id"]), PARTITIONS)
    return Logged(topic, home, offset, log_time, event, len(codec.encode(topic, event)))


def log_of(facts: Iterable[tuple[str, Event]]) -> list[Logged]:
    """Return facts as a log that got one a second, in this order."""
    return [logged(topic, event, n, 1_000_000 + 1000 * n) for n, (topic, event) in enumerate(facts)]
