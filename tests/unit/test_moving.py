"""The log at another partition count: what goes where, in which order, and which facts older offsets mean."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec
from streams.backup.rows import Record
from streams.keys import item_key, partition_of
from streams.origins import HEADER, Cut, Origin, counts, cut, moved, origins
from streams.rebuild.move import Seal
from streams.rebuild.moving import by_key, is_misplaced, meant, moves, readdressed, to_each
from streams.transport.topics import UNFINISHED, Entry, moving

KEYS = [item_key("p", f"i{n}") for n in range(12)]

Log = dict[int, list[Record]]


def record(offset: int, timestamp: int, key: bytes | None, value: bytes = b"v", kind: str = "LogAppendTime") -> Record:
    return Record(offset, timestamp, kind, key, (), value)


def written(log: Log, before: int, after: int, build: int = 1) -> Log:
    """Return a topic as it is after a move; it was made under CreateTime."""
    found: Log = {n: [] for n in range(after)}
    for one in moves(log, by_key(before, after), build):
        found[one.target].append(one.record._replace(timestamp_type="CreateTime"))
    return found


@st.composite
def logs(draw: st.DrawFn, partitions: int = 3) -> Log:
    """Give a topic whose times rise in each partition, with holes, equal times and misplaced records."""
    log: Log = {n: [] for n in range(partitions)}
    ends, clocks = dict.fromkeys(log, 0), dict.fromkeys(log, 0)
    facts = st.tuples(st.sampled_from(KEYS), st.integers(0, 2), st.integers(0, 1), st.booleans())
    for n, (key, wait, hole, wrong) in enumerate(draw(st.lists(facts, max_size=60))):
        partition = (partition_of(key, partitions) + wrong) % partitions
        clocks[partition] += wait
        ends[partition] += hole
        log[partition].append(record(ends[partition], clocks[partition], key, b"%d" % n))
        ends[partition] += 1
    return log


def of_key(log: Log, key: bytes, partitions: int, *, home: bool = True) -> list[tuple[int, bytes | None]]:
    return [
        (one.timestamp, one.value)
        for n, rows in log.items()
        for one in rows
        if one.key == key and is_misplaced(n, one, partitions) is not home
    ]


@given(logs(), st.integers(2, 7), st.integers(2, 7))
def test_every_record_moves_once_in_order_and_at_home_as_before(log: Log, second: int, third: int) -> None:
    once = written(log, 3, second)
    twice = written(once, second, third, build=2)
    for new, count in ((once, second), (twice, third)):
        assert sorted(one.value or b"" for rows in new.values() for one in rows) == sorted(
            one.value or b"" for rows in log.values() for one in rows
        )
        for rows in new.values():
            assert [one.offset for one in rows] == [*range(len(rows))]
            assert all(one.timestamp <= after.timestamp for one, after in pairwise(rows))
        for key in KEYS:
            assert of_key(new, key, count) == of_key(log, key, 3)
            assert sorted(of_key(new, key, count, home=False)) == sorted(of_key(log, key, 3, home=False))


@given(logs(), st.integers(2, 7), st.integers(2, 7), st.data())
def test_older_offsets_mean_the_same_facts(log: Log, second: int, third: int, data: st.DataObject) -> None:
    def draw(now: Log) -> dict[int, int]:
        return {n: data.draw(st.integers(0, rows[-1].offset + 1 if rows else 0)) for n, rows in now.items()}

    def selected(now: Log, build: int, ends: dict[int, int], of: int) -> set[bytes | None]:
        named = [("labels", n, end, of) for n, end in ends.items()]
        whole = {("labels", n): rows[-1].offset + 1 if rows else 0 for n, rows in now.items()}
        known = cut(named, {"labels": build}, whole)
        return {
            one.value
            for n, rows in now.items()
            for one in rows
            if one.offset < known.ends["labels", n]
            and known.takes("labels", origins(one.headers, copied=one.timestamp_type == "CreateTime"))
        }

    first = draw(log)
    meant_first = {one.value for n, rows in log.items() for one in rows if one.offset < first[n]}
    once = written(log, 3, second)
    assert selected(once, 2, first, 1) == meant_first
    once[0].append(record(len(once[0]), 10**6, KEYS[0], b"came later"))
    later = draw(once)
    meant_later = {one.value for n, rows in once.items() for one in rows if one.offset < later[n]}
    twice = written(once, second, third, build=2)
    assert selected(twice, 3, first, 1) == meant_first
    assert selected(twice, 3, later, 2) == meant_later


def test_partitions_are_those_of_murmur2() -> None:
    homes = by_key(2, 5)
    for key in KEYS:
        assert [*homes(partition_of(key, 2), record(0, 0, key))] == [partition_of(key, 5)]
        assert [*homes(1 - partition_of(key, 2), record(0, 0, key))] == [(partition_of(key, 5) + 1) % 5]
    assert [*by_key(5, 2)(4, record(0, 0, None))] == [0]


def test_a_tick_goes_to_every_partition_once() -> None:
    log = {0: [record(0, 5, None, b"a"), record(1, 9, None, b"b")], 1: [record(0, 5, None, b"a")]}
    found = [(one.target, one.record.offset, one.record.value) for one in moves(log, to_each(3), 1)]
    assert found == [(n, offset, value) for offset, value in ((0, b"a"), (1, b"b")) for n in range(3)]


def test_only_a_copy_says_where_it_lay() -> None:
    headers = (("trace", b"x"), *moved((), [Origin(1, 0, 41)], Origin(2, 3, 7)))
    assert origins(headers, copied=True) == (Origin(1, 0, 41), Origin(2, 3, 7))
    assert origins(headers, copied=False) == (), "anybody can write a header"
    assert moved(headers, (), Origin(1, 0, 0)) == (("trace", b"x"), (HEADER, b"1:0:0"))
    for forged in (b"\xff", b"1:2", b"1:2:3:4", b"one:2:3", None):
        assert origins(((HEADER, forged),), copied=True) == ()
    assert origins(None, copied=True) == ()


def test_what_came_after_a_move_is_no_part_of_what_was_before() -> None:
    then = {("labels", 1, 0): 10}
    assert counts("labels", [Origin(1, 0, 9)], then)
    assert not counts("labels", [Origin(1, 0, 10)], then)
    assert not counts("labels", [Origin(1, 1, 0)], then)
    assert not counts("labels", [Origin(2, 0, 0)], then)
    assert not counts("labels", (), then)
    assert Cut({}, then).takes("flags", ())


@pytest.mark.parametrize(
    ("named", "why"),
    [
        (("tips", 0, 1, 1), "tips is no topic of facts"),
        (("labels", 0, 1, 3), "labels is build 2 here, and this is about build 3"),
        (("labels", 0, 1, 0), "labels is build 2 here, and this is about build 0"),
        (("labels", 2, 1, 2), "labels has no partition 2"),
        (("labels", 1, 9, 2), "labels-1 ends at 8, before 9"),
    ],
)
def test_positions_of_another_log_are_refused(named: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cut([named], {"labels": 2}, {("labels", 0): 5, ("labels", 1): 8})


def test_a_letter_names_the_new_place() -> None:
    letter = {
        "consumer": "items",
        "topic": "x.labels",
        "partition": 1,
        "offset": 41,
        "log_time": 5,
        "reason": "bug",
        "action": "drop",
        "by": "ops",
        "text": "known",
        "attempt": 1,
        "key": None,
        "value": None,
    }
    raw = codec.encode("dead_letter_actions", letter)
    assert meant(raw, "x") == ("labels", 1, 41)
    assert meant(b"none of ours", "x") is None
    again = readdressed(raw, 4, 7)
    assert meant(again, "x") == ("labels", 4, 7)
    assert codec.decode_own(again)[1] == codec.decode_own(raw)[1] | {"partition": 4, "offset": 7}


def test_a_move_under_way_is_told_from_a_restore_and_from_its_end() -> None:
    assert moving({"annotators": Entry(-1, 1), "items": Entry(2, 5), "labels": Entry(-1, 5)}) == 5
    assert moving({"annotators": Entry(2, 1), "labels": Entry(2, 5)}) is None
    assert moving({"labels": Entry(UNFINISHED, 5)}) is None


def test_the_copy_of_another_move_is_not_taken_for_that_of_this_one() -> None:
    seal = Seal(2, 5, {"labels": 1, "flags": 1, "projects": 1})
    assert seal.is_of({"labels": Entry(-1, 5), "flags": Entry(-1, 5), "projects": Entry(1, 1)})
    assert seal.is_of({"labels": Entry(2, 5), "flags": Entry(-1, 5)}), "killed while the end was noted"
    assert not seal.is_of({"labels": Entry(-2, 3), "flags": Entry(-2, 3)})
