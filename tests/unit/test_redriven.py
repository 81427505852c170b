"""A record that is given back long after the log got it leaves the state that it would have left then."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec
from streams.dead_letters import DeadLetter, Original
from streams.keys import item_key, partition_of
from streams.processors.items import Items
from streams.projects import Projects
from streams.sinks import rows as sinking
from streams.sinks.rows import Group, Raw, redriven
from streams.transport.batch import Batch, Effects, Handler, MemoryRows, Outgoing, Rows
from streams.transport.redriven import redrive
from streams.transport.runner import Runner
from streams.transport.table import Overlay
from tests.unit.facts import ITEM, PROJECT, fact, label, verdict
from tests.unit.test_transport_runner import FakeTable
from tests.unit.transport_fakes import STORES, FakeProducer, FakeRecord, delivery

KEY = item_key(PROJECT, ITEM)
HOME = partition_of(KEY, 4)
FACTS = [
    ("labels", label("a", "cat", occurred_at=None)),
    ("labels", label("b", "dog")),
    ("labels", label("a", "dog", event_id="later", occurred_at=None)),
    ("corrections", verdict("r", "corrected", "cat")),
    ("flags", fact("flags", "b", kind="unclear", severity=0.5)),
]


def original(n: int, attempt: int = 1) -> Original:
    topic, event = FACTS[n]
    return Original("items", f"x.{topic}", HOME, n, 1_000_000 + n, KEY, codec.encode(topic, event), attempt)


def action(one: Original, kind: str = "redrive") -> bytes:
    record = {"action": kind, "by": "ops", "reason": "bug", "log_time": one.timestamp}
    fields = ("consumer", "topic", "partition", "offset", "attempt", "key", "value")
    return codec.encode("dead_letter_actions", record | {name: getattr(one, name) for name in fields})


def actions(*values: bytes) -> Batch:
    batch = [FakeRecord(n, value=value) for n, value in enumerate(values)]
    return Batch("x.dead-letters.actions", HOME, batch, 0, len(batch))


def folded(rows: MemoryRows, handle: Handler, given_: Original) -> None:
    rows |= handle(Batch(given_.topic, HOME, [given_], given_.offset, given_.offset + 1), rows).rows


@given(st.data())
def test_the_state_is_as_if_nothing_had_failed(data: st.DataObject) -> None:
    failed = data.draw(st.sets(st.integers(0, len(FACTS) - 1)))
    again = data.draw(st.lists(st.sampled_from(sorted(failed)), max_size=4)) if failed else []
    back = data.draw(st.permutations([*failed, *again]))
    cut = data.draw(st.integers(0, len(back)))
    items, whole, mended = Items("x", 4, Projects()), MemoryRows(), MemoryRows()
    for n in range(len(FACTS)):
        folded(whole, items.handle, original(n))
        if n not in failed:
            folded(mended, items.handle, original(n))
    for part in (back[:cut], back[cut:]):
        batch = actions(*(action(original(n)) for n in part))
        mended |= redrive("items", batch, mended, items.handle).rows
    assert {key: row["facts"] for key, row in mended.items()} == {key: row["facts"] for key, row in whole.items()}
    assert _tasks(items, mended) == _tasks(items, whole)


def _tasks(items: Items, rows: MemoryRows) -> list[Any]:
    """Return what is told of each item."""
    return [row["sent"]["state"] for row in rows.values()]


def test_only_what_is_given_back_to_this_consumer_is_handled() -> None:
    seen: list[tuple[Any, ...]] = []

    def handle(batch: Batch, rows: Rows) -> Effects:
        (record,) = batch.records
        seen.append((batch.topic, batch.partition, record.offset, record.timestamp, record.key, batch.redriven))
        return Effects()

    other = replace(original(1), consumer="sink")
    redrive("items", actions(b"junk", action(original(0), "drop"), action(other), action(original(2))), {}, handle)  # type: ignore[arg-type]
    assert seen == [("x.labels", HOME, 2, 1_000_002, KEY, True)]


@pytest.mark.parametrize("bug", [True, False])
def test_what_is_refused_again_bears_its_own_place_and_the_number_of_the_attempt(bug: bool, tmp_path: Path) -> None:
    def handle(batch: Batch, rows: Rows) -> Effects:
        if bug:
            raise ValueError
        (one,) = batch.records
        letter = DeadLetter(
            "items", batch.topic, batch.partition, one.offset, one.timestamp, one.key, one.value, "invalid", ""
        )
        return Effects(records=[Outgoing("x.out", b"k", b"v")], dead=[letter])

    table = FakeTable(Overlay(STORES["memory"](tmp_path)))
    run, producer = Runner("items", handle, table, "x.dead-letters", "x.dead-letters.actions"), FakeProducer()
    given_ = delivery(0, 1, alone=True, value=action(original(2, attempt=3)))
    given_.batch.topic, given_.batch.partition = "x.dead-letters.actions", HOME
    run.write(given_, run.prepare(given_), producer)
    letter = codec.decode(producer.sent[-1][1])[1]
    found = [letter[name] for name in ("topic", "partition", "offset", "log_time", "key", "value", "attempt", "reason")]
    assert found[:-1] == ["x.labels", HOME, 2, 1_000_002, KEY, original(2).value, 3]
    assert found[-1] == ("bug" if bug else "invalid")


def test_the_sink_gets_records_back_by_where_they_lay() -> None:
    mine = [replace(original(n), consumer="sink") for n in range(4)]
    given_ = [Raw(n, 9, None, action(one)) for n, one in enumerate([*mine, original(4)])]
    found = redriven({"x.labels": "labels", "x.corrections": "corrections"}, given_)
    group = Group("x.labels", "labels", HOME, 1)
    assert found[group] == [Raw(one.offset, one.timestamp, one.key, one.value) for one in mine[:3]]
    assert [*found] == [group, Group("x.corrections", "corrections", HOME, 1)]


def test_a_bug_of_the_sink_costs_the_record_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    build = sinking._build

    def broken(*arguments: Any) -> sinking.Rows:
        if any(one.offset in (3, 9) for one in arguments[-1]):
            raise ZeroDivisionError
        return build(*arguments)

    monkeypatch.setattr(sinking, "_build", broken)
    value = codec.encode("labels", label("a", "cat"))
    found = sinking.build("labels", "x.labels", 1, 1, [Raw(n, 5, KEY, value) for n in range(10)])
    assert [one.offset for one in found.records] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert {len(column) for column in found.columns} == {8}
    assert [(one.offset, one.reason) for one in found.dead] == [(3, "bug"), (9, "bug")]
    assert "ZeroDivisionError" in found.dead[0].detail
