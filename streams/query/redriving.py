"""How a dead letter can be taken after all: pure, decided by the record, its place in the log and the settings.

A record that would be taken at its own place by now was refused by a fault of ours that is mended: it is given back to
the consumer, and counts from its own log time, as it would if the consumer's state were built again from the log.

A record that is still refused there, but would be taken if it came now, was refused for its time or place: a class that
was not declared yet, a reviewer who was none yet, a wrong partition. Every rebuild refuses it again. So it is published
again: a second copy of the fact, of which the first copy that is taken counts, from its own log time.
"""

from typing import Literal, NamedTuple

from streams import codec, events
from streams.catalogue import TOPICS
from streams.dead_letters import Original
from streams.errors import Poison
from streams.events import Event
from streams.keys import partition_of
from streams.processors.admission import authorise, check_home, decoded, own_key
from streams.projects import Projects


class Way(NamedTuple):
    """What can be done: the action, or None and why nothing can; of `republish` the partition and key."""

    action: Literal["redrive", "republish"] | None
    why: str = ""
    partition: int = 0
    key: bytes = b""


def way(topic: str, reason: str, record: Original, projects: Projects, partitions: int, now_ms: int) -> Way:
    """Return how a record that was refused can be taken.

    Args:
        topic: Catalogue name of the topic it lies in.
        reason: Code that it was refused with.
        record: The record.
        projects: Settings of all projects.
        partitions: Partitions of every item-keyed topic.
        now_ms: The present time, ms.
    """
    if reason == "id_conflict":
        return Way(None, "its event_id belongs to another fact: publish it under a new one, then drop the letter")
    if topic == "claims" and record.consumer == "items":
        return Way(None, "a claim is a race that is over: claim the item again, then drop the letter")
    by_items = record.consumer == "items" and topic in TOPICS and TOPICS[topic].kind == "fact"
    try:
        if by_items:
            event = decoded(topic, record.value)
            _check(topic, event, record.timestamp, projects)
            check_home(own_key(event, record.key), record.partition, partitions)
        else:
            name, content = codec.decode(record.value)
            if topic in TOPICS and TOPICS[topic].kind == "fact":
                events.validate(topic, content, record.timestamp)
            if record.consumer == "sink" and name != TOPICS[topic].schema:
                raise Poison("invalid", f"a {name} record lies in topic {topic}")
        return Way("redrive")
    except Poison as poison:
        trouble = poison
    if by_items:
        try:
            event = decoded(topic, record.value)
            key = own_key(event, record.key)
            _check(topic, event, now_ms, projects)
            return Way("republish", "", partition_of(key, partitions), key)
        except Poison as poison:
            trouble = poison
    return Way(None, f"{trouble}; publish it right, then drop the letter")


def _check(topic: str, event: Event, log_time: int, projects: Projects) -> None:
    events.validate(topic, event, log_time)
    authorise(topic, event, projects.at(event["project"], log_time))
