"""A topic that every worker reads whole, beside Faust and without a group.

What a fact may do is judged by its project's history as of the fact's log time. So before a batch is handled the
broadcast topic is read up to its present end: whatever has an earlier log time than the batch is there by then.
"""

import time
from collections.abc import Callable
from functools import partial

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from streams.clients import CLIENT_LOG, heed, once_led, reading
from streams.errors import NotNow
from streams.settings import Settings

_TIMEOUT_S = 8.0


class Broadcast:
    """Reads one partition of one topic, from its beginning, on demand.

    Args:
        settings: Where Kafka is.
        topic: Full name of a topic of one partition.
        apply: Called with value and log time (ms) of each record, in order.
    """

    def __init__(self, settings: Settings, topic: str, apply: Callable[[bytes | None, int], None]) -> None:
        self._settings, self._apply = settings, apply
        self._partition = TopicPartition(topic, 0, OFFSET_BEGINNING)
        self._position = 0
        self._known_until = -1
        self._caught_up = False
        config = {
            **reading(settings),
            "auto.offset.reset": "error",  # to jump to the end would leave out what is read whole
        }
        self._consumer = Consumer(config, logger=CLIENT_LOG)
        self._consumer.assign([self._partition])
        # over a connection of its own: on that of the reader the question would wait for a fetch that waits for news
        self._ends = Consumer(config, logger=CLIENT_LOG)

    @property
    def position(self) -> int:
        """The offset after the last record that was applied; compaction does not change it."""
        return self._position

    def read_until(self, log_time: int) -> None:
        """Apply every record of the topic that the log got up to `log_time`, ms.

        Raises:
            NotNow: the broker does not answer.
        """
        if log_time > self._known_until:
            self.read_to_end()
            self._known_until = log_time

    def read_to_end(self) -> None:
        """Apply every record that the topic holds now.

        Raises:
            NotNow: the broker does not answer.
        """
        try:
            _, end = once_led(partial(self._ends.get_watermark_offsets, self._partition, _TIMEOUT_S, cached=False))
        except KafkaException as error:
            heed(error, self._settings)
            raise NotNow(f"{self._partition.topic}: {error}") from error
        limit = time.monotonic() + _TIMEOUT_S
        while self._position < end:
            if time.monotonic() > limit:
                raise NotNow(f"{self._partition.topic}: offset {end} did not come in {_TIMEOUT_S} s")
            for message in self._consumer.consume(1000, timeout=0.02):
                failure = message.error()
                if failure is None:
                    offset = message.offset() or 0
                    self._apply(message.value(), message.timestamp()[1])
                    self._position = offset + 1
                elif failure.code() == KafkaError._PARTITION_EOF:
                    self._position = max(self._position, message.offset() or 0)
                elif not failure.retriable():
                    heed(failure, self._settings)
                    raise NotNow(f"{self._partition.topic}: {failure}")

    def catch_up(self) -> None:
        """Apply what is committed by now; the first time, whatever was committed before.

        Raises:
            NotNow: the broker does not answer the first time.
        """
        limit = time.monotonic() + _TIMEOUT_S
        while True:
            messages = self._consumer.consume(1000, timeout=0.0 if self._caught_up else 0.05)
            for message in messages:
                failure = message.error()
                if failure is None:
                    self._apply(message.value(), message.timestamp()[1])
                    self._position = (message.offset() or 0) + 1
                elif failure.code() == KafkaError._PARTITION_EOF:
                    self._caught_up = True
                elif failure.code() == KafkaError._AUTO_OFFSET_RESET:
                    raise NotNow(f"{self._partition.topic}: {failure}")
                else:
                    heed(failure, self._settings)
            if self._caught_up and not messages:
                return
            if not self._caught_up and time.monotonic() > limit:
                raise NotNow(f"{self._partition.topic}: not read to its end in {_TIMEOUT_S} s")

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()
        self._ends.close()
