"""Only what is finished is committed, and a suspect range is tried record by record until it is passed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.transport.positions import SUSPECTS, Partition, Positions, Suspect
from tests.unit.transport_fakes import TP, delivery, records


def started(position: int = 0, suspect: Suspect | None = None) -> Positions:
    positions = Positions()
    positions.start(TP, position, suspect)
    return positions


def finish(positions: Positions, *ranges: tuple[int, int]) -> None:
    """Deliver and finish batches one after the other."""
    for first, end in ranges:
        given_out = delivery(first, end)
        positions.deliver(given_out)
        given_out.done = True
        positions.finish(TP)


def test_only_the_finished_prefix_may_be_committed() -> None:
    positions = started()
    batches = [delivery(0, 10), delivery(10, 20), delivery(20, 30)]
    for batch in batches:
        positions.deliver(batch)
    batches[1].done = True
    positions.finish(TP)
    assert positions.pending() == {}
    batches[0].done = True
    positions.finish(TP)
    assert positions.pending() == {TP: (20, "")}
    assert positions.in_flight() == 1


@given(st.permutations(range(6)))
def test_prefix_whatever_the_order(order: list[int]) -> None:
    positions, done = started(), set()
    batches = [delivery(10 * n, 10 * n + 10) for n in range(6)]
    for batch in batches:
        positions.deliver(batch)
    for number in order:
        batches[number].done = True
        done.add(number)
        positions.finish(TP)
        prefix = next((n for n in range(6) if n not in done), 6)
        assert positions.pending() == ({TP: (10 * prefix, "")} if prefix else {})


def test_committed_positions_are_not_committed_again() -> None:
    positions = started(5)
    finish(positions, (5, 10))
    offsets = positions.pending()
    positions.commit(offsets)
    assert offsets == {TP: (10, "")}
    assert not positions.has_pending()
    assert positions.pending() == {}
    assert positions.committed(TP) == 10


def test_control_records_move_the_position() -> None:
    positions = started()
    positions.advance(TP, 3)
    assert positions.pending() == {TP: (3, "")}
    batch = delivery(3, 5)
    positions.deliver(batch)
    positions.advance(TP, 6)  # behind an unfinished batch: they are passed with it
    assert positions.expected(TP) == 6
    assert positions.pending() == {TP: (3, "")}
    batch.done = True
    positions.finish(TP)
    assert positions.pending() == {TP: (6, "")}


def test_a_batch_of_an_earlier_assignment_is_unknown() -> None:
    positions, batch = started(), delivery(0, 1)
    positions.deliver(batch)
    assert positions.knows(batch)
    positions.forget()
    assert not positions.knows(batch)
    assert positions.expected(TP) is None
    assert positions.oldest() is None


def test_partitions_do_not_wait_for_each_other() -> None:
    positions, other = started(), Partition("p.labels", 2)
    positions.start(other, 0, None)
    slow, fast = delivery(0, 5), delivery(0, 7, other)
    positions.deliver(slow)
    positions.deliver(fast)
    fast.done = True
    positions.finish(other)
    assert positions.pending() == {other: (7, "")}


# Suspects


def test_suspects_survive_commits_until_they_are_passed() -> None:
    positions = started(100, Suspect(105, 108))
    finish(positions, (100, 105), (105, 106))
    assert positions.pending() == {TP: (106, '{"suspect": [105, 108]}')}
    positions.commit(positions.pending())
    finish(positions, (106, 108))
    assert positions.pending() == {TP: (108, "")}


def test_suspects_are_cut_into_single_records() -> None:
    positions = started(0, Suspect(4, 7))
    cuts = list(positions.cut(TP, records(range(12)), lambda: 3))
    assert cuts == [
        (0, 3, False),
        (3, 4, False),
        (4, 5, True),
        (5, 6, True),
        (6, 7, True),
        (7, 10, False),
        (10, 12, False),
    ]


@given(
    st.sets(st.integers(0, 60), min_size=1),
    st.tuples(st.integers(0, 60), st.integers(0, 60)),
    st.integers(1, 10),
)
def test_cuts_cover_all_records_once(offsets: set[int], bounds: tuple[int, int], size: int) -> None:
    first, end = min(bounds), max(bounds)
    fetched = records(sorted(offsets))
    cuts = list(started(0, Suspect(first, end)).cut(TP, fetched, lambda: size))
    assert [n for start, stop, _ in cuts for n in range(start, stop)] == list(range(len(fetched)))
    for start, stop, alone in cuts:
        inside = [first <= record.offset < end for record in fetched[start:stop]]
        assert alone == any(inside)
        assert len(inside) <= (1 if alone else size)


def test_passed_suspects_are_forgotten() -> None:
    assert list(started(10, Suspect(3, 10)).cut(TP, records([10, 11]), lambda: 5)) == [(0, 2, False)]


def test_suspect_metadata_is_read_back() -> None:
    assert Suspect.parse(Suspect(3, 9).dump()) == Suspect(3, 9)


@pytest.mark.parametrize(
    "metadata",
    [None, "", "x", "[]", "1", "null", '{"first": 1}', '{"suspect": 1}', '{"suspect": [1]}', '{"suspect": [5, 5]}'],
)
def test_other_metadata_is_no_suspect(metadata: str | None) -> None:
    assert Suspect.parse(metadata) is None


def test_a_second_failure_does_not_forget_the_first() -> None:
    """Else the two would fail in turn for ever: each note would replace the other."""
    positions = started(0, Suspect(5, 10))
    assert positions.suspect(delivery(12, 20)) == Suspect(5, 12 + SUSPECTS)
    assert positions.suspect(delivery(0, 5)) == Suspect(0, SUSPECTS)
    assert positions.suspect(delivery(12, 5000)) == Suspect(5, 5000)
    finish(positions, (0, 10))
    positions.commit(positions.pending())
    assert positions.suspect(delivery(12, 20)) == Suspect(12, 12 + SUSPECTS)


def test_what_comes_after_a_failure_is_tried_alone_too() -> None:
    """Else a handler that fails at every record that comes now and then would end a process at each, for ever."""
    alone = started(8, started(8).suspect(delivery(8, 9)))
    came = [*alone.cut(TP, records((8, 9, 500)), lambda: 100)]
    assert came == [(0, 1, True), (1, 2, True), (2, 3, True)]
