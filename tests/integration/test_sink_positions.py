"""Where a sink goes on: behind markers, where the log begins, and nowhere if the log is another one."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams import codec
from streams.errors import LabelloopError, NotNow
from streams.query.wait import wait
from streams.settings import Settings
from streams.sinks import runner
from streams.sinks.runner import Sink
from streams.sinks.writer import Refused, Writer
from streams.transport.topics import builds
from tests.integration.sinking import count, label, prepare, publish, publish_raw, query, settled
from tests.unit.facts import fact

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Make topics and tables; three partitions are made faster than four."""
    return prepare(replace(settings, partitions=3))


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


class WatchedSink(Sink):
    """Runs in this process until a condition holds.

    Args:
        done: The condition.
        away: Whether the insert after so many failed ones fails too, as if ClickHouse were away.
    """

    def __init__(
        self, settings: Settings, done: Callable[[], bool], away: Callable[[int], bool] = lambda _: False
    ) -> None:
        super().__init__(settings, builds(settings))
        self._done = done
        self.held: list[int] = []
        insert = self._writer.insert

        def insert_at_last(table: str, names: Sequence[str], columns: Sequence[list[Any]], token: str) -> None:
            if away(len(self.held)):
                self.held.append(sum(ledger.size for ledger in self._ledgers.values()))
                raise NotNow("away")
            insert(table, names, columns, token)

        self._writer.insert = insert_at_last  # type: ignore[method-assign]

    def _read(self) -> bool:
        came = super()._read()
        self._stopping = self._stopping or (not came and self._done())
        return came


def commit(settings: Settings, position: int, partition: int) -> None:
    """Commit a position as the sink."""
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": settings.topic("sink")})
    consumer.commit(offsets=[TopicPartition(settings.topic("labels"), partition, position)], asynchronous=False)
    consumer.close()


def delete_before(settings: Settings, offset: int, partition: int) -> None:
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    for deleted in admin.delete_records([TopicPartition(settings.topic("labels"), partition, offset)]).values():
        deleted.result(20)


def test_a_log_that_is_shorter_than_what_is_stored_is_another_log(settings: Settings) -> None:
    publish(settings, [label(1)])
    for partition in range(settings.partitions):
        commit(settings, 10, partition)
    with pytest.raises(LabelloopError, match="the topic was made anew"):
        WatchedSink(settings, lambda: False).run()
    assert count(settings, "count()") == 0


def test_records_that_were_deleted_are_passed(settings: Settings) -> None:
    """In partition 0 after a position was committed, in 1 before; in 2 nothing is left."""
    producer = Producer({"bootstrap.servers": settings.kafka})
    for n in range(30):
        producer.produce(settings.topic("labels"), codec.encode("labels", label(n)), b"", partition=n % 3)
    assert producer.flush(30) == 0
    commit(settings, 2, 0)
    for partition, offset in enumerate((6, 3, 10)):
        delete_before(settings, offset, partition)
    WatchedSink(settings, lambda: settled(settings)).run()
    found = query(settings, "SELECT _partition, min(_offset), count() FROM labels GROUP BY 1 ORDER BY 1")
    assert found == [(0, 6, 4), (1, 3, 7)]


def test_the_position_passes_markers_that_came_while_clickhouse_was_away(settings: Settings) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka, "transactional.id": settings.topic("test")})
    producer.init_transactions(30)
    for _ in range(2):
        producer.begin_transaction()
        for n in range(20):
            producer.produce(settings.topic("labels"), codec.encode("labels", label(n)), b"", partition=n % 3)
        producer.commit_transaction()
    WatchedSink(settings, lambda: settled(settings), away=lambda n: n < 3).run()
    assert query(settings, "SELECT count(), uniqExact(event_id) FROM labels FINAL") == [(20, 20)]


def test_it_reads_on_after_it_lost_its_partitions_while_clickhouse_was_away(settings: Settings) -> None:
    """It waits with its partitions paused, and a pause outlives their loss unless it is lifted."""
    publish(settings, map(label, range(100)))
    group = {"group.id": settings.topic("sink"), "enable.auto.commit": False}
    other = Consumer({"bootstrap.servers": settings.kafka, **group})
    joined = threading.Event()

    def join_and_leave() -> None:
        other.subscribe([settings.topic("labels")], on_assign=lambda *_: joined.set())
        while not joined.is_set():
            other.poll(0.05)
        other.close()

    joining = threading.Thread(target=join_and_leave)

    def away(failed: int) -> bool:
        if not failed:
            joining.start()
        return not joined.is_set()

    WatchedSink(settings, lambda: settled(settings), away).run()
    joining.join()
    assert query(settings, "SELECT count(), uniqExact(event_id) FROM labels FINAL") == [(100, 100)]


def test_memory_does_not_grow_while_clickhouse_is_away(settings: Settings) -> None:
    sink = WatchedSink(settings, lambda: settled(settings), away=lambda n: n < 4)
    long = {"why": "x" * 100_000}
    publish(settings, (label(n, attributes=long) for n in range(1000)))
    sink.run()
    assert len(set(sink.held)) == 1, "it reads on while it waits"
    assert query(settings, "SELECT count() FROM labels") == [(1000,)]


def test_inserts_that_take_long_together_do_not_cost_the_membership(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what is slow is done again from the start, for ever."""
    for name, value in {"SESSION_TIMEOUT_MS": 6000, "POLL_LIMIT_MS": 6000, "POLL_EVERY_S": 1.0}.items():
        monkeypatch.setattr(runner, name, value)
    insert, slow = Writer.insert, threading.Event()

    def insert_slowly(self: Writer, *args: Any) -> None:
        slow.wait(1.2)  # nobody sets it
        insert(self, *args)

    monkeypatch.setattr(Writer, "insert", insert_slowly)
    for name in ("labels", "flags"):
        facts = (label(n) if name == "labels" else fact("flags", "a", event_id=f"flag-{n}") for n in range(50))
        publish_raw(settings, ((bytes([n]), codec.encode(name, one)) for n, one in enumerate(facts)), name)
    sink = WatchedSink(settings, lambda: settled(settings))
    sink.run()
    assert sink._generation == 2, "it was given its partitions once, and left them at the end"
    assert query(settings, "SELECT count() FROM labels") == [(50,)]


def test_waiting_names_who_lags(settings: Settings) -> None:
    """Nobody folds here; the sink alone must not make it end."""
    wait(settings, 60)
    publish(settings, map(label, range(7)))
    with pytest.raises(LabelloopError) as told:
        wait(settings, 0.5)
    assert "items has 7 records of labels" in str(told.value)
    assert "sink has 7 records of labels" in str(told.value)
    WatchedSink(settings, lambda: settled(settings)).run()
    with pytest.raises(LabelloopError) as told:
        wait(settings, 0.5)
    assert "items has 7 records of labels" in str(told.value)
    assert "sink has" not in str(told.value)


def test_rows_that_are_refused_are_found_by_halving(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record of a good schema is refused today; a constraint or a column of tomorrow may refuse one."""
    refused = {"label-0", "label-13", "label-14", "label-99"}
    inserted: list[str] = []
    insert = Writer.insert

    def insert_good(self: Writer, table: str, names: Sequence[str], columns: Sequence[list[Any]], token: str) -> None:
        if table == "labels":
            inserted.append(token)
            if not refused.isdisjoint(columns[list(names).index("event_id")]):
                raise Refused("not this one")
        insert(self, table, names, columns, token)

    monkeypatch.setattr(Writer, "insert", insert_good)
    publish(settings, map(label, range(100)))
    WatchedSink(settings, lambda: settled(settings)).run()
    assert query(settings, "SELECT count(), uniqExact(event_id) FROM labels") == [(96, 96)]
    letters = query(settings, "SELECT offset, partition, reason, detail FROM dead_letters FINAL")
    assert {letter[2:] for letter in letters} == {("refused", "ClickHouse: not this one")}
    assert len(letters) == len(refused)
    assert len({*inserted}) == len(inserted), "every part has a token of its own"
