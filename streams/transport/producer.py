"""One transactional librdkafka producer per worker: outputs, changelog, dead letters and offsets in one transaction.

Order of a commit: send the offsets to the transaction, commit it, begin the next. A worker that lost its partitions is
refused by the broker, because the offsets carry the group's generation and member id.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

import confluent_kafka
from aiokafka.partitioner import murmur2
from confluent_kafka import KafkaException, TopicPartition
from faust.transport import base
from faust.types import TP

from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, heed, kafka, said
from streams.transport.base import BatchApp
from streams.transport.guards import leave
from streams.transport.positions import Partition

TRANSACTION_TIMEOUT_MS = 10_000
"""How long a dead worker's open transaction may hold back readers."""

COMMIT_LIMIT_S = 9.0
"""Longest a commit is retried; below the transaction's own limit."""

ABORT_LIMIT_S = 4.0
"""Longest a worker that ends waits for its open transaction to be aborted."""

START_LIMIT_S = 60.0
"""Longest a start waits for the broker, and for what this slot left open to be aborted."""

GRACE_S = 3.0
"""How much longer than its limit a call may take until it is given up: librdkafka does not keep all its limits.

`send_offsets_to_transaction` was seen to wait for ever when the broker restarted beneath it.
"""

Offsets = Mapping[Partition, tuple[int, str]]
"""Position and commit metadata by partition."""


def group_metadata(group: str, generation: int, member: str) -> bytes:
    """Return a consumer group's metadata as librdkafka 2.16.1 serialises it.

    Raises:
        ValueError: this worker is no member: the broker would take that without any check.
    """
    if generation < 0 or not member:
        raise ValueError("not a member of the group")
    return b"CGMDv2:" + struct.pack("<i", generation) + group.encode() + b"\0" + member.encode() + b"\0\x01"


class Producer(base.Producer):
    """What the handlers' effects are written with."""

    _rd: Any = None  # confluent_kafka.Producer once started
    _fenced: Any = None  # the one before, after a bug

    async def on_start(self) -> None:
        """Connect; fence and abort what an earlier process of this slot left open."""
        await super().on_start()
        self._acked: dict[tuple[str, int], int] = {}
        self._partitions: dict[str, int] = {}
        self._rd = self._connect()
        starting = asyncio.get_running_loop().run_in_executor(None, self._init_transactions)
        try:
            await asyncio.wait_for(starting, START_LIMIT_S + GRACE_S)
        except TimeoutError:
            leave("the broker starts no transactions")
        self._rd.begin_transaction()

    def _connect(self) -> Any:
        return confluent_kafka.Producer(
            {
                **kafka(cast(BatchApp, self.app).surroundings),
                "client.id": self.app.conf.broker_client_id,
                "transactional.id": cast(BatchApp, self.app).transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "compression.type": "lz4",
                "linger.ms": 20,
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "batch.size": 1_000_000,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 262_144,
            },
            logger=CLIENT_LOG,
        )

    def _init_transactions(self) -> None:
        try:
            self._retry(self._rd.init_transactions, time.monotonic(), limit=START_LIMIT_S)
        except KafkaException as error:
            settings = cast(BatchApp, self.app).surroundings
            heed(error, settings)
            leave(f"no transactions at the broker: {said(error, settings)}")

    async def on_stop(self) -> None:
        """Abort the open transaction: what it holds was never committed."""
        if self._rd is not None:
            aborting = asyncio.get_running_loop().run_in_executor(None, self.abort)
            with suppress(TimeoutError):
                await asyncio.wait_for(aborting, ABORT_LIMIT_S + GRACE_S)

    def poll(self) -> None:
        """Serve delivery reports."""
        self._rd.poll(0)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int = -1,
        on_delivery: Callable[[Any, Any], None] | None = None,
    ) -> None:
        """Add a record to the open transaction; waits while the queue is full."""
        while True:
            try:
                if on_delivery is None:
                    self._rd.produce(topic, value, key, partition)
                else:
                    self._rd.produce(topic, value, key, partition, on_delivery=on_delivery)
            except BufferError:
                self._rd.poll(0.05)
            else:
                return

    def on_changelog(self, error: Any, message: Any) -> None:
        """Note how far a changelog partition is written; acknowledgements come in offset order."""
        if error is None:
            self._acked[message.topic(), message.partition()] = message.offset()

    def commit(self, offsets: Offsets, group: str, member: tuple[int, str]) -> dict[tuple[str, int], int]:
        """Commit the open transaction with `offsets` and begin the next; runs in a thread.

        Returns:
            The last offset written to each changelog partition in this transaction.

        Raises:
            KafkaException: the broker refused, or did not answer within `COMMIT_LIMIT_S`.
        """
        started = time.monotonic()
        self._send_offsets(offsets, group, member, started)
        self._retry(self._rd.commit_transaction, started)
        self._rd.begin_transaction()
        acked, self._acked = self._acked, {}
        return acked

    def abort(self) -> None:
        """Drop the open transaction, if the broker answers soon; else the coordinator does after its time limit."""
        with suppress(KafkaException):
            self._rd.abort_transaction(ABORT_LIMIT_S)

    def note(self, offsets: Offsets, group: str, member: tuple[int, str]) -> None:
        """Drop the open transaction; commit `offsets` (unchanged positions with metadata) in one of their own.

        A second producer of this slot does it, whose start fences the first and aborts what it left open. To abort
        by the first is no sure way: where the coordinator does not know of its transaction yet, that ends in a fatal
        INVALID_TXN_STATE.

        Raises:
            KafkaException: the broker refused or does not answer.
        """
        started, self._fenced = time.monotonic(), self._rd  # kept, since its end would wait for its queue
        self._rd = self._connect()
        self._retry(self._rd.init_transactions, started)
        self._rd.begin_transaction()
        self._send_offsets(offsets, group, member, started)
        self._retry(self._rd.commit_transaction, started)

    def _send_offsets(self, offsets: Offsets, group: str, member: tuple[int, str], started: float) -> None:
        positions = [
            TopicPartition(topic, partition, position, metadata)
            for (topic, partition), (position, metadata) in offsets.items()
        ]
        self._retry(self._rd.send_offsets_to_transaction, started, positions, group_metadata(group, *member))

    def _retry(self, call: Callable[..., Any], started: float, *args: Any, limit: float = COMMIT_LIMIT_S) -> None:
        while True:
            try:
                call(*args, max(0.1, started + limit - time.monotonic()))
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() - started > limit:
                    raise
            else:
                return

    async def flush(self) -> None:
        """Do nothing: what was produced is delivered by the commit of its transaction."""

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse Faust's own way of sending: it would bypass the effects."""
        raise NotImplementedError("handlers return Effects; Faust's send is not used here")

    send_and_wait = send

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return the partition of a key."""
        if topic not in self._partitions:
            self._partitions[topic] = len(self._rd.list_topics(topic, timeout=10).topics[topic].partitions)
        return TP(topic, (murmur2(key) & 0x7FFFFFFF) % self._partitions[topic])

    def supports_headers(self) -> bool:
        """Return True: the broker is newer than 0.11."""
        return True

    async def create_topic(self, topic: str, partitions: int, replication: int, **kwargs: Any) -> None:
        """Do nothing: topics come from the catalogue (`topics.ensure`)."""
