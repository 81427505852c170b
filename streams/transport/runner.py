"""Calls a handler and weighs what comes back: effects ready to be written, a dead letter, or a reason to end.

All that can go wrong by a handler's fault goes wrong in `prepare`, before anything is written: the handler itself,
rows that are no JSON, records the broker would refuse. So one record of a suspect range either works or becomes a
dead letter, and nothing of it is half written.
"""

import logging
import traceback
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

from streams import metrics
from streams.clients import MAX_RECORD_BYTES
from streams.dead_letters import MAX_DETAIL, DeadLetter, given_back
from streams.errors import LabelloopError, NotNow
from streams.transport.batch import Batch, Effects, Handler, Outgoing, Rows
from streams.transport.guards import BugLimit, TooManyBugs
from streams.transport.positions import Delivery
from streams.transport.redriven import redrive
from streams.transport.table import Encoded, Overlay, PartitionRows, Sink, encode_rows

log = logging.getLogger("labelloop.transport")


class TableOfRows(Protocol):
    """The part of the state table that is used here."""

    @property
    def overlay(self) -> Overlay:
        """The rows."""

    def write(self, partition: int, rows: Encoded, sink: Sink) -> None:
        """Write rows and their changelog records."""


@dataclass(slots=True)
class Prepared:
    """Effects of one batch, encoded and checked."""

    rows: Encoded
    records: list[Outgoing]
    dead: list[Outgoing]
    reasons: list[str]


class Runner:
    """Runs one handler.

    Args:
        name: The processor, for metrics and dead letters.
        handler: Turns a batch into effects.
        table: The state table.
        dead_letters: Full name of the dead-letter topic.
        actions: Full name of the topic of actions on dead letters, where the processor reads it.
    """

    def __init__(
        self, name: str, handler: Handler, table: TableOfRows, dead_letters: str, actions: str | None = None
    ) -> None:
        self._name, self._handler, self._table, self._dead_letters = name, handler, table, dead_letters
        self._actions = actions
        self._limits = defaultdict[str, BugLimit](BugLimit)  # by topic: one that works must not cover for another
        self._batch_records = metrics.BATCH_RECORDS.labels(name)

    def prepare(self, delivery: Delivery) -> Prepared:
        """Return the effects of a batch.

        Raises:
            NotNow: a server is away.
            LabelloopError: a person has to act.
            MemoryError: there is too little memory here; no fault of the record.
            TooManyBugs: the limit of dead letters by a bug is passed.
            Exception: a bug, met for the first time.
        """
        batch = delivery.batch
        rows = PartitionRows(self._table.overlay, batch.partition, copies=delivery.alone)
        try:
            prepared = self._encode(self._effects(batch, rows))
        except (NotNow, LabelloopError, MemoryError):
            raise
        except Exception:
            if not delivery.alone:
                raise
            return self._encode(Effects(dead=[self._bug(delivery)]))
        self._limits[batch.topic].passed(len(batch))
        return prepared

    def _effects(self, batch: Batch, rows: Rows) -> Effects:
        if batch.topic == self._actions:
            return redrive(self._name, batch, rows, self._handler)
        return self._handler(batch, rows)

    def write(self, delivery: Delivery, prepared: Prepared, sink: Sink) -> None:
        """Put effects into the open transaction."""
        batch = delivery.batch
        self._table.write(batch.partition, prepared.rows, sink)
        produce = sink.produce
        for topic, key, value, partition in prepared.records:
            produce(topic, value, key, partition)
        for topic, key, value, partition in prepared.dead:
            produce(topic, value, key, partition)
        delivery.done = True
        metrics.RECORDS.labels(self._name, batch.topic).inc(len(batch))
        self._batch_records.observe(len(batch))
        for reason in prepared.reasons:
            metrics.DEAD_LETTERS.labels(self._name, reason).inc()

    def _encode(self, effects: Effects) -> Prepared:
        rows = encode_rows(effects.rows)
        for key, (_, raw) in rows.items():
            if len(key) + len(raw) > MAX_RECORD_BYTES:
                raise ValueError(f"a state row of {len(raw)} bytes, key {key!r}")
        for topic, key, value, _ in effects.records:
            if len(key) + len(value) > MAX_RECORD_BYTES:
                raise ValueError(f"a record of {len(value)} bytes for {topic}, key {key!r}")
        dead = [Outgoing(self._dead_letters, letter.record_key, letter.encode()) for letter in effects.dead]
        return Prepared(rows, effects.records, dead, [letter.reason for letter in effects.dead])

    def _bug(self, delivery: Delivery) -> DeadLetter:
        """Return the dead letter of a record at which the handler failed for the second time."""
        batch, record = delivery.batch, delivery.batch.records[0]
        log.warning("%s-%s offset %s fails alone too", batch.topic, batch.partition, record.offset, exc_info=True)
        if self._limits[batch.topic].bug():
            raise TooManyBugs
        detail = traceback.format_exc()[-MAX_DETAIL:]
        original = given_back(record.value, self._name) if batch.topic == self._actions else None
        topic, attempt = batch.topic, 0
        if original is not None:
            topic, record, attempt = original.topic, original, original.attempt
        coordinates = (topic, batch.partition, record.offset, record.timestamp)
        return DeadLetter(self._name, *coordinates, record.key, record.value, "bug", detail, attempt)
