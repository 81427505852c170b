"""Reads ranges of the log: committed records, partition by partition in order."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import cast

from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.clients import CLIENT_LOG, reading, said
from streams.errors import LabelloopError
from streams.origins import Headers, Origin, origins
from streams.settings import Settings

Tell = Callable[[int, int], None]
"""Told how many records of how many are passed."""

_STALL_S = 90.0
"""How long nothing may come: longer than a dead worker's open transaction holds back readers."""

_BATCH, _WAIT_S, _ASK_S = 2000, 0.02, 5.0


def part_of(tell: Tell, before: int, total: int) -> Tell:
    """Return what is told of a part of some work: so much was done before, of so much in all."""
    return lambda passed, _: tell(before + passed, total)


def earlier(message: Message) -> tuple[Origin, ...]:
    """Return where a record lay in earlier builds of its topic."""
    headers = cast(Headers | None, message.headers())  # a dict is for sending only
    return origins(headers, copied=message.timestamp()[0] == TIMESTAMP_CREATE_TIME)


@contextmanager
def reader(settings: Settings) -> Iterator[Consumer]:
    """Give a consumer for `records`."""
    consumer = Consumer(
        {
            **reading(settings),
            "auto.offset.reset": "error",  # to jump to the end would leave out what is read whole
            "queued.max.messages.kbytes": 16_384,
            "fetch.wait.max.ms": 20,
        },
        logger=CLIENT_LOG,
    )
    try:
        yield consumer
    finally:
        consumer.close()


def records(
    consumer: Consumer,
    settings: Settings,
    ranges: Mapping[tuple[str, int], range],
    tell: Tell = lambda passed, of: None,
    until: Callable[[Message], bool] = lambda message: False,
) -> Iterator[tuple[str, Message]]:
    """Yield the committed records in ranges of offsets, each with its topic's name in the catalogue.

    Args:
        consumer: One that `reader` gave.
        settings: Where Kafka is.
        ranges: Offsets to read by topic (without the prefix) and partition, in steps of one.
        tell: Told of the progress.
        until: Ends a partition at the first record that it is true of, which is not given.

    Raises:
        LabelloopError: a partition cannot be read, or does not come to its end.
    """
    names = {settings.topic(topic): topic for topic, _ in ranges}
    todo = {(settings.topic(topic), partition): wanted for (topic, partition), wanted in ranges.items() if wanted}
    passed, total = dict.fromkeys(todo, 0), sum(map(len, todo.values()))
    with suppress(KafkaException):  # a broker that does not answer does not deliver either, which is told below
        for topic in sorted({topic for topic, _ in todo}):  # of one it never asked about a client learns a second late
            consumer.list_topics(topic, timeout=_ASK_S)
    consumer.assign([TopicPartition(*at, wanted.start) for at, wanted in todo.items()])
    limit = time.monotonic() + _STALL_S
    while todo:
        for message in consumer.consume(_BATCH, timeout=_WAIT_S):
            failure, at = message.error(), (message.topic() or "", message.partition() or 0)
            offset, wanted = message.offset() or 0, todo.get(at)
            if failure is not None and failure.code() != KafkaError._PARTITION_EOF:
                if not failure.retriable():
                    raise LabelloopError(f"{at[0]}-{at[1]} cannot be read: {said(failure, settings)}")
                continue
            if wanted is None:  # what was fetched before the partition was given back
                continue
            limit = time.monotonic() + _STALL_S
            position = offset if failure is not None else offset + 1
            passed[at] = min(wanted.stop, position) - wanted.start
            if failure is None and offset < wanted.stop:
                if until(message):
                    position = wanted.stop
                else:
                    yield names[at[0]], message
            if position >= wanted.stop:
                del todo[at]
                consumer.incremental_unassign([TopicPartition(*at)])
        tell(sum(passed.values()), total)
        if time.monotonic() > limit:
            short = ", ".join(f"{topic}-{partition}" for topic, partition in sorted(todo))
            raise LabelloopError(f"the facts did not come to their offsets in {short}: see `labelloop status`")
