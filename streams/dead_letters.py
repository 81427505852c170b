"""What a dead letter says: where the record lies, why it cannot be processed, and its bytes.

Above `MAX_CARRIED_BYTES` only the hash and the first bytes are carried, of a long key and a long detail the beginning:
the original stays in its topic, and no record is too large to be told of.
"""

from dataclasses import dataclass
from hashlib import sha256

from streams import codec
from streams.errors import Poison, Reason

MAX_CARRIED_BYTES = 1024 * 1024
MAX_DETAIL = 8000
"""Characters of the explanation that are kept."""

MAX_CARRIED_KEY = 4096
"""Bytes of the key that are kept."""

_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be processed.

    Args:
        consumer: Who refused it: `items`, `sink`.
        topic: Full name of the topic it lies in.
        partition: Partition there.
        offset: Offset there.
        log_time: The record's timestamp, ms since 1970 UTC.
        key: The record's key.
        value: The record's bytes.
        reason: Code of the failure.
        detail: What is wrong and the remedy; for a bug the traceback.
        attempt: How often the record was given back to the consumer before.
    """

    consumer: str
    topic: str
    partition: int
    offset: int
    log_time: int
    key: bytes | None
    value: bytes | None
    reason: Reason
    detail: str
    attempt: int = 0

    @property
    def record_key(self) -> bytes:
        """The key of the record in the dead-letter topic."""
        return (self.key or b"")[:MAX_CARRIED_KEY]

    def encode(self) -> bytes:
        """Return the record for the dead-letter topic."""
        value = self.value or b""
        return codec.encode(
            "dead_letters",
            {
                "consumer": self.consumer,
                "topic": self.topic,
                "partition": self.partition,
                "offset": self.offset,
                "log_time": self.log_time,
                "reason": self.reason,
                "detail": self.detail[:MAX_DETAIL],
                "key": None if self.key is None else self.record_key,
                "value": value if len(value) <= MAX_CARRIED_BYTES else None,
                "value_head": value[:_HEAD_BYTES],
                "value_bytes": len(value),
                "value_sha256": sha256(value).hexdigest(),
                "attempt": self.attempt,
            },
        )


@dataclass(frozen=True, slots=True)
class Original:
    """A record that is given back to the consumer that refused it, as it lies in the log.

    Args:
        consumer: Who refused it.
        topic: Full name of the topic it lies in.
        partition: Partition there.
        offset: Offset there.
        timestamp: The record's timestamp, ms since 1970 UTC.
        key: The record's key.
        value: The record's bytes.
        attempt: How often it was given back, this time included.
    """

    consumer: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    attempt: int


def given_back(raw: bytes | None, consumer: str) -> Original | None:
    """Return the record that an action on a dead letter gives back to `consumer`, None where it gives back nothing."""
    try:
        name, action = codec.decode(raw)
    except Poison:  # the sink tells of it
        return None
    if name != "dead_letter_actions" or action["action"] != "redrive" or action["consumer"] != consumer:
        return None
    coordinates = (action["topic"], action["partition"], action["offset"], action["log_time"])
    return Original(consumer, *coordinates, action["key"], action["value"], action["attempt"])
