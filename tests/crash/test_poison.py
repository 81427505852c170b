"""What can never work goes to the dead letters with its coordinates and the reason; its neighbours are processed."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import confluent_kafka
import pytest

from streams import codec
from streams.keys import item_key, partition_of
from streams.producers import facts
from streams.producers.facts import Fact
from streams.producers.producer import Producer
from streams.settings import Settings
from streams.transport import topics
from tests.crash import real
from tests.crash.cluster import read, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(180)]

PROJECT = "birds"


class Sent(NamedTuple):
    """A record the processor must refuse."""

    reason: str
    topic: str
    partition: int
    offset: int
    value: bytes


class Raw:
    """Sends bytes as they are, as a tool of another language might, and learns where they lie."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rd = confluent_kafka.Producer({"bootstrap.servers": settings.kafka, "enable.idempotence": True})
        self.refused: list[Sent] = []

    def send(
        self,
        topic: str,
        item: str,
        value: bytes,
        reason: str | None = None,
        *,
        shift: int = 0,
        key: bytes | None = None,
    ) -> None:
        """Send a record of `item`, `shift` partitions beside its own; `reason`: why it must be refused."""
        own, name = item_key(PROJECT, item), self._settings.topic(topic)
        partition = (partition_of(own, self._settings.partitions) + shift) % self._settings.partitions

        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            if reason is not None:
                self.refused.append(Sent(reason, name, partition, message.offset(), value))

        self._rd.produce(name, value, key or own, partition, on_delivery=delivered)

    def fact(self, fact: Fact, reason: str | None = None, *, shift: int = 0, **changes: Any) -> None:
        """Send a fact, changed past what the product's own producer would let through."""
        event = {**fact.event, **changes}
        self.send(fact.topic, event["item_id"], codec.encode(fact.topic, event), reason, shift=shift)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._rd.flush(60) == 0


def label(item: str, annotator: str, choice: str = "wren", **envelope: Any) -> Fact:
    return facts.label(PROJECT, item, annotator, choice, **{"occurred_at": 1, "source": "test", **envelope})


def undecodable(raw: Raw, item: str) -> None:
    raw.send("labels", item, b"no Avro at all", "undecodable")


def cut_short(raw: Raw, item: str) -> None:
    raw.send("labels", item, codec.encode("labels", label(item, "c").event)[:-9], "undecodable")


def unknown_schema(raw: Raw, item: str) -> None:
    raw.send("labels", item, b"\0" + (65_000).to_bytes(4, "big") + b"body", "unknown_schema")


def oversized(raw: Raw, item: str) -> None:
    raw.fact(label(item, "c", attributes={"blob": "x" * 300_000}), "too_large")


def foreign_partitioner(raw: Raw, item: str) -> None:
    raw.fact(label(f"{item}-elsewhere", "c"), "foreign_partitioner", shift=1)


def from_the_future(raw: Raw, item: str) -> None:
    ahead = time.time_ns() // 1_000_000 + 3_600_000
    raw.fact(label(item, "c", occurred_at=ahead), "invalid")


def undeclared_class(raw: Raw, item: str) -> None:
    raw.fact(label(item, "c", "penguin"), "unknown_class")


def id_conflict(raw: Raw, item: str) -> None:
    first = label(item, "a")  # as the good one before
    raw.fact(label(item, "c", "robin"), "id_conflict", event_id=first.event["event_id"])


def not_allowed(raw: Raw, item: str) -> None:
    verdict = facts.correction(PROJECT, item, "anna", "corrected", "robin", occurred_at=1, source="test")
    raw.fact(verdict, "not_allowed")


def unknown_kind(raw: Raw, item: str) -> None:
    raw.fact(label(item, "c"), "invalid", value={**label(item, "c").event["value"], "kind": "keypoints"})


def large_key(raw: Raw, item: str) -> None:
    """Its dead letter would not fit if it repeated all of it."""
    raw.send("labels", item, codec.encode("labels", label(item, "c").event), "invalid", key=b"\0" * 700_000)


KINDS: list[Callable[[Raw, str], None]] = [
    undecodable,
    cut_short,
    unknown_schema,
    oversized,
    foreign_partitioner,
    from_the_future,
    undeclared_class,
    id_conflict,
    not_allowed,
    unknown_kind,
    large_key,
]


def test_poison_of_every_kind(settings: Settings) -> None:
    topics.ensure(settings)
    with Producer(settings) as producer:
        producer.project(PROJECT, "lea", classes=["wren", "robin"], members={"anna": "annotator", "lea": "lead"})
    raw = Raw(settings)
    for kind in KINDS:
        item = kind.__name__
        raw.fact(label(item, "a"))
        kind(raw, item)
        raw.fact(label(item, "b", "robin"))
    raw.flush()

    with real.running(settings, "items", "--slot", "0") as worker:

        def passed() -> bool:
            assert worker.ended() is None, worker.log()
            return real.behind(settings, "items") == 0

        wait_until(passed, "the items worker to pass everything")
        assert worker.stop() == 0, worker.log()

    letters = [codec.decode(record.value)[1] for record in read(settings.kafka, settings.topic("dead-letters"))]
    found = [Sent(*(one[name] for name in ("reason", "topic", "partition", "offset", "value"))) for one in letters]
    assert len(raw.refused) == len(KINDS)
    assert sorted(found) == sorted(raw.refused)
    assert all(letter["detail"] and letter["consumer"] == "items" for letter in letters)

    votes = {record.key: codec.decode(record.value)[1]["votes"] for record in read_state(settings)}
    assert votes == {item_key(PROJECT, kind.__name__): {"wren": 1, "robin": 1} for kind in KINDS}


def read_state(settings: Settings) -> list[Any]:
    """Return the records of the topic that tells the votes of each item, the newest of a key last."""
    return read(settings.kafka, settings.topic("disagreement"))
