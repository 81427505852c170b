"""What the peers share with the worker: the fold, and a record for it."""

from dataclasses import dataclass

from confluent_kafka import Message

from streams.processors.items import Items
from streams.projects import Projects
from streams.settings import Settings


@dataclass(slots=True)
class Record:
    """One record as the fold reads it."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int

    @classmethod
    def of(cls, message: Message) -> "Record":
        """Return the record of a confluent_kafka message."""
        return cls(message.key(), message.value(), int(message.offset() or 0), message.timestamp()[1])


def items_of(settings: Settings, out_prefix: str) -> Items:
    """Return the fold, its outputs named after a prefix of their own."""
    return Items(out_prefix, settings.partitions, Projects())
