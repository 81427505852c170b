"""A consumer that fails at everything by a fault of ours stops, instead of making dead letters of a topic."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from streams import codec
from streams.catalogue import ACTIONS
from streams.dead_letters import DeadLetter
from streams.keys import item_key
from streams.sinks import rows as sinking
from streams.sinks.inserts import Inserts
from streams.sinks.ledger import Range
from streams.sinks.rows import Raw
from streams.sinks.writer import Refused
from streams.transport.guards import BugLimit, TooManyBugs
from streams.transport.plain import Read
from tests.unit.facts import ITEM, PROJECT, fact, label
from workers.outbox import Message
from workers.retrain import CORRECTED, Retrain
from workers.triggers import Corrections

KEY = item_key(PROJECT, ITEM)


class FakeWriter:
    """Takes rows, but for those at some offsets."""

    def __init__(self, refuses: Sequence[int]) -> None:
        self._refuses = {*refuses}
        self.taken: list[int] = []

    def insert(self, table: str, names: Sequence[str], columns: Sequence[list[Any]], token: str) -> None:
        offsets = columns[names.index("_offset")]
        if not self._refuses.isdisjoint(offsets):
            raise Refused("no")
        self.taken += offsets


def sink(refuses: Sequence[int] = ()) -> tuple[Inserts, FakeWriter, list[DeadLetter]]:
    """Return a sink's inserts without servers, what their writer takes, and what they tell of."""
    writer, letters = FakeWriter(refuses), list[DeadLetter]()
    names = {"x.labels": "labels", "x.flags": "flags", f"x.{ACTIONS}": ACTIONS}
    told: Any = SimpleNamespace(send=letters.extend)
    return Inserts(names, dict.fromkeys(names.values(), 1), writer, told, stay=lambda _: None), writer, letters  # type: ignore[arg-type]


def store(one: Inserts, records: Sequence[Raw], topic: str = "labels") -> None:
    """Store records as those of one range."""
    try:
        one.store((f"x.{topic}", 1), Range(records[0].offset, records[-1].offset), records)
        one.finish()
    finally:
        one.close()


def raws(n: int) -> list[Raw]:
    return [Raw(offset, 1_000_000, KEY, codec.encode("labels", label("a", "cat"))) for offset in range(n)]


def test_a_sink_passes_over_a_few_rows_and_stops_at_many() -> None:
    some, writer, letters = sink(refuses=range(0, 500, 100))
    store(some, raws(500))
    assert [one.offset for one in letters] == [0, 100, 200, 300, 400]
    assert sorted(writer.taken) == [n for n in range(500) if n % 100]
    every, writer, letters = sink(refuses=range(500))
    with pytest.raises(TooManyBugs):
        store(every, raws(500))
    assert (len(letters), writer.taken) == (10, [])


@pytest.mark.parametrize(("broken", "stops"), [(range(0, 5000, 600), False), (range(3000, 3011), True)])
def test_a_sink_weighs_its_own_bugs_where_they_lie(
    broken: Sequence[int], stops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = sinking._build

    def fails(*arguments: Any) -> sinking.Rows:
        if any(one.offset in broken for one in arguments[-1]):
            raise ZeroDivisionError
        return built(*arguments)

    monkeypatch.setattr(sinking, "_build", fails)
    one, writer, letters = sink()
    if stops:
        with pytest.raises(TooManyBugs):
            store(one, raws(5000))
        assert (writer.taken, letters) == ([], [])
    else:
        store(one, raws(5000))
        assert [letter.offset for letter in letters] == [*broken]
        assert len(writer.taken) == 5000 - len(broken)


def test_a_table_that_takes_all_does_not_cover_for_one_that_takes_nothing() -> None:
    one, writer, letters = sink(refuses=range(11))
    flags = [Raw(n, 1_000_000, KEY, codec.encode("flags", fact("flags", "a"))) for n in range(11)]
    for n in range(10):
        one.store(("x.flags", 1), Range(n, n), flags[n : n + 1])
        one.store(("x.labels", 1), Range(1000 * n, 1000 * n + 999), raws(2000)[1000:])
    one.store(("x.flags", 1), Range(10, 10), flags[10:])
    with pytest.raises(TooManyBugs):
        one.finish()
    one.close()
    assert (len(letters), len(writer.taken)) == (10, 10_000)


def test_a_sink_stores_what_it_is_given_back_where_it_lay() -> None:
    def given(offset: int) -> Raw:
        record = {"action": "redrive", "by": "ops", "reason": "bug", "consumer": "sink", "topic": "x.labels"}
        place = {"partition": 3, "offset": offset, "log_time": 1_000_000, "attempt": 2, "key": KEY}
        value = codec.encode("labels", label("a", "cat")) if offset else b"still no Avro"
        return Raw(100 + offset, 9, KEY, codec.encode("dead_letter_actions", record | place | {"value": value}))

    one, writer, letters = sink(refuses=[41])
    store(one, [given(n) for n in (0, 40, 41, 42)], ACTIONS)
    assert writer.taken == [100, 140, 141, 142, 40, 42], "the actions, then what they give back"
    assert [(one.partition, one.offset, one.attempt) for one in letters] == [(3, 0, 2), (3, 41, 2)]


def worker(told: int) -> Retrain:
    """Return a retraining worker without servers that has told of what lies before offset `told`."""
    one = Retrain.__new__(Retrain)
    one._settings = SimpleNamespace(partitions=1)  # type: ignore[assignment]
    one._names, one._corrected = {"x.labels.corrected": CORRECTED, f"x.{ACTIONS}": ACTIONS}, "x.labels.corrected"
    one._owned, one._told, one._bugs = (0,), {0: told}, BugLimit()
    one._forget()
    return one


def corrected(offset: int, value: bytes | None = None, topic: str = CORRECTED) -> Read:
    record: dict[str, Any] = {
        "project": PROJECT,
        "item_id": str(offset),
        "value": None,
        "source": "none",
        "weight_ppm": 0,
    }
    record |= {"evidence": [], "schema_version": None, "guideline_version": None, "updated_at": 1}
    return Read(f"x.{topic}", 0, 1, value or codec.encode("labels_corrected", record), KEY, offset)


def break_at(items: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    apply, names = Corrections.apply, {str(n) for n in items}

    def broken(self: Corrections, record: Mapping[str, Any], now: float) -> None:
        if record["item_id"] in names:
            raise ZeroDivisionError
        apply(self, record, now)

    monkeypatch.setattr(Corrections, "apply", broken)


def test_retraining_tells_once_of_what_it_cannot_read_and_again_when_it_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_at([3, 8], monkeypatch)
    one = worker(told=5)
    for read in (*map(corrected, range(10)), corrected(10, b"no Avro")):
        one._learn(read)
    found = [(letter.offset, letter.reason, letter.attempt) for letter in one._letters]
    assert found == [(8, "bug", 0), (10, "undecodable", 0)]  # 3 was told by an earlier start
    one._letters.clear()
    place = {"action": "redrive", "by": "ops", "consumer": "retrain", "topic": "x.labels.corrected", "partition": 0}
    for offset in (3, 4):  # 4 is read by now
        action = place | {"offset": offset, "log_time": 1, "attempt": 1, "reason": "bug", "key": KEY, "value": b""}
        one._learn(corrected(0, codec.encode("dead_letter_actions", action), ACTIONS))
    one._still_refused()
    assert [(letter.offset, letter.attempt) for letter in one._letters] == [(3, 1)]


def test_retraining_stops_at_many(monkeypatch: pytest.MonkeyPatch) -> None:
    break_at(range(100), monkeypatch)
    one, sent = worker(told=0), list[tuple[int, Mapping[tuple[str, int], int]]]()

    def publish(messages: Sequence[Message], positions: Mapping[tuple[str, int], int], group: object) -> None:
        sent.append((len(messages), positions))

    one._outbox, one._group = SimpleNamespace(publish=publish), None  # type: ignore[assignment]
    for offset in range(10):
        one._learn(corrected(offset))
    with pytest.raises(TooManyBugs):
        one._learn(corrected(10))
    assert sent == [(10, {("x.labels.corrected", 0): 0})]  # it tells of them, and has passed none


def test_what_an_earlier_start_bore_is_not_weighed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compaction takes the good ones between the bad ones: what was few would become many."""
    break_at(range(30), monkeypatch)
    one = worker(told=30)
    for offset in range(31):
        one._learn(corrected(offset))
    assert one._letters == []
