"""Publishes facts: typed calls, checked before they are sent, with ids that make sending twice harmless."""

import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from streams import codec
from streams.clients import CLIENT_LOG, MAX_MESSAGE_BYTES, heed_hidden, kafka, said
from streams.clock import Clock, SystemClock
from streams.errors import LabelloopError
from streams.producers import facts
from streams.producers.facts import Fact
from streams.producers.values import InvalidFact
from streams.producers.wire import encoded, key_of
from streams.settings import Settings

P = ParamSpec("P")

_CONNECT_LIMIT_S = 15.0
_DELIVERY_LIMIT_MS = 120_000
_FULL_QUEUE_WAIT_S = 0.5
_MANY_FAILED = 1000
_EARLIEST_MS = 100_000_000_000  # 1973; what lies before is seconds
_ABANDON_LIMIT_S = 10.0  # how long an exception in the `with` block waits for what was sent before it


class DeliveryError(LabelloopError):
    """Facts that the broker did not take.

    Args:
        failed: Topic, event_id and the broker's words of each.
    """

    def __init__(self, failed: list[tuple[str, str, str]]) -> None:
        shown = "; ".join(f"{topic} {event_id}: {why}" for topic, event_id, why in failed[:3])
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        super().__init__(
            f"not delivered: {len(failed)} ({shown}{more}): see that the broker runs, then send them again "
            "- the ids are the same, nothing counts twice"
        )
        self.failed = failed


def _sends(build: Callable[P, Fact]) -> Callable[Concatenate["Producer", P], str]:
    """Make a method of `Producer` that builds a fact, now unless told when, and sends it."""

    @wraps(build)
    def method(self: "Producer", /, *args: P.args, **kwargs: P.kwargs) -> str:
        if kwargs.get("occurred_at") is None:
            kwargs["occurred_at"], number = self._moment()
            if kwargs.get("source_seq") is None:
                kwargs["source_seq"] = number
        elif isinstance(kwargs["occurred_at"], int) and 0 <= kwargs["occurred_at"] < _EARLIEST_MS:
            raise InvalidFact(f"occurred_at is {kwargs['occurred_at']}: give milliseconds since 1970 UTC, not seconds")
        kwargs.setdefault("source", self._source)
        try:
            fact = build(*args, **kwargs)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            raise InvalidFact(f"{build.__name__}: {error}") from error
        return self.send(fact)

    signature = inspect.signature(build)
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[me, *signature.parameters.values()], return_annotation=str
    )
    return method


class Producer:
    """Publishes facts to Kafka; each call checks one fact, queues it and returns its event_id.

    Sending is asynchronous: `flush`, or the end of a `with` block, waits until the broker has everything and raises
    what it refused. The same arguments, time included, give the same id, and a fact that is sent twice counts once.
    Calls without a time happen now, one after the other: two within a millisecond are told apart by `source_seq`.
    May be used by several threads.

    Args:
        settings: Where the broker is; default: as every command finds it.
        source: Name of the tool that publishes.
        clock: Gives `occurred_at` where a call does not.

    Example:
        with Producer(source="my-tool") as producer:
            producer.label("birds", "img-7", "anna", "wren")
    """

    def __init__(self, settings: Settings | None = None, *, source: str = "sdk", clock: Clock | None = None) -> None:
        self._settings = settings or Settings.load()
        self._source = source
        self._clock = clock or SystemClock()
        self._failed: list[tuple[str, str, str]] = []
        self._lock = threading.Lock()
        self._now, self._calls = -1, 0  # the last call's time, ms, and its number within that millisecond
        self._partitions: dict[str, int] = {}
        self._rd = confluent_kafka.Producer(
            {
                **kafka(self._settings),
                "client.id": f"labelloop-{source}",
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 10,
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "delivery.timeout.ms": _DELIVERY_LIMIT_MS,
                "delivery.report.only.error": True,
                "on_delivery": self._on_delivery,
            },
            logger=CLIENT_LOG,
        )

    label = _sends(facts.label)
    flag = _sends(facts.flag)
    comment = _sends(facts.comment)
    correction = _sends(facts.correction)
    prediction = _sends(facts.prediction)
    item = _sends(facts.item)
    gold = _sends(facts.gold)
    claim = _sends(facts.claim)
    project = _sends(facts.project)

    def tick(self, at: int | None = None) -> str:
        """Tell every partition the time, ms since 1970 UTC; default: now. Returns the event_id."""
        now = self._clock.now_ms() if at is None else at
        fact = facts.tick(now, occurred_at=now, source=self._source)
        for partition in range(self._partition_count(fact.topic)):
            self.send(fact, partition)
        return str(fact.event["event_id"])

    def send(self, fact: Fact, partition: int = -1) -> str:
        """Queue a fact made by `streams.producers.facts` and return its event_id.

        Args:
            fact: The fact.
            partition: Partition; default: the one its key belongs to.

        Raises:
            InvalidFact: it breaks the contract; nothing was sent.
            DeliveryError: the broker did not take many earlier ones: it is no use to go on; this one is on its way.
            LabelloopError: its topic does not exist, or no broker answers or takes anything more.
        """
        raw, key = encoded(fact, self._clock.now_ms()), key_of(fact)
        self._partition_count(fact.topic)
        topic = self._settings.topic(fact.topic)
        while True:
            try:
                self._rd.produce(topic, raw, key, partition)
                break
            except BufferError:  # the queue is full: wait until the broker has taken some
                self._rd.poll(_FULL_QUEUE_WAIT_S)
            except KafkaException as error:
                raise self._ended(error) from error
        self._rd.poll(0)
        if len(self._failed) >= _MANY_FAILED:
            self._raise_failed()
        return str(fact.event["event_id"])

    def flush(self) -> None:
        """Wait until the broker has everything.

        Raises:
            DeliveryError: it did not take all since the last flush.
        """
        try:
            self._rd.flush()
        except KafkaException as error:
            raise self._ended(error) from error
        self._raise_failed()

    def __enter__(self) -> "Producer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()
        else:
            with suppress(KafkaException):  # what ended the block is what is told
                self._rd.flush(_ABANDON_LIMIT_S)

    def _moment(self) -> tuple[int, int]:
        """Return the present time, ms, and how many calls came before in that millisecond."""
        with self._lock:
            now = self._clock.now_ms()
            self._calls = self._calls + 1 if now == self._now else 0
            self._now = now
            return now, self._calls

    def _ended(self, error: KafkaException) -> LabelloopError:
        return LabelloopError(f"the broker takes no more: {said(error, self._settings)}: make a new Producer")

    def _raise_failed(self) -> None:
        failed, self._failed = self._failed, []
        if failed:
            raise DeliveryError(failed)

    def _partition_count(self, name: str) -> int:
        """Return how many partitions a topic has; asked of the broker once."""
        if not self._partitions:
            try:
                metadata = self._rd.list_topics(timeout=_CONNECT_LIMIT_S)
            except KafkaException as error:
                raise LabelloopError(
                    f"no broker answers at {self._settings.kafka} ({said(error, self._settings)}): start one with "
                    "`labelloop up --detach`, or name yours in LABELLOOP_KAFKA"
                ) from error
            self._partitions = {topic: len(found.partitions) for topic, found in metadata.topics.items()}
        count = self._partitions.get(self._settings.topic(name), 0)
        if not count:
            self._partitions = {}
            heed_hidden(self._rd, self._settings.topic(name), self._settings)
            raise LabelloopError(
                f"topic {self._settings.topic(name)} does not exist at {self._settings.kafka}: run `labelloop up` first"
            )
        return count

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            event_id: str = codec.decode(message.value())[1]["event_id"]
            self._failed.append((message.topic() or "", event_id, said(error, self._settings)))
