"""Sends what the sink cannot store to the dead-letter topic."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams import metrics
from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, kafka
from streams.dead_letters import DeadLetter
from streams.settings import Settings
from streams.sinks.rows import CONSUMER

_TOGETHER = 1000
"""Letters on their way at once; each carries a whole record."""
_LIMIT_S = 30.0


class Letters:
    """A producer of dead letters.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic("dead-letters")
        self._failed: list[KafkaError] = []
        self._producer = Producer(
            {
                **kafka(settings),
                "enable.idempotence": True,
                "message.max.bytes": MAX_MESSAGE_BYTES,
            },
            logger=CLIENT_LOG,
        )

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send letters and return when they are in the log.

        Raises:
            KafkaException: the broker did not take them.
        """
        self._failed.clear()
        for start in range(0, len(letters), _TOGETHER):
            for letter in letters[start : start + _TOGETHER]:
                self._producer.produce(self._topic, letter.encode(), letter.record_key, on_delivery=self._on_delivery)
                metrics.DEAD_LETTERS.labels(CONSUMER, letter.reason).inc()
            if self._producer.flush(_LIMIT_S) or self._failed:
                raise KafkaException(self._failed[0] if self._failed else KafkaError(KafkaError._TIMED_OUT))

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(error)
