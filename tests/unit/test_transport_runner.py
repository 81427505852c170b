"""What a handler may do wrong is found before anything is written."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams import codec
from streams.clients import MAX_RECORD_BYTES
from streams.dead_letters import DeadLetter
from streams.errors import LabelloopError, NotNow
from streams.transport.batch import Batch, Effects, Handler, Outgoing, Rows
from streams.transport.guards import TooManyBugs
from streams.transport.positions import Partition
from streams.transport.runner import Runner
from streams.transport.table import Encoded, Overlay, Sink
from tests.unit.transport_fakes import STORES, FakeProducer, delivery


class FakeTable:
    """A table without Faust."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay

    @property
    def overlay(self) -> Overlay:
        return self._overlay

    def write(self, partition: int, rows: Encoded, sink: Sink) -> None:
        self._overlay.put(partition, rows)
        for key, (_, raw) in rows.items():
            sink.produce("changelog", raw, key, partition)


@pytest.fixture(params=sorted(STORES))
def table(request: pytest.FixtureRequest, tmp_path: Path) -> FakeTable:
    return FakeTable(Overlay(STORES[request.param](tmp_path)))


def runner(table: FakeTable, handler: Handler) -> Runner:
    return Runner("items", handler, table, "p.dead-letters")


def returning(effects: Effects) -> Handler:
    return lambda batch, rows: effects


def raising(error: Exception) -> Handler:
    def handle(batch: Batch, rows: Rows) -> Effects:
        raise error

    return handle


def test_effects_are_written_to_where_they_belong(table: FakeTable) -> None:
    letter = DeadLetter("items", "p.labels", 1, 5, 0, None, b"v", "invalid", "why")
    effects = Effects({b"a": {"n": 1}}, [Outgoing("p.out", b"a", b"x"), Outgoing("p.out", b"b", b"y", 3)], [letter])
    run, batch, producer = runner(table, returning(effects)), delivery(5, 6), FakeProducer()
    run.write(batch, run.prepare(batch), producer)
    assert producer.sent == [
        ("changelog", b'{"n":1}', b"a", 1),
        ("p.out", b"x", b"a", -1),
        ("p.out", b"y", b"b", 3),
        ("p.dead-letters", letter.encode(), b"", -1),
    ]
    assert batch.done
    assert table.overlay.get(1, b"a") == {"n": 1}


def test_later_batches_see_earlier_rows(table: FakeTable) -> None:
    def count(batch: Batch, rows: Rows) -> Effects:
        row = rows.get(b"a") or {"n": 0}
        row["n"] += len(batch)
        return Effects(rows={b"a": row})

    run, producer = runner(table, count), FakeProducer()
    for first in (0, 10, 20):
        batch = delivery(first, first + 10)
        run.write(batch, run.prepare(batch), producer)
        if first == 10:  # a commit between two batches
            table.overlay.seal()
            table.overlay.apply({1: 2})
    assert [value for _, value, _, _ in producer.sent] == [b'{"n":10}', b'{"n":20}', b'{"n":30}']


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), NotNow("x"), LabelloopError("x")])
def test_failures_of_a_batch_are_passed_on(table: FakeTable, error: Exception) -> None:
    with pytest.raises(type(error)):
        runner(table, raising(error)).prepare(delivery(0, 5))


@pytest.mark.parametrize("error", [NotNow("x"), LabelloopError("x"), MemoryError()])
def test_a_single_record_is_no_dead_letter_for_what_is_no_bug(table: FakeTable, error: Exception) -> None:
    with pytest.raises(type(error)):
        runner(table, raising(error)).prepare(delivery(0, 1, alone=True))


def _of(value: Any) -> Callable[[], Effects]:
    return lambda: value


FAULTY = {
    "raises": None,
    "huge row": _of(Effects(rows={b"a": {"x": "x" * MAX_RECORD_BYTES}})),
    "row is no JSON": _of(Effects(rows={b"a": {"x": object()}})),
    "huge record": _of(Effects(records=[Outgoing("p.out", b"a", b"x" * MAX_RECORD_BYTES)])),
    "record without a value": _of(Effects(records=[Outgoing("p.out", b"a", None)])),  # type: ignore[arg-type]
    "letter that cannot be encoded": _of(
        Effects(dead=[DeadLetter("items", "t", 1, 2, 3, b"k", b"v", "invalid", None)])  # type: ignore[arg-type]
    ),
    "nothing": _of(None),
}


@pytest.mark.parametrize("fault", sorted(FAULTY))
def test_a_bug_in_a_single_record_becomes_a_dead_letter(table: FakeTable, fault: str) -> None:
    make = FAULTY[fault]
    handler = returning(make()) if make else raising(ValueError("the culprit"))
    with pytest.raises((TypeError, ValueError, AttributeError)):
        runner(table, handler).prepare(delivery(7, 9))
    run, batch, producer = runner(table, handler), delivery(7, 8, alone=True), FakeProducer()
    run.write(batch, run.prepare(batch), producer)
    [(topic, value, key, _)] = producer.sent
    assert (topic, key) == ("p.dead-letters", b"k")
    letter = codec.decode(value)[1]
    assert (letter["reason"], letter["topic"], letter["partition"], letter["offset"]) == ("bug", "p.labels", 1, 7)
    assert "Traceback" in letter["detail"]
    assert len(letter["detail"]) <= 8000
    assert not table.overlay.dirty() or not table.overlay.get(1, b"a")


def test_rows_changed_before_the_bug_are_as_before(table: FakeTable) -> None:
    def change_and_fail(batch: Batch, rows: Rows) -> Effects:
        row = rows.get(b"a")
        assert row is not None
        row["tags"].append("half done")
        raise ValueError

    table.write(1, {b"a": ({"tags": []}, b'{"tags":[]}')}, FakeProducer())
    runner(table, change_and_fail).prepare(delivery(0, 1, alone=True))
    assert table.overlay.get(1, b"a") == {"tags": []}


def test_too_many_bugs(table: FakeTable, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    run = runner(table, raising(ValueError("x")))
    for offset in range(10):
        run.prepare(delivery(offset, offset + 1, alone=True))
    with pytest.raises(TooManyBugs):
        run.prepare(delivery(10, 11, alone=True))


def test_a_topic_that_works_does_not_cover_for_one_that_does_not(table: FakeTable) -> None:
    def handle(batch: Batch, rows: Rows) -> Effects:
        if batch.topic == "p.flags":
            raise ValueError
        return Effects()

    run, flags = runner(table, handle), Partition("p.flags", 1)
    for offset in range(10):
        run.prepare(delivery(offset, offset + 1, flags, alone=True))
        run.prepare(delivery(1000 * offset, 1000 * offset + 1000))
    with pytest.raises(TooManyBugs):
        run.prepare(delivery(10, 11, flags, alone=True))
