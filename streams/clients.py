"""What all Kafka clients have in common: how they take the death of a broker, and what they say of it."""

import logging
import time
from collections.abc import Callable

from confluent_kafka import KafkaError

_SILENCE_S = 30.0

LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
"""What is answered for a partition that was just made or has just moved: ask again in a moment."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest request of a client: what the broker takes, see the topics' `max.message.bytes`."""

MAX_RECORD_BYTES = MAX_MESSAGE_BYTES - 4096
"""Largest key and value together: the rest is the frame's."""

STEADFAST = {"metadata.recovery.strategy": "none"}
"""Configuration of every client that outlives a broker.

By default a client forgets all brokers when none answers, and begins again from its bootstrap servers. What waited for
a forgotten one may then wait for ever: the commit of a transaction for its group coordinator
(github.com/confluentinc/librdkafka/issues/5511), a consumer for its leader. A broker comes back under its address.
"""


class Seldom(logging.Filter):
    """Lets a client say the same kind of thing once in so many seconds.

    Args:
        monotonic: Seconds of a clock that never goes back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this is news; the client gives kind, its own name, and the text."""
        said = record.args[:2] if isinstance(record.args, tuple) else record.msg
        now = self._monotonic()
        if now < self._last.get(said, float("-inf")) + _SILENCE_S:
            return False
        self._last = {one: at for one, at in self._last.items() if now < at + _SILENCE_S} | {said: now}
        return True


CLIENT_LOG = logging.getLogger("labelloop.kafka")
"""The logger of every client."""

CLIENT_LOG.addHandler(logging.NullHandler())  # a command that finds no broker says so itself, in one line
CLIENT_LOG.addFilter(Seldom())
